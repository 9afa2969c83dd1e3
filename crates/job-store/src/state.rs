//! The state machine of one job: a pure function from (job, event, time) to (status, effects).
//!
//! ```text
//!             dependencies done           lease                 complete
//!   waiting ───────────────────▶ queued ─────────▶ leased ─────────────────▶ done
//!      ▲                          ▲  ▲               │ │                       │
//!      │        a dependency is   │  │   release,    │ │ fail                  │ its output is bad
//!      ├───────────── undone ─────┤  └── expire ─────┘ ▼                       │
//!      │                          └──── retry due ── failed                    │
//!      └───────────────────────────────────────────────────────────────────────┘
//!                 no attempt left, or no attempt can help:  quarantined ── requeue ──▶ queued
//! ```

use ingot_types::RetryClass;
use serde::{Deserialize, Serialize};

use crate::{ArtifactName, Job, JobError, Refusal, Status, Token};

/// Where a job stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobState {
    /// Depends on jobs that are not done.
    Waiting {
        /// How many; never 0.
        missing: u32,
    },
    /// Ready for any worker.
    Queued,
    /// A worker has it.
    Leased {
        /// What the worker proves its right with.
        token: Token,
        /// Its name.
        worker: String,
        /// When it counts as lost, in milliseconds since the Unix epoch.
        expires_at_ms: u64,
    },
    /// The last attempt failed; it becomes queued at the time given.
    Failed {
        /// In milliseconds since the Unix epoch.
        retry_at_ms: u64,
    },
    /// Its outputs are stored.
    Done {
        /// The lease under which it was completed.
        token: Token,
        /// What it made.
        outputs: Vec<ArtifactName>,
    },
    /// It is tried no more until an operator requeues it; [`Status::last_error`] says why.
    Quarantined,
}

/// [`JobState`] without its fields: for counting, matching and messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs)] // the variants are JobState's
pub enum StateName {
    Waiting,
    Queued,
    Leased,
    Failed,
    Done,
    Quarantined,
}

impl StateName {
    /// The lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Queued => "queued",
            Self::Leased => "leased",
            Self::Failed => "failed",
            Self::Done => "done",
            Self::Quarantined => "quarantined",
        }
    }
}

impl std::fmt::Display for StateName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

impl JobState {
    /// Which state it is.
    pub const fn name(&self) -> StateName {
        match self {
            Self::Waiting { .. } => StateName::Waiting,
            Self::Queued => StateName::Queued,
            Self::Leased { .. } => StateName::Leased,
            Self::Failed { .. } => StateName::Failed,
            Self::Done { .. } => StateName::Done,
            Self::Quarantined => StateName::Quarantined,
        }
    }

    /// Whether the job is done.
    pub const fn is_done(&self) -> bool {
        matches!(self, Self::Done { .. })
    }

    /// When time alone changes this state, in milliseconds since the Unix epoch.
    pub const fn deadline_ms(&self) -> Option<u64> {
        match self {
            Self::Leased { expires_at_ms: at, .. } | Self::Failed { retry_at_ms: at } => Some(*at),
            _ => None,
        }
    }

    /// The state of a job with this many dependencies that are not done.
    pub const fn ready_or_waiting(missing: u32) -> Self {
        match missing {
            0 => Self::Queued,
            missing => Self::Waiting { missing },
        }
    }

    /// The token of the lease, if there is one.
    const fn held(&self) -> Option<Token> {
        match self {
            Self::Leased { token, .. } => Some(*token),
            _ => None,
        }
    }
}

