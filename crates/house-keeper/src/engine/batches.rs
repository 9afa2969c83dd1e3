//! Batches: how they come in, how far they are, and what operators do to them and to jobs.

use ingot_job_store::{Home, JobSpec, StoreError};
use ingot_types::{AggregationRound, BatchId, CircuitId, JobKey, JobKind};

use super::{
    core::{denied, Core},
    PeerId,
};
use crate::protocol::{
    Answer, BatchState, BatchSummary, Denial, FromHouseKeeper, Notice, Request, Submission, SubmitOutcome,
};

/// The role of the file that a batch comes in with.
pub const WITNESS_INPUTS: &str = "witness-inputs";

/// The job that a batch begins with: witness generation of round 0, which creates all others.
pub const fn first_job(batch: BatchId) -> JobKey {
    JobKey {
        batch,
        kind: JobKind::Witness,
        round: AggregationRound::Basic,
        circuit_id: CircuitId(0),
        depth: 0,
        sequence: 0,
    }
}

impl Core {
    /// What operators and gateways ask.
    pub(super) fn batch_request(
        &mut self,
        home: &mut dyn Home,
        peer: PeerId,
        request: Request,
        now_ms: u64,
    ) -> Result<Answer, Denial> {
        match request {
            Request::Submit(submission) => self.submit(home, submission, now_ms).map(Answer::Submitted),
            Request::Batches { archived } => {
                self.batches(home, archived).map(Answer::Batches).map_err(denied)
            }
            Request::Jobs { batch } => home.batch_jobs(batch).map(Answer::Jobs).map_err(denied),
            Request::Job { key } => {
                home.job(&key).map(|job| Answer::Jobs(job.into_iter().collect())).map_err(denied)
            }
            Request::Counts { batch } => home.counts(batch).map(Answer::Counts).map_err(denied),
            Request::Workers => Ok(Answer::Workers(self.workers())),
            Request::Requeue { key } => {
                let effects = home.requeue(key, now_ms).map_err(denied)?;
                self.note(home, peer, "requeue", key.to_string(), now_ms)?;
                self.changed(key.batch);
                self.follow(effects, now_ms);
                Ok(Answer::Done)
            }
            Request::Restart { key } => {
                let effects = home.reset(key, None, now_ms).map_err(denied)?;
                self.note(home, peer, "restart", key.to_string(), now_ms)?;
                self.follow(effects, now_ms);
                Ok(Answer::Done)
            }
            Request::RemoveBatch { batch } => {
                if home.batch(batch).map_err(denied)?.is_none() {
                    return Err(Denial::Refused(format!(
                        "there is no batch {}/{}",
                        batch.chain.0, batch.batch.0
                    )));
                }
                let effects = home.remove_batch(batch, now_ms).map_err(denied)?;
                self.note(home, peer, "remove", name(batch), now_ms)?;
                self.changed(batch);
                self.follow(effects, now_ms);
                self.leases.retain(|key, _| key.batch != batch);
                Ok(Answer::Done)
            }
            Request::SetPriority { batch, priority } => {
                home.set_priority(batch, priority, now_ms).map_err(denied)?;
                self.note(home, peer, &format!("priority {priority}"), name(batch), now_ms)?;
                self.changed(batch);
                Ok(Answer::Done)
            }
            Request::Drain { worker, draining } => {
                let Some((id, found)) = self.peers.named(&worker) else {
                    return Err(Denial::Refused(format!("there is no worker named {worker}")));
                };
                let outbox = found.outbox.clone();
                self.note(home, peer, if draining { "drain" } else { "undrain" }, worker, now_ms)?;
                self.set_draining(id, draining);
                if let Some(outbox) = outbox {
                    self.out.push(outbox, FromHouseKeeper::Notice(Notice::Drain(draining)));
                }
                Ok(Answer::Done)
            }
            _ => Err(Denial::Refused("no such request".into())),
        }
    }

    /// Who did what by hand stays on record.
    fn note(
        &self,
        home: &mut dyn Home,
        peer: PeerId,
        action: &str,
        target: String,
        now_ms: u64,
    ) -> Result<(), Denial> {
        let who = self.peers.get(peer).map(|peer| peer.registration.name.clone()).unwrap_or_default();
        home.audit(&who, action, &target, now_ms).map_err(denied)
    }

