//! Fake work: the same jobs and files as real work, with hashes in place of proofs and sleep in place of effort.

use std::{collections::BTreeMap, thread, time::Duration};

use ingot_artifacts::Artifacts;
use ingot_circuit_set::{AggregationPlan, Arity};
use ingot_house_keeper::protocol::Served;
use ingot_job_store::{ArtifactName, Lease};
use ingot_services::work::{
    find, first_key, get, put, role, slot, Graph, JobCircuit, JobFailure, Made, WitnessSections, Work,
};
use ingot_types::{AggregationRound, BatchId, CircuitId, CircuitKey, JobKey, JobKind, ProtocolVersion};
use serde::{Deserialize, Serialize};

use crate::proof::{claim, from_bytes, to_bytes, vector, FakeCircuit, FakeProof};

/// Proofs that one aggregation proof merges.
const ARITY: Arity = Arity { leaf: 100, node: 10 };
/// Basic circuit ids.
const BASIC_IDS: std::ops::RangeInclusive<u8> = 1..=4;

/// What a fake batch asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FakeBatch {
    /// Makes batches differ.
    pub seed: u64,
    /// Basic circuits of ids 1 to 4.
    pub instances: [u32; 4],
    /// How long a witness job takes, in milliseconds.
    pub witness_ms: u64,
    /// How long a synthesis takes, in milliseconds.
    pub synthesis_ms: u64,
    /// How long proving takes, in milliseconds.
    pub proving_ms: u64,
    /// How large a witness vector is, in bytes.
    pub vector_bytes: u64,
}

/// What rounds 1 to 4 read of round 0.
#[derive(Serialize, Deserialize)]
struct Aggregation {
    batch: FakeBatch,
}

/// The fake protocol version.
#[derive(Debug)]
pub struct FakeWork {
    version: ProtocolVersion,
    circuits: Vec<JobCircuit>,
}

impl FakeWork {
    /// Fake work of `version`; each job is said to need `ram_bytes` bytes.
    pub fn new(version: ProtocolVersion, ram_bytes: u64) -> Self {
        let rounds = |round, ids: std::ops::RangeInclusive<u8>| ids.map(move |id| CircuitKey::new(round, id));
        let all = rounds(AggregationRound::Basic, BASIC_IDS)
            .chain(rounds(AggregationRound::Leaf, BASIC_IDS))
            .chain(rounds(AggregationRound::Node, BASIC_IDS))
            .chain(rounds(AggregationRound::RecursionTip, 1..=1))
            .chain(rounds(AggregationRound::Scheduler, 1..=1));
        let circuits = all
            .map(|circuit| JobCircuit {
                round: circuit.round,
                circuit_id: circuit.circuit_id,
                circuit,
                name: format!("fake {} {}", circuit.round, circuit.circuit_id),
                synthesis_ram_bytes: ram_bytes,
                proving_ram_bytes: ram_bytes,
            })
            .collect();
        Self { version, circuits }
    }

    /// What the proof that ends `batch` must claim, computed without any job.
    pub fn final_claim(id: BatchId, batch: &FakeBatch) -> [u8; 32] {
        let plan = plan(batch);
        let graph = Graph {
            batch: id,
            protocol_version: ProtocolVersion { minor: 0, patch: 0 },
            priority: 0,
            sealed_at_ms: 0,
            max_attempts: 1,
        };
        let mut claims: BTreeMap<JobKey, [u8; 32]> = BTreeMap::new();
        for circuit in basic(id, batch) {
            claims.insert(circuit.job, claim(&circuit));
        }
        let mut last = [0; 32];
        for proof in &plan.proofs {
            let children =
                proof.children.iter().filter_map(|child| claims.get(&graph.prove_key(*child)).copied());
            let circuit = circuit(batch, graph.prove_key(proof.slot), 0, children.collect());
            last = claim(&circuit);
            claims.insert(circuit.job, last);
        }
        last
    }

