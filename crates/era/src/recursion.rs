//! Rounds 1 to 4: from the queues of a batch and the proofs below to the circuit of one aggregation job.

use std::ops::Range;

use boojum::{
    field::{goldilocks::GoldilocksField, Field as _, U64Representable as _},
    gadgets::{
        queue::QueueState, recursion::recursive_tree_hasher::CircuitGoldilocksPoseidon2Sponge,
        traits::allocatable::CSAllocatable as _,
    },
};
use circuit_definitions::{
    circuit_definitions::{
        base_layer::{ZkSyncBaseLayerProof, ZkSyncBaseLayerVerificationKey},
        recursion_layer::{
            ZkSyncRecursionLayerProof, ZkSyncRecursionLayerVerificationKey, RECURSION_ARITY,
            RECURSION_TIP_ARITY,
        },
    },
    encodings::recursion_request::RecursionQueueSimulator,
    zkevm_circuits::{
        recursion::{
            leaf_layer::input::RecursionLeafParametersWitness,
            recursion_tip::input::{RecursionTipInputWitness, RecursionTipInstanceWitness},
            NUM_BASE_LAYER_CIRCUITS,
        },
        scheduler::input::SchedulerCircuitInstanceWitness,
    },
};
use ingot_circuit_set::{
    field::{Digest, Ext, Proof, Vk, F},
    ProofSlot, SetError, VkSource,
};
use ingot_era_circuits::{EraCircuit, BASE_IDS};
use ingot_types::{AggregationRound, CircuitId, CircuitKey};
use serde::{Deserialize, Serialize};
use zkevm_test_harness::witness::{
    recursive_aggregation::{
        compute_leaf_params, compute_leaf_vks_and_params_commitment, compute_node_vk_commitment,
        create_leaf_witness, create_node_witness, split_recursion_queue,
    },
    utils::take_sponge_like_queue_state_from_simulator,
};

use crate::catalog::{base, leaf, leaf_of, NODE, TIP};

/// The tree hasher, as a circuit computes it.
pub(crate) type RecursiveHasher = CircuitGoldilocksPoseidon2Sponge;
/// What the scheduler is told; rounds below it fill in the proof.
pub(crate) type SchedulerWitness = SchedulerCircuitInstanceWitness<F, RecursiveHasher, Ext>;
/// The queue of all base circuits of one type.
pub(crate) type Queue = RecursionQueueSimulator<F>;

/// What rounds 1 to 4 of a batch need: made with the base circuits.
#[derive(Serialize, Deserialize)]
pub(crate) struct AggregationInputs {
    /// A queue for each base circuit, in ZKsync's order, empty where the batch has none.
    pub queues: Vec<(u8, Queue)>,
    /// The scheduler's witness, without proofs.
    pub scheduler: SchedulerWitness,
}

/// The keys of base and leaf circuits, as recursion commits to them.
pub(crate) struct LeafLayer(Vec<(u8, RecursionLeafParametersWitness<F>)>);

impl LeafLayer {
    /// Computes the commitments.
    pub fn new(vks: &dyn VkSource) -> Result<Self, SetError> {
        let parameters = BASE_IDS.iter().map(|id| {
            let leaf_id = leaf_of(CircuitId(*id)).map_or(0, |leaf| leaf.0);
            let base_vk = ZkSyncBaseLayerVerificationKey::from_inner(*id, Vk::clone(&*vks.vk(base(*id))?));
            let leaf_vk = recursion_vk(leaf_id, vks.vk(leaf(leaf_id))?.as_ref());
            Ok((*id, compute_leaf_params(*id, base_vk, leaf_vk)))
        });
        Ok(Self(parameters.collect::<Result<_, SetError>>()?))
    }

    /// The parameters alone, in ZKsync's order.
    pub fn parameters(&self) -> [RecursionLeafParametersWitness<F>; NUM_BASE_LAYER_CIRCUITS] {
        std::array::from_fn(|i| self.0[i].1.clone())
    }

    fn of(&self, base: CircuitId) -> Result<&(u8, RecursionLeafParametersWitness<F>), SetError> {
        let found = self.0.iter().find(|(id, _)| *id == base.0);
        found.ok_or_else(|| SetError::Inconsistent(format!("there is no base circuit {base}")))
    }
}

/// Commitments to keys that ZKsync publishes for a protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commitments {
    /// To the keys of all base and leaf circuits.
    pub leaf: Digest,
    /// To the node's key.
    pub node: Digest,
    /// To the scheduler's key.
    pub scheduler: Digest,
}