/// What happens to a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A job it depends on was completed.
    DependencyDone,
    /// A job it depends on is no longer done: its output turned out bad.
    DependencyUndone,
    /// A worker takes it.
    Lease {
        /// A token never used before.
        token: Token,
        /// The worker's name.
        worker: String,
        /// In milliseconds since the Unix epoch.
        expires_at_ms: u64,
    },
    /// The worker is alive.
    Heartbeat {
        /// The worker's token.
        token: Token,
        /// The lease lasts until then at least, in milliseconds since the Unix epoch.
        expires_at_ms: u64,
    },
    /// The worker gives the lease to another in one step; the old token is fenced.
    HandOver {
        /// The token so far.
        token: Token,
        /// A token never used before.
        new_token: Token,
        /// The new worker's name.
        worker: String,
        /// In milliseconds since the Unix epoch.
        expires_at_ms: u64,
    },
    /// The worker is done; its outputs are stored.
    Complete {
        /// The worker's token.
        token: Token,
        /// What it made.
        outputs: Vec<ArtifactName>,
    },
    /// The worker's attempt failed.
    Fail {
        /// The worker's token.
        token: Token,
        /// What another attempt would be worth.
        class: RetryClass,
        /// What happened, in words.
        reason: String,
        /// When to try again if there is an attempt left, in milliseconds since the Unix epoch.
        retry_at_ms: u64,
    },
    /// The worker hands the job back untouched, because it is stopping: no attempt is burned.
    Release {
        /// The worker's token.
        token: Token,
    },
    /// The lease ran out. Counts as an attempt: a job that kills its worker must not be tried for ever.
    Expire,
    /// The time to try again has come.
    RetryDue,
    /// Its output is missing or damaged. It runs again with all its attempts, but only [`JobSpec::max_attempts`] times:
    /// a disk that eats every output must not keep it running.
    ///
    /// [`JobSpec::max_attempts`]: crate::JobSpec::max_attempts
    Reset {
        /// Dependencies that are not done.
        missing: u32,
    },
    /// An operator wants it tried again, with all its attempts.
    Requeue {
        /// Dependencies that are not done.
        missing: u32,
    },
}

/// What follows from a transition, for the rest of the graph and for those who watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It became queued: workers may be woken.
    Ready,
    /// A lease ended without its holder's doing: the holder should stop.
    LeaseLost {
        /// The token that is no longer good.
        token: Token,
        /// Who held it.
        worker: String,
    },
    /// It is done: what waits on it has one dependency less.
    Done,
    /// It was done and is no longer: what waits on it has one dependency more.
    Undone,
    /// It needs an operator.
    Quarantined,
}

