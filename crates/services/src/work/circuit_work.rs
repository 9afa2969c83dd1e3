//! [`Work`] over a circuit set and its keys: circuit inputs from witness inputs or child proofs, witness vectors from
//! circuit inputs, proofs.

use std::{collections::BTreeMap, fmt, path::Path, sync::Arc, time::Duration};

use ingot_artifacts::{Artifacts, Blake3};
use ingot_circuit_set::{
    field::Proof, AggregationJob, CircuitInfo, CircuitSet, CircuitSink, ProofSlot, ProofSource, SetError,
};
use ingot_house_keeper::protocol::Served;
use ingot_job_store::{ArtifactName, Lease};
use ingot_keystore::KeyStore;
use ingot_prover::{verify, ProofHeader, StoredProof};
use ingot_types::{AggregationRound, BatchId, CircuitId, CircuitKey, JobKey, JobKind, RetryClass};
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

use super::{
    files::{find, get, put},
    graph::{counts, first_key, role, slot, Graph},
    guarded, sections, JobCircuit, JobFailure, Made, WitnessSections, Work,
};

/// The work of one circuit set.
pub struct CircuitWork {
    set: Arc<dyn CircuitSet>,
    keys: Arc<KeyStore>,
    threads: ThreadPool,
    served: Served,
    circuits: Vec<JobCircuit>,
}

impl fmt::Debug for CircuitWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitWork").field("served", &self.served).finish_non_exhaustive()
    }
}

impl CircuitWork {
    /// The work of `set` with its `keys`, pinned by the manifest whose hash is `key_manifest`. Proving uses `threads`
    /// threads (at least 1).
    ///
    /// # Errors
    /// If the threads cannot be started.
    pub fn new(
        set: Arc<dyn CircuitSet>,
        keys: Arc<KeyStore>,
        key_manifest: Blake3,
        threads: usize,
    ) -> Result<Self, ThreadPoolBuildError> {
        let served = Served {
            protocol_version: set.protocol_version(),
            circuit_set: set.name().to_owned(),
            parameter_set: set.parameter_set().to_owned(),
            key_manifest: key_manifest.to_string(),
        };
        let circuits = job_circuits(&*set);
        let name = |index| format!("prove-{index}");
        let threads = ThreadPoolBuilder::new().num_threads(threads.max(1)).thread_name(name).build()?;
        Ok(Self { set, keys, threads, served, circuits })
    }

    /// The circuit set.
    pub fn set(&self) -> &Arc<dyn CircuitSet> {
        &self.set
    }

    /// Its keys.
    pub fn keys(&self) -> &Arc<KeyStore> {
        &self.keys
    }

    fn circuit(&self, key: JobKey) -> CircuitKey {
        self.set.circuit_of(key.round, key.circuit_id)
    }

    fn info(&self, key: JobKey) -> Option<&CircuitInfo> {
        let circuit = self.circuit(key);
        self.set.circuits().iter().find(|info| info.key == circuit)
    }

    /// A job of another version was leased by mistake, and must not be touched.
    fn ours(&self, lease: &Lease) -> Result<(), JobFailure> {
        let found = lease.job.spec.protocol_version;
        match found == self.served.protocol_version {
            true => Ok(()),
            false => Err(JobFailure::transient(format!(
                "job {} is of protocol version {found}, this worker serves {}",
                lease.job.key(),
                self.served.protocol_version
            ))),
        }
    }

    fn basic_circuits(&self, lease: &Lease, artifacts: &dyn Artifacts) -> Result<Made, JobFailure> {
        let (file, maker) = find(lease, role::WITNESS_INPUTS)?;
        let inputs = get(artifacts, file, maker)?;
        let mut sink = Sink { artifacts, circuits: BTreeMap::new() };
        let aggregation = self.set.basic_circuits(&inputs, &*self.keys, &mut sink)?;
        let plan = self.set.plan(&counts(sink.circuits.keys()));
        let output = put(artifacts, role::AGGREGATION_INPUTS, &aggregation)?;
        let new_jobs = Graph::of(&lease.job.spec).rest(&sink.circuits, &plan);
        Ok(Made { outputs: vec![output], new_jobs })
    }

    fn aggregation_circuit(&self, lease: &Lease, artifacts: &dyn Artifacts) -> Result<Made, JobFailure> {
        let (file, maker) = find(lease, role::AGGREGATION_INPUTS)?;
        let aggregation = get(artifacts, file, maker)?;
        let key = lease.job.key();
        let children = lease.upstream.iter().map(|u| u.key).filter(|child| *child != first_key(key.batch));
        let job = AggregationJob { slot: slot(key), children: children.map(slot).collect() };
        let mut source = Proofs { work: self, lease, artifacts, failure: None };
        let circuit = self.set.aggregation_circuit(&job, &aggregation, &*self.keys, &mut source);
        match (circuit, source.failure) {
            (Ok(circuit), _) => {
                Ok(Made { outputs: vec![put(artifacts, role::CIRCUIT, &circuit)?], new_jobs: vec![] })
            }
            // The set only knows that it got no proof.
            (Err(_), Some(failure)) => Err(failure),
            (Err(error), None) => Err(error.into()),
        }
    }

