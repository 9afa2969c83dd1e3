//! Proofs that somebody waits for: to whom the final proof of a batch goes, and what became of it.

use ingot_types::BatchId;
use serde::{Deserialize, Serialize};

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeliveryState {
    /// The proof is to be made or to be sent.
    Pending,
    /// The receiver has acknowledged it.
    Sent,
    /// The receiver will not have it; an operator has to look.
    Refused,
}

/// The final proof of a batch on its way to whoever asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The batch.
    pub batch: BatchId,
    /// Who asked: the name of a gateway's core.
    pub destination: String,
    /// Where it stands.
    pub state: DeliveryState,
    /// Attempts to send it that failed since it was last begun with.
    pub attempts: u32,
    /// What the last attempt found, if it failed.
    pub reason: Option<String>,
    /// When it last changed, in milliseconds since the Unix epoch.
    pub changed_at_ms: u64,
}

/// What an attempt to send a proof came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeliveryOutcome {
    /// The receiver has it, and said so.
    Acknowledged,
    /// The receiver will never take it, with its reason: no further attempt.
    Refused(String),
    /// It did not get there, and may the next time.
    Failed(String),
}