/// What `event` at `now_ms` makes of `job`.
///
/// # Errors
/// A [`Refusal`] if the event does not fit the job's state, or comes from someone whose lease has ended. The job is then
/// as it was.
pub fn transition(job: &Job, event: &Event, now_ms: u64) -> Result<(Status, Vec<Effect>), Refusal> {
    let old = &job.status;
    let mut new = old.clone();
    let mut effects = Vec::new();
    match event {
        Event::DependencyDone => match old.state {
            JobState::Waiting { missing } => {
                new.state = JobState::ready_or_waiting(missing.saturating_sub(1));
            }
            // A job that is done or given up does not count its dependencies; it counts them when it is revived.
            JobState::Done { .. } | JobState::Quarantined => {}
            _ => return Err(wrong_state(job, "waiting")),
        },
        Event::DependencyUndone => match &old.state {
            JobState::Waiting { missing } => {
                new.state = JobState::Waiting { missing: missing.saturating_add(1) }
            }
            JobState::Queued | JobState::Failed { .. } => new.state = JobState::Waiting { missing: 1 },
            JobState::Leased { token, worker, .. } => {
                effects.push(Effect::LeaseLost { token: *token, worker: worker.clone() });
                new.state = JobState::Waiting { missing: 1 };
            }
            JobState::Done { .. } | JobState::Quarantined => {}
        },
        Event::Lease { token, worker, expires_at_ms } => {
            if old.state != JobState::Queued {
                return Err(wrong_state(job, "queued"));
            }
            new.state =
                JobState::Leased { token: *token, worker: worker.clone(), expires_at_ms: *expires_at_ms };
        }
        Event::Heartbeat { token, expires_at_ms } => {
            check_token(job, *token)?;
            if let JobState::Leased { expires_at_ms: current, .. } = &mut new.state {
                *current = (*current).max(*expires_at_ms);
            }
        }
        Event::HandOver { token, new_token, worker, expires_at_ms } => {
            check_token(job, *token)?;
            new.state =
                JobState::Leased { token: *new_token, worker: worker.clone(), expires_at_ms: *expires_at_ms };
        }
        Event::Complete { token, outputs } => {
            check_token(job, *token)?;
            new.state = JobState::Done { token: *token, outputs: outputs.clone() };
            effects.push(Effect::Done);
        }
        Event::Fail { token, class, reason, retry_at_ms } => {
            check_token(job, *token)?;
            new.last_error = Some(JobError { at_ms: now_ms, reason: reason.clone() });
            new.state = JobState::Failed { retry_at_ms: *retry_at_ms };
            match class {
                RetryClass::Transient => burn_attempt(job, &mut new),
                RetryClass::Resource => new.deferrals = old.deferrals.saturating_add(1),
                RetryClass::Deterministic => {
                    new.attempts = old.attempts.saturating_add(1);
                    new.state = JobState::Quarantined;
                }
            }
        }
        Event::Release { token } => {
            check_token(job, *token)?;
            new.state = JobState::Queued;
        }
        Event::Expire => match &old.state {
            JobState::Leased { token, worker, expires_at_ms } => {
                if now_ms < *expires_at_ms {
                    return Err(Refusal::NotYet { key: job.key(), due_at_ms: *expires_at_ms, now_ms });
                }
                effects.push(Effect::LeaseLost { token: *token, worker: worker.clone() });
                let reason = format!("lease of worker {worker} ran out");
                new.last_error = Some(JobError { at_ms: now_ms, reason });
                new.state = JobState::Queued;
                burn_attempt(job, &mut new);
            }
            _ => return Err(wrong_state(job, "leased")),
        },
        Event::RetryDue => match old.state {
            JobState::Failed { retry_at_ms } if now_ms < retry_at_ms => {
                return Err(Refusal::NotYet { key: job.key(), due_at_ms: retry_at_ms, now_ms });
            }
            JobState::Failed { .. } => new.state = JobState::Queued,
            _ => return Err(wrong_state(job, "failed")),
        },
        Event::Reset { missing } => {
            if !old.state.is_done() {
                return Err(wrong_state(job, "done"));
            }
            effects.push(Effect::Undone);
            new.last_error =
                Some(JobError { at_ms: now_ms, reason: "its output is missing or damaged".into() });
            new.attempts = 0;
            new.deferrals = 0;
            new.resets = old.resets.saturating_add(1);
            new.state = match old.resets < job.spec.max_attempts {
                true => JobState::ready_or_waiting(*missing),
                false => JobState::Quarantined,
            };
        }
        Event::Requeue { missing } => match old.state {
            JobState::Failed { .. } | JobState::Quarantined => {
                new.attempts = 0;
                new.deferrals = 0;
                new.resets = 0;
                new.state = JobState::ready_or_waiting(*missing);
            }
            _ => return Err(wrong_state(job, "failed or quarantined")),
        },
    }
    if new.state.name() != old.state.name() {
        match new.state {
            JobState::Queued => effects.push(Effect::Ready),
            JobState::Quarantined => effects.push(Effect::Quarantined),
            _ => {}
        }
    }
    Ok((new, effects))
}

/// Counts a failed attempt, and gives up if it was the last.
fn burn_attempt(job: &Job, new: &mut Status) {
    new.attempts = new.attempts.saturating_add(1);
    if new.attempts >= job.spec.max_attempts {
        new.state = JobState::Quarantined;
    }
}

/// Whether the holder of `token` has the job.
pub(crate) fn check_token(job: &Job, token: Token) -> Result<(), Refusal> {
    match &job.status.state {
        JobState::Done { token: done, .. } if *done == token => {
            Err(Refusal::AlreadyDone { key: job.key(), token })
        }
        state if state.held() == Some(token) => Ok(()),
        state => {
            Err(Refusal::StaleToken { key: job.key(), given: token, held: state.held(), state: state.name() })
        }
    }
}

fn wrong_state(job: &Job, expected: &'static str) -> Refusal {
    Refusal::WrongState { key: job.key(), expected, found: job.status.state.name() }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