    fn basic_circuits(&self, lease: &Lease, artifacts: &dyn Artifacts) -> Result<Made, JobFailure> {
        let (file, maker) = find(lease, role::WITNESS_INPUTS)?;
        let inputs = get(artifacts, file, maker)?;
        let batch: FakeBatch = from_bytes("the batch", &inputs).map_err(JobFailure::deterministic)?;
        pause(batch.witness_ms);
        let mut circuits: BTreeMap<(CircuitId, u32), ArtifactName> = BTreeMap::new();
        for circuit in basic(lease.job.batch(), &batch) {
            let bytes = to_bytes(&circuit).map_err(JobFailure::deterministic)?;
            let file = put(artifacts, role::CIRCUIT, &bytes)?;
            circuits.insert((circuit.job.circuit_id, circuit.job.sequence), file);
        }
        let plan = plan(&batch);
        let bytes = to_bytes(&Aggregation { batch }).map_err(JobFailure::deterministic)?;
        let output = put(artifacts, role::AGGREGATION_INPUTS, &bytes)?;
        Ok(Made { outputs: vec![output], new_jobs: Graph::of(&lease.job.spec).rest(&circuits, &plan) })
    }

    fn aggregation_circuit(&self, lease: &Lease, artifacts: &dyn Artifacts) -> Result<Made, JobFailure> {
        let (file, maker) = find(lease, role::AGGREGATION_INPUTS)?;
        let bytes = get(artifacts, file, maker)?;
        let Aggregation { batch } =
            from_bytes("aggregation inputs", &bytes).map_err(JobFailure::deterministic)?;
        pause(batch.witness_ms);
        let key = lease.job.key();
        let mut children = Vec::new();
        for upstream in lease.upstream.iter().filter(|u| u.key != first_key(key.batch)) {
            let bad = |reason| JobFailure::BadFile { maker: upstream.key, reason };
            let file = upstream.outputs.iter().find(|file| file.role == role::PROOF);
            let file = file.ok_or_else(|| bad("it made no proof".into()))?;
            let proof: FakeProof =
                from_bytes("the proof", &get(artifacts, file, upstream.key)?).map_err(bad)?;
            if proof.job != upstream.key {
                return Err(bad(format!(
                    "expected the proof of job {}, found that of {}",
                    upstream.key, proof.job
                )));
            }
            children.push(proof.claim);
        }
        let job = JobKey { kind: JobKind::Prove, ..key };
        let bytes = to_bytes(&circuit(&batch, job, 0, children)).map_err(JobFailure::deterministic)?;
        Ok(Made { outputs: vec![put(artifacts, role::CIRCUIT, &bytes)?], new_jobs: vec![] })
    }
}

/// The plan of a batch.
fn plan(batch: &FakeBatch) -> AggregationPlan {
    plan_of(batch.instances)
}

/// The plan of a batch with so many instances of each basic circuit.
pub fn plan_of(instances: [u32; 4]) -> AggregationPlan {
    let counts = BASIC_IDS.zip(instances).filter(|(_, n)| *n > 0).map(|(id, n)| (CircuitId(id), n)).collect();
    AggregationPlan::new(&counts, ARITY, |id| id, CircuitId(1), CircuitId(1))
}

/// The basic circuits of a batch.
fn basic(id: BatchId, batch: &FakeBatch) -> impl Iterator<Item = FakeCircuit> + '_ {
    BASIC_IDS.zip(batch.instances).flat_map(move |(circuit_id, count)| {
        (0..count).map(move |sequence| {
            let job = JobKey {
                batch: id,
                kind: JobKind::Prove,
                round: AggregationRound::Basic,
                circuit_id: CircuitId(circuit_id),
                depth: 0,
                sequence,
            };
            circuit(batch, job, batch.seed, vec![])
        })
    })
}

fn circuit(batch: &FakeBatch, job: JobKey, seed: u64, children: Vec<[u8; 32]>) -> FakeCircuit {
    FakeCircuit {
        job,
        seed,
        children,
        synthesis_ms: batch.synthesis_ms,
        proving_ms: batch.proving_ms,
        vector_bytes: batch.vector_bytes,
    }
}

