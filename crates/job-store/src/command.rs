//! What can be asked of a store, and what an answer changes.

use std::collections::BTreeMap;

use ingot_types::{BatchId, JobKey, RetryClass};
use serde::{Deserialize, Serialize};

use crate::{ArtifactName, Effect, Job, JobSpec, JobState, Refusal, Token};

/// A change, in full: [`plan`](crate::plan) needs nothing else but the rows and the time. This is what a journal records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Adds jobs. Those that exist already with the same content are left as they are.
    Insert {
        /// The jobs, in any order.
        jobs: Vec<JobSpec>,
    },
    /// Gives a queued job to a worker.
    Lease {
        /// The job.
        key: JobKey,
        /// The worker's name.
        worker: String,
        /// In milliseconds since the Unix epoch.
        expires_at_ms: u64,
    },
    /// Prolongs a lease.
    Heartbeat {
        /// The job.
        key: JobKey,
        /// The worker's token.
        token: Token,
        /// In milliseconds since the Unix epoch.
        expires_at_ms: u64,
    },
    /// Swaps a lease for one of another worker.
    HandOver {
        /// The job.
        key: JobKey,
        /// The token so far.
        token: Token,
        /// The new worker's name.
        worker: String,
        /// In milliseconds since the Unix epoch.
        expires_at_ms: u64,
    },
    /// Completes a job and adds those that it created.
    Complete {
        /// The job.
        key: JobKey,
        /// The worker's token.
        token: Token,
        /// What it made.
        outputs: Vec<ArtifactName>,
        /// The jobs it created, in any order.
        new_jobs: Vec<JobSpec>,
    },
    /// Reports a failed attempt.
    Fail {
        /// The job.
        key: JobKey,
        /// The worker's token.
        token: Token,
        /// What another attempt would be worth.
        class: RetryClass,
        /// What happened, in words.
        reason: String,
        /// When to try again, in milliseconds since the Unix epoch.
        retry_at_ms: u64,
    },
    /// Hands a job back untouched.
    Release {
        /// The job.
        key: JobKey,
        /// The worker's token.
        token: Token,
    },
    /// Ends a lease that ran out.
    Expire {
        /// The job.
        key: JobKey,
    },
    /// Queues a failed job whose time has come.
    RetryDue {
        /// The job.
        key: JobKey,
    },
    /// Makes a job run again because its output is bad.
    Reset {
        /// The job.
        key: JobKey,
        /// The job whose worker found out, and its token; `None`: an operator.
        reporter: Option<(JobKey, Token)>,
    },
    /// Gives a failed or quarantined job all its attempts again.
    Requeue {
        /// The job.
        key: JobKey,
    },
    /// Forgets a batch with all its jobs.
    RemoveBatch {
        /// The batch.
        batch: BatchId,
    },
    /// Compares every job with its dependencies, and repairs.
    Reconcile,
}

/// What a plan reads: the rows of any home.
pub trait Rows {
    /// What can go wrong when reading; refusals among it.
    type Error: From<Refusal>;

    /// One job.
    ///
    /// # Errors
    /// If the home cannot be read.
    fn get(&self, key: &JobKey) -> Result<Option<Job>, Self::Error>;

    /// The jobs that depend on one.
    ///
    /// # Errors
    /// If the home cannot be read.
    fn dependents(&self, key: &JobKey) -> Result<Vec<JobKey>, Self::Error>;

    /// All jobs, or those of one batch.
    ///
    /// # Errors
    /// If the home cannot be read.
    fn keys(&self, batch: Option<BatchId>) -> Result<Vec<JobKey>, Self::Error>;

    /// The greatest token given out so far.
    ///
    /// # Errors
    /// If the home cannot be read.
    fn last_token(&self) -> Result<Token, Self::Error>;
}

/// What a command changes. A home stores all of it or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// New and changed rows.
    pub changed: BTreeMap<JobKey, Job>,
    /// Rows to remove.
    pub removed: Vec<JobKey>,
    /// The token that was given out, if one was.
    pub token: Option<Token>,
    /// What follows, in order.
    pub effects: Effects,
    /// What a reconciliation found wrong.
    pub repairs: Vec<Repair>,
}

/// What a change means to the jobs it touched.
pub type Effects = Vec<(JobKey, Effect)>;

/// A state that did not agree with the dependencies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    /// The job.
    pub key: JobKey,
    /// What it was.
    pub found: JobState,
    /// What it is now.
    pub repaired: JobState,
}
