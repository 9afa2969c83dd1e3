//! A job in this process's hands.

use std::sync::{
    atomic::{AtomicBool, Ordering},
    Arc,
};

use ingot_job_store::{ArtifactName, JobSpec, Lease, Token};
use ingot_types::{JobKey, RetryClass};

use super::{Client, ClientError};
use crate::protocol::Request;

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
        client.shared().lock().held.insert((lease.job.key(), lease.token), lost.clone());
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

    /// Whether the job is no longer this process's.
    pub fn is_lost(&self) -> bool {
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
        // Heartbeats go on until the answer is there: it may be long in coming.
        let result = self.client.call(request).map(drop);
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
