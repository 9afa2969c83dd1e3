//! Batches as they come in, and as they are reported.

use ingot_job_store::{ArtifactName, Progress};
use ingot_types::{BatchId, JobKey, ProtocolVersion};
use serde::{Deserialize, Serialize};

/// A batch to prove. Its witness inputs are in the artifact store already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// The batch.
    pub batch: BatchId,
    /// Whose circuits prove it.
    pub protocol_version: ProtocolVersion,
    /// The witness inputs; its role is `witness-inputs`.
    pub witness_inputs: ArtifactName,
    /// Higher goes first.
    pub priority: i32,
    /// When it was sealed, in milliseconds since the Unix epoch: older goes first.
    pub sealed_at_ms: u64,
    /// Attempts that each of its jobs may fail; at least 1.
    pub max_attempts: u32,
    /// Whoever waits for the proof: the destination under which a gateway asks the outbox. `None`: nobody.
    pub deliver_to: Option<String>,
}

/// What became of a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SubmitOutcome {
    /// It is new.
    Accepted,
    /// The same batch with the same inputs is there already, or was proved and archived.
    Known,
}

/// Where a batch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BatchState {
    /// Jobs are left, and some can run.
    Proving,
    /// A job was given up: see its last error.
    Stuck,
    /// Proved.
    Proved,
    /// Proved, and its jobs are forgotten; the final proof is kept.
    Archived,
}

/// A batch in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchSummary {
    /// The batch.
    pub batch: BatchId,
    /// Whose circuits prove it.
    pub protocol_version: ProtocolVersion,
    /// Higher goes first.
    pub priority: i32,
    /// When it was sealed, in milliseconds since the Unix epoch.
    pub sealed_at_ms: u64,
    /// When it came in, in milliseconds since the Unix epoch.
    pub submitted_at_ms: u64,
    /// When its last job was done, in milliseconds since the Unix epoch.
    pub proved_at_ms: Option<u64>,
    /// Where it stands.
    pub state: BatchState,
    /// How far it is.
    pub progress: Progress,
    /// Grows with every change of the batch: what `WatchBatch` compares.
    pub change: u64,
    /// What the last job of the batch made: the final proof, once there is one.
    pub outputs: Vec<ArtifactName>,
    /// The first quarantined job and the reason, if there is one.
    pub stuck_on: Option<(JobKey, String)>,
}

/// A proof that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxEntry {
    /// The batch.
    pub batch: BatchId,
    /// Whose circuits proved it.
    pub protocol_version: ProtocolVersion,
    /// What came in with it.
    pub inputs: Vec<ArtifactName>,
    /// What its last job made: the final proof.
    pub outputs: Vec<ArtifactName>,
    /// Attempts to send it that failed.
    pub attempts: u32,
    /// When the last of them was, or when it was asked for, in milliseconds since the Unix epoch.
    pub changed_at_ms: u64,
}
