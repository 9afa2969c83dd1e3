//! Batches: how they come in, how far they are, and what operators do to them and to jobs.

use ingot_job_store::{Effects, Home, JobSpec, StoreError};
use ingot_types::{AggregationRound, BatchId, CircuitId, JobKey, JobKind};

use super::{
    core::{denied, Core},
    PeerId,
};
use crate::protocol::{
    Answer, BatchState, BatchSummary, Change, Denial, Request, Submission, SubmitOutcome, Target,
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
                self.changed_by(home, peer, Change::Requeue { target: Target::Job(key) }, now_ms)
            }
            Request::Restart { key } => {
                self.changed_by(home, peer, Change::Restart { target: Target::Job(key), force: true }, now_ms)
            }
            Request::RemoveBatch { batch } => {
                self.changed_by(home, peer, Change::Delete { batch, force: true }, now_ms)
            }
            Request::SetPriority { batch, priority } => {
                self.changed_by(home, peer, Change::SetPriority { batch, priority }, now_ms)
            }
            Request::Drain { worker, draining } => {
                self.changed_by(home, peer, Change::Drain { worker, draining }, now_ms)
            }
            Request::Operator(request) => {
                self.operator_request(home, peer, request, now_ms).map(Answer::Operator)
            }
            Request::RetryDelivery { batch } => {
                self.changed_by(home, peer, Change::RetryDelivery { batch }, now_ms)
            }
            request => self.outbox_request(home, request, now_ms),
        }
    }

    /// What is asked for without a rehearsal.
    fn changed_by(
        &mut self,
        home: &mut dyn Home,
        peer: PeerId,
        change: Change,
        now_ms: u64,
    ) -> Result<Answer, Denial> {
        self.change_by_hand(home, peer, &change, false, now_ms).map(|_| Answer::Done)
    }

    fn submit(
        &mut self,
        home: &mut dyn Home,
        submission: Submission,
        now_ms: u64,
    ) -> Result<SubmitOutcome, Denial> {
        let batch = submission.batch;
        let (outcome, effects) = self.admit(home, &submission, now_ms)?;
        self.outbox_changed |= submission.deliver_to.is_some();
        self.changed(batch);
        self.follow(effects, now_ms);
        if outcome == SubmitOutcome::Accepted {
            tracing::info!(BATCH = batch.batch.0, "batch {} came in", name(batch));
        }
        Ok(outcome)
    }

    /// The store's part of a submission.
    pub(super) fn admit(
        &self,
        home: &mut dyn Home,
        submission: &Submission,
        now_ms: u64,
    ) -> Result<(SubmitOutcome, Effects), Denial> {
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
                true => {
                    deliver(home, submission, now_ms)?;
                    Ok((SubmitOutcome::Known, Effects::new()))
                }
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
            inputs: vec![submission.witness_inputs.clone()],
        };
        let effects = home.insert(vec![first], now_ms).map_err(denied)?;
        deliver(home, submission, now_ms)?;
        Ok((if known { SubmitOutcome::Known } else { SubmitOutcome::Accepted }, effects))
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

/// Notes who waits for the proof of a batch that came in.
fn deliver(home: &mut dyn Home, submission: &Submission, now_ms: u64) -> Result<(), Denial> {
    match &submission.deliver_to {
        Some(destination) => home.expect_delivery(submission.batch, destination, now_ms).map_err(denied),
        None => Ok(()),
    }
}

/// `chain/number`.
pub(super) fn name(batch: BatchId) -> String {
    format!("{}/{}", batch.chain.0, batch.batch.0)
}
