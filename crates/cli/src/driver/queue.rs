//! The job store as the driver's threads share it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::bail;
use ingot_job_store::{
    Filter, Job, JobStore as _, Lease, MemoryStore, Refusal, StateName, StoreError, Token,
};
use ingot_types::{BatchId, JobKey, JobKind};

use super::{
    files::{now_ms, JobFailure},
    graph::role,
    stages::{Made, Stages},
    stats::Stats,
};
use crate::ui::{Event, Ui};

/// A lease lasts this long unless prolonged. Only a machine that slept, or one at its limits, exceeds it.
const TTL_MS: u64 = 600_000;
/// How often leases are prolonged.
const HEARTBEAT: Duration = Duration::from_secs(60);

/// The queue of one batch.
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    batch: BatchId,
    stages: Arc<Stages>,
    ui: Arc<Ui>,
}

struct State {
    store: MemoryStore,
    held: BTreeMap<JobKey, Token>,
    closed: bool,
    heartbeat: Instant,
    stats: Stats,
}

impl Queue {
    pub fn new(store: MemoryStore, batch: BatchId, stages: Arc<Stages>, ui: Arc<Ui>) -> Self {
        let heartbeat = Instant::now();
        let state = State { store, held: BTreeMap::new(), closed: false, heartbeat, stats: Stats::default() };
        Self { state: Mutex::new(state), changed: Condvar::new(), batch, stages, ui }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes an event on.
    pub fn tell(&self, event: &Event) {
        self.ui.tell(event);
    }

    /// Says how many proofs there are to make, once that is known.
    pub fn announce(&self) -> Result<(), StoreError> {
        let proofs: Vec<Job> = self
            .lock()
            .store
            .batch_jobs(self.batch)?
            .into_iter()
            .filter(|j| j.key().kind == JobKind::Prove)
            .collect();
        if !proofs.is_empty() {
            let present = proofs.iter().filter(|job| job.status.state.is_done()).count() as u64;
            self.ui.tell(&Event::Plan { proofs: proofs.len() as u64, present });
        }
        Ok(())
    }

    /// The next job, waiting for one; `None` once closed.
    pub fn next(&self, worker: &str) -> Result<Option<Lease>, StoreError> {
        let filter = Filter { batch: Some(self.batch), ..Filter::default() };
        let mut state = self.lock();
        loop {
            if state.closed {
                return Ok(None);
            }
            if let Some(lease) = state.store.lease(&filter, worker, TTL_MS, now_ms())? {
                state.held.insert(lease.job.key(), lease.token);
                return Ok(Some(lease));
            }
            let due = state.store.next_deadline_ms()?.map(|at| at.saturating_sub(now_ms()));
            let wait = Duration::from_millis(due.unwrap_or(1000).clamp(1, 1000));
            state = self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Ends a job: completes it, or reports why it failed. `synthesis` and `took` are what it cost.
    pub fn finish(
        &self,
        lease: &Lease,
        result: Result<Made, JobFailure>,
        synthesis: Duration,
        took: Duration,
    ) -> Result<(), StoreError> {
        let key = lease.job.key();
        let name = self.stages.name(key);
        match result {
            Ok((outputs, new_jobs)) => {
                let proof_bytes = outputs.iter().find(|f| f.role == role::PROOF).map_or(0, |f| f.size_bytes);
                let creates = !new_jobs.is_empty();
                let mut state = self.lock();
                state.held.remove(&key);
                let done = state.store.complete(key, lease.token, outputs, new_jobs, now_ms());
                if stale(done)? {
                    return Ok(());
                }
                match key.kind {
                    JobKind::Prove => state.stats.proof(key.round, synthesis, took),
                    _ => state.stats.witness(key.round, took),
                }
                drop(state);
                self.ui.tell(&Event::job_done(key, name, synthesis, took, proof_bytes));
                if creates {
                    self.announce()?;
                }
            }
            Err(JobFailure::BadFile { maker, reason }) if maker != key => {
                self.repeat(maker, Some((key, lease.token)), &reason)?;
            }
            Err(JobFailure::BadFile { reason, .. }) => {
                self.fail(lease, name, ingot_types::RetryClass::Transient, reason)?;
            }
            Err(JobFailure::Failed { class, reason }) => self.fail(lease, name, class, reason)?,
        }
        self.changed.notify_all();
        Ok(())
    }

    fn fail(
        &self,
        lease: &Lease,
        name: String,
        class: ingot_types::RetryClass,
        reason: String,
    ) -> Result<(), StoreError> {
        let key = lease.job.key();
        let mut state = self.lock();
        state.held.remove(&key);
        if !stale(state.store.fail(key, lease.token, class, &reason, now_ms()))? {
            drop(state);
            self.ui.tell(&Event::JobFailed { job: key.to_string(), name, reason });
        }
        Ok(())
    }

    /// Makes the done job `maker` run again, on behalf of the job and lease that found its output damaged.
    pub fn repeat(
        &self,
        maker: JobKey,
        reporter: Option<(JobKey, Token)>,
        reason: &str,
    ) -> Result<(), StoreError> {
        let mut state = self.lock();
        if let Some((key, _)) = reporter {
            state.held.remove(&key);
        }
        match state.store.reset(maker, reporter, now_ms()) {
            Ok(_) => {
                drop(state);
                self.ui.tell(&Event::JobRepeated { job: maker.to_string(), reason: reason.to_owned() });
            }
            // It runs again already; what waits for it was told.
            Err(StoreError::Refused(Refusal::WrongState { .. } | Refusal::StaleToken { .. })) => {}
            Err(error) => return Err(error),
        }
        self.changed.notify_all();
        Ok(())
    }

    /// Waits up to `tick` for something to happen; whether the job `last` is done.
    ///
    /// Fails with the reason if it can no longer be done.
    pub fn watch(&self, last: &JobKey, tick: Duration) -> anyhow::Result<bool> {
        let state = self.lock();
        let mut state = self.changed.wait_timeout(state, tick).unwrap_or_else(PoisonError::into_inner).0;
        if state.heartbeat.elapsed() > HEARTBEAT {
            state.heartbeat = Instant::now();
            let held: Vec<_> = state.held.iter().map(|(key, token)| (*key, *token)).collect();
            for (key, token) in held {
                stale(state.store.heartbeat(key, token, TTL_MS, now_ms()).map(drop))?;
            }
        }
        if is_done(&state.store, last)? {
            return Ok(true);
        }
        let given_up = |job: &Job| job.status.state.name() == StateName::Quarantined;
        if let Some(job) = state.store.batch_jobs(self.batch)?.into_iter().find(given_up) {
            let reason = job.status.last_error.map_or_else(|| "no reason given".into(), |e| e.reason);
            bail!("job {} ({}) failed: {reason}", job.spec.key, self.stages.name(job.spec.key));
        }
        Ok(false)
    }

    pub fn is_done(&self, key: &JobKey) -> Result<bool, StoreError> {
        is_done(&self.lock().store, key)
    }

    pub fn job(&self, key: &JobKey) -> Result<Option<Job>, StoreError> {
        self.lock().store.job(key)
    }

    /// What it took, with the number of proofs of each round.
    pub fn stats(&self, wall: Duration) -> Result<Stats, StoreError> {
        let state = self.lock();
        let mut stats = state.stats.clone();
        for job in state.store.batch_jobs(self.batch)? {
            if job.key().kind == JobKind::Prove {
                stats.round(job.key().round).proofs += 1;
            }
        }
        stats.seconds = wall.as_secs_f64();
        Ok(stats)
    }

    /// No more jobs are given out.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    pub fn reopen(&self) {
        self.lock().closed = false;
    }

    /// Hands back every job that is still held; whoever works on one finds the lease gone.
    pub fn hand_back(&self) {
        let mut state = self.lock();
        for (key, token) in std::mem::take(&mut state.held) {
            // What cannot be handed back now is handed back when the journal is opened.
            let _ = state.store.release(key, token, now_ms());
        }
    }
}

fn is_done(store: &MemoryStore, key: &JobKey) -> Result<bool, StoreError> {
    Ok(store.job(key)?.is_some_and(|job| job.status.state.is_done()))
}

/// Whether a request came too late: the lease is someone else's now, and so is the job.
fn stale<T>(result: Result<T, StoreError>) -> Result<bool, StoreError> {
    match result {
        Ok(_) => Ok(false),
        Err(StoreError::Refused(Refusal::StaleToken { .. })) => Ok(true),
        Err(error) => Err(error),
    }
}