    fn submit(
        &mut self,
        home: &mut dyn Home,
        submission: Submission,
        now_ms: u64,
    ) -> Result<SubmitOutcome, Denial> {
        let batch = submission.batch;
        if submission.witness_inputs.role != WITNESS_INPUTS {
            return Err(Denial::Refused(format!(
                "the file of batch {} has the role {}: expected {WITNESS_INPUTS}",
                name(batch),
                submission.witness_inputs.role
            )));
        }
        let archived =
            home.archived().map_err(denied)?.into_iter().find(|archived| archived.row.batch == batch);
        if let Some(archived) = archived {
            return match archived.inputs.contains(&submission.witness_inputs) {
                true => Ok(SubmitOutcome::Known),
                false => Err(Denial::Refused(format!("batch {} was proved with other inputs", name(batch)))),
            };
        }
        let known = home.batch(batch).map_err(denied)?.is_some();
        if !known {
            self.intake.clone().map_err(Denial::Unavailable)?;
        }
        let first = JobSpec {
            key: first_job(batch),
            protocol_version: submission.protocol_version,
            priority: submission.priority,
            sealed_at_ms: submission.sealed_at_ms,
            max_attempts: submission.max_attempts,
            group: None,
            zone: None,
            depends_on: Vec::new(),
            inputs: vec![submission.witness_inputs],
        };
        let effects = home.insert(vec![first], now_ms).map_err(denied)?;
        self.changed(batch);
        self.follow(effects, now_ms);
        if !known {
            tracing::info!(BATCH = batch.batch.0, "batch {} came in", name(batch));
        }
        Ok(if known { SubmitOutcome::Known } else { SubmitOutcome::Accepted })
    }

    fn batches(&self, home: &dyn Home, archived: bool) -> Result<Vec<BatchSummary>, StoreError> {
        let mut summaries = Vec::new();
        for row in home.batches()? {
            summaries.extend(self.summary(home, row.batch)?);
        }
        if archived {
            for old in home.archived()? {
                summaries.push(self.archived_summary(old));
            }
        }
        Ok(summaries)
    }

    /// Where a batch stands; `None` if it is not known.
    pub(super) fn summary(
        &self,
        home: &dyn Home,
        batch: BatchId,
    ) -> Result<Option<BatchSummary>, StoreError> {
        let Some(row) = home.batch(batch)? else {
            let mut archived = home.archived()?.into_iter();
            return Ok(archived.find(|old| old.row.batch == batch).map(|old| self.archived_summary(old)));
        };
        let progress = home.progress(batch)?;
        let state = match progress {
            progress if progress.is_done() => BatchState::Proved,
            progress if progress.quarantined > 0 => BatchState::Stuck,
            _ => BatchState::Proving,
        };
        Ok(Some(BatchSummary {
            batch,
            protocol_version: row.protocol_version,
            priority: row.priority,
            sealed_at_ms: row.sealed_at_ms,
            submitted_at_ms: row.submitted_at_ms,
            proved_at_ms: row.done_at_ms,
            state,
            progress,
            change: self.change(batch),
            outputs: if state == BatchState::Proved { home.outputs(batch)? } else { Vec::new() },
            stuck_on: if progress.quarantined > 0 { home.first_quarantined(batch)? } else { None },
        }))
    }

    fn archived_summary(&self, old: ingot_job_store::ArchivedBatch) -> BatchSummary {
        BatchSummary {
            batch: old.row.batch,
            protocol_version: old.row.protocol_version,
            priority: old.row.priority,
            sealed_at_ms: old.row.sealed_at_ms,
            submitted_at_ms: old.row.submitted_at_ms,
            proved_at_ms: old.row.done_at_ms,
            state: BatchState::Archived,
            progress: ingot_job_store::Progress { jobs: old.jobs, done: old.jobs, active: 0, quarantined: 0 },
            change: self.change(old.row.batch),
            outputs: old.outputs,
            stuck_on: None,
        }
    }
}

fn name(batch: BatchId) -> String {
    format!("{}/{}", batch.chain.0, batch.batch.0)
}
