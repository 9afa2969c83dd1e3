//! The house keeper as workers see it. [`RemoteHouseKeeper`](crate::remote::RemoteHouseKeeper) makes the one that ships;
//! tests bring others.

use std::{
    collections::BTreeMap,
    sync::{mpsc, Arc},
    time::Duration,
};

use ingot_house_keeper::protocol::{Grant, Notice, ProverLoad};
use ingot_job_store::{CountKey, Filter, Lease, Token};
use ingot_types::{JobKey, RetryClass};

use crate::{stop::Stop, work::Made};

/// Why a request came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// The lease is no longer the worker's, and so is the job: whatever was made is of no use.
    #[error("the lease is gone: {0}")]
    Stale(String),
    /// Anything else.
    #[error("{reason}")]
    Failed {
        /// What another request would be worth.
        class: RetryClass,
        /// What happened.
        reason: String,
    },
}

impl QueueError {
    /// How a failed attempt with this error is to be treated.
    pub fn retry_class(&self) -> RetryClass {
        match self {
            Self::Stale(_) => RetryClass::Transient,
            Self::Failed { class, .. } => *class,
        }
    }
}

/// The connection to the house keeper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// It answers.
    Connected,
    /// It does not, for this reason.
    Waiting(String),
}

/// Where workers get jobs from. Calls wait through interruptions of the connection.
pub trait JobQueue: Send + Sync + 'static {
    /// How the connection is.
    fn link(&self) -> LinkState;

    /// The first job that fits, waiting up to `wait` for one, or until `stop` is raised.
    ///
    /// # Errors
    /// [`QueueError`].
    fn lease(
        &self,
        filter: Filter,
        wait: Duration,
        stop: &Stop,
    ) -> Result<Option<Arc<dyn HeldJob>>, QueueError>;

    /// Swaps a sender's lease for one of this prover.
    ///
    /// # Errors
    /// [`QueueError::Stale`] if the sender no longer had it.
    fn hand_over(&self, key: JobKey, token: Token) -> Result<Arc<dyn HeldJob>, QueueError>;

    /// Says whether the slab of a reservation was set aside.
    ///
    /// # Errors
    /// [`QueueError`].
    fn slab_reserved(&self, ticket: u64, accepted: bool) -> Result<(), QueueError>;

    /// Says that a grant is of no use any more.
    ///
    /// # Errors
    /// [`QueueError`].
    fn slab_returned(&self, ticket: u64) -> Result<(), QueueError>;

    /// Says how busy a prover is. Nobody waits for it.
    fn load(&self, load: ProverLoad);

    /// Says what the worker is doing. Nobody waits for it.
    fn status(&self, text: &str);

    /// Says that the worker is stopping.
    fn draining(&self);

    /// How many jobs there are.
    ///
    /// # Errors
    /// [`QueueError`].
    fn counts(&self) -> Result<BTreeMap<CountKey, u64>, QueueError>;

    /// What the house keeper says unasked; once.
    fn notices(&self) -> Option<mpsc::Receiver<Notice>>;

    /// Ends the connection, `limit` at most.
    fn close(&self, limit: Duration);
}

/// A job in this worker's hands. It is kept by heartbeats until it ends in one of the ways below; the first one counts,
/// and the others then fail with [`QueueError::Stale`]. Dropped, it is released.
pub trait HeldJob: Send + Sync {
    /// The lease.
    fn lease(&self) -> &Lease;

    /// Whether it is no longer this worker's.
    fn is_lost(&self) -> bool;

    /// The job is done.
    ///
    /// # Errors
    /// [`QueueError::Stale`] if it was someone else's by then.
    fn complete(&self, made: Made) -> Result<(), QueueError>;

    /// The attempt failed.
    ///
    /// # Errors
    /// [`QueueError`].
    fn fail(&self, class: RetryClass, reason: &str) -> Result<(), QueueError>;

    /// A file that `maker` made is bad.
    ///
    /// # Errors
    /// [`QueueError`].
    fn bad_file(&self, maker: JobKey, reason: &str) -> Result<(), QueueError>;

    /// Hands it back untouched.
    ///
    /// # Errors
    /// [`QueueError`].
    fn release(&self) -> Result<(), QueueError>;

    /// It was handed over to a prover: this worker has nothing to do with it any more.
    fn forget(&self);

    /// A slab of a prover for `bytes` of witness vector, waiting up to `wait` for one, or until `stop` is raised.
    ///
    /// # Errors
    /// [`QueueError`].
    fn slab(&self, bytes: u64, wait: Duration, stop: &Stop) -> Result<Option<Grant>, QueueError>;
}
