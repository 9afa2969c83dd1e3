//! Following a batch through the appliance: what the house keeper says of it, as events.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{bail, Context as _};
use ingot_house_keeper::{
    client::Client,
    protocol::{Answer, BatchState, BatchSummary, Request},
};
use ingot_job_store::{Job, JobState, StateName};
use ingot_types::{BatchId, JobKey, JobKind};

use super::Stats;
use crate::{
    interrupt::{self, Interrupted},
    ui::{Event, Ui},
};

/// How long the house keeper may keep an answer back while nothing changes: how soon an interruption is noticed.
const WAIT: Duration = Duration::from_millis(250);
/// Batches with more jobs than this are followed by their counts alone.
const MOST_JOBS: u64 = 2_000;

/// A batch while it is proved.
pub(crate) struct Follower<'a> {
    client: &'a Client,
    ui: &'a Ui,
    batch: BatchId,
    name: &'a dyn Fn(JobKey) -> String,
    jobs: BTreeMap<JobKey, Seen>,
    announced: u64,
    stats: Stats,
    start: Instant,
}

/// A job when it was last looked at.
#[derive(Clone)]
struct Seen {
    state: StateName,
    attempts: u32,
    /// Who has it.
    worker: Option<String>,
    since: Instant,
    /// How long the worker before this one had it: a prove job is synthesized by one and proved by another.
    before: Duration,
}

impl<'a> Follower<'a> {
    pub fn new(client: &'a Client, ui: &'a Ui, batch: BatchId, name: &'a dyn Fn(JobKey) -> String) -> Self {
        let start = Instant::now();
        Self { client, ui, batch, name, jobs: BTreeMap::new(), announced: 0, stats: Stats::default(), start }
    }

    /// Until the batch is proved. `alive` is asked often whether the appliance still can.
    ///
    /// # Errors
    /// If a job was given up, with its reason; if asked to stop; what `alive` says.
    pub fn until_proved(
        mut self,
        mut alive: impl FnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<(BatchSummary, Stats)> {
        let mut known = None;
        loop {
            if interrupt::requested() {
                return Err(Interrupted.into());
            }
            alive()?;
            let wait_ms = u64::try_from(WAIT.as_millis()).unwrap_or(u64::MAX);
            let request = Request::WatchBatch { batch: self.batch, known, wait_ms };
            let Answer::Batch(summary) = self.client.call(request)? else {
                bail!("the house keeper answers something else")
            };
            let summary = *summary.with_context(|| {
                format!("batch {}/{} was removed", self.batch.chain.0, self.batch.batch.0)
            })?;
            if known != Some(summary.change) {
                known = Some(summary.change);
                self.look(&summary)?;
            }
            match summary.state {
                BatchState::Proved | BatchState::Archived => {
                    self.stats.seconds = self.start.elapsed().as_secs_f64();
                    return Ok((summary, self.stats));
                }
                BatchState::Stuck => {
                    let (job, reason) =
                        summary.stuck_on.context("the batch is stuck, and no job says why")?;
                    bail!("job {job} ({}) failed: {reason}", (self.name)(job));
                }
                BatchState::Proving => {}
            }
        }
    }

    fn look(&mut self, summary: &BatchSummary) -> anyhow::Result<()> {
        if summary.progress.jobs > MOST_JOBS {
            return Ok(());
        }
        let Answer::Jobs(jobs) = self.client.call(Request::Jobs { batch: self.batch })? else {
            bail!("the house keeper answers something else")
        };
        let first = self.jobs.is_empty();
        let proofs = jobs.iter().filter(|job| job.key().kind == JobKind::Prove);
        let (total, done) = proofs
            .fold((0, 0), |(total, done), job| (total + 1, done + u64::from(job.status.state.is_done())));
        if total > self.announced {
            self.announced = total;
            self.ui.tell(&Event::Plan { proofs: total, present: done });
        }
        for job in &jobs {
            self.compare(job, first);
        }
        for round in self.stats.rounds.values_mut() {
            round.proofs = 0;
        }
        for job in jobs.iter().filter(|job| job.key().kind == JobKind::Prove) {
            self.stats.rounds.entry(job.key().round).or_default().proofs += 1;
        }
        Ok(())
    }

    /// Tells what happened to a job since it was last looked at.
    fn compare(&mut self, job: &Job, first: bool) {
        let (key, state, now) = (job.key(), job.status.state.name(), Instant::now());
        let worker = match &job.status.state {
            JobState::Leased { worker, .. } => Some(worker.clone()),
            _ => None,
        };
        let attempts = job.status.attempts;
        let old = self.jobs.get(&key).cloned();
        if old
            .as_ref()
            .is_some_and(|old| (old.state, old.attempts, &old.worker) == (state, attempts, &worker))
        {
            return;
        }
        let handed_over = match &old {
            Some(old) if old.worker.is_some() && worker.is_some() => now.duration_since(old.since),
            _ => Duration::ZERO,
        };
        self.jobs.insert(key, Seen { state, attempts, worker, since: now, before: handed_over });
        if handed_over > Duration::ZERO {
            return;
        }
        if first {
            // What was there before is not news.
            return;
        }
        let id = key.to_string();
        let name = (self.name)(key);
        let reason = || job.status.last_error.as_ref().map(|e| e.reason.clone()).unwrap_or_default();
        match (old, state) {
            (Some(old), StateName::Waiting | StateName::Queued | StateName::Leased)
                if old.state == StateName::Done =>
            {
                self.ui.tell(&Event::JobRepeated { job: id, reason: reason() });
            }
            (_, StateName::Leased) => self.ui.tell(&Event::JobStarted { job: id, name }),
            (old, StateName::Done) => {
                let leased = old.filter(|old| old.state == StateName::Leased);
                let (before, took) = leased.map_or((Duration::ZERO, Duration::ZERO), |old| {
                    (old.before, now.duration_since(old.since))
                });
                let proof =
                    job.outputs().iter().find(|file| file.role == "proof").map_or(0, |f| f.size_bytes);
                let round = self.stats.rounds.entry(key.round).or_default();
                match key.kind {
                    JobKind::Witness => round.witness_seconds += took.as_secs_f64(),
                    _ => {
                        round.made_now += 1;
                        round.synthesis_seconds += before.as_secs_f64();
                        round.proving_seconds += took.as_secs_f64();
                    }
                }
                self.ui.tell(&Event::JobDone {
                    job: id,
                    name,
                    synthesis_seconds: before.as_secs_f64(),
                    seconds: took.as_secs_f64(),
                    proof_bytes: proof,
                });
            }
            (Some(old), StateName::Failed | StateName::Queued | StateName::Quarantined)
                if attempts > old.attempts =>
            {
                self.ui.tell(&Event::JobFailed { job: id, name, reason: reason() });
            }
            _ => {}
        }
    }
}