    /// Decodes the bytes of a proof file that `maker` made; its header must say what is expected of it.
    fn decode_proof(&self, maker: JobKey, name: &str, bytes: &[u8]) -> Result<StoredProof, JobFailure> {
        let bad = |reason: String| JobFailure::BadFile { maker, reason };
        let stored = StoredProof::from_bytes(Path::new(name), bytes).map_err(|e| bad(e.to_string()))?;
        let expected = ProofHeader::new(&*self.set, self.circuit(maker), maker.batch);
        match stored.header == expected {
            true => Ok(stored),
            false => Err(bad(format!("{name}: expected a proof of {expected:?}, found {:?}", stored.header))),
        }
    }

    fn verified(&self, job: JobKey, bytes: &[u8]) -> Result<StoredProof, JobFailure> {
        let name = format!("proof of job {job}");
        let stored = self.decode_proof(job, &name, bytes)?;
        let key = self.circuit(job);
        let vk = self.keys.verification_key(key)?;
        match verify(&*self.set, key, &vk, &stored.proof)? {
            Ok(()) => Ok(stored),
            Err(reason) => Err(JobFailure::BadFile { maker: job, reason: format!("{name}: {reason}") }),
        }
    }
}

/// Every pair of round and circuit id that jobs can have: those of a batch with so many basic circuits of each id that
/// no round is left out.
pub fn job_circuits(set: &dyn CircuitSet) -> Vec<JobCircuit> {
    let arity = set.arity();
    let many = u32::try_from(arity.leaf.saturating_mul(arity.node).saturating_add(1)).unwrap_or(u32::MAX);
    let basic: BTreeMap<CircuitId, u32> = set
        .circuits()
        .iter()
        .filter(|info| info.key.round == AggregationRound::Basic)
        .map(|info| (info.key.circuit_id, many))
        .collect();
    let plan = set.plan(&basic);
    let slots = plan
        .proofs
        .iter()
        .map(|proof| CircuitKey { round: proof.slot.round, circuit_id: proof.slot.circuit_id });
    let mut keys: Vec<CircuitKey> = basic
        .keys()
        .map(|&circuit_id| CircuitKey { round: AggregationRound::Basic, circuit_id })
        .chain(slots)
        .collect();
    keys.sort();
    keys.dedup();
    let described = |key: CircuitKey| {
        let circuit = set.circuit_of(key.round, key.circuit_id);
        let info = set.circuits().iter().find(|info| info.key == circuit)?;
        Some(JobCircuit {
            round: key.round,
            circuit_id: key.circuit_id,
            circuit,
            name: info.name.to_owned(),
            synthesis_ram_bytes: info.synthesis_ram_bytes,
            proving_ram_bytes: info.proving_ram_bytes,
        })
    };
    keys.into_iter().filter_map(described).collect()
}

impl Work for CircuitWork {
    fn served(&self) -> Served {
        self.served.clone()
    }

    fn circuits(&self) -> &[JobCircuit] {
        &self.circuits
    }

    /// As many values as the trace has cells, by the verification key, and a quarter more for those that are in none.
    fn vector_bytes(&self) -> u64 {
        let size = |circuit: &JobCircuit| {
            let vk = self.keys.verification_key(circuit.circuit).ok()?;
            let fixed = &vk.fixed_parameters;
            let lookup = &fixed.lookup_parameters;
            let lookups = match lookup.lookup_is_allowed() && lookup.is_specialized_lookup() {
                true => {
                    lookup.specialized_columns_per_subargument() as usize
                        * lookup.num_sublookup_arguments_for_geometry(&fixed.parameters)
                }
                // Others look up in general columns, or not at all.
                false => 0,
            };
            let columns = fixed.parameters.num_columns_under_copy_permutation
                + fixed.parameters.num_witness_columns
                + lookups;
            let values = fixed.domain_size.saturating_mul(columns as u64).saturating_mul(8);
            Some(values + values / 4 + fixed.total_tables_len.saturating_mul(8))
        };
        let largest = self.circuits.iter().filter_map(size).max();
        largest.unwrap_or(1 << 20).next_multiple_of(1 << 20)
    }

    fn witness(&self, lease: &Lease, artifacts: &dyn Artifacts) -> Result<Made, JobFailure> {
        guarded(|| {
            self.ours(lease)?;
            match lease.job.key() == first_key(lease.job.batch()) {
                true => self.basic_circuits(lease, artifacts),
                false => self.aggregation_circuit(lease, artifacts),
            }
        })
    }

