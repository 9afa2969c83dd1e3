//! What people change by hand: each change happens in one part of the transaction, together with its entry in the audit.
//!
//! A rehearsal does the same and is then undone: it cannot say anything but what the change would do.

use ingot_job_store::{AuditEntry, Effect, Effects, Home, JobSpec, JobState, StateName, StoreError};
use ingot_types::{BatchId, JobKey};

use super::{
    batches::name,
    core::{denied, Core},
    PeerId,
};
use crate::protocol::{
    Change, Changed, Denial, FromHouseKeeper, Notice, OperatorAnswer, OperatorRequest, SubmitOutcome, Target,
};

/// Jobs that an answer names at most.
const MOST_NAMED: usize = 1_000;
/// Jobs that are found at once at most: an answer has to fit in a frame.
const MOST_FOUND: u32 = 20_000;

/// A change that was made, and what the engine has to do about it once it is sure.
#[derive(Default)]
struct Made {
    changed: Changed,
    effects: Effects,
    /// The batch that is not what it was.
    batch: Option<BatchId>,
    /// The worker that drains, or does not any more.
    drain: Option<(PeerId, bool)>,
}

impl Made {
    fn new(result: String, batch: Option<BatchId>, effects: Effects) -> Self {
        let mut changed = Changed { result, ..Changed::default() };
        for (key, effect) in &effects {
            if let Effect::LeaseLost { worker, .. } = effect {
                changed.leases_lost.push((*key, worker.clone()));
            }
        }
        Self { changed, effects, batch, drain: None }
    }

    fn naming(mut self, jobs: impl IntoIterator<Item = JobKey>) -> Self {
        self.changed.jobs = jobs.into_iter().take(MOST_NAMED).collect();
        self
    }
}

impl Core {
    /// What operators ask.
    pub(super) fn operator_request(
        &mut self,
        home: &mut dyn Home,
        peer: PeerId,
        request: OperatorRequest,
        now_ms: u64,
    ) -> Result<OperatorAnswer, Denial> {
        match request {
            OperatorRequest::Change { change, dry_run } => {
                self.change_by_hand(home, peer, &change, dry_run, now_ms).map(OperatorAnswer::Changed)
            }
            OperatorRequest::Audit { limit } => {
                home.audit_log(limit.min(MOST_FOUND)).map(OperatorAnswer::Audit).map_err(denied)
            }
            OperatorRequest::Versions => self.versions(home).map(OperatorAnswer::Versions).map_err(denied),
            OperatorRequest::FindJobs(mut query) => {
                query.limit = query.limit.min(MOST_FOUND);
                home.find_jobs(&query).map(OperatorAnswer::Jobs).map_err(denied)
            }
        }
    }

    /// Makes a change and notes it, or rehearses it. One that is refused is noted as well.
    pub(super) fn change_by_hand(
        &mut self,
        home: &mut dyn Home,
        peer: PeerId,
        change: &Change,
        dry_run: bool,
        now_ms: u64,
    ) -> Result<Changed, Denial> {
        let (who, origin) = match self.peers.get(peer) {
            Some(peer) => (peer.registration.name.clone(), peer.origin.clone()),
            None => Default::default(),
        };
        let entry = |result: String| AuditEntry {
            at_ms: now_ms,
            who: who.clone(),
            origin: origin.clone(),
            action: change.action(),
            target: change.target(),
            result,
        };
        let mut made = None;
        let stored = home.part(&mut |home| {
            let result = self.make(home, change, &who, now_ms);
            let done = result.as_ref().map(|made| made.changed.result.clone());
            let stored = match done {
                Ok(result) if !dry_run => home.audit(&entry(result)),
                // Whatever was begun is undone.
                Ok(_) | Err(_) => Err(StoreError::Rehearsed),
            };
            made = Some(result);
            stored
        });
        let made = match (made, stored) {
            (Some(Ok(made)), Ok(())) => made,
            (Some(Ok(made)), Err(StoreError::Rehearsed)) => return Ok(made.changed),
            (Some(Err(denial)), _) => {
                if !dry_run && matches!(denial, Denial::Refused(_) | Denial::Stale(_)) {
                    // It changes nothing, so nothing depends on whether the entry can be stored.
                    if let Err(error) = home.audit(&entry(format!("refused: {denial}"))) {
                        tracing::warn!("a refused change cannot be noted: {error}");
                    }
                }
                return Err(denial);
            }
            (_, Err(error)) => return Err(denied(error)),
            (None, Ok(())) => return Err(Denial::Refused("nothing was done".into())),
        };
        tracing::info!("{who}: {} {}: {}", change.action(), change.target(), made.changed.result);
        Ok(self.made(change, made, now_ms))
    }

