//! The batch's header, hashed natively: what the scheduler's public input says. The layout is that of the scheduler circuit
//! (`zkevm_circuits::scheduler::block_header`), everything big-endian.

use boojum::field::{PrimeField, U64Representable as _};
use circuit_definitions::{
    encodings::utils::{finalize_queue_state, finalized_queue_state_as_bytes},
    zkevm_circuits::scheduler::{
        block_header::{BlockMetaParametersWitness, BlockPassthroughDataWitness},
        NUM_SCHEDULER_PUBLIC_INPUTS,
    },
    ZkSyncDefaultRoundFunction,
};
use ingot_circuit_set::field::F;
use zkevm_test_harness::{
    ethereum_types::U256,
    sha3::{Digest as _, Keccak256},
};

use crate::recursion::SchedulerWitness;

/// Bytes of the hash in one field element.
const BYTES_PER_ELEMENT: usize = F::CAPACITY_BITS / 8;

/// The four elements of the scheduler's public input.
pub(crate) fn public_input(witness: &SchedulerWitness) -> Vec<F> {
    let previous = hash(&[
        &hash(&[&states(&witness.prev_block_data)]),
        &witness.previous_block_meta_hash,
        &witness.previous_block_aux_hash,
    ]);
    let header = hash(&[&previous, &content(witness)]);
    let elements = header.chunks_exact(BYTES_PER_ELEMENT).take(NUM_SCHEDULER_PUBLIC_INPUTS);
    elements
        .map(|chunk| F::from_u64_unchecked(chunk.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))))
        .collect()
}

/// The hash of this batch's content: its state after it, its parameters, its outputs.
fn content(witness: &SchedulerWitness) -> [u8; 32] {
    let mut after = witness.prev_block_data.clone();
    let applied = &witness.storage_application_observable_output;
    after.per_shard_states[0].state_root = applied.new_root_hash;
    after.per_shard_states[0].enumeration_counter = applied.new_next_enumeration_counter;
    hash(&[
        &hash(&[&states(&after)]),
        &hash(&[&parameters(&witness.block_meta_parameters)]),
        &hash(&[&outputs(witness)]),
    ])
}

fn states(data: &BlockPassthroughDataWitness<F>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for shard in &data.per_shard_states {
        for half in shard.enumeration_counter.iter().rev() {
            bytes.extend(half.to_be_bytes());
        }
        bytes.extend(shard.state_root);
    }
    bytes
}

fn parameters(meta: &BlockMetaParametersWitness<F>) -> Vec<u8> {
    let word = |value: &U256| {
        let mut bytes = [0; 32];
        value.to_big_endian(&mut bytes);
        bytes
    };
    let mut bytes = vec![u8::from(meta.zkporter_is_available)];
    for hash in [&meta.bootloader_code_hash, &meta.default_aa_code_hash, &meta.evm_emulator_code_hash] {
        bytes.extend(word(hash));
    }
    bytes
}

fn outputs(witness: &SchedulerWitness) -> Vec<u8> {
    let round = ZkSyncDefaultRoundFunction::default();
    let mut bytes = Vec::new();
    bytes.extend(witness.l1messages_linear_hasher_observable_output.keccak256_hash);
    bytes.extend(witness.storage_application_observable_output.state_diffs_keccak256_hash);
    let heap = finalize_queue_state(witness.bootloader_heap_memory_state.tail, &round);
    bytes.extend(finalized_queue_state_as_bytes(heap));
    let events =
        finalize_queue_state(witness.events_sorter_observable_output.final_queue_state.tail.tail, &round);
    bytes.extend(finalized_queue_state_as_bytes(events));
    for blob in &witness.eip4844_witnesses {
        match blob {
            Some(blob) => {
                bytes.extend(blob.linear_hash);
                bytes.extend(blob.output_hash);
            }
            None => bytes.extend([0; 64]),
        }
    }
    bytes
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Keccak256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}
