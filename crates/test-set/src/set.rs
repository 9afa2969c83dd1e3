//! The circuit set over [`Chain`].

use std::{collections::BTreeMap, sync::Arc};

use boojum::{
    cs::implementations::pow::NoPow,
    field::{Field, U64Representable},
};
use ingot_circuit_set::{
    decode, empty_assembly, encode,
    field::{
        Digest, FinalizationHint, NativeVerifier, Proof, ProofConfig, ProvingAssembly, Transcript,
        TreeHasher, Vk, WitnessVector, Worker, F,
    },
    gate_set, setup_key, verifier, witness_vector, AggregationJob, AggregationPlan, Arity, CircuitInfo,
    CircuitSet, CircuitSink, GateSet, ProofSource, SecurityBits, SetError, SetupKey, VkSource,
};
use ingot_types::{AggregationRound as Round, CircuitId, CircuitKey, ProtocolVersion};
use serde::{Deserialize, Serialize};

use crate::Chain;

const BASIC_IDS: [u8; 2] = [1, 2];
const NODE: CircuitKey = CircuitKey::new(Round::Node, 1);
const TIP: CircuitKey = CircuitKey::new(Round::RecursionTip, 1);
const SCHEDULER: CircuitKey = CircuitKey::new(Round::Scheduler, 1);

/// Witness inputs of a test batch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TestBatch {
    /// Makes batches differ.
    pub seed: u64,
    /// Instances of basic circuits 1 and 2.
    pub instances: [u32; 2],
}

/// The test circuit set.
#[derive(Debug)]
pub struct TestSet {
    rows_log2: u32,
    queries: usize,
    variant: u64,
    circuits: Vec<CircuitInfo>,
}

impl TestSet {
    /// A set whose circuits have 2^`rows_log2` rows (at least 2^8).
    pub fn new(rows_log2: u32) -> Self {
        let basic = BASIC_IDS.map(|id| (CircuitKey::new(Round::Basic, id), "chain"));
        let leaves = BASIC_IDS.map(|id| (CircuitKey::new(Round::Leaf, id), "leaf"));
        let rest = [(NODE, "node"), (TIP, "tip"), (SCHEDULER, "scheduler")];
        let circuits = basic
            .into_iter()
            .chain(leaves)
            .chain(rest)
            .map(|(key, name)| CircuitInfo {
                key,
                name,
                trace_len_log2: rows_log2,
                synthesis_ram_bytes: 1 << 20,
                setup_ram_bytes: 4 << 20,
                proving_ram_bytes: 4 << 20,
                security: SecurityBits { proven: 0.0, legacy: 24.0 },
            })
            .collect();
        Self { rows_log2, queries: 8, variant: 0, circuits }
    }

    /// The same set with other constants in its circuits, so other keys under the same names.
    pub fn variant(self, variant: u64) -> Self {
        Self { variant, ..self }
    }

    fn check(&self, key: CircuitKey) -> Result<(), SetError> {
        match self.circuits.iter().any(|info| info.key == key) {
            true => Ok(()),
            false => Err(SetError::UnknownCircuit { set: self.name(), key }),
        }
    }

    /// The circuit of `key`. Its tweak hangs on the verification keys that come before it.
    fn circuit(&self, key: CircuitKey, input: Digest, vks: &dyn VkSource) -> Result<Chain, SetError> {
        self.check(key)?;
        let mut tweak = self.variant * 10_000 + key.round as u64 * 1000 + u64::from(key.circuit_id.0);
        for dependency in self.key_dependencies(key) {
            let cap = &vks.vk(dependency)?.setup_merkle_tree_cap;
            tweak = tweak.wrapping_mul(31).wrapping_add(cap.first().map_or(0, |c| c[0].as_u64_reduced()));
        }
        Ok(Chain { tweak, input, rows_log2: self.rows_log2 })
    }

    fn fold(inputs: &[Digest]) -> Digest {
        let mut sum = [F::ONE; 4];
        for (i, input) in inputs.iter().enumerate() {
            for (acc, x) in sum.iter_mut().zip(input) {
                let mut term = *x;
                term.mul_assign(&F::from_u64_unchecked(i as u64 + 1));
                acc.add_assign(&term);
            }
        }
        sum
    }

    fn basic_input(batch: &TestBatch, id: u8, sequence: u32) -> Digest {
        [batch.seed % (1 << 62), u64::from(id), u64::from(sequence), 7].map(F::from_u64_unchecked)
    }

    fn counts(batch: &TestBatch) -> BTreeMap<CircuitId, u32> {
        BASIC_IDS.into_iter().map(CircuitId).zip(batch.instances).collect()
    }
}

