//! [`LedgerSet`]: the ledger as a [`CircuitSet`].

use std::collections::BTreeMap;

use ingot_circuit_set::{
    decode, empty_assembly, encode,
    field::{
        Digest, FinalizationHint, NativeVerifier, Proof, ProofConfig, ProvingAssembly, Vk, WitnessVector,
        Worker, F,
    },
    gate_set, setup_key, verifier, witness_vector, AggregationJob, AggregationPlan, Arity, CircuitInfo,
    CircuitSet, CircuitSink, GateSet, ProofSlot, ProofSource, SetError, SetupKey, VkSource,
};
use ingot_types::{AggregationRound, CircuitId, CircuitKey, ProtocolVersion};
use serde::{Deserialize, Serialize};

use crate::{
    basic::{
        executor::TransactionExecutor,
        hasher::PubdataHasher,
        instances::{cut, Chaining, Instance},
        signature::SignatureVerifier,
    },
    catalog,
    native::{
        batch::Batch,
        executor::{execute, Checks},
        hash::element,
        trace::Trace,
    },
    queue::Queue,
    recursion::{
        assert_identical, statement::QueueEnd, BatchRecursion, LeafCircuit, LeafParameters, LeafWitness,
        NodeCircuit, NodeWitness, Observables, RecursionGates, RecursionKeys, SchedulerCircuit,
        SchedulerConstants, SchedulerWitness, StatementWitness, TipCircuit, TipWitness, VerifiedCircuit,
        BRANCHES, LEAF_ARITY, NODE_ARITY,
    },
    security::{ParameterSet, PROVEN80},
};

const NODE: CircuitKey = CircuitKey::new(AggregationRound::Node, 1);
const TIP: CircuitKey = CircuitKey::new(AggregationRound::RecursionTip, 1);
const SCHEDULER: CircuitKey = CircuitKey::new(AggregationRound::Scheduler, 1);

const fn basic(branch: u8) -> CircuitKey {
    CircuitKey::new(AggregationRound::Basic, branch)
}

const fn leaf(branch: u8) -> CircuitKey {
    CircuitKey::new(AggregationRound::Leaf, branch)
}

/// The ledger under one set of security parameters.
#[derive(Clone, Debug)]
pub struct LedgerSet {
    parameters: &'static ParameterSet,
    circuits: Vec<CircuitInfo>,
}

/// What rounds 1 to 4 of a batch need.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AggregationInputs {
    statement: StatementWitness,
    recursion: BatchRecursion,
}

/// Does `$do` with the type of basic circuit `$branch` bound to `$circuit`.
macro_rules! with_basic {
    ($branch:expr, $circuit:ident => $do:expr) => {
        match $branch {
            1 => {
                type $circuit = TransactionExecutor;
                Some($do)
            }
            2 => {
                type $circuit = SignatureVerifier;
                Some($do)
            }
            3 => {
                type $circuit = PubdataHasher;
                Some($do)
            }
            _ => None,
        }
    };
}

impl LedgerSet {
    /// Name of the set.
    pub const NAME: &'static str = "ledger";

    /// The ledger under `parameters`.
    pub fn new(parameters: &'static ParameterSet) -> Self {
        Self { parameters, circuits: catalog::circuits(parameters) }
    }

    fn config(&self) -> ProofConfig {
        self.parameters.proof_config()
    }

    fn unknown(key: CircuitKey) -> SetError {
        SetError::UnknownCircuit { set: Self::NAME, key }
    }

    /// What a circuit that verifies proofs of `key` knows about them.
    fn verified(&self, key: CircuitKey, vks: &dyn VkSource) -> Result<VerifiedCircuit, SetError> {
        VerifiedCircuit::new(&vks.vk(key)?.fixed_parameters, &self.config())
    }

    /// The geometry that all leaves and, once it exists, the node share.
    fn verified_by_node(&self, vks: &dyn VkSource) -> Result<VerifiedCircuit, SetError> {
        let keys = [vks.vk(leaf(1))?, vks.vk(leaf(2))?, vks.vk(leaf(3))?];
        let [a, b, c] = keys.each_ref().map(|vk| &vk.fixed_parameters);
        assert_identical(&[("leaf 1", a), ("leaf 2", b), ("leaf 3", c)])?;
        self.verified(leaf(1), vks)
    }

