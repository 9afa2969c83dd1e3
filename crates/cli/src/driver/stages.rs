//! What a job does: circuit inputs from witness inputs or child proofs, witness vectors from circuit inputs, proofs.

use std::{
    any::Any,
    collections::BTreeMap,
    panic::{catch_unwind, AssertUnwindSafe},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use ingot_artifacts::ArtifactStore;
use ingot_circuit_set::{
    field::{Proof, WitnessVector, Worker},
    AggregationJob, CircuitInfo, CircuitSet, CircuitSink, ProofSlot, ProofSource, SetError,
};
use ingot_job_store::{ArtifactName, JobSpec, Lease};
use ingot_keystore::KeyStore;
use ingot_prover::{prove, ProofHeader, StoredProof};
use ingot_types::{AggregationRound, CircuitId, CircuitKey, JobKey, RetryClass};

use super::{
    files::{find, get, put, JobFailure},
    graph::{counts, role, slot, Graph},
};

/// What every stage reads.
pub(crate) struct Stages {
    pub set: Arc<dyn CircuitSet>,
    pub keys: Arc<KeyStore>,
    pub artifacts: ArtifactStore,
    pub graph: Graph,
    pub worker: Worker,
}

/// What a job made: its files, and the jobs it created.
pub(crate) type Made = (Vec<ArtifactName>, Vec<JobSpec>);

impl Stages {
    /// The circuit that a job is about.
    pub fn circuit(&self, key: JobKey) -> CircuitKey {
        self.set.circuit_of(key.round, key.circuit_id)
    }

    /// What is known about it.
    pub fn info(&self, key: JobKey) -> Option<&CircuitInfo> {
        let circuit = self.circuit(key);
        self.set.circuits().iter().find(|info| info.key == circuit)
    }

    /// What a job is called in messages.
    pub fn name(&self, key: JobKey) -> String {
        match self.info(key) {
            _ if key == self.graph.first_key() => "witness generation".into(),
            Some(info) if key.kind == ingot_types::JobKind::Witness => {
                format!("{} (circuit input)", info.name)
            }
            Some(info) => info.name.to_owned(),
            None => "unknown circuit".into(),
        }
    }

    /// A witness job: circuit inputs.
    pub fn witness(&self, lease: &Lease) -> Result<Made, JobFailure> {
        guarded(|| match lease.job.key() == self.graph.first_key() {
            true => self.basic_circuits(lease),
            false => self.aggregation_circuit(lease),
        })
    }

    fn basic_circuits(&self, lease: &Lease) -> Result<Made, JobFailure> {
        let (file, maker) = find(lease, role::WITNESS_INPUTS)?;
        let inputs = get(&self.artifacts, file, maker)?;
        let mut sink = Sink { artifacts: &self.artifacts, circuits: BTreeMap::new() };
        let aggregation = self.set.basic_circuits(&inputs, &*self.keys, &mut sink)?;
        let plan = self.set.plan(&counts(sink.circuits.keys()));
        let output = put(&self.artifacts, role::AGGREGATION_INPUTS, &aggregation)?;
        Ok((vec![output], self.graph.rest(&sink.circuits, &plan)))
    }

    fn aggregation_circuit(&self, lease: &Lease) -> Result<Made, JobFailure> {
        let (file, maker) = find(lease, role::AGGREGATION_INPUTS)?;
        let aggregation = get(&self.artifacts, file, maker)?;
        let children = lease.upstream.iter().map(|u| u.key).filter(|key| *key != self.graph.first_key());
        let job = AggregationJob { slot: slot(lease.job.key()), children: children.map(slot).collect() };
        let mut source = Proofs { stages: self, lease, failure: None };
        let circuit = self.set.aggregation_circuit(&job, &aggregation, &*self.keys, &mut source);
        match (circuit, source.failure) {
            (Ok(circuit), _) => Ok((vec![put(&self.artifacts, role::CIRCUIT, &circuit)?], vec![])),
            // The set only knows that it got no proof.
            (Err(_), Some(failure)) => Err(failure),
            (Err(error), None) => Err(error.into()),
        }
    }

    /// The first half of a prove job: the witness vector.
    pub fn synthesize(&self, lease: &Lease) -> Result<WitnessVector, JobFailure> {
        guarded(|| {
            let (file, maker) = find(lease, role::CIRCUIT)?;
            let circuit = get(&self.artifacts, file, maker)?;
            let key = self.circuit(lease.job.key());
            let hint = self.keys.hint(key)?;
            Ok(self.set.synthesize(key, &circuit, &hint, &*self.keys)?)
        })
    }

    /// The second half: the proof, verified and stored.
    pub fn prove(&self, lease: &Lease, witness: &WitnessVector) -> Result<Made, JobFailure> {
        guarded(|| {
            let key = self.circuit(lease.job.key());
            let decoded = self.keys.setup_key(key, &self.worker)?;
            let (set, vks) = (&*self.set, &*self.keys);
            let proof = prove(set, key, witness, &decoded.setup, &decoded.lde, vks, &self.worker)?;
            let stored = StoredProof { header: ProofHeader::new(set, key, self.graph.batch), proof };
            Ok((vec![put(&self.artifacts, role::PROOF, &stored.to_bytes()?)?], vec![]))
        })
    }

    /// Reads back the proof that `maker` made.
    pub fn read_proof(
        &self,
        file: &ArtifactName,
        maker: JobKey,
    ) -> Result<(StoredProof, Vec<u8>), JobFailure> {
        let bytes = get(&self.artifacts, file, maker)?;
        let path = self.artifacts.folder().join(&file.hash);
        let stored = StoredProof::from_bytes(Path::new(&path), &bytes)
            .map_err(|e| JobFailure::BadFile { maker, reason: e.to_string() })?;
        let expected = ProofHeader::new(&*self.set, self.circuit(maker), self.graph.batch);
        if stored.header != expected {
            let reason =
                format!("{}: expected a proof of {expected:?}, found {:?}", path.display(), stored.header);
            return Err(JobFailure::BadFile { maker, reason });
        }
        Ok((stored, bytes))
    }
}

/// Times `work`.
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    (work(), start.elapsed())
}

