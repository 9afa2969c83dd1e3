//! The jobs of a batch. Pure: from what the circuit set plans to what the job store is given.

use std::collections::BTreeMap;

use ingot_circuit_set::{AggregationPlan, ProofSlot};
use ingot_job_store::{ArtifactName, JobSpec};
use ingot_types::{AggregationRound, BatchId, CircuitId, JobKey, JobKind, ProtocolVersion};

/// Roles of the files that jobs hand on.
pub mod role {
    /// The batch's witness inputs.
    pub const WITNESS_INPUTS: &str = "witness-inputs";
    /// What rounds 1 to 4 need from round 0.
    pub const AGGREGATION_INPUTS: &str = "aggregation-inputs";
    /// A circuit input.
    pub const CIRCUIT: &str = "circuit";
    /// A proof file.
    pub const PROOF: &str = "proof";
}

/// The job of round 0, from which all others of a batch come.
pub const fn first_key(batch: BatchId) -> JobKey {
    JobKey {
        batch,
        kind: JobKind::Witness,
        round: AggregationRound::Basic,
        circuit_id: CircuitId(0),
        depth: 0,
        sequence: 0,
    }
}

/// The proof that the job `key` makes or prepares.
pub const fn slot(key: JobKey) -> ProofSlot {
    ProofSlot { round: key.round, circuit_id: key.circuit_id, depth: key.depth, sequence: key.sequence }
}

/// The jobs of one batch. They inherit what the batch was submitted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Graph {
    /// The batch.
    pub batch: BatchId,
    /// Whose circuits prove it.
    pub protocol_version: ProtocolVersion,
    /// Higher goes first.
    pub priority: i32,
    /// When it was sealed, in milliseconds since the Unix epoch.
    pub sealed_at_ms: u64,
    /// Attempts that each job may fail.
    pub max_attempts: u32,
}

impl Graph {
    /// The graph that `job` belongs to, from what it was given.
    pub fn of(job: &JobSpec) -> Self {
        Self {
            batch: job.key.batch,
            protocol_version: job.protocol_version,
            priority: job.priority,
            sealed_at_ms: job.sealed_at_ms,
            max_attempts: job.max_attempts,
        }
    }

    fn spec(&self, key: JobKey, depends_on: Vec<JobKey>, inputs: Vec<ArtifactName>) -> JobSpec {
        JobSpec {
            key,
            protocol_version: self.protocol_version,
            priority: self.priority,
            sealed_at_ms: self.sealed_at_ms,
            max_attempts: self.max_attempts,
            group: None,
            zone: None,
            depends_on,
            inputs,
        }
    }

    fn key(&self, kind: JobKind, slot: ProofSlot) -> JobKey {
        JobKey {
            batch: self.batch,
            kind,
            round: slot.round,
            circuit_id: slot.circuit_id,
            depth: slot.depth,
            sequence: slot.sequence,
        }
    }

    /// The job that makes the proof in `slot`.
    pub fn prove_key(&self, slot: ProofSlot) -> JobKey {
        self.key(JobKind::Prove, slot)
    }

    /// The job of round 0, to insert.
    pub fn first(&self, witness_inputs: ArtifactName) -> JobSpec {
        self.spec(first_key(self.batch), vec![], vec![witness_inputs])
    }

    /// The jobs that round 0 creates: a prove job for each basic circuit, and for each proof of rounds 1 to 4 a witness
    /// job that waits for the proofs it reads, and a prove job that waits for that.
    pub fn rest(
        &self,
        basic: &BTreeMap<(CircuitId, u32), ArtifactName>,
        plan: &AggregationPlan,
    ) -> Vec<JobSpec> {
        let mut jobs = Vec::with_capacity(basic.len() + 2 * plan.proofs.len());
        for ((circuit_id, sequence), circuit) in basic {
            let slot = ProofSlot {
                round: AggregationRound::Basic,
                circuit_id: *circuit_id,
                depth: 0,
                sequence: *sequence,
            };
            jobs.push(self.spec(self.prove_key(slot), vec![], vec![circuit.clone()]));
        }
        for proof in &plan.proofs {
            let witness = self.key(JobKind::Witness, proof.slot);
            let children = proof.children.iter().map(|child| self.prove_key(*child)).collect();
            jobs.push(self.spec(witness, children, vec![]));
            jobs.push(self.spec(self.prove_key(proof.slot), vec![witness], vec![]));
        }
        jobs
    }
}

/// Basic circuits by id, from the keys of their prove jobs.
pub(super) fn counts<'a>(keys: impl Iterator<Item = &'a (CircuitId, u32)>) -> BTreeMap<CircuitId, u32> {
    let mut counts = BTreeMap::new();
    for (circuit_id, _) in keys {
        *counts.entry(*circuit_id).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use ingot_circuit_set::Arity;
    use ingot_job_store::{Backoff, Filter, JobStore, MemoryStore};
    use ingot_types::{BatchNumber, ChainId};

    use super::*;

    fn file(role: &str) -> ArtifactName {
        ArtifactName { role: role.into(), hash: "00".into(), size_bytes: 1 }
    }

    #[test]
    fn the_store_runs_every_job_once_children_first_and_ends_with_the_scheduler() {
        let submitted = Graph {
            batch: BatchId { chain: ChainId(1), batch: BatchNumber(2) },
            protocol_version: ProtocolVersion { minor: 0, patch: 1 },
            priority: 7,
            sealed_at_ms: 1234,
            max_attempts: 3,
        };
        let basic: BTreeMap<_, _> =
            [(1, 0), (1, 1), (1, 2), (2, 0)].map(|(id, n)| ((CircuitId(id), n), file(role::CIRCUIT))).into();
        let plan = AggregationPlan::new(
            &counts(basic.keys()),
            Arity { leaf: 2, node: 2 },
            |id| id,
            CircuitId(1),
            CircuitId(1),
        );
        let mut store = MemoryStore::new(Backoff::default());
        store.insert(vec![submitted.first(file(role::WITNESS_INPUTS))], 0).unwrap();
        let mut order = vec![];
        while let Some(lease) = store.lease(&Filter::default(), "w", 1000, 0).unwrap() {
            let key = lease.job.key();
            let graph = Graph::of(&lease.job.spec);
            assert_eq!(graph, submitted, "every job inherits what the batch was submitted with");
            let new = if key == first_key(key.batch) { graph.rest(&basic, &plan) } else { vec![] };
            assert!(lease.upstream.iter().all(|u| !u.outputs.is_empty()));
            store.complete(key, lease.token, vec![file("x")], new, 0).unwrap();
            order.push(key);
        }
        assert_eq!(order.len(), 1 + 4 + 2 * plan.proofs.len());
        let last = *order.last().unwrap();
        assert_eq!((last.kind, last.round), (JobKind::Prove, AggregationRound::Scheduler));
    }
}