    /// The engine's part of a change that the store has taken.
    fn made(&mut self, change: &Change, made: Made, now_ms: u64) -> Changed {
        let Made { changed, effects, batch, drain } = made;
        if let Some(batch) = batch {
            self.changed(batch);
        }
        self.follow(effects, now_ms);
        // A batch that came, went or begins anew: what may be sent in order is asked for again.
        self.outbox_changed = true;
        match change {
            Change::Delete { batch, .. } | Change::Restart { target: Target::Batch(batch), .. } => {
                self.leases.retain(|key, _| key.batch != *batch);
            }
            Change::InsertVersion { served, .. } => self.peers.pin(served.clone()),
            _ => {}
        }
        if let Some((id, draining)) = drain {
            self.set_draining(id, draining);
            if let Some(outbox) = self.peers.get(id).and_then(|peer| peer.outbox.clone()) {
                self.out.push(outbox, FromHouseKeeper::Notice(Notice::Drain(draining)));
            }
        }
        changed
    }

    /// The store's part of a change, and what it means.
    fn make(&self, home: &mut dyn Home, change: &Change, who: &str, now_ms: u64) -> Result<Made, Denial> {
        match change {
            Change::Requeue { target: Target::Job(key) } => {
                let effects = home.requeue(*key, now_ms).map_err(denied)?;
                let result = format!("{} has all its attempts again", state_of(home, *key)?);
                Ok(Made::new(result, Some(key.batch), effects).naming([*key]))
            }
            Change::Requeue { target: Target::Batch(batch) } => requeue_batch(home, *batch, now_ms),
            Change::Restart { target: Target::Job(key), .. } => {
                let effects = home.reset(*key, None, now_ms).map_err(denied)?;
                let result = state_of(home, *key)?;
                Ok(Made::new(result, Some(key.batch), effects).naming([*key]))
            }
            Change::Restart { target: Target::Batch(batch), force } => {
                restart_batch(home, *batch, *force, now_ms)
            }
            Change::Delete { batch, force } => delete(home, *batch, *force, now_ms),
            Change::SetPriority { batch, priority } => {
                let old = home.batch(*batch).map_err(denied)?.map(|row| row.priority);
                home.set_priority(*batch, *priority, now_ms).map_err(denied)?;
                let result = match old {
                    Some(old) => format!("priority {priority}, was {old}"),
                    None => format!("priority {priority}"),
                };
                Ok(Made::new(result, Some(*batch), Effects::new()))
            }
            Change::Drain { worker, draining } => {
                let Some((id, found)) = self.peers.named(worker) else {
                    return Err(Denial::Refused(format!("there is no worker named {worker}")));
                };
                let result = match (found.draining, draining) {
                    (true, true) => "it was draining already",
                    (false, true) => "it takes no new work",
                    (true, false) => "it takes work again",
                    (false, false) => "it was not draining",
                };
                let held = self.leases.iter().filter(|(_, lease)| lease.worker == *worker);
                let made = Made::new(result.into(), None, Effects::new()).naming(held.map(|(key, _)| *key));
                Ok(Made { drain: Some((id, *draining)), ..made })
            }
            Change::InsertVersion { served, replace } => {
                let result = self.record_version(home, served, *replace, who, now_ms)?;
                Ok(Made::new(result, None, Effects::new()))
            }
            Change::InsertBatch(submission) => {
                let (outcome, effects) = self.admit(home, submission, now_ms)?;
                let result = match outcome {
                    SubmitOutcome::Accepted => format!(
                        "accepted, protocol version {}, priority {}",
                        submission.protocol_version, submission.priority
                    ),
                    SubmitOutcome::Known => "it is there already".into(),
                };
                Ok(Made::new(result, Some(submission.batch), effects))
            }
            Change::RetryDelivery { batch } => {
                home.retry_delivery(*batch, now_ms).map_err(denied)?;
                Ok(Made::new("its proof is sent once more".into(), None, Effects::new()))
            }
        }
    }
}