/// Field elements of a commitment as ZKsync writes it.
const fn elements(values: [u64; 4]) -> Digest {
    [
        GoldilocksField(values[0]),
        GoldilocksField(values[1]),
        GoldilocksField(values[2]),
        GoldilocksField(values[3]),
    ]
}

impl Commitments {
    /// What ZKsync publishes for protocol version 31.
    pub const OFFICIAL: Self = Self {
        leaf: elements([0xfa89b8cf2ea16350, 0x2c74b57034841430, 0x7e220e876f470aa8, 0xb363c636629468c9]),
        node: elements([0x96803f6a9b4a92f3, 0x8284b59c2feb1ce1, 0xc1f6335e65ef1f48, 0xee57e14b30adce9d]),
        scheduler: elements([0xd2c2b3c78206f079, 0xc4ba01a18d63e348, 0x442461b6a66443c0, 0x3040a030cd12030c]),
    };

    /// Of the keys in `vks`.
    ///
    /// # Errors
    /// What `vks` says.
    pub fn of(vks: &dyn VkSource) -> Result<Self, SetError> {
        let commitment = |key: CircuitKey| -> Result<Digest, SetError> {
            Ok(compute_node_vk_commitment(recursion_vk(key.circuit_id.0, vks.vk(key)?.as_ref())))
        };
        Ok(Self {
            leaf: compute_leaf_vks_and_params_commitment(LeafLayer::new(vks)?.parameters()),
            node: commitment(NODE)?,
            scheduler: commitment(crate::catalog::SCHEDULER)?,
        })
    }

    /// As ZKsync writes them: 64 hexadecimal digits.
    pub fn hex(commitment: Digest) -> String {
        commitment.iter().map(|x| format!("{:016x}", x.to_reduced_u64())).collect()
    }
}

fn recursion_vk(id: u8, vk: &Vk) -> ZkSyncRecursionLayerVerificationKey {
    ZkSyncRecursionLayerVerificationKey::from_inner(id, vk.clone())
}

/// Leaves that the proof in `slot` stands for.
fn leaves_below(slot: ProofSlot) -> Range<usize> {
    let per_proof = match slot.round {
        AggregationRound::Node => RECURSION_ARITY.saturating_pow(u32::from(slot.depth) + 1),
        _ => 1,
    };
    let start = (slot.sequence as usize).saturating_mul(per_proof);
    start..start.saturating_add(per_proof)
}

impl AggregationInputs {
    /// The queue of base circuit `base`, if the batch has any.
    fn present(&self, base: CircuitId) -> Option<&Queue> {
        let found = self.queues.iter().find(|(id, queue)| *id == base.0 && queue.num_items > 0);
        found.map(|(_, queue)| queue)
    }

    fn queue(&self, base: CircuitId) -> Result<&Queue, SetError> {
        self.present(base)
            .ok_or_else(|| SetError::Inconsistent(format!("the batch has no base circuit {base}")))
    }

    fn chunks(&self, base: CircuitId) -> Result<Vec<Queue>, SetError> {
        Ok(split_recursion_queue(self.queue(base)?.clone()))
    }

    /// Leaf `sequence` over `proofs` of base circuit `base`.
    pub fn leaf(
        &self,
        base_id: CircuitId,
        sequence: u32,
        proofs: Vec<Proof>,
        vks: &dyn VkSource,
    ) -> Result<EraCircuit, SetError> {
        let queue = self.chunks(base_id)?.into_iter().nth(sequence as usize);
        let queue = queue.ok_or_else(|| {
            SetError::Inconsistent(format!("base circuit {base_id} has no leaf {sequence}"))
        })?;
        count(&format!("leaf {sequence} of base circuit {base_id}"), queue.num_items as usize, proofs.len())?;
        let vk = ZkSyncBaseLayerVerificationKey::from_inner(base_id.0, Vk::clone(&*vks.vk(base(base_id.0))?));
        let layer = LeafLayer::new(vks)?;
        let proofs = proofs.into_iter().map(|p| ZkSyncBaseLayerProof::from_inner(base_id.0, p)).collect();
        let (_, circuit) = create_leaf_witness(u64::from(base_id.0), queue, proofs, &vk, layer.of(base_id)?);
        Ok(circuit.into())
    }

