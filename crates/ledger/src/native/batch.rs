//! The witness inputs of a batch, and the file that holds them.
//!
//! File: `INGOTBAT` | format version, u32 LE | length of the body, u64 LE | body (postcard) | BLAKE3 of all before it.

use ingot_circuit_set::field::Digest;
use ingot_types::RetryClass;
use serde::{Deserialize, Serialize};

use super::{
    elements,
    executor::BatchContext,
    header::domain,
    operation::Operation,
    record::Address,
    tree::{State, TouchedLeaf, Tree},
};

/// First bytes of a batch file.
pub const MAGIC: &[u8; 8] = b"INGOTBAT";
/// The only format so far.
pub const FORMAT_VERSION: u32 = 1;

const HEAD_BYTES: usize = 8 + 4 + 8;
const HASH_BYTES: usize = 32;

/// A batch: everything that round 0 needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The rollup's chain id.
    pub chain_id: u64,
    /// Its contract on L1.
    pub l1_contract: Address,
    /// The batch's number.
    pub number: u32,
    /// Root of the state before.
    #[serde(with = "elements")]
    pub old_root: Digest,
    /// Each account that an operation touches, once, as it was before the batch.
    pub touched: Vec<TouchedLeaf>,
    /// What happens, in order.
    pub operations: Vec<Operation>,
}

/// Bytes that are no batch file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// Shorter than the smallest file.
    #[error("{name}: expected a batch file of at least {} bytes, found {found}", HEAD_BYTES + HASH_BYTES)]
    TooShort {
        /// The file.
        name: String,
        /// Its length.
        found: usize,
    },
    /// Another kind of file.
    #[error("{name}: expected a batch file starting with {:?}, found {:?}", MAGIC.escape_ascii().to_string(), found.escape_ascii().to_string())]
    Magic {
        /// The file.
        name: String,
        /// Its first bytes.
        found: [u8; 8],
    },
    /// A format this build does not know.
    #[error("{name}: expected batch format version {FORMAT_VERSION}, found {found}")]
    Version {
        /// The file.
        name: String,
        /// Its version.
        found: u32,
    },
    /// Cut off or extended.
    #[error("{name}: expected {expected} bytes as its head says, found {found}")]
    Length {
        /// The file.
        name: String,
        /// Length by its head.
        expected: u128,
        /// Its length.
        found: usize,
    },
    /// Damaged.
    #[error("{name}: expected BLAKE3 {expected} as its last bytes say, found {found}")]
    Hash {
        /// The file.
        name: String,
        /// Hash stored in it.
        expected: blake3::Hash,
        /// Hash of what is before that.
        found: blake3::Hash,
    },
    /// The body holds something else.
    #[error("{name}: expected the body of a batch, found {reason}")]
    Body {
        /// The file.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A batch that cannot be written (not expected to happen).
    #[error("{name}: the batch cannot be encoded: {reason}")]
    Encode {
        /// The file.
        name: String,
        /// Why.
        reason: String,
    },
}

impl FormatError {
    /// How a failed attempt with this error is to be treated.
    pub fn retry_class(&self) -> RetryClass {
        RetryClass::Deterministic
    }
}

impl Batch {
    /// A batch of `operations` on `state`, with the paths they need.
    pub fn new(
        chain_id: u64,
        l1_contract: Address,
        number: u32,
        state: &Tree,
        operations: Vec<Operation>,
    ) -> Self {
        let mut indices = std::collections::BTreeSet::new();
        for operation in &operations {
            let (first, second) = operation.accounts();
            indices.insert(first);
            indices.extend(second);
        }
        let touched = indices
            .into_iter()
            .map(|index| TouchedLeaf { index, leaf: state.get(index), siblings: state.path(index) })
            .collect();
        Self { chain_id, l1_contract, number, old_root: state.root(), touched, operations }
    }

    /// Deployment and number.
    pub fn context(&self) -> BatchContext {
        BatchContext { domain: domain(self.chain_id, &self.l1_contract), number: self.number }
    }

    /// The batch file's bytes; `name` names it in the error.
    ///
    /// # Errors
    /// [`FormatError::Encode`].
    pub fn to_bytes(&self, name: &str) -> Result<Vec<u8>, FormatError> {
        let encode = |reason: String| FormatError::Encode { name: name.to_owned(), reason };
        let body = postcard::to_stdvec(self).map_err(|e| encode(e.to_string()))?;
        let mut out = Vec::with_capacity(HEAD_BYTES + body.len() + HASH_BYTES);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        out.extend_from_slice(&(body.len() as u64).to_le_bytes());
        out.extend_from_slice(&body);
        let hash = blake3::hash(&out);
        out.extend_from_slice(hash.as_bytes());
        Ok(out)
    }

    /// Reads a batch file; `name` names it in errors. Only the form is checked: the rules are the executor's.
    ///
    /// # Errors
    /// [`FormatError`].
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self, FormatError> {
        let name = || name.to_owned();
        let found = bytes.len();
        let too_short = || FormatError::TooShort { name: name(), found };
        let (magic, rest) = bytes.split_first_chunk::<8>().ok_or_else(too_short)?;
        if magic != MAGIC {
            return Err(FormatError::Magic { name: name(), found: *magic });
        }
        let (version, rest) = rest.split_first_chunk::<4>().ok_or_else(too_short)?;
        let version = u32::from_le_bytes(*version);
        if version != FORMAT_VERSION {
            return Err(FormatError::Version { name: name(), found: version });
        }
        let (length, rest) = rest.split_first_chunk::<8>().ok_or_else(too_short)?;
        let (body, stored) = rest.split_last_chunk::<HASH_BYTES>().ok_or_else(too_short)?;
        let length = u64::from_le_bytes(*length);
        if body.len() as u64 != length {
            let expected = u128::from(length) + (HEAD_BYTES + HASH_BYTES) as u128;
            return Err(FormatError::Length { name: name(), expected, found });
        }
        let expected = blake3::Hash::from_bytes(*stored);
        let hash = blake3::hash(&bytes[..found - HASH_BYTES]);
        if hash != expected {
            return Err(FormatError::Hash { name: name(), expected, found: hash });
        }
        let malformed = |reason: String| FormatError::Body { name: name(), reason };
        let (batch, rest) = postcard::take_from_bytes(body).map_err(|e| malformed(e.to_string()))?;
        if !rest.is_empty() {
            return Err(malformed(format!("{} bytes after it", rest.len())));
        }
        Ok(batch)
    }
}