fn pause(ms: u64) {
    if ms > 0 {
        thread::sleep(Duration::from_millis(ms));
    }
}

impl Work for FakeWork {
    fn served(&self) -> Served {
        Served {
            protocol_version: self.version,
            circuit_set: "fake".into(),
            parameter_set: "fake".into(),
            key_manifest: "fake".into(),
        }
    }

    fn circuits(&self) -> &[JobCircuit] {
        &self.circuits
    }

    fn witness(&self, lease: &Lease, artifacts: &dyn Artifacts) -> Result<Made, JobFailure> {
        match lease.job.key() == first_key(lease.job.batch()) {
            true => self.basic_circuits(lease, artifacts),
            false => self.aggregation_circuit(lease, artifacts),
        }
    }

    /// The locations hold the circuit, the values its vector: so that the prover can tell whether they belong together.
    fn synthesize(&self, lease: &Lease, artifacts: &dyn Artifacts) -> Result<WitnessSections, JobFailure> {
        let (file, maker) = find(lease, role::CIRCUIT)?;
        let bytes = get(artifacts, file, maker)?;
        let circuit: FakeCircuit =
            from_bytes("the circuit", &bytes).map_err(|reason| JobFailure::BadFile { maker, reason })?;
        pause(circuit.synthesis_ms);
        let words = |bytes: &[u8]| -> Vec<u64> {
            bytes
                .chunks(8)
                .map(|c| c.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)))
                .collect()
        };
        let mut locations = vec![bytes.len() as u64];
        locations.extend(words(&bytes));
        Ok(WitnessSections { locations, values: words(&vector(&circuit)), multiplicities: vec![] })
    }

    fn prove(&self, job: JobKey, sections: [&[u8]; 3]) -> Result<Vec<u8>, JobFailure> {
        let [locations, values, _] = sections;
        let length = locations.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let bytes = locations.get(8..).and_then(|rest| rest.get(..length)).unwrap_or_default();
        let circuit: FakeCircuit = from_bytes("the circuit", bytes).map_err(JobFailure::deterministic)?;
        if circuit.job != job {
            return Err(JobFailure::deterministic(format!(
                "a vector of job {} came for job {job}",
                circuit.job
            )));
        }
        if !values.starts_with(&vector(&circuit)) {
            return Err(JobFailure::deterministic(format!(
                "the vector of job {job} is not what was synthesized"
            )));
        }
        pause(circuit.proving_ms);
        to_bytes(&FakeProof { job, claim: claim(&circuit) }).map_err(JobFailure::deterministic)
    }

    fn verify(&self, job: JobKey, proof: &[u8]) -> Result<(), JobFailure> {
        let bad = |reason| JobFailure::BadFile { maker: job, reason };
        let proof: FakeProof = from_bytes("the proof", proof).map_err(bad)?;
        match proof.job == job {
            true => Ok(()),
            false => Err(bad(format!("expected the proof of job {job}, found that of {}", proof.job))),
        }
    }

    fn last_job(&self, batch: BatchId) -> JobKey {
        JobKey {
            batch,
            kind: JobKind::Prove,
            round: AggregationRound::Scheduler,
            circuit_id: CircuitId(1),
            depth: 0,
            sequence: 0,
        }
    }

    fn check_final(&self, batch: BatchId, witness_inputs: &[u8], proof: &[u8]) -> Result<(), JobFailure> {
        let maker = self.last_job(batch);
        self.verify(maker, proof)?;
        let inputs: FakeBatch = from_bytes("the batch", witness_inputs).map_err(JobFailure::deterministic)?;
        let proof: FakeProof = from_bytes("the proof", proof).map_err(JobFailure::deterministic)?;
        match proof.claim == Self::final_claim(batch, &inputs) {
            true => Ok(()),
            false => Err(JobFailure::BadFile { maker, reason: "it is about another batch".into() }),
        }
    }

    fn name(&self, job: JobKey) -> String {
        let slot = slot(job);
        format!("fake {} {} {}", job.kind.name(), slot.round, slot.circuit_id)
    }
}
