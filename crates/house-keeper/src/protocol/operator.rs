//! What people ask: changes by hand, each of which can be rehearsed, and what was changed so far.

use ingot_job_store::{AuditEntry, Job, JobQuery};
use ingot_types::{BatchId, JobKey};
use serde::{Deserialize, Serialize};

use super::{Served, Submission};

/// A question or an order of an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperatorRequest {
    /// A change → `Changed`. It happens in full and is noted in the audit, or not at all.
    Change {
        /// Which.
        change: Change,
        /// Work out what it would do, and change nothing.
        dry_run: bool,
    },
    /// The latest changes by hand, latest first → `Audit`.
    Audit {
        /// At most so many.
        limit: u32,
    },
    /// Protocol versions that were recorded or that workers serve → `Versions`.
    Versions,
    /// Jobs by what they are → `Jobs`.
    FindJobs(JobQuery),
}

/// The answer to an [`OperatorRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)] // beside the requests
pub enum OperatorAnswer {
    Changed(Changed),
    Audit(Vec<AuditEntry>),
    Versions(Vec<VersionInfo>),
    Jobs(Vec<Job>),
}

/// What a change is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// One job.
    Job(JobKey),
    /// A batch with its jobs.
    Batch(BatchId),
}

/// A change by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Gives failed and given-up jobs all their attempts again.
    Requeue {
        /// Which.
        target: Target,
    },
    /// Makes a done job run again, or a batch begin anew from its witness inputs.
    Restart {
        /// Which.
        target: Target,
        /// Also if jobs of the batch are leased: the leases end.
        force: bool,
    },
    /// Forgets a batch with all its jobs, or what is kept of an archived one.
    Delete {
        /// Which.
        batch: BatchId,
        /// Also if jobs of it are leased: the leases end.
        force: bool,
    },
    /// Changes a batch's priority.
    SetPriority {
        /// Which.
        batch: BatchId,
        /// Higher goes first.
        priority: i32,
    },
    /// Tells a worker to take no new work, or to take it again.
    Drain {
        /// The worker's name.
        worker: String,
        /// Whether.
        draining: bool,
    },
    /// Records the keys of a protocol version: from then on a worker with others is not let in.
    InsertVersion {
        /// Version, circuits and keys.
        served: Served,
        /// In place of other keys that are recorded.
        replace: bool,
    },
    /// A batch to prove.
    InsertBatch(Submission),
    /// Begins anew with the delivery of a proof, such as one that was refused.
    RetryDelivery {
        /// Whose proof.
        batch: BatchId,
    },
}

impl Change {
    /// What it does, in a word or two: what the audit says.
    pub fn action(&self) -> String {
        match self {
            Self::Requeue { .. } => "requeue".into(),
            Self::Restart { .. } => "restart".into(),
            Self::Delete { .. } => "delete".into(),
            Self::SetPriority { priority, .. } => format!("priority {priority}"),
            Self::Drain { draining: true, .. } => "drain".into(),
            Self::Drain { draining: false, .. } => "undrain".into(),
            Self::InsertVersion { .. } => "insert version".into(),
            Self::InsertBatch(_) => "insert batch".into(),
            Self::RetryDelivery { .. } => "retry delivery".into(),
        }
    }

    /// To what.
    pub fn target(&self) -> String {
        let name = |batch: &BatchId| format!("{}/{}", batch.chain.0, batch.batch.0);
        match self {
            Self::Requeue { target } | Self::Restart { target, .. } => match target {
                Target::Job(key) => key.to_string(),
                Target::Batch(batch) => name(batch),
            },
            Self::Delete { batch, .. } | Self::SetPriority { batch, .. } | Self::RetryDelivery { batch } => {
                name(batch)
            }
            Self::Drain { worker, .. } => worker.clone(),
            Self::InsertVersion { served, .. } => served.protocol_version.to_string(),
            Self::InsertBatch(submission) => name(&submission.batch),
        }
    }
}

/// What a change did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// In words.
    pub result: String,
    /// The jobs that it was done to, the first of them.
    pub jobs: Vec<JobKey>,
    /// Leases that end by it: the job and who has it.
    pub leases_lost: Vec<(JobKey, String)>,
}

/// A protocol version as the house keeper knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionInfo {
    /// Version, circuits and keys.
    pub served: Served,
    /// When it was recorded, in milliseconds since the Unix epoch, and by whom; `None`: workers have brought it.
    pub recorded: Option<(u64, String)>,
    /// Workers that are there and serve it.
    pub workers: Vec<String>,
}
