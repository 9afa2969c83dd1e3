//! What can be told about witness inputs without running the batch: everything that would otherwise surface as a panic deep
//! inside the virtual machine, or as a proof that does not verify.

use ingot_circuit_set::SetError;
use zkevm_test_harness::{
    blake2::Blake2s256, ethereum_types::U256, witness::tree::BinaryHasher as _, zk_evm::bytecode_to_code_hash,
};

use super::WitnessInputs;
use crate::catalog::PROTOCOL_VERSION;

/// Bytes of the bootloader's heap: what the protocol lets it use.
pub(crate) const HEAP_BYTES: usize = 63_800_000;
/// Bytes of a blob as the circuits take it: 4,096 elements of 31 bytes.
pub(crate) const BLOB_BYTES: usize = 4096 * 31;
/// Depth of the state tree.
pub(crate) const TREE_DEPTH: usize = 256;

impl WitnessInputs {
    /// Checks versions, sizes, code hashes and every path of the state tree.
    ///
    /// # Errors
    /// [`SetError::InvalidBatch`] naming the field, what was expected and what was found.
    pub fn check(&self) -> Result<(), SetError> {
        self.checked_steps().map(drop)
    }

    /// As [`WitnessInputs::check`]; the logs with whole paths, which checking needs as well.
    pub(crate) fn checked_steps(&self) -> Result<Vec<PathStep>, SetError> {
        let vm = &self.vm_run_data;
        if vm.protocol_version.0 != PROTOCOL_VERSION.minor {
            return Err(invalid(format!(
                "protocol version: expected {} (this executable proves {PROTOCOL_VERSION}), found {}",
                PROTOCOL_VERSION.minor, vm.protocol_version
            )));
        }
        code("bootloader_code", &vm.bootloader_code)?;
        for (hash, words) in &vm.used_bytecodes {
            let found = code(&format!("used_bytecodes[{hash:#x}]"), words)?;
            // EraVM code starts with 1. EVM code has another hash, over its unpadded bytes.
            if hash.byte(31) == 1 && *hash != found {
                return Err(invalid(format!("used_bytecodes[{hash:#x}]: the code's hash is {found:#x}")));
            }
        }
        let words = HEAP_BYTES as u64 / 32;
        if let Some((word, _)) = vm.initial_heap_content.iter().find(|(word, _)| *word >= words) {
            return Err(invalid(format!(
                "initial_heap_content: expected words below {words}, found word {word}"
            )));
        }
        for (i, blob) in self.eip_4844_blobs.blobs.iter().enumerate() {
            let found = blob.as_ref().map_or(BLOB_BYTES, Vec::len);
            if found != BLOB_BYTES {
                return Err(invalid(format!(
                    "eip_4844_blobs[{i}]: expected {BLOB_BYTES} bytes, found {found}"
                )));
            }
        }
        self.check_paths()
    }

    /// Follows the state root from the batch before through every read and write.
    fn check_paths(&self) -> Result<Vec<PathStep>, SetError> {
        let mut root = self.previous_batch_metadata.root_hash.0;
        let mut next_index = self.merkle_paths.next_enumeration_index;
        let steps = self.steps()?;
        for (i, step) in steps.iter().enumerate() {
            let at = |what: String| invalid(format!("merkle_paths[{i}]: {what}"));
            let old_index = if step.is_write && step.first_write { 0 } else { step.enumeration_index };
            let found = step.root_over(old_index, &step.value_read);
            if found != root {
                return Err(at(format!(
                    "the path leads to the root {}, expected {}{}",
                    hex(&found),
                    hex(&root),
                    if i == 0 { " (of the batch before)" } else { "" }
                )));
            }
            if step.is_write && step.first_write {
                if step.enumeration_index != next_index {
                    return Err(at(format!(
                        "leaf_enumeration_index of a first write: expected {next_index}, found {}",
                        step.enumeration_index
                    )));
                }
                next_index += 1;
            }
            if step.is_write {
                root = step.root_over(step.enumeration_index, &step.value_written);
            }
            if step.root != root {
                return Err(at(format!("root_hash: expected {}, found {}", hex(&root), hex(&step.root))));
            }
        }
        Ok(steps)
    }

    /// The logs with whole paths.
    fn steps(&self) -> Result<Vec<PathStep>, SetError> {
        let mut steps: Vec<PathStep> = Vec::with_capacity(self.merkle_paths.merkle_paths.len());
        for (i, log) in self.merkle_paths.merkle_paths.iter().enumerate() {
            let given = log.merkle_paths.len();
            let missing = match steps.first() {
                _ if given > TREE_DEPTH => None,
                None => (given == TREE_DEPTH).then_some(0),
                Some(_) => Some(TREE_DEPTH - given),
            };
            let Some(missing) = missing else {
                return Err(invalid(format!(
                    "merkle_paths[{i}]: expected {}{TREE_DEPTH} siblings, found {given}",
                    if i == 0 { "" } else { "at most " }
                )));
            };
            let mut path =
                steps.first().map_or_else(|| Box::new([[0; 32]; TREE_DEPTH]), |first| first.path.clone());
            for (to, from) in path.iter_mut().skip(missing).zip(&log.merkle_paths) {
                *to = from.0;
            }
            let mut key = [0; 32];
            log.leaf_hashed_key.to_little_endian(&mut key);
            steps.push(PathStep {
                key,
                is_write: log.is_write,
                first_write: log.first_write,
                enumeration_index: log.leaf_enumeration_index,
                value_read: log.value_read,
                value_written: log.value_written,
                root: log.root_hash.0,
                path,
            });
        }
        Ok(steps)
    }
}

/// A storage log with its whole path.
#[derive(Clone, Debug)]
pub(crate) struct PathStep {
    pub key: [u8; 32],
    pub is_write: bool,
    pub first_write: bool,
    /// Of the leaf after a write, or as it is.
    pub enumeration_index: u64,
    pub value_read: [u8; 32],
    pub value_written: [u8; 32],
    /// After it.
    pub root: [u8; 32],
    pub path: Box<[[u8; 32]; TREE_DEPTH]>,
}

impl PathStep {
    /// The root if the leaf were this: siblings go from the leaf upwards, by the bits of the key from its first byte's least
    /// significant.
    fn root_over(&self, index: u64, value: &[u8; 32]) -> [u8; 32] {
        let mut leaf = [0; 40];
        leaf[..8].copy_from_slice(&index.to_be_bytes());
        leaf[8..].copy_from_slice(value);
        let mut hash = Blake2s256::leaf_hash(&leaf);
        for (level, sibling) in self.path.iter().enumerate() {
            let is_right = self.key[level / 8] >> (level % 8) & 1 == 1;
            hash = match is_right {
                true => Blake2s256::node_hash(level, sibling, &hash),
                false => Blake2s256::node_hash(level, &hash, sibling),
            };
        }
        hash
    }
}

/// The hash of code, which has an odd number of words, fewer than 2^16.
fn code(what: &str, words: &[[u8; 32]]) -> Result<U256, SetError> {
    if words.len().is_multiple_of(2) || words.len() >= 1 << 16 {
        return Err(invalid(format!(
            "{what}: expected an odd number of words below 65536, found {}",
            words.len()
        )));
    }
    let hash = bytecode_to_code_hash(words).map_err(|error| invalid(format!("{what}: {error:?}")))?;
    Ok(U256::from_big_endian(&hash))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn invalid(what: impl Into<String>) -> SetError {
    SetError::InvalidBatch(what.into())
}
