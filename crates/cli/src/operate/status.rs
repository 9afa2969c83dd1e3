//! `ingot status batch …`: batches round by round.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::bail;
use ingot_circuit_set::CircuitSet;
use ingot_house_keeper::protocol::{Answer, BatchState, BatchSummary, Request};
use ingot_job_store::{CountKey, Job, JobQuery, StateName};
use ingot_types::{BatchId, CircuitId, CircuitKey, JobKind};
use serde::Serialize;

use super::{
    args::StatusArgs,
    desk::{batch_name, Desk},
    rounds::{by_round, Tally},
    stats::state_name,
    time::{now_ms, span, utc},
};
use crate::{commands::job_name, edition::Chosen, exit::Outcome, ui::Ui};

/// Stuck jobs that are shown.
const MOST_STUCK: u32 = 100;

#[derive(Serialize)]
struct Header {
    batch: String,
    version: String,
    state: &'static str,
    priority: i32,
    came_in_at_ms: u64,
    proved_at_ms: Option<u64>,
    jobs: u64,
    done: u64,
    stuck_on: Option<String>,
}

#[derive(Serialize)]
struct Round {
    batch: String,
    round: u8,
    name: &'static str,
    state: &'static str,
    #[serde(flatten)]
    tally: Tally,
}

#[derive(Serialize)]
struct Circuit {
    batch: String,
    round: u8,
    kind: &'static str,
    circuit: u8,
    name: String,
    #[serde(flatten)]
    tally: Tally,
}

#[derive(Serialize)]
struct Stuck {
    job: String,
    name: String,
    state: &'static str,
    attempts: u32,
    max_attempts: u32,
    at_ms: Option<u64>,
    reason: String,
}

/// Shows batches round by round.
pub(crate) fn status(ui: &Arc<Ui>, chosen: &Chosen, args: &StatusArgs) -> anyhow::Result<Outcome> {
    let names = match args.batches.split_first() {
        Some((word, rest)) if word == "batch" => rest,
        _ => &args.batches[..],
    };
    if names.is_empty() {
        bail!("which batch? Expected a number, or chain/number, after `batch`");
    }
    let desk = Desk::open(&args.service, Some(&args.chain))?;
    let set = chosen.circuit_set()?;
    // All of them are looked up before anything is shown.
    let batches = names.iter().map(|name| desk.batch(name)).collect::<anyhow::Result<Vec<BatchId>>>()?;
    for batch in batches {
        show(ui, &desk, &*set, batch, args.verbose)?;
    }
    Ok(Outcome::Done)
}

fn show(ui: &Ui, desk: &Desk, set: &dyn CircuitSet, batch: BatchId, verbose: bool) -> anyhow::Result<()> {
    let name = batch_name(batch);
    let request = Request::WatchBatch { batch, known: None, wait_ms: 0 };
    let Answer::Batch(summary) = desk.ask(request)? else { bail!("the house keeper answers something else") };
    let Some(summary) = summary else { bail!("there is no batch {name}") };
    header(ui, &name, &summary);
    if summary.state == BatchState::Archived {
        return Ok(());
    }
    let Answer::Counts(counts) = desk.ask(Request::Counts { batch: Some(batch) })? else {
        bail!("the house keeper answers something else")
    };
    for (round, tally) in by_round(&counts) {
        let shown = Round {
            batch: name.clone(),
            round: round as u8,
            name: round.name(),
            state: tally.state(),
            tally,
        };
        let text = match tally.total {
            0 => format!("  round {} {:<14} {}", shown.round, shown.name, shown.state),
            _ => format!("  round {} {:<14} {:<18} {tally}", shown.round, shown.name, shown.state),
        };
        ui.show("round", &shown, &text);
        if verbose {
            circuits(ui, set, &name, &counts, shown.round);
        }
    }
    if verbose || summary.progress.quarantined > 0 {
        for state in [StateName::Quarantined, StateName::Failed] {
            let query =
                JobQuery { batch: Some(batch), state: Some(state), limit: MOST_STUCK, ..JobQuery::default() };
            for job in desk.jobs(query)? {
                stuck(ui, set, &job);
            }
        }
    }
    Ok(())
}

fn header(ui: &Ui, name: &str, summary: &BatchSummary) {
    let shown = Header {
        batch: name.to_owned(),
        version: summary.protocol_version.to_string(),
        state: state_name(summary.state),
        priority: summary.priority,
        came_in_at_ms: summary.submitted_at_ms,
        proved_at_ms: summary.proved_at_ms,
        jobs: summary.progress.jobs,
        done: summary.progress.done,
        stuck_on: summary.stuck_on.as_ref().map(|(job, reason)| format!("{job}: {reason}")),
    };
    let end = summary.proved_at_ms.unwrap_or_else(now_ms);
    let took = span(end.saturating_sub(summary.submitted_at_ms));
    let text = format!(
        "batch {name} (version {}, priority {}): {}, {} of {} jobs done; came in {}, {} {took}",
        shown.version,
        shown.priority,
        shown.state,
        shown.done,
        shown.jobs,
        utc(summary.submitted_at_ms),
        if summary.proved_at_ms.is_some() { "took" } else { "so far" },
    );
    ui.show("batch_status", &shown, &text);
}

/// Each circuit of a round by its name.
fn circuits(ui: &Ui, set: &dyn CircuitSet, batch: &str, counts: &BTreeMap<CountKey, u64>, round: u8) {
    let mut tallies: BTreeMap<(JobKind, CircuitId), Tally> = BTreeMap::new();
    for (key, count) in counts.iter().filter(|(key, _)| key.round as u8 == round) {
        tallies.entry((key.kind, key.circuit_id)).or_default().add(key.state, *count);
    }
    let Some(key) = counts.keys().find(|key| key.round as u8 == round) else { return };
    for ((kind, circuit_id), tally) in tallies {
        let circuit = set.circuit_of(key.round, circuit_id);
        let shown = Circuit {
            batch: batch.to_owned(),
            round,
            kind: kind.name(),
            circuit: circuit_id.0,
            name: circuit_name(set, kind, circuit),
            tally,
        };
        let text = format!("    {:<8} {:>3} {:<30} {tally}", shown.kind, shown.circuit, shown.name);
        ui.show("circuit_status", &shown, &text);
    }
}

fn circuit_name(set: &dyn CircuitSet, kind: JobKind, circuit: CircuitKey) -> String {
    if kind == JobKind::Witness && circuit.round as u8 == 0 {
        return "witness generation".into();
    }
    let info = set.circuits().iter().find(|info| info.key == circuit);
    info.map_or_else(|| format!("circuit {circuit}"), |info| info.name.to_owned())
}

fn stuck(ui: &Ui, set: &dyn CircuitSet, job: &Job) {
    let error = job.status.last_error.as_ref();
    let shown = Stuck {
        job: job.key().to_string(),
        name: job_name(set, job.key()),
        state: job.status.state.name().name(),
        attempts: job.status.attempts,
        max_attempts: job.spec.max_attempts,
        at_ms: error.map(|error| error.at_ms),
        reason: error.map(|error| error.reason.clone()).unwrap_or_default(),
    };
    let what = if shown.state == "quarantined" { "given up" } else { "failed, to be tried again" };
    let text = format!(
        "  {what}: {} {} after {} of {} attempts: {}",
        shown.job, shown.name, shown.attempts, shown.max_attempts, shown.reason
    );
    ui.show("stuck_job", &shown, &text);
}
