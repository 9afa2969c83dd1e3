//! What workers need to know about circuits: everything they do to a job between its lease and its end.
//!
//! [`Work`] is all that the workers see of a circuit set and its keys; [`CircuitWork`] is the one implementation that
//! ships. Another one, in tests only, stands in for it where thousands of jobs have to pass.
//!
//! **Invariant:** an artifact is stored before the job that names it is completed, and nothing that comes from a file or
//! a socket can make a worker panic: it fails the attempt.

mod circuit_work;
mod failure;
mod files;
mod graph;
mod sections;

use std::time::Duration;

use ingot_artifacts::Artifacts;
use ingot_house_keeper::protocol::Served;
use ingot_job_store::{ArtifactName, JobSpec, Lease};
use ingot_types::{AggregationRound, BatchId, CircuitId, CircuitKey, JobKey};

pub use circuit_work::{job_circuits, CircuitWork};
pub use failure::{guarded, JobFailure};
pub use files::{find, get, put};
pub use graph::{first_key, role, slot, Graph};
pub use sections::WitnessSections;

/// What a job made: its files, and the jobs it created.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// Its files; they are stored.
    pub outputs: Vec<ArtifactName>,
    /// The jobs to add.
    pub new_jobs: Vec<JobSpec>,
}

/// A kind of prove job: what leases are filtered by, and what it costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobCircuit {
    /// Round of its jobs.
    pub round: AggregationRound,
    /// Circuit id of its jobs: in rounds 1 and 2 the branch.
    pub circuit_id: CircuitId,
    /// The circuit that is proved.
    pub circuit: CircuitKey,
    /// Name of that circuit, for people.
    pub name: String,
    /// Peak memory of the synthesis, estimated, in bytes.
    pub synthesis_ram_bytes: u64,
    /// Peak memory of proving, estimated, in bytes.
    pub proving_ram_bytes: u64,
}

impl JobCircuit {
    /// What a lease filter names its jobs by.
    pub const fn key(&self) -> CircuitKey {
        CircuitKey { round: self.round, circuit_id: self.circuit_id }
    }
}

/// What a lease filter calls the circuit of a job.
pub const fn job_circuit(job: JobKey) -> CircuitKey {
    CircuitKey { round: job.round, circuit_id: job.circuit_id }
}

/// The work of a protocol version. Every method may be called from several threads at once, and none panics on data.
pub trait Work: Send + Sync + 'static {
    /// The circuits and keys that are loaded: workers of one version must agree in it.
    fn served(&self) -> Served;

    /// Every kind of prove job that can come up.
    fn circuits(&self) -> &[JobCircuit];

    /// Size that no witness vector exceeds, estimated, in bytes: what slabs are made for.
    fn vector_bytes(&self) -> u64 {
        self.circuits().iter().map(|circuit| circuit.synthesis_ram_bytes).max().unwrap_or(1 << 20)
    }

    /// A witness job, whole: circuit inputs, and in round 0 all jobs that follow.
    ///
    /// # Errors
    /// [`JobFailure`].
    fn witness(&self, lease: &Lease, artifacts: &dyn Artifacts) -> Result<Made, JobFailure>;

    /// The first half of a prove job: the witness vector.
    ///
    /// # Errors
    /// [`JobFailure`].
    fn synthesize(&self, lease: &Lease, artifacts: &dyn Artifacts) -> Result<WitnessSections, JobFailure>;

    /// Loads what proving `job` will need, if that is not done yet. Only a hint: errors come up when it is proved.
    fn prefetch(&self, _job: JobKey) {}

    /// The second half: the bytes of a proof file, verified. `sections` are as [`WitnessSections::as_bytes`] gave them,
    /// and may come from anywhere.
    ///
    /// # Errors
    /// [`JobFailure`].
    fn prove(&self, job: JobKey, sections: [&[u8]; 3]) -> Result<Vec<u8>, JobFailure>;

    /// [`Self::prove`], and how long verifying took of it, where that is known.
    ///
    /// # Errors
    /// [`JobFailure`].
    fn prove_timed(
        &self,
        job: JobKey,
        sections: [&[u8]; 3],
    ) -> Result<(Vec<u8>, Option<Duration>), JobFailure> {
        self.prove(job, sections).map(|proof| (proof, None))
    }

    /// Verifies the bytes of a proof file as the proof of `job`.
    ///
    /// # Errors
    /// [`JobFailure::BadFile`], blaming `job`, if it is no valid one.
    fn verify(&self, job: JobKey, proof: &[u8]) -> Result<(), JobFailure>;

    /// The job that ends a batch.
    fn last_job(&self, batch: BatchId) -> JobKey;

    /// Verifies the proof that ends a batch, and that it is about these witness inputs.
    ///
    /// # Errors
    /// [`JobFailure::BadFile`] if it is not; [`JobFailure::Failed`] if the inputs are bad.
    fn check_final(&self, batch: BatchId, witness_inputs: &[u8], proof: &[u8]) -> Result<(), JobFailure>;

    /// What a job is called in messages.
    fn name(&self, job: JobKey) -> String;
}
