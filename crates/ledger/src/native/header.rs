//! The batch header, whose hash is all that a proof says to L1.

use ingot_circuit_set::field::F;
use sha2::{Digest as _, Sha256};

use super::record::{record_bytes, Address, RecordWords};

/// First bytes of every header.
pub const MAGIC: &[u8; 16] = b"ingot-ledger-v1\0";
/// Bytes of a header.
pub const HEADER_BYTES: usize = 232;
/// Bytes of the header's hash that the public input holds.
pub const PUBLIC_INPUT_BYTES: usize = 28;

/// The deployment: SHA-256(chain id as 32 bytes, big-endian ‖ L1 contract, 20 bytes), which in Solidity is
/// `sha256(abi.encodePacked(uint256(chainId), address(this)))`.
pub fn domain(chain_id: u64, l1_contract: &Address) -> [u8; 32] {
    let mut id = [0; 32];
    id[24..].copy_from_slice(&chain_id.to_be_bytes());
    Sha256::new().chain_update(id).chain_update(l1_contract).finalize().into()
}

/// SHA-256 over the records' bytes.
pub fn hash_records<'a>(records: impl IntoIterator<Item = &'a RecordWords>) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for record in records {
        hasher.update(record_bytes(record));
    }
    hasher.finalize().into()
}

/// What a proof is about. Digests are 4 × 8 bytes big-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The deployment: see [`domain`].
    pub domain: [u8; 32],
    /// The batch's number.
    pub batch: u64,
    /// Root before.
    pub old_root: [u8; 32],
    /// Root after.
    pub new_root: [u8; 32],
    /// SHA-256 over the records of kinds 3 to 5.
    pub pubdata_hash: [u8; 32],
    /// SHA-256 over the records of kinds 1 and 2.
    pub deposits_hash: [u8; 32],
    /// Number of the latter.
    pub deposit_count: u64,
    /// Sum of all fees.
    pub fees: u64,
    /// Commitment to the verification keys.
    pub vk_set: [u8; 32],
}

impl Header {
    /// The header's bytes, integers big-endian.
    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        let mut rest = out.as_mut_slice();
        for part in [
            MAGIC.as_slice(),
            &self.domain,
            &self.batch.to_be_bytes(),
            &self.old_root,
            &self.new_root,
            &self.pubdata_hash,
            &self.deposits_hash,
            &self.deposit_count.to_be_bytes(),
            &self.fees.to_be_bytes(),
            &self.vk_set,
        ] {
            let (here, after) = rest.split_at_mut(part.len());
            here.copy_from_slice(part);
            rest = after;
        }
        out
    }

    /// `pi`: SHA-256 of the header.
    pub fn pi(&self) -> [u8; 32] {
        Sha256::digest(self.to_bytes()).into()
    }

    /// The batch's public input: see [`public_input`].
    pub fn public_input(&self) -> [F; 4] {
        public_input(&self.pi())
    }
}

/// Bytes 0 to 27 of `pi` as four limbs of 7 bytes, big-endian.
pub fn public_input(pi: &[u8; 32]) -> [F; 4] {
    std::array::from_fn(|limb| {
        let bytes = &pi[7 * limb..7 * (limb + 1)];
        F::from_nonreduced_u64(bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    })
}