    /// All keys below the tip.
    fn recursion_keys(&self, vks: &dyn VkSource) -> Result<RecursionKeys, SetError> {
        let mut leaf_parameters = [LeafParameters::ZERO; BRANCHES];
        for (branch, parameters) in (1..).zip(&mut leaf_parameters) {
            *parameters =
                LeafParameters::new(branch.into(), &*vks.vk(basic(branch))?, &*vks.vk(leaf(branch))?);
        }
        Ok(RecursionKeys { leaf_parameters, node_vk_commitment: commitment(&*vks.vk(NODE)?) })
    }

    fn scheduler_constants(&self, vks: &dyn VkSource) -> Result<SchedulerConstants, SetError> {
        SchedulerConstants::new(self.recursion_keys(vks)?, Vk::clone(&*vks.vk(TIP)?), &self.config())
    }

    /// The commitment to every key below the scheduler that the batch header carries.
    ///
    /// # Errors
    /// What `vks` says.
    pub fn vk_set(&self, vks: &dyn VkSource) -> Result<Digest, SetError> {
        Ok(self.scheduler_constants(vks)?.vk_set())
    }

    fn execute(witness_inputs: &[u8]) -> Result<Trace, SetError> {
        let batch = Batch::from_bytes("witness inputs", witness_inputs)
            .map_err(|e| SetError::malformed("witness inputs", e))?;
        execute(&batch, Checks::Full).map_err(|e| SetError::InvalidBatch(e.to_string()))
    }
}

fn commitment(vk: &Vk) -> Digest {
    crate::recursion::vk_commitment(&vk.setup_merkle_tree_cap)
}

fn queue_end(queue: &Queue) -> QueueEnd {
    QueueEnd { tail: queue.tail, length: element(queue.length) }
}

fn observables(chaining: &Chaining) -> Observables {
    let Chaining { input, output, pi, .. } = chaining;
    Observables {
        domain: input.domain.map(element),
        batch: element(input.batch),
        old_root: input.old_root,
        new_root: output.root,
        fees: [element((output.fees >> 32) as u32), element(output.fees as u32)],
        deposit_count: element(output.deposit_count),
        signature_queue: queue_end(&output.signatures),
        log_queue: queue_end(&output.log),
        pi: pi.map(element),
    }
}

fn proofs(children: &[ProofSlot], source: &mut dyn ProofSource) -> Result<Vec<Proof>, SetError> {
    children.iter().map(|slot| source.proof(*slot)).collect()
}

impl CircuitSet for LedgerSet {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn protocol_version(&self) -> ProtocolVersion {
        catalog::PROTOCOL_VERSION
    }

