//! `ingot jobs`.

use std::sync::Arc;

use ingot_job_store::{JobQuery, JobState};
use ingot_types::ChainId;
use serde::Serialize;

use super::{
    args::JobsArgs,
    desk::Desk,
    time::{now_ms, span},
};
use crate::{commands::job_name, edition::Chosen, exit::Outcome, ui::Ui};

#[derive(Serialize)]
struct Shown {
    job: String,
    name: String,
    state: &'static str,
    version: String,
    priority: i32,
    attempts: u32,
    max_attempts: u32,
    deferrals: u32,
    resets: u32,
    worker: Option<String>,
    /// When time alone changes the state: a lease runs out, a retry is due.
    due_at_ms: Option<u64>,
    waits_for: u32,
    last_error: Option<String>,
}

/// Lists the jobs that match.
pub(crate) fn jobs(ui: &Arc<Ui>, chosen: &Chosen, args: &JobsArgs) -> anyhow::Result<Outcome> {
    let set = chosen.circuit_set()?;
    let desk = Desk::open(&args.service, Some(&args.chain))?;
    let query = JobQuery {
        chain: args.chain.chain.map(ChainId),
        batch: args.batch.as_deref().map(|batch| desk.batch(batch)).transpose()?,
        kind: args.kind,
        round: args.round,
        circuit_id: args.circuit,
        state: args.state,
        limit: args.limit,
    };
    if let Some(batch) = query.batch {
        // A batch that is not there is a mistake, and not an empty list.
        anyhow::ensure!(
            desk.batches(true)?.iter().any(|summary| summary.batch == batch),
            "there is no batch {}",
            super::desk::batch_name(batch)
        );
    }
    let jobs = desk.jobs(query)?;
    let all = jobs.len() < args.limit as usize;
    let now_ms = now_ms();
    for job in &jobs {
        let status = &job.status;
        let (worker, waits_for) = match &status.state {
            JobState::Leased { worker, .. } => (Some(worker.clone()), 0),
            JobState::Waiting { missing } => (None, *missing),
            _ => (None, 0),
        };
        let shown = Shown {
            job: job.key().to_string(),
            name: job_name(&*set, job.key()),
            state: status.state.name().name(),
            version: job.spec.protocol_version.to_string(),
            priority: job.spec.priority,
            attempts: status.attempts,
            max_attempts: job.spec.max_attempts,
            deferrals: status.deferrals,
            resets: status.resets,
            worker,
            due_at_ms: status.state.deadline_ms(),
            waits_for,
            last_error: status.last_error.as_ref().map(|error| error.reason.clone()),
        };
        ui.show("job", &shown, &text(&shown, now_ms));
    }
    if jobs.is_empty() {
        ui.note("no job matches");
    } else if !all {
        ui.note(format!("there may be more: these are the first {} by name; see --limit", args.limit));
    }
    Ok(Outcome::Done)
}

fn text(job: &Shown, now_ms: u64) -> String {
    let mut text = format!("{:<28} {:<11} {}", job.job, job.state, job.name);
    let due = job.due_at_ms.map(|at| span(at.saturating_sub(now_ms)));
    match (job.state, &job.worker, due) {
        ("leased", Some(worker), Some(due)) => {
            text.push_str(&format!(": {worker} has it, for {due} at least"))
        }
        ("failed", _, Some(due)) => text.push_str(&format!(": tried again in {due}")),
        ("waiting", ..) => text.push_str(&format!(": waits for {} jobs", job.waits_for)),
        _ => {}
    }
    if job.attempts > 0 {
        text.push_str(&format!("; {} of {} attempts failed", job.attempts, job.max_attempts));
    }
    if let (Some(reason), true) = (&job.last_error, job.state != "done") {
        text.push_str(&format!("; {reason}"));
    }
    text
}
