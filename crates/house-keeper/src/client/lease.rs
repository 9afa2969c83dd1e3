//! A job in this process's hands.

use std::{
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc,
    },
    time::Duration,
};

use ingot_job_store::{ArtifactName, JobSpec, Lease, Token};
use ingot_types::{JobKey, RetryClass};

use super::{control::Kept, Client, ClientError};
use crate::protocol::Request;

/// How long a refused end is waited with at first,
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// and at most.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Whether a refusal is to be waited out: handing a job back is not worth it.
fn worth_waiting(request: &Request, retry: RetryClass) -> bool {
    !matches!(request, Request::Release { .. })
        && matches!(retry, RetryClass::Transient | RetryClass::Resource)
}

/// A lease that is kept by heartbeats until it ends. The first end counts; those after it are [`ClientError::Stale`].
/// Dropped without one, the job is handed back.
#[derive(Debug)]
pub struct HeldLease {
    client: Client,
    lease: Lease,
    lost: Arc<AtomicBool>,
    ended: AtomicBool,
}

impl HeldLease {
    pub(super) fn new(client: Client, lease: Lease) -> Self {
        let lost = Arc::new(AtomicBool::new(false));
        client.shared().lock().held.insert((lease.job.key(), lease.token), Kept::new(lost.clone()));
        client.shared().changed.notify_all();
        Self { client, lease, lost, ended: AtomicBool::new(false) }
    }

    /// The lease.
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// The job.
    pub fn key(&self) -> JobKey {
        self.lease.job.key()
    }

    /// What this process proves its right with.
    pub fn token(&self) -> Token {
        self.lease.token
    }

    /// Whether the job is no longer this process's, as far as is known. While the house keeper is away, only
    /// [`super::ClientOptions::lease_ttl`] makes it lost.
    pub fn is_lost(&self) -> bool {
        let shared = self.client.shared();
        let (mut state, lease) = (shared.lock(), (self.key(), self.token()));
        if state.has_run_out(&lease, shared.options.lease_ttl()) {
            state.lose(&lease);
        }
        drop(state);
        self.lost.load(Ordering::SeqCst) || self.ended.load(Ordering::SeqCst)
    }

    /// The job is done; its outputs are stored.
    ///
    /// # Errors
    /// [`ClientError::Stale`] if it was someone else's by then.
    pub fn complete(&self, outputs: Vec<ArtifactName>, new_jobs: Vec<JobSpec>) -> Result<(), ClientError> {
        let (key, token) = (self.key(), self.token());
        self.end(Request::Complete { key, token, outputs, new_jobs })
    }

    /// The attempt failed.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn fail(&self, class: RetryClass, reason: &str) -> Result<(), ClientError> {
        self.end(Request::Fail { key: self.key(), token: self.token(), class, reason: reason.to_owned() })
    }

    /// A file that `maker` made is missing or damaged.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn bad_file(&self, maker: JobKey, reason: &str) -> Result<(), ClientError> {
        self.end(Request::BadFile { maker, key: self.key(), token: self.token(), reason: reason.to_owned() })
    }

    /// Hands it back untouched.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn release(&self) -> Result<(), ClientError> {
        self.end(Request::Release { key: self.key(), token: self.token() })
    }

    /// It was handed over: this process has nothing to do with it any more.
    pub fn forget(&self) {
        self.ended.store(true, Ordering::SeqCst);
        self.stop_heartbeats();
    }

    fn end(&self, request: Request) -> Result<(), ClientError> {
        if self.ended.swap(true, Ordering::SeqCst) {
            return Err(ClientError::Stale(format!("the lease of job {} has ended already", self.key())));
        }
        // Heartbeats go on until the answer is there: it may be long in coming. A house keeper that cannot store anything
        // (its disk is full, say) will be able to some time, and the work is done: it is told again until it can.
        let mut wait = FIRST_WAIT;
        let result = loop {
            match self.client.call(request.clone()).map(drop) {
                Err(ClientError::Unavailable { reason, retry }) if worth_waiting(&request, retry) => {
                    crate::job_log!(warn, self.key(), "its end cannot be told yet: {reason}");
                    let lost = || self.lost.load(Ordering::SeqCst);
                    if !self.client.shared().wait_unless_closing(wait) || lost() {
                        break Err(ClientError::Unavailable { reason, retry });
                    }
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
                other => break other,
            }
        };
        self.stop_heartbeats();
        result
    }

    fn stop_heartbeats(&self) {
        self.client.shared().lock().held.remove(&(self.key(), self.token()));
    }
}

impl Drop for HeldLease {
    fn drop(&mut self) {
        if !self.ended.load(Ordering::SeqCst) {
            self.stop_heartbeats();
            if !self.lost.load(Ordering::SeqCst) {
                self.client.shared().tell(Request::Release { key: self.key(), token: self.token() });
            }
        }
    }
}