    fn synthesize(&self, lease: &Lease, artifacts: &dyn Artifacts) -> Result<WitnessSections, JobFailure> {
        guarded(|| {
            self.ours(lease)?;
            let (file, maker) = find(lease, role::CIRCUIT)?;
            let circuit = get(artifacts, file, maker)?;
            let key = self.circuit(lease.job.key());
            let hint = self.keys.hint(key)?;
            Ok(WitnessSections::new(self.set.synthesize(key, &circuit, &hint, &*self.keys)?))
        })
    }

    fn prefetch(&self, job: JobKey) {
        let load = || self.keys.proving_key(&*self.set, self.circuit(job)).map(drop);
        let loaded = guarded(|| Ok(self.threads.install(load)?));
        if let Err(failure) = loaded {
            ingot_house_keeper::job_log!(
                debug,
                job,
                "its setup key cannot be loaded ahead of time: {failure}"
            );
        }
    }

    fn prove(&self, job: JobKey, sections: [&[u8]; 3]) -> Result<Vec<u8>, JobFailure> {
        self.prove_timed(job, sections).map(|(proof, _)| proof)
    }

    fn prove_timed(
        &self,
        job: JobKey,
        sections: [&[u8]; 3],
    ) -> Result<(Vec<u8>, Option<Duration>), JobFailure> {
        guarded(|| {
            let key = self.circuit(job);
            let witness = sections::decode(sections)?;
            let set = &*self.set;
            let prepared = self.threads.install(|| self.keys.proving_key(set, key))?;
            let (proof, verifying) = self.threads.install(|| prepared.prove_timed(set, &witness))?;
            let stored = StoredProof { header: ProofHeader::new(set, key, job.batch), proof };
            Ok((stored.to_bytes()?, Some(verifying)))
        })
    }

    fn verify(&self, job: JobKey, proof: &[u8]) -> Result<(), JobFailure> {
        guarded(|| self.verified(job, proof).map(drop))
    }

    fn last_job(&self, batch: BatchId) -> JobKey {
        let scheduler = self.circuits.iter().find(|c| c.round == AggregationRound::Scheduler);
        JobKey {
            batch,
            kind: JobKind::Prove,
            round: AggregationRound::Scheduler,
            circuit_id: scheduler.map_or(CircuitId(1), |c| c.circuit_id),
            depth: 0,
            sequence: 0,
        }
    }

    fn check_final(&self, batch: BatchId, witness_inputs: &[u8], proof: &[u8]) -> Result<(), JobFailure> {
        guarded(|| {
            let last = self.last_job(batch);
            let stored = self.verified(last, proof)?;
            let expected = self.set.batch_public_input(witness_inputs, &*self.keys)?;
            match stored.proof.public_inputs == expected {
                true => Ok(()),
                false => Err(JobFailure::BadFile {
                    maker: last,
                    reason: format!(
                        "the proof of batch {}/{} is about other witness inputs: expected the public input {expected:?}, \
                         found {:?}",
                        batch.chain.0, batch.batch.0, stored.proof.public_inputs
                    ),
                }),
            }
        })
    }

    fn name(&self, job: JobKey) -> String {
        match self.info(job) {
            _ if job == first_key(job.batch) => "witness generation".into(),
            Some(info) if job.kind == JobKind::Witness => format!("{} (circuit input)", info.name),
            Some(info) => info.name.to_owned(),
            None => "unknown circuit".into(),
        }
    }
}

struct Sink<'a> {
    artifacts: &'a dyn Artifacts,
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
    work: &'a CircuitWork,
    lease: &'a Lease,
    artifacts: &'a dyn Artifacts,
    failure: Option<JobFailure>,
}

impl Proofs<'_> {
    fn read(&self, file: &ArtifactName, maker: JobKey) -> Result<Proof, JobFailure> {
        let bytes = get(self.artifacts, file, maker)?;
        Ok(self.work.decode_proof(maker, &format!("artifact {}", file.hash), &bytes)?.proof)
    }
}

impl ProofSource for Proofs<'_> {
    fn proof(&mut self, wanted: ProofSlot) -> Result<Proof, SetError> {
        let maker = Graph::of(&self.lease.job.spec).prove_key(wanted);
        let error = |reason: &str| SetError::Source {
            what: format!("proof of job {maker}"),
            reason: reason.to_owned(),
            retry: RetryClass::Deterministic,
        };
        let upstream = self.lease.upstream.iter().find(|u| u.key == maker);
        let file = upstream
            .and_then(|u| u.outputs.iter().find(|file| file.role == role::PROOF))
            .ok_or_else(|| error("this job does not depend on it"))?;
        self.read(file, maker).map_err(|failure| {
            self.failure = Some(failure);
            error("it could not be read")
        })
    }
}