/// Turns a panic of the proof library into a failure of the job.
fn guarded<T>(work: impl FnOnce() -> Result<T, JobFailure>) -> Result<T, JobFailure> {
    let message = |panic: Box<dyn Any + Send>| {
        let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
        text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
    };
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(JobFailure::deterministic(format!("panic: {}", message(panic)))))
}

struct Sink<'a> {
    artifacts: &'a ArtifactStore,
    circuits: BTreeMap<(CircuitId, u32), ArtifactName>,
}

impl CircuitSink for Sink<'_> {
    fn basic_circuit(
        &mut self,
        circuit_id: CircuitId,
        sequence: u32,
        circuit: &[u8],
    ) -> Result<(), SetError> {
        let file = put(self.artifacts, role::CIRCUIT, circuit).map_err(|e| SetError::Source {
            what: format!("{} circuit {circuit_id}, instance {sequence}", AggregationRound::Basic),
            reason: e.to_string(),
            retry: e.retry_class(),
        })?;
        self.circuits.insert((circuit_id, sequence), file);
        Ok(())
    }
}

/// The proofs that an aggregation job reads: outputs of the jobs it depends on.
struct Proofs<'a> {
    stages: &'a Stages,
    lease: &'a Lease,
    failure: Option<JobFailure>,
}

impl ProofSource for Proofs<'_> {
    fn proof(&mut self, wanted: ProofSlot) -> Result<Proof, SetError> {
        let maker = self.stages.graph.prove_key(wanted);
        let error = |reason: &str| SetError::Source {
            what: format!("proof of job {maker}"),
            reason: reason.to_owned(),
            retry: RetryClass::Deterministic,
        };
        let upstream = self.lease.upstream.iter().find(|u| u.key == maker);
        let file = upstream
            .and_then(|u| u.outputs.iter().find(|file| file.role == role::PROOF))
            .ok_or_else(|| error("this job does not depend on it"))?;
        match self.stages.read_proof(file, maker) {
            Ok((stored, _)) => Ok(stored.proof),
            Err(failure) => {
                self.failure = Some(failure);
                Err(error("it could not be read"))
            }
        }
    }
}
