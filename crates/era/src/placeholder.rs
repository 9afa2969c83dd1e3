//! Circuits without a witness: what setup synthesizes, and what tells a circuit's type.

use std::collections::VecDeque;

use boojum::gadgets::{
    queue::{full_state_queue::FullStateCircuitQueueRawWitness, QueueTailState},
    traits::allocatable::CSAllocatable as _,
};
use circuit_definitions::{
    circuit_definitions::recursion_layer::{
        leaf_layer::ZkSyncLeafLayerRecursiveCircuit, node_layer::ZkSyncNodeLayerRecursiveCircuit,
        recursion_tip::ZkSyncRecursionTipCircuit, scheduler::ZkSyncSchedulerCircuit,
        ZkSyncRecursiveLayerCircuit, RECURSION_ARITY, SCHEDULER_CAPACITY,
    },
    recursion_layer_proof_config,
    zkevm_circuits::{
        base_structures::vm_state::FULL_SPONGE_QUEUE_STATE_WIDTH,
        eip_4844::input::ELEMENTS_PER_4844_BLOCK,
        recursion::{
            leaf_layer::{
                input::{RecursionLeafInput, RecursionLeafInstanceWitness},
                LeafLayerRecursionConfig,
            },
            node_layer::{
                input::{RecursionNodeInput, RecursionNodeInstanceWitness},
                NodeLayerRecursionConfig,
            },
            recursion_tip::{
                input::{RecursionTipInput, RecursionTipInstanceWitness},
                RecursionTipConfig,
            },
        },
        scheduler::{
            auxiliary::BaseLayerCircuitType, input::SchedulerCircuitInstanceWitness, SchedulerConfig,
        },
    },
};
use circuit_sequencer_api::geometry_config::{GeometryConfig, ProtocolGeometry};
use ingot_circuit_set::{
    field::{Ext, Vk, F},
    SetError, VkSource,
};
use ingot_era_circuits::{empty_base_circuit, EraCircuit};
use ingot_types::{AggregationRound, CircuitId, CircuitKey};

use crate::{
    catalog::{base, base_of, leaf, NODE, TIP},
    recursion::{LeafLayer, RecursiveHasher, SchedulerWitness},
};

/// How many cycles each base circuit has: fixed by the official keys.
pub(crate) const GEOMETRY: GeometryConfig = ProtocolGeometry::latest().config();

/// The circuit of `key` without a witness.
///
/// # Errors
/// [`SetError::UnknownCircuit`]; what `vks` says.
pub(crate) fn circuit(key: CircuitKey, vks: &dyn VkSource) -> Result<EraCircuit, SetError> {
    let unknown = SetError::UnknownCircuit { set: crate::NAME, key };
    if crate::catalog::circuits().iter().all(|info| info.key != key) {
        return Err(unknown);
    }
    match key.round {
        AggregationRound::Basic => {
            let id = key.circuit_id.0;
            capacity(id).and_then(|capacity| empty_base_circuit(id, capacity)).ok_or(unknown)
        }
        AggregationRound::Leaf => {
            let base_id = base_of(key.circuit_id).ok_or(unknown)?;
            leaf_circuit(base_id, Vk::clone(&*vks.vk(base(base_id.0))?))
        }
        AggregationRound::Node => Ok(node_circuit(Vk::clone(&*vks.vk(leaf(3))?))),
        AggregationRound::RecursionTip => Ok(tip_circuit(RecursionTipInstanceWitness {
            input: RecursionTipInput::placeholder_witness(),
            vk_witness: Vk::clone(&*vks.vk(NODE)?),
            proof_witnesses: VecDeque::new(),
        })),
        AggregationRound::Scheduler => Ok(scheduler_circuit(
            SchedulerCircuitInstanceWitness::placeholder(),
            &LeafLayer::new(vks)?,
            Vk::clone(&*vks.vk(NODE)?),
            Vk::clone(&*vks.vk(TIP)?),
        )),
    }
}

/// Cycles of base circuit `id`.
fn capacity(id: u8) -> Option<usize> {
    let g = &GEOMETRY;
    let cycles = match id {
        1 => g.cycles_per_vm_snapshot,
        2 => g.cycles_code_decommitter_sorter,
        3 => g.cycles_per_code_decommitter,
        4 => g.cycles_per_log_demuxer,
        5 => g.cycles_per_keccak256_circuit,
        6 => g.cycles_per_sha256_circuit,
        7 => g.cycles_per_ecrecover_circuit,
        8 => g.cycles_per_ram_permutation,
        9 => g.cycles_per_storage_sorter,
        10 => g.cycles_per_storage_application,
        11 | 12 => g.cycles_per_events_or_l1_messages_sorter,
        13 => g.limit_for_l1_messages_pudata_hasher,
        14 => g.cycles_per_transient_storage_sorter,
        15 => g.cycles_per_secp256r1_verify_circuit,
        16 => g.cycles_per_modexp_circuit,
        17 => g.cycles_per_ecadd_circuit,
        18 => g.cycles_per_ecmul_circuit,
        19 => g.cycles_per_ecpairing_circuit,
        255 => ELEMENTS_PER_4844_BLOCK as u32,
        _ => return None,
    };
    Some(cycles as usize)
}