/// `job … is queued`.
fn state_of(home: &dyn Home, key: JobKey) -> Result<String, Denial> {
    let job = home.job(&key).map_err(denied)?;
    Ok(match job {
        Some(job) => format!("job {key} is {} now", job.status.state.name()),
        None => format!("job {key} is gone"),
    })
}

fn unknown(batch: BatchId) -> Denial {
    Denial::Refused(format!("there is no batch {}", name(batch)))
}

fn requeue_batch(home: &mut dyn Home, batch: BatchId, now_ms: u64) -> Result<Made, Denial> {
    if home.batch(batch).map_err(denied)?.is_none() {
        return Err(unknown(batch));
    }
    let mut keys = Vec::new();
    let mut effects = Effects::new();
    for job in home.batch_jobs(batch).map_err(denied)? {
        if matches!(job.status.state.name(), StateName::Failed | StateName::Quarantined) {
            effects.extend(home.requeue(job.key(), now_ms).map_err(denied)?);
            keys.push(job.key());
        }
    }
    let result = match keys.len() {
        0 => "no job of it had failed or was given up".into(),
        1 => "1 job has all its attempts again".into(),
        more => format!("{more} jobs have all their attempts again"),
    };
    Ok(Made::new(result, Some(batch), effects).naming(keys))
}

/// The batch as it came in: only the jobs that no other created.
fn restart_batch(home: &mut dyn Home, batch: BatchId, force: bool, now_ms: u64) -> Result<Made, Denial> {
    let Some(row) = home.batch(batch).map_err(denied)? else {
        let archived = home.archived().map_err(denied)?.into_iter().any(|old| old.row.batch == batch);
        return Err(match archived {
            true => Denial::Refused(format!(
                "batch {} is archived, its jobs are forgotten: delete it and submit it again",
                name(batch)
            )),
            false => unknown(batch),
        });
    };
    check_idle(home, batch, force)?;
    let jobs = home.batch_jobs(batch).map_err(denied)?;
    let first: Vec<JobSpec> = jobs
        .iter()
        .filter(|job| job.created_by.is_none())
        .map(|job| JobSpec { priority: row.priority, ..JobSpec::clone(&job.spec) })
        .collect();
    let keys: Vec<JobKey> = first.iter().map(|spec| spec.key).collect();
    let waiting = home.deliveries(None).map_err(denied)?.into_iter().find(|delivery| delivery.batch == batch);
    let mut effects = home.remove_batch(batch, now_ms).map_err(denied)?;
    effects.extend(home.insert(first, now_ms).map_err(denied)?);
    if let Some(delivery) = waiting {
        // Whoever waits for its proof still does.
        home.expect_delivery(batch, &delivery.destination, now_ms).map_err(denied)?;
    }
    let result = format!("{} jobs forgotten, it begins anew", jobs.len());
    Ok(Made::new(result, Some(batch), effects).naming(keys))
}

fn delete(home: &mut dyn Home, batch: BatchId, force: bool, now_ms: u64) -> Result<Made, Denial> {
    let there = home.batch(batch).map_err(denied)?.is_some();
    let archived = home.archived().map_err(denied)?.into_iter().any(|old| old.row.batch == batch);
    if !there && !archived {
        return Err(unknown(batch));
    }
    let mut effects = Effects::new();
    let mut result = Vec::new();
    if there {
        check_idle(home, batch, force)?;
        let jobs: u64 = home.counts(Some(batch)).map_err(denied)?.values().sum();
        effects = home.remove_batch(batch, now_ms).map_err(denied)?;
        result.push(format!("{jobs} jobs forgotten"));
    }
    if archived {
        let files = home.forget_archived(batch).map_err(denied)?;
        result.push(format!("what was kept of it forgotten, {} files with it", files.len()));
    }
    Ok(Made::new(result.join("; "), Some(batch), effects))
}

/// Unless it is forced, nothing is taken out of a worker's hands.
fn check_idle(home: &dyn Home, batch: BatchId, force: bool) -> Result<(), Denial> {
    if force {
        return Ok(());
    }
    let jobs = home.batch_jobs(batch).map_err(denied)?;
    let mut leased = jobs.iter().filter_map(|job| match &job.status.state {
        JobState::Leased { worker, .. } => Some((job.key(), worker)),
        _ => None,
    });
    let Some((key, worker)) = leased.next() else { return Ok(()) };
    let more = match leased.count() {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    Err(Denial::Refused(format!(
        "batch {}: job {key} is leased by {worker} right now{more}; force it, or wait",
        name(batch)
    )))
}
