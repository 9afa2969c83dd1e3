//! Witness inputs: what a ZKsync core hands to its prover, `witness_inputs_{batch}_{chain}.cbor`.
//!
//! The structures are ours, in the encoding of the core's: the published ones stop at protocol version 30. Two encodings are
//! read: CBOR (today's) and bincode (ZKsync's before it, with and without the EVM emulator's hash).

mod bytes;
mod check;
mod decode;
mod version;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use zkevm_test_harness::ethereum_types::{Address, H256, U256};

pub(crate) use bytes::Bytes32;
pub(crate) use check::{PathStep, BLOB_BYTES, HEAP_BYTES};
pub use version::ProtocolVersionId;

/// Everything that proving a batch needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WitnessInputs {
    pub(crate) vm_run_data: VmRunData,
    pub(crate) merkle_paths: MerklePaths,
    pub(crate) previous_batch_metadata: PreviousBatch,
    pub(crate) eip_4844_blobs: Blobs,
}

/// What the virtual machine runs on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct VmRunData {
    pub l1_batch_number: u32,
    /// By hash; code in words of 32 bytes.
    pub used_bytecodes: HashMap<U256, Vec<[u8; 32]>>,
    /// The bootloader's heap: word, value.
    pub initial_heap_content: Vec<(u64, U256)>,
    pub protocol_version: ProtocolVersionId,
    pub bootloader_code: Vec<[u8; 32]>,
    pub default_account_code_hash: U256,
    /// Absent where the chain has no EVM emulator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evm_emulator_code_hash: Option<U256>,
    /// For each access to storage, in order: what is refunded; 0 for a cold one.
    pub storage_refunds: Vec<u32>,
    /// For each access to storage or transient storage, in order.
    pub pubdata_costs: Vec<i32>,
    pub witness_block_state: StorageState,
}

/// Storage before the batch, as far as the batch touches it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct StorageState {
    pub read_storage_key: Vec<(StorageKey, H256)>,
    pub is_write_initial: Vec<(StorageKey, bool)>,
}

/// A storage slot.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StorageKey {
    pub account: Account,
    pub key: H256,
}

/// An account of the state tree.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Account {
    pub address: Address,
}

/// The state tree's answers, in the order of the batch's final reads and writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct MerklePaths {
    pub merkle_paths: Vec<StorageLog>,
    pub next_enumeration_index: u64,
}

/// One final read or write of a slot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StorageLog {
    /// Root after it.
    pub root_hash: Bytes32,
    pub is_write: bool,
    pub first_write: bool,
    /// Siblings from the leaf upwards: 256 in the first log; a later one may leave out those at its start that equal the
    /// first log's.
    pub merkle_paths: Vec<Bytes32>,
    /// The slot's key, little-endian.
    pub leaf_hashed_key: U256,
    /// Of the leaf after a write, or as it is.
    pub leaf_enumeration_index: u64,
    pub value_written: [u8; 32],
    pub value_read: [u8; 32],
}

/// Hashes of the batch before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PreviousBatch {
    pub root_hash: H256,
    pub meta_hash: H256,
    pub aux_hash: H256,
}

/// Blobs of a batch that publishes its data in them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Blobs {
    pub blobs: [Option<Vec<u8>>; 16],
}

impl WitnessInputs {
    /// The batch's number.
    pub fn batch_number(&self) -> u32 {
        self.vm_run_data.l1_batch_number
    }

    /// The chain that the state belongs to, if the batch reads it: slot 0 of the system context contract.
    pub fn chain_id(&self) -> Option<u64> {
        let system_context = Address::from_low_u64_be(0x800b);
        let slot = (self.vm_run_data.witness_block_state.read_storage_key.iter())
            .find(|(key, _)| key.account.address == system_context && key.key == H256::zero())?;
        let value = U256::from_big_endian(slot.1.as_bytes());
        (value <= U256::from(u64::MAX) && !value.is_zero()).then(|| value.low_u64())
    }

    /// As the core of a chain without an EVM emulator hands it over. For tests.
    #[must_use]
    pub fn without_emulator(mut self) -> Self {
        self.vm_run_data.evm_emulator_code_hash = None;
        self
    }

    /// With the last `count` refunds left out. For tests.
    #[must_use]
    pub fn with_fewer_refunds(mut self, count: usize) -> Self {
        let left = self.vm_run_data.storage_refunds.len().saturating_sub(count);
        self.vm_run_data.storage_refunds.truncate(left);
        self
    }

    /// With the last `count` logs of the state tree left out. For tests.
    #[must_use]
    pub fn with_fewer_logs(mut self, count: usize) -> Self {
        let left = self.merkle_paths.merkle_paths.len().saturating_sub(count);
        self.merkle_paths.merkle_paths.truncate(left);
        self
    }

    /// How many accounts, slots and blobs there are, for people.
    pub fn summary(&self) -> String {
        format!(
            "{} slots read or written, {} bytecodes, {} blobs",
            self.merkle_paths.merkle_paths.len(),
            self.vm_run_data.used_bytecodes.len(),
            self.eip_4844_blobs.blobs.iter().flatten().count()
        )
    }
}