fn leaf_circuit(base: CircuitId, vk: Vk) -> Result<EraCircuit, SetError> {
    let base = base_type(base)?;
    let circuit = ZkSyncLeafLayerRecursiveCircuit {
        base_layer_circuit_type: base,
        config: LeafLayerRecursionConfig {
            proof_config: recursion_layer_proof_config(),
            vk_fixed_parameters: vk.fixed_parameters.clone(),
            capacity: RECURSION_ARITY,
            _marker: std::marker::PhantomData,
        },
        witness: RecursionLeafInstanceWitness {
            input: RecursionLeafInput::placeholder_witness(),
            vk_witness: vk,
            queue_witness: FullStateCircuitQueueRawWitness { elements: VecDeque::new() },
            proof_witnesses: VecDeque::new(),
        },
        transcript_params: (),
        _marker: std::marker::PhantomData,
    };
    Ok(ZkSyncRecursiveLayerCircuit::leaf_circuit_from_base_type(base, circuit).into())
}

fn node_circuit(leaf_vk: Vk) -> EraCircuit {
    let split_point = QueueTailState::<F, FULL_SPONGE_QUEUE_STATE_WIDTH>::placeholder_witness();
    let circuit = ZkSyncNodeLayerRecursiveCircuit {
        config: NodeLayerRecursionConfig {
            proof_config: recursion_layer_proof_config(),
            vk_fixed_parameters: leaf_vk.fixed_parameters.clone(),
            leaf_layer_capacity: RECURSION_ARITY,
            node_layer_capacity: RECURSION_ARITY,
            _marker: std::marker::PhantomData,
        },
        witness: RecursionNodeInstanceWitness {
            input: RecursionNodeInput::placeholder_witness(),
            vk_witness: leaf_vk,
            split_points: vec![split_point; RECURSION_ARITY - 1].into(),
            proof_witnesses: VecDeque::new(),
        },
        transcript_params: (),
        _marker: std::marker::PhantomData,
    };
    ZkSyncRecursiveLayerCircuit::NodeLayerCircuit(circuit).into()
}

/// The recursion tip with `witness`.
pub(crate) fn tip_circuit(witness: RecursionTipInstanceWitness<F, RecursiveHasher, Ext>) -> EraCircuit {
    let circuit = ZkSyncRecursionTipCircuit {
        config: RecursionTipConfig {
            proof_config: recursion_layer_proof_config(),
            vk_fixed_parameters: witness.vk_witness.fixed_parameters.clone(),
            _marker: std::marker::PhantomData,
        },
        witness,
        transcript_params: (),
        _marker: std::marker::PhantomData,
    };
    ZkSyncRecursiveLayerCircuit::RecursionTipCircuit(circuit).into()
}

/// The scheduler with `witness`. The keys below it are constants of the circuit.
pub(crate) fn scheduler_circuit(
    witness: SchedulerWitness,
    leaf_layer: &LeafLayer,
    node_vk: Vk,
    tip_vk: Vk,
) -> EraCircuit {
    let circuit = ZkSyncSchedulerCircuit {
        witness,
        config: SchedulerConfig {
            proof_config: recursion_layer_proof_config(),
            vk_fixed_parameters: tip_vk.fixed_parameters.clone(),
            recursion_tip_vk: tip_vk,
            node_layer_vk: node_vk,
            leaf_layer_parameters: leaf_layer.parameters(),
            capacity: SCHEDULER_CAPACITY,
            _marker: std::marker::PhantomData,
        },
        transcript_params: (),
        _marker: std::marker::PhantomData,
    };
    ZkSyncRecursiveLayerCircuit::SchedulerCircuit(circuit).into()
}

/// The published crates' enumeration of base circuits, whose own conversion panics on what is none.
pub(crate) fn base_type(id: CircuitId) -> Result<BaseLayerCircuitType, SetError> {
    if crate::catalog::leaf_of(id).is_none() {
        return Err(SetError::UnknownCircuit { set: crate::NAME, key: base(id.0) });
    }
    Ok(BaseLayerCircuitType::from_numeric_value(id.0))
}