impl CircuitSet for TestSet {
    fn name(&self) -> &'static str {
        "test"
    }

    fn protocol_version(&self) -> ProtocolVersion {
        ProtocolVersion { minor: 0, patch: 1 }
    }

    fn parameter_set(&self) -> &'static str {
        "tiny"
    }

    fn insecure_because(&self) -> Option<&'static str> {
        Some("the test set's aggregation circuits verify nothing")
    }

    fn circuits(&self) -> &[CircuitInfo] {
        &self.circuits
    }

    fn circuit_of(&self, round: Round, circuit_id: CircuitId) -> CircuitKey {
        match round {
            Round::Basic | Round::Leaf => CircuitKey { round, circuit_id },
            Round::Node => NODE,
            Round::RecursionTip => TIP,
            Round::Scheduler => SCHEDULER,
        }
    }

    fn key_dependencies(&self, key: CircuitKey) -> Vec<CircuitKey> {
        match key.round {
            Round::Basic => vec![],
            Round::Leaf => vec![CircuitKey { round: Round::Basic, ..key }],
            Round::Node => BASIC_IDS.map(|id| CircuitKey::new(Round::Leaf, id)).to_vec(),
            Round::RecursionTip => vec![NODE],
            Round::Scheduler => vec![TIP],
        }
    }

    fn proof_config(&self, key: CircuitKey) -> Result<ProofConfig, SetError> {
        self.check(key)?;
        Ok(ProofConfig {
            fri_lde_factor: 8,
            merkle_tree_cap_size: 4,
            fri_folding_schedule: None,
            security_level: 3 * self.queries,
            pow_bits: 0,
        })
    }

    fn setup(&self, key: CircuitKey, vks: &dyn VkSource, worker: &Worker) -> Result<SetupKey, SetError> {
        setup_key(&self.circuit(key, [F::ZERO; 4], vks)?, &self.proof_config(key)?, worker)
    }

    fn basic_circuits(
        &self,
        witness_inputs: &[u8],
        _vks: &dyn VkSource,
        sink: &mut dyn CircuitSink,
    ) -> Result<Vec<u8>, SetError> {
        let batch: TestBatch = decode("test batch", witness_inputs)?;
        for (id, count) in Self::counts(&batch) {
            for sequence in 0..count {
                let input = Self::basic_input(&batch, id.0, sequence);
                sink.basic_circuit(id, sequence, &encode("circuit input", &input)?)?;
            }
        }
        encode("aggregation inputs", &Self::counts(&batch))
    }

    fn arity(&self) -> Arity {
        Arity { leaf: 2, node: 2 }
    }

    fn plan(&self, basic: &BTreeMap<CircuitId, u32>) -> AggregationPlan {
        AggregationPlan::new(basic, self.arity(), |id| id, TIP.circuit_id, SCHEDULER.circuit_id)
    }

    fn aggregation_circuit(
        &self,
        job: &AggregationJob,
        _aggregation_inputs: &[u8],
        vks: &dyn VkSource,
        proofs: &mut dyn ProofSource,
    ) -> Result<Vec<u8>, SetError> {
        let mut inputs = Vec::with_capacity(job.children.len());
        for &slot in &job.children {
            let proof: Proof = proofs.proof(slot)?;
            let vk: Arc<Vk> = vks.vk(self.circuit_of(slot.round, slot.circuit_id))?;
            if !verifier::<Chain>().verify::<TreeHasher, Transcript, NoPow>((), &vk, &proof) {
                return Err(SetError::Inconsistent(format!("the proof in {slot:?} is invalid")));
            }
            let input: Digest = proof
                .public_inputs
                .try_into()
                .map_err(|_| SetError::malformed("public input", "expected four elements"))?;
            inputs.push(input);
        }
        encode("circuit input", &Self::fold(&inputs))
    }

    fn synthesize(
        &self,
        key: CircuitKey,
        circuit: &[u8],
        hint: &FinalizationHint,
        vks: &dyn VkSource,
    ) -> Result<WitnessVector, SetError> {
        let input: Digest = decode("circuit input", circuit)?;
        witness_vector(&self.circuit(key, input, vks)?, hint)
    }

    fn proving_assembly(
        &self,
        key: CircuitKey,
        hint: &FinalizationHint,
        vks: &dyn VkSource,
    ) -> Result<ProvingAssembly, SetError> {
        Ok(empty_assembly(&self.circuit(key, [F::ZERO; 4], vks)?, hint))
    }

    fn gates(&self, key: CircuitKey) -> Result<GateSet, SetError> {
        self.check(key)?;
        gate_set::<Chain>()
    }

    fn verifier(&self, key: CircuitKey) -> Result<NativeVerifier, SetError> {
        self.check(key)?;
        Ok(verifier::<Chain>())
    }

    fn batch_public_input(&self, witness_inputs: &[u8], vks: &dyn VkSource) -> Result<Vec<F>, SetError> {
        let batch: TestBatch = decode("test batch", witness_inputs)?;
        let mut outputs = BTreeMap::new();
        for (id, count) in Self::counts(&batch) {
            for sequence in 0..count {
                let key = CircuitKey { round: Round::Basic, circuit_id: id };
                let input = Self::basic_input(&batch, id.0, sequence);
                let output = self.circuit(key, input, vks)?.output();
                outputs.insert((Round::Basic, id, 0, sequence), output);
            }
        }
        let mut last = [F::ZERO; 4];
        for proof in self.plan(&Self::counts(&batch)).proofs {
            let children: Vec<Digest> = proof
                .children
                .iter()
                .filter_map(|c| outputs.get(&(c.round, c.circuit_id, c.depth, c.sequence)).copied())
                .collect();
            let slot = proof.slot;
            let key = self.circuit_of(slot.round, slot.circuit_id);
            last = self.circuit(key, Self::fold(&children), vks)?.output();
            outputs.insert((slot.round, slot.circuit_id, slot.depth, slot.sequence), last);
        }
        Ok(last.to_vec())
    }
}
