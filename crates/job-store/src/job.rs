//! What a job is: the part that is given, and the part that changes.

use std::sync::Arc;

use ingot_types::{BatchId, JobKey, ProtocolVersion};
use serde::{Deserialize, Serialize};

use crate::JobState;

/// A fencing token. Each lease has a new one, greater than all before it in the same store; whoever holds an old one is
/// refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Token(pub u64);

/// The name of a file that a job reads or made. The store never opens it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ArtifactName {
    /// What the file is to the job, such as `proof`.
    pub role: String,
    /// Hash of its content, as text.
    pub hash: String,
    /// Its size, in bytes.
    pub size_bytes: u64,
}

/// What is given when a job is inserted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// Its name.
    pub key: JobKey,
    /// Whose keys it needs.
    pub protocol_version: ProtocolVersion,
    /// Higher goes first.
    pub priority: i32,
    /// When its batch was sealed, in milliseconds since the Unix epoch: older batches go first.
    pub sealed_at_ms: u64,
    /// Attempts that may fail before the job is quarantined; at least 1.
    pub max_attempts: u32,
    /// The prover group it is reserved for; `None`: any.
    pub group: Option<String>,
    /// The zone it is reserved for; `None`: any.
    pub zone: Option<String>,
    /// Jobs of the same batch that must be done first. Their outputs come with the lease, in this order.
    pub depends_on: Vec<JobKey>,
    /// Files it reads beside the outputs of those jobs. Where a job creates others, these are files that it made.
    pub inputs: Vec<ArtifactName>,
}

impl Status {
    /// A job in this state that nothing has happened to.
    pub const fn new(state: JobState) -> Self {
        Self { state, attempts: 0, deferrals: 0, resets: 0, last_error: None }
    }
}

/// Why an attempt came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobError {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// What happened, in words.
    pub reason: String,
}

/// The part of a job that transitions change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Where it stands.
    pub state: JobState,
    /// Attempts that failed since it was inserted, requeued, or last done.
    pub attempts: u32,
    /// Times it was put off for want of memory, disk or a device since it was inserted or requeued.
    pub deferrals: u32,
    /// Times its output turned out missing or damaged since then.
    pub resets: u32,
    /// The last failure.
    pub last_error: Option<JobError>,
}

/// A row of the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// What was given.
    pub spec: Arc<JobSpec>,
    /// The job whose completion created it: the one to run again if a file among the inputs is bad.
    pub created_by: Option<JobKey>,
    /// What changes.
    pub status: Status,
}

impl Job {
    /// Shorthand for the key.
    pub fn key(&self) -> JobKey {
        self.spec.key
    }

    /// Shorthand for the batch.
    pub fn batch(&self) -> BatchId {
        self.spec.key.batch
    }

    /// What the job made; empty unless it is done.
    pub fn outputs(&self) -> &[ArtifactName] {
        match &self.status.state {
            JobState::Done { outputs, .. } => outputs,
            _ => &[],
        }
    }
}