    fn parameter_set(&self) -> &'static str {
        self.parameters.name
    }

    fn insecure_because(&self) -> Option<&'static str> {
        (self.parameters.name != PROVEN80.name)
            .then_some("its parameters are for tests: their proven security is about 50 bits")
    }

    fn circuits(&self) -> &[CircuitInfo] {
        &self.circuits
    }

    fn circuit_of(&self, round: AggregationRound, circuit_id: CircuitId) -> CircuitKey {
        match round {
            AggregationRound::Node => NODE,
            _ => CircuitKey { round, circuit_id },
        }
    }

    fn key_dependencies(&self, key: CircuitKey) -> Vec<CircuitKey> {
        match key.round {
            AggregationRound::Basic => Vec::new(),
            AggregationRound::Leaf => vec![basic(key.circuit_id.0)],
            AggregationRound::Node => (1..=3).map(leaf).collect(),
            AggregationRound::RecursionTip => vec![leaf(1), NODE],
            AggregationRound::Scheduler => {
                (1..=3).map(basic).chain((1..=3).map(leaf)).chain([NODE, TIP]).collect()
            }
        }
    }

    fn proof_config(&self, key: CircuitKey) -> Result<ProofConfig, SetError> {
        if self.circuits.iter().any(|circuit| circuit.key == key) {
            Ok(self.config())
        } else {
            Err(Self::unknown(key))
        }
    }

    fn setup(&self, key: CircuitKey, vks: &dyn VkSource, worker: &Worker) -> Result<SetupKey, SetError> {
        let config = self.proof_config(key)?;
        let branch = key.circuit_id.0;
        match key.round {
            AggregationRound::Basic => {
                with_basic!(branch, Basic => setup_key(&Basic::empty(), &config, worker))
                    .ok_or(Self::unknown(key))?
            }
            AggregationRound::Leaf => {
                let verified = self.verified(basic(branch), vks)?;
                with_basic!(branch, Basic => {
                    setup_key(&LeafCircuit::<Basic>::for_setup(branch.into(), verified), &config, worker)
                })
                .ok_or(Self::unknown(key))?
            }
            AggregationRound::Node => {
                let made = setup_key(&NodeCircuit::for_setup(self.verified_by_node(vks)?), &config, worker)?;
                let leaf = vks.vk(leaf(1))?;
                assert_identical(&[("leaf 1", &leaf.fixed_parameters), ("node", &made.vk.fixed_parameters)])?;
                Ok(made)
            }
            AggregationRound::RecursionTip => {
                let circuit = TipCircuit::for_setup(self.verified(NODE, vks)?);
                setup_key(&circuit, &config, worker)
            }
            AggregationRound::Scheduler => {
                setup_key(&SchedulerCircuit::for_setup(self.scheduler_constants(vks)?), &config, worker)
            }
        }
    }

    fn basic_circuits(
        &self,
        witness_inputs: &[u8],
        vks: &dyn VkSource,
        sink: &mut dyn CircuitSink,
    ) -> Result<Vec<u8>, SetError> {
        let trace = Self::execute(witness_inputs)?;
        let constants = self.scheduler_constants(vks)?;
        let chaining = cut(&trace, &constants.vk_set(), &mut |circuit, sequence, instance| {
            let bytes = encode("basic circuit", &instance)?;
            sink.basic_circuit(CircuitId(circuit as u8 + 1), sequence, &bytes)
        })?;
        let requests =
            chaining.forms.each_ref().map(|forms| forms.iter().map(|f| f.public_input()).collect());
        let inputs = AggregationInputs {
            recursion: BatchRecursion::new(constants.keys(), requests),
            statement: StatementWitness::new(observables(&chaining), chaining.forms),
        };
        encode("aggregation inputs", &inputs)
    }

    fn arity(&self) -> Arity {
        Arity { leaf: LEAF_ARITY, node: NODE_ARITY }
    }

    fn plan(&self, basic: &BTreeMap<CircuitId, u32>) -> AggregationPlan {
        AggregationPlan::new(basic, self.arity(), |id| id, TIP.circuit_id, SCHEDULER.circuit_id)
    }

    fn aggregation_circuit(
        &self,
        job: &AggregationJob,
        aggregation_inputs: &[u8],
        vks: &dyn VkSource,
        source: &mut dyn ProofSource,
    ) -> Result<Vec<u8>, SetError> {
        let AggregationInputs { statement, recursion } = decode("aggregation inputs", aggregation_inputs)?;
        let branch = job.slot.circuit_id.0;
        let sequence = job.slot.sequence;
        let cap = |key: CircuitKey| -> Result<Vec<Digest>, SetError> {
            Ok(vks.vk(key)?.setup_merkle_tree_cap.clone())
        };
        let proofs = proofs(&job.children, source)?;
        match job.slot.round {
            AggregationRound::Basic => Err(SetError::Inconsistent("round 0 aggregates nothing".into())),
            AggregationRound::Leaf => {
                encode("leaf", &recursion.leaf(branch.into(), sequence, cap(basic(branch))?, proofs)?)
            }
            AggregationRound::Node => {
                let over_leaves = job.children.iter().all(|child| child.round == AggregationRound::Leaf);
                let child = if over_leaves { leaf(branch) } else { NODE };
                encode("node", &recursion.node(branch.into(), job.slot.depth, sequence, cap(child)?, proofs)?)
            }
            AggregationRound::RecursionTip => encode("recursion tip", &recursion.tip(cap(NODE)?, proofs)),
            AggregationRound::Scheduler => match <[Proof; 1]>::try_from(proofs) {
                Ok([tip_proof]) => encode("scheduler", &SchedulerWitness { statement, tip_proof }),
                Err(proofs) => Err(SetError::Inconsistent(format!(
                    "the scheduler verifies one proof, not {}",
                    proofs.len()
                ))),
            },
        }
    }

    fn synthesize(
        &self,
        key: CircuitKey,
        circuit: &[u8],
        hint: &FinalizationHint,
        vks: &dyn VkSource,
    ) -> Result<WitnessVector, SetError> {
        let branch = key.circuit_id.0;
        match key.round {
            AggregationRound::Basic => match (branch, decode("basic circuit", circuit)?) {
                (1, Instance::Executor(circuit)) => witness_vector(&circuit, hint),
                (2, Instance::Signature(circuit)) => witness_vector(&circuit, hint),
                (3, Instance::Hasher(circuit)) => witness_vector(&circuit, hint),
                _ => Err(SetError::Inconsistent(format!("the circuit input is not one of circuit {key}"))),
            },
            AggregationRound::Leaf => {
                let verified = self.verified(basic(branch), vks)?;
                let witness: LeafWitness = decode("leaf", circuit)?;
                with_basic!(branch, Basic => {
                    witness_vector(&LeafCircuit::<Basic>::new(branch.into(), verified, witness)?, hint)
                })
                .ok_or(Self::unknown(key))?
            }
            AggregationRound::Node => {
                let witness: NodeWitness = decode("node", circuit)?;
                witness_vector(&NodeCircuit::new(self.verified_by_node(vks)?, witness)?, hint)
            }
            AggregationRound::RecursionTip => {
                let witness: TipWitness = decode("recursion tip", circuit)?;
                witness_vector(&TipCircuit::new(self.verified(NODE, vks)?, witness)?, hint)
            }
            AggregationRound::Scheduler => {
                let witness: SchedulerWitness = decode("scheduler", circuit)?;
                witness_vector(&SchedulerCircuit::new(self.scheduler_constants(vks)?, witness)?, hint)
            }
        }
    }

    fn proving_assembly(
        &self,
        key: CircuitKey,
        hint: &FinalizationHint,
        vks: &dyn VkSource,
    ) -> Result<ProvingAssembly, SetError> {
        self.proof_config(key)?;
        match key.round {
            AggregationRound::Basic => {
                with_basic!(key.circuit_id.0, Basic => empty_assembly(&Basic::empty(), hint))
                    .ok_or(Self::unknown(key))
            }
            // Gates and tables are all that an assembly holds, and all recursion circuits share them.
            _ => Ok(empty_assembly(&NodeCircuit::for_setup(self.verified_by_node(vks)?), hint)),
        }
    }

    fn gates(&self, key: CircuitKey) -> Result<GateSet, SetError> {
        self.proof_config(key)?;
        match key.round {
            AggregationRound::Basic => {
                with_basic!(key.circuit_id.0, Basic => gate_set::<Basic>()).ok_or(Self::unknown(key))?
            }
            _ => gate_set::<RecursionGates>(),
        }
    }

    fn verifier(&self, key: CircuitKey) -> Result<NativeVerifier, SetError> {
        self.proof_config(key)?;
        match key.round {
            AggregationRound::Basic => {
                with_basic!(key.circuit_id.0, Basic => verifier::<Basic>()).ok_or(Self::unknown(key))
            }
            _ => Ok(verifier::<RecursionGates>()),
        }
    }

    fn batch_public_input(&self, witness_inputs: &[u8], vks: &dyn VkSource) -> Result<Vec<F>, SetError> {
        let trace = Self::execute(witness_inputs)?;
        Ok(trace.header(&self.vk_set(vks)?).public_input().to_vec())
    }
}
