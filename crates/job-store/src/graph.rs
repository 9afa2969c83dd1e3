//! Readiness: what a command changes across jobs that depend on each other. Pure: rows in, [`Delta`] out.
//!
//! **Invariant:** a waiting job counts exactly its dependencies that are not done, and a job that is queued, leased or
//! failed has none. Done and quarantined jobs do not count.

use std::collections::BTreeMap;

use ingot_types::{BatchId, JobKey};

use crate::{
    insert::insert_jobs,
    state::{check_token, transition},
    Command, Delta, Effect, Event, Job, JobState, Refusal, Repair, Rows, StateName, Token,
};

/// What `command` at `now_ms` changes.
///
/// # Errors
/// A [`Refusal`] if the command does not fit the rows, or the rows' own error. Nothing is to be changed then.
pub fn plan<R: Rows>(rows: &R, command: &Command, now_ms: u64) -> Result<Delta, R::Error> {
    let mut plan = Planner { rows, delta: Delta::default() };
    match command {
        Command::Insert { jobs } => insert_jobs(&mut plan, jobs, None)?,
        Command::Lease { key, worker, expires_at_ms } => {
            let token = plan.next_token()?;
            let event = Event::Lease { token, worker: worker.clone(), expires_at_ms: *expires_at_ms };
            plan.happen(*key, &event, now_ms)?;
        }
        Command::Heartbeat { key, token, expires_at_ms } => {
            plan.happen(*key, &Event::Heartbeat { token: *token, expires_at_ms: *expires_at_ms }, now_ms)?;
        }
        Command::HandOver { key, token, worker, expires_at_ms } => {
            let event = Event::HandOver {
                token: *token,
                new_token: plan.next_token()?,
                worker: worker.clone(),
                expires_at_ms: *expires_at_ms,
            };
            plan.happen(*key, &event, now_ms)?;
        }
        Command::Complete { key, token, outputs, new_jobs } => {
            plan.happen(*key, &Event::Complete { token: *token, outputs: outputs.clone() }, now_ms)?;
            insert_jobs(&mut plan, new_jobs, Some(*key))?;
        }
        Command::Fail { key, token, class, reason, retry_at_ms } => {
            let event = Event::Fail {
                token: *token,
                class: *class,
                reason: reason.clone(),
                retry_at_ms: *retry_at_ms,
            };
            plan.happen(*key, &event, now_ms)?;
        }
        Command::Release { key, token } => plan.happen(*key, &Event::Release { token: *token }, now_ms)?,
        Command::Expire { key } => plan.happen(*key, &Event::Expire, now_ms)?,
        Command::RetryDue { key } => plan.happen(*key, &Event::RetryDue, now_ms)?,
        Command::Reset { key, reporter } => {
            if let Some((reporter, token)) = reporter {
                // A worker that lost its lease may be reporting an output that has been made again since.
                let reporting = plan.job(reporter)?;
                check_token(&reporting, *token)?;
                if !reporting.spec.depends_on.contains(key) {
                    return Err(Refusal::NotADependency { key: *key, reporter: *reporter }.into());
                }
            }
            let missing = plan.missing(&plan.job(key)?)?;
            plan.happen(*key, &Event::Reset { missing }, now_ms)?;
        }
        Command::Requeue { key } => {
            let missing = plan.missing(&plan.job(key)?)?;
            plan.happen(*key, &Event::Requeue { missing }, now_ms)?;
        }
        Command::RemoveBatch { batch } => plan.remove(*batch)?,
        Command::Reconcile => plan.reconcile()?,
    }
    Ok(plan.delta)
}

/// Rows with the changes so far on top.
pub(crate) struct Planner<'a, R: Rows> {
    rows: &'a R,
    pub(crate) delta: Delta,
}

impl<R: Rows> Planner<'_, R> {
    pub(crate) fn find(&self, key: &JobKey) -> Result<Option<Job>, R::Error> {
        match self.delta.changed.get(key) {
            Some(job) => Ok(Some(job.clone())),
            None => self.rows.get(key),
        }
    }

    fn job(&self, key: &JobKey) -> Result<Job, R::Error> {
        self.find(key)?.ok_or_else(|| Refusal::UnknownJob(*key).into())
    }

    /// How many of the job's dependencies are not done.
    pub(crate) fn missing(&self, job: &Job) -> Result<u32, R::Error> {
        let mut missing = 0;
        for dependency in &job.spec.depends_on {
            if !self.find(dependency)?.is_some_and(|d| d.status.state.is_done()) {
                missing += 1;
            }
        }
        Ok(missing)
    }

    fn next_token(&mut self) -> Result<Token, R::Error> {
        let token = Token(self.rows.last_token()?.0 + 1);
        self.delta.token = Some(token);
        Ok(token)
    }

    /// Applies an event to a job, and what follows from it to the jobs that depend on it.
    fn happen(&mut self, key: JobKey, event: &Event, now_ms: u64) -> Result<(), R::Error> {
        let mut job = self.job(&key)?;
        let (status, effects) = transition(&job, event, now_ms)?;
        job.status = status;
        self.delta.changed.insert(key, job);
        let follows = effects.iter().find_map(|effect| match effect {
            Effect::Done => Some(Event::DependencyDone),
            Effect::Undone => Some(Event::DependencyUndone),
            _ => None,
        });
        self.delta.effects.extend(effects.into_iter().map(|effect| (key, effect)));
        if let Some(event) = follows {
            for dependent in self.rows.dependents(&key)? {
                // Neither event makes a job done or undone, so this goes one level deep.
                self.happen(dependent, &event, now_ms)?;
            }
        }
        Ok(())
    }

    fn remove(&mut self, batch: BatchId) -> Result<(), R::Error> {
        self.delta.removed = self.rows.keys(Some(batch))?;
        for key in &self.delta.removed {
            if let Some(JobState::Leased { token, worker, .. }) = self.rows.get(key)?.map(|j| j.status.state)
            {
                self.delta.effects.push((*key, Effect::LeaseLost { token, worker }));
            }
        }
        Ok(())
    }

    fn reconcile(&mut self) -> Result<(), R::Error> {
        let mut done = BTreeMap::new();
        let keys = self.rows.keys(None)?;
        for key in &keys {
            done.insert(*key, self.job(key)?.status.state.is_done());
        }
        for key in keys {
            let mut job = self.job(&key)?;
            let missing = job.spec.depends_on.iter().filter(|d| done.get(d) != Some(&true)).count();
            let Some(repaired) = repair(&job.status.state, u32::try_from(missing).unwrap_or(u32::MAX)) else {
                continue;
            };
            if let JobState::Leased { token, worker, .. } = &job.status.state {
                let lost = Effect::LeaseLost { token: *token, worker: worker.clone() };
                self.delta.effects.push((key, lost));
            }
            if repaired == JobState::Queued {
                self.delta.effects.push((key, Effect::Ready));
            }
            let found = std::mem::replace(&mut job.status.state, repaired.clone());
            self.delta.repairs.push(Repair { key, found, repaired });
            self.delta.changed.insert(key, job);
        }
        Ok(())
    }
}

/// The state that agrees with the number of dependencies that are not done, if this one does not.
fn repair(state: &JobState, missing: u32) -> Option<JobState> {
    let sound = match state.name() {
        StateName::Waiting => *state == JobState::Waiting { missing } && missing > 0,
        StateName::Queued | StateName::Leased | StateName::Failed => missing == 0,
        StateName::Done | StateName::Quarantined => true,
    };
    (!sound).then(|| JobState::ready_or_waiting(missing))
}