    /// A node over the proofs of `children`, all leaves or all nodes of base circuit `base`.
    pub fn node(
        &self,
        base_id: CircuitId,
        children: &[ProofSlot],
        proofs: Vec<Proof>,
        vks: &dyn VkSource,
    ) -> Result<EraCircuit, SetError> {
        let chunks = self.chunks(base_id)?;
        count(&format!("a node of base circuit {base_id}"), children.len(), proofs.len())?;
        let over_leaves = children.iter().all(|child| child.round == AggregationRound::Leaf);
        let mut queues = Vec::new();
        for child in children {
            let range = leaves_below(*child);
            let end = range.end.min(chunks.len());
            let merged =
                chunks.get(range.start..end).and_then(|chunks| chunks.iter().cloned().reduce(Queue::merge));
            let queue = merged.ok_or_else(|| {
                SetError::Inconsistent(format!("base circuit {base_id} has no proof {child:?}"))
            })?;
            queues.push((u64::from(base_id.0), queue));
        }
        if queues.is_empty() {
            return Err(SetError::Inconsistent("a node over nothing".into()));
        }
        let child_key = match leaf_of(base_id) {
            Some(id) if over_leaves => leaf(id.0),
            _ => NODE,
        };
        let id = child_key.circuit_id.0;
        let vk = recursion_vk(id, vks.vk(child_key)?.as_ref());
        let node_vk = recursion_vk(NODE.circuit_id.0, vks.vk(NODE)?.as_ref());
        let proofs = proofs.into_iter().map(|p| ZkSyncRecursionLayerProof::from_inner(id, p)).collect();
        let (_, circuit, _) = create_node_witness(
            &queues,
            proofs,
            &vk,
            compute_node_vk_commitment(node_vk),
            &LeafLayer::new(vks)?.0,
        );
        Ok(circuit.into())
    }

    /// The recursion tip over the root of each branch: (base circuit, proof).
    pub fn tip(&self, roots: Vec<(CircuitId, Proof)>, vks: &dyn VkSource) -> Result<EraCircuit, SetError> {
        let mut branch_circuit_type_set = [F::ZERO; RECURSION_TIP_ARITY];
        let mut queue_set: [_; RECURSION_TIP_ARITY] =
            std::array::from_fn(|_| QueueState::placeholder_witness());
        let present = self.queues.iter().filter(|(_, queue)| queue.num_items > 0).count();
        count("the recursion tip", present, roots.len())?;
        let mut roots = roots.into_iter().peekable();
        // The circuit takes a proof for every branch, and does not look at those of branches that are empty.
        let mut proofs = Vec::new();
        for (i, id) in BASE_IDS.iter().enumerate() {
            branch_circuit_type_set[i] = F::from_u64_unchecked(u64::from(*id));
            match self.present(CircuitId(*id)) {
                Some(queue) => {
                    queue_set[i] = take_sponge_like_queue_state_from_simulator(queue);
                    let (_, proof) = roots.next_if(|(found, _)| found.0 == *id).ok_or_else(|| {
                        SetError::Inconsistent(format!("the recursion tip has no proof of base circuit {id}"))
                    })?;
                    proofs.push(proof);
                }
                None => proofs.push(empty_node_proof()?),
            }
        }
        let node_vk = Vk::clone(&*vks.vk(NODE)?);
        let commitment = compute_node_vk_commitment(recursion_vk(NODE.circuit_id.0, &node_vk));
        Ok(crate::placeholder::tip_circuit(RecursionTipInstanceWitness {
            input: RecursionTipInputWitness {
                leaf_layer_parameters: LeafLayer::new(vks)?.parameters(),
                node_layer_vk_commitment: commitment,
                branch_circuit_type_set,
                queue_set,
            },
            vk_witness: node_vk,
            proof_witnesses: proofs.into(),
        }))
    }

    /// The scheduler over the tip's proof.
    pub fn scheduler(mut self, tip_proof: Proof, vks: &dyn VkSource) -> Result<EraCircuit, SetError> {
        self.scheduler.proof_witnesses = [tip_proof].into();
        Ok(crate::placeholder::scheduler_circuit(
            self.scheduler,
            &LeafLayer::new(vks)?,
            Vk::clone(&*vks.vk(NODE)?),
            Vk::clone(&*vks.vk(TIP)?),
        ))
    }
}

/// A proof that has a node proof's shape and proves nothing: it stands for a branch without circuits.
fn empty_node_proof() -> Result<Proof, SetError> {
    let bytes: &[u8] =
        include_bytes!("../ported/zkevm_test_harness/src/tests/complex_tests/test_artifacts/empty_proof.bin");
    let proof: ZkSyncRecursionLayerProof =
        bincode::deserialize(bytes).map_err(|error| SetError::malformed("the empty node proof", error))?;
    Ok(proof.into_inner())
}

fn count(what: &str, expected: usize, found: usize) -> Result<(), SetError> {
    if expected == found {
        return Ok(());
    }
    Err(SetError::Inconsistent(format!("{what} verifies {expected} proofs, not {found}")))
}
