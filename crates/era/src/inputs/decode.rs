//! From bytes to witness inputs, whichever encoding they are in.

use bincode::Options as _;
use ingot_circuit_set::SetError;
use serde::{de::DeserializeOwned, Deserialize};
use zkevm_test_harness::ethereum_types::U256;

use super::{Blobs, MerklePaths, PreviousBatch, ProtocolVersionId, StorageState, VmRunData, WitnessInputs};

/// How CBOR of the structure starts: a map of four, whose first key is `vm_run_data`.
const CBOR_START: &[u8] = b"\xa4\x6bvm_run_data";
/// The name in errors.
const WHAT: &str = "witness inputs";

impl WitnessInputs {
    /// Reads witness inputs, all of `bytes`. Nothing is checked beyond their form: see [`WitnessInputs::check`].
    ///
    /// # Errors
    /// [`SetError::Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, SetError> {
        if bytes.starts_with(CBOR_START) {
            let mut rest = bytes;
            let inputs = ciborium::from_reader(&mut rest)
                .map_err(|error| SetError::malformed(WHAT, cbor_fault(&error, bytes.len())))?;
            return match rest.len() {
                0 => Ok(inputs),
                n => Err(SetError::malformed(WHAT, format!("{n} bytes too many after the CBOR"))),
            };
        }
        decode_bincode::<Self>(bytes).or_else(|error| {
            let legacy = decode_bincode::<Legacy>(bytes).map(Legacy::into);
            legacy.map_err(|_| {
                let start: String = bytes.iter().take(8).map(|b| format!("{b:02x}")).collect();
                let reason = format!(
                    "neither CBOR (which starts with a map whose first key is vm_run_data; these {} bytes start with \
                     {start}) nor bincode ({error})",
                    bytes.len()
                );
                SetError::malformed(WHAT, reason)
            })
        })
    }

    /// The inputs as CBOR, as a core writes them.
    ///
    /// # Errors
    /// [`SetError::Malformed`] if they cannot be encoded.
    pub fn to_cbor(&self) -> Result<Vec<u8>, SetError> {
        let mut bytes = Vec::new();
        ciborium::into_writer(self, &mut bytes).map_err(|error| SetError::malformed(WHAT, error))?;
        Ok(bytes)
    }
}

/// What is wrong with CBOR.
fn cbor_fault(error: &ciborium::de::Error<std::io::Error>, length: usize) -> String {
    match error {
        ciborium::de::Error::Io(io) if io.kind() == std::io::ErrorKind::UnexpectedEof => {
            format!("truncated: the CBOR goes on beyond these {length} bytes")
        }
        other => format!("bad CBOR: {other}"),
    }
}

fn decode_bincode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, bincode::Error> {
    bincode::DefaultOptions::new().with_fixint_encoding().with_limit(bytes.len() as u64).deserialize(bytes)
}

/// What was written before there was an EVM emulator, and by later cores for chains without one.
#[derive(Deserialize)]
struct Legacy {
    vm_run_data: LegacyVmRunData,
    merkle_paths: MerklePaths,
    previous_batch_metadata: PreviousBatch,
    eip_4844_blobs: Blobs,
}

#[derive(Deserialize)]
struct LegacyVmRunData {
    l1_batch_number: u32,
    used_bytecodes: std::collections::HashMap<U256, Vec<[u8; 32]>>,
    initial_heap_content: Vec<(u64, U256)>,
    protocol_version: ProtocolVersionId,
    bootloader_code: Vec<[u8; 32]>,
    default_account_code_hash: U256,
    storage_refunds: Vec<u32>,
    pubdata_costs: Vec<i32>,
    witness_block_state: StorageState,
}

impl From<Legacy> for WitnessInputs {
    fn from(legacy: Legacy) -> Self {
        let vm = legacy.vm_run_data;
        Self {
            vm_run_data: VmRunData {
                l1_batch_number: vm.l1_batch_number,
                used_bytecodes: vm.used_bytecodes,
                initial_heap_content: vm.initial_heap_content,
                protocol_version: vm.protocol_version,
                bootloader_code: vm.bootloader_code,
                default_account_code_hash: vm.default_account_code_hash,
                evm_emulator_code_hash: None,
                storage_refunds: vm.storage_refunds,
                pubdata_costs: vm.pubdata_costs,
                witness_block_state: vm.witness_block_state,
            },
            merkle_paths: legacy.merkle_paths,
            previous_batch_metadata: legacy.previous_batch_metadata,
            eip_4844_blobs: legacy.eip_4844_blobs,
        }
    }
}
