//! What the executor hands to the circuits: every value of every cycle, and the batch's totals.

use ingot_circuit_set::field::Digest;
use serde::{Deserialize, Serialize};

use super::{
    elements,
    hash::digest_to_bytes,
    header::{hash_records, Header},
    record::{is_deposit, RecordWords},
    tree::{Leaf, Siblings},
    wots::Signature,
};

/// A leaf replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathUpdate {
    /// Which leaf.
    pub index: u32,
    /// Before.
    pub old: Leaf,
    /// After.
    pub new: Leaf,
    /// Nodes beside its path, bottom up: of the tree that this very update starts from.
    #[serde(with = "elements")]
    pub siblings: Siblings,
}

/// A signature and what it signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedMessage {
    /// The account's key before the debit.
    #[serde(with = "elements")]
    pub key_before: Digest,
    /// The message.
    #[serde(with = "elements")]
    pub message: Digest,
    /// The signature.
    pub signature: Signature,
}

/// One operation as the executor circuit sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cycle {
    /// Its record.
    pub record: RecordWords,
    /// The record that follows a withdrawal.
    pub payout: Option<RecordWords>,
    /// Leaf updates. Slot 0: the account of record word 1. Slot 1: a transfer's receiver, starting from the tree after slot 0.
    pub slots: [Option<PathUpdate>; 2],
    /// A withdrawal's L1 address, else zeros.
    pub address: [u32; 5],
    /// Last batch that may contain it; 0 for deposits.
    pub valid_until: u32,
    /// The authorisation of a transfer or withdrawal.
    pub signed: Option<SignedMessage>,
}

/// A batch executed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// The deployment: see [`super::header::domain`].
    pub domain: [u8; 32],
    /// The batch's number.
    pub batch: u32,
    /// Root before.
    #[serde(with = "elements")]
    pub old_root: Digest,
    /// Root after.
    #[serde(with = "elements")]
    pub new_root: Digest,
    /// Sum of all fees.
    pub fees: u64,
    /// Number of deposits.
    pub deposit_count: u32,
    /// One per operation, in order.
    pub cycles: Vec<Cycle>,
}

impl Trace {
    /// Every record in the order of the log queue: a withdrawal's payout right after it.
    pub fn records(&self) -> impl Iterator<Item = &RecordWords> {
        self.cycles.iter().flat_map(|cycle| std::iter::once(&cycle.record).chain(&cycle.payout))
    }

    /// The deposits among the records.
    pub fn deposit_records(&self) -> impl Iterator<Item = &RecordWords> {
        self.records().filter(|record| is_deposit(record[0]))
    }

    /// The records that are published.
    pub fn pubdata_records(&self) -> impl Iterator<Item = &RecordWords> {
        self.records().filter(|record| !is_deposit(record[0]))
    }

    /// The signatures to verify, in the order of the signature queue.
    pub fn signatures(&self) -> impl Iterator<Item = &SignedMessage> {
        self.cycles.iter().filter_map(|cycle| cycle.signed.as_ref())
    }

    /// The batch's header; `vk_set` commits to the verification keys (H8 of the scheduler's constants).
    pub fn header(&self, vk_set: &Digest) -> Header {
        Header {
            domain: self.domain,
            batch: u64::from(self.batch),
            old_root: digest_to_bytes(&self.old_root),
            new_root: digest_to_bytes(&self.new_root),
            pubdata_hash: hash_records(self.pubdata_records()),
            deposits_hash: hash_records(self.deposit_records()),
            deposit_count: u64::from(self.deposit_count),
            fees: self.fees,
            vk_set: digest_to_bytes(vk_set),
        }
    }
}
