//! What operators leave behind in a home, and what they look for in it.

use ingot_types::{AggregationRound, BatchId, ChainId, CircuitId, JobKind, ProtocolVersion};
use serde::{Deserialize, Serialize};

use crate::StateName;

/// A change that a person made, or wanted to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Who: the name given.
    pub who: String,
    /// Where the request came from: process and user, or an address. Empty where it is not known.
    pub origin: String,
    /// What was asked for.
    pub action: String,
    /// To what.
    pub target: String,
    /// What it did, or why it was refused.
    pub result: String,
}

/// Audit entries that are kept: the oldest go, so that nobody can fill a disk with requests.
pub const MOST_AUDIT_ENTRIES: u32 = 100_000;

/// A protocol version as an operator recorded it: the circuits and keys that every worker of it must have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRow {
    /// The version.
    pub protocol_version: ProtocolVersion,
    /// Name of the circuit set.
    pub circuit_set: String,
    /// Name of the security parameters.
    pub parameter_set: String,
    /// BLAKE3 of the key manifest, as hexadecimal text.
    pub key_manifest: String,
    /// When it was recorded, in milliseconds since the Unix epoch.
    pub recorded_at_ms: u64,
    /// Who recorded it.
    pub who: String,
}

/// Which jobs are looked for; `None` means any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobQuery {
    /// Of this chain.
    pub chain: Option<ChainId>,
    /// Of this batch.
    pub batch: Option<BatchId>,
    /// Of this kind.
    pub kind: Option<JobKind>,
    /// Of this round.
    pub round: Option<AggregationRound>,
    /// Of this circuit id, or branch.
    pub circuit_id: Option<CircuitId>,
    /// In this state.
    pub state: Option<StateName>,
    /// At most so many, by key.
    pub limit: u32,
}
