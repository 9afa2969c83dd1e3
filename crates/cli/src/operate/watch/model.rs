//! From what was seen to what is shown: pure functions.

use std::collections::{BTreeMap, VecDeque};

use ingot_circuit_set::CircuitSet;
use ingot_house_keeper::protocol::{BatchState, BatchSummary, WorkerInfo};
use ingot_job_store::{CountKey, Job, JobState};
use ingot_types::{AggregationRound, BatchId, CircuitId, JobKind};

use super::super::{
    desk::batch_name,
    rounds::{by_round, Tally},
    stats::state_name,
    time::span,
    workers::state,
};

/// What the looking thread sees at one time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub at_ms: u64,
    pub batches: Vec<BatchSummary>,
    /// Of the chosen batch.
    pub counts: Option<(BatchId, BTreeMap<CountKey, u64>)>,
    /// Jobs of the chosen batch that were given up or failed.
    pub stuck: Vec<Job>,
    pub workers: Vec<WorkerInfo>,
    pub host: Host,
}

/// Memory and disk of this host, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Host {
    pub ram_bytes: Option<u64>,
    pub ram_free_bytes: Option<u64>,
    pub disk_bytes: Option<u64>,
    pub disk_free_bytes: Option<u64>,
}

/// The batch to show when none was chosen: one that is stuck, else the one that is being proved, else the last.
pub(crate) fn first_choice(batches: &[BatchSummary]) -> Option<BatchId> {
    let of = |wanted| batches.iter().find(|summary| summary.state == wanted);
    let first = of(BatchState::Stuck).or_else(|| of(BatchState::Proving)).or(batches.last());
    first.map(|summary| summary.batch)
}

/// The branches of a circuit set's graph of proofs: a basic circuit, the leaves and the nodes over its proofs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lanes(pub Vec<Branch>);

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Branch {
    /// The basic circuit's name.
    pub name: String,
    /// Its id.
    pub basic: CircuitId,
    /// What rounds 1 and 2 call it.
    pub branch: CircuitId,
}

impl Lanes {
    /// The branches of a set: a leaf's key depends on that of the basic circuit whose proofs it verifies.
    pub fn of(set: &dyn CircuitSet) -> Self {
        let circuits = set.circuits();
        let leaves = circuits.iter().filter(|info| info.key.round == AggregationRound::Leaf);
        let lanes = leaves.filter_map(|leaf| {
            let needs = set.key_dependencies(leaf.key);
            let basic = needs.into_iter().find(|key| key.round == AggregationRound::Basic)?;
            let name = circuits.iter().find(|info| info.key == basic)?.name.to_owned();
            Some(Branch { name, basic: basic.circuit_id, branch: leaf.key.circuit_id })
        });
        Self(lanes.collect())
    }
}

/// How fast jobs of a batch are done: what was seen of it in the last minute.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pace {
    batch: Option<BatchId>,
    /// Time, in milliseconds, and jobs done by then.
    seen: VecDeque<(u64, u64)>,
}

/// How far back the pace looks, in milliseconds.
const WINDOW_MS: u64 = 60_000;

impl Pace {
    /// Notes how far a batch is.
    pub fn note(&mut self, batch: BatchId, at_ms: u64, done: u64) {
        let behind = self.seen.back().is_some_and(|(at, before)| done < *before || at_ms < *at);
        if self.batch != Some(batch) || behind {
            // Another batch, or one that begins anew.
            self.seen.clear();
            self.batch = Some(batch);
        }
        self.seen.push_back((at_ms, done));
        while self.seen.len() > 2 && self.seen.get(1).is_some_and(|(at, _)| at + WINDOW_MS <= at_ms) {
            self.seen.pop_front();
        }
    }

    /// Jobs a minute; `None` before there is enough to tell.
    pub fn per_minute(&self) -> Option<f64> {
        let ((from_ms, before), (to_ms, done)) = (self.seen.front()?, self.seen.back()?);
        let ms = to_ms.checked_sub(*from_ms).filter(|ms| *ms >= 1_000)?;
        Some(done.saturating_sub(*before) as f64 * 60_000.0 / ms as f64)
    }

    /// How long `left` jobs take at this pace, in milliseconds.
    pub fn left_ms(&self, left: u64) -> Option<u64> {
        let pace = self.per_minute().filter(|pace| *pace > 0.0)?;
        Some((left as f64 / pace * 60_000.0) as u64)
    }
}

/// What is drawn.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct View {
    /// Where the house keeper is, and how it is.
    pub title: String,
    /// Whether it answers.
    pub away: bool,
    pub batches: Vec<BatchLine>,
    /// The chosen batch.
    pub batch: Option<BatchView>,
    pub workers: Vec<String>,
    pub stuck: Vec<String>,
    pub ram: Option<Gauge>,
    pub disk: Option<Gauge>,
    /// The last line: a question, what was done, or the keys.
    pub footer: String,
    /// Whether the footer is a question.
    pub asks: bool,
}

/// A batch in the list.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BatchLine {
    pub text: String,
    pub chosen: bool,
    pub stuck: bool,
}

/// The chosen batch, as a graph.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct BatchView {
    pub title: String,
    /// Pace and what is left.
    pub pace: String,
    pub rounds: Vec<(AggregationRound, Tally)>,
    pub lanes: Vec<LaneView>,
}

/// One branch of the graph: rounds 0, 1, 2.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LaneView {
    pub name: String,
    pub rounds: [Tally; 3],
}

/// A bar: how much is used, from 0 to 1, and that in words.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Gauge {
    pub used: f64,
    pub text: String,
}

impl Gauge {
    fn of(what: &str, total: Option<u64>, free: Option<u64>) -> Option<Self> {
        let (total, free) = (total.filter(|total| *total > 0)?, free?);
        let used = total.saturating_sub(free);
        let human = crate::memory::human_bytes;
        let text = format!("{what} {} of {} used, {} free", human(used), human(total), human(free));
        Some(Self { used: used as f64 / total as f64, text })
    }
}

/// What is drawn of what was seen.
pub(crate) fn view(seen: &Seen, chosen: Option<BatchId>, pace: &Pace, lanes: &Lanes) -> View {
    let batches = seen.batches.iter().map(|summary| BatchLine {
        // The number of jobs is beside it, and would not fit with a long name.
        text: format!(
            "{:<16} {:<8} {:>3} %",
            batch_name(summary.batch),
            state_name(summary.state),
            (summary.progress.done * 100).checked_div(summary.progress.jobs).unwrap_or(0)
        ),
        chosen: chosen == Some(summary.batch),
        stuck: summary.state == BatchState::Stuck,
    });
    let summary = seen.batches.iter().find(|summary| chosen == Some(summary.batch));
    let counts = seen.counts.as_ref().filter(|(batch, _)| chosen == Some(*batch)).map(|(_, counts)| counts);
    View {
        batches: batches.collect(),
        batch: summary.map(|summary| batch_view(summary, counts, pace, lanes, seen.at_ms)),
        workers: seen.workers.iter().map(worker_line).collect(),
        stuck: match counts {
            Some(_) => seen.stuck.iter().map(|job| stuck_line(job, seen.at_ms)).collect(),
            None => Vec::new(),
        },
        ram: Gauge::of("RAM", seen.host.ram_bytes, seen.host.ram_free_bytes),
        disk: Gauge::of("disk", seen.host.disk_bytes, seen.host.disk_free_bytes),
        ..View::default()
    }
}

fn batch_view(
    summary: &BatchSummary,
    counts: Option<&BTreeMap<CountKey, u64>>,
    pace: &Pace,
    lanes: &Lanes,
    now_ms: u64,
) -> BatchView {
    let left = summary.progress.jobs.saturating_sub(summary.progress.done);
    let end = summary.proved_at_ms.unwrap_or(now_ms);
    let took = span(end.saturating_sub(summary.submitted_at_ms));
    let pace = match (summary.state, pace.per_minute(), pace.left_ms(left)) {
        (BatchState::Proved | BatchState::Archived, ..) => format!("proved in {took}"),
        (_, Some(pace), Some(left_ms)) if pace > 0.0 => {
            format!("{pace:.1} jobs/min, {left} left: about {}; so far {took}", span(left_ms))
        }
        (_, Some(_), _) => format!("0.0 jobs/min, {left} left; so far {took}"),
        (_, None, _) => format!("{left} jobs left; so far {took}"),
    };
    let none = BTreeMap::new();
    let counts = counts.unwrap_or(&none);
    let tally = |round: AggregationRound, circuit: CircuitId| {
        let mut tally = Tally::default();
        // Witness generation belongs to no branch.
        let of = |key: &CountKey| {
            key.round == round
                && key.circuit_id == circuit
                && (round != AggregationRound::Basic || key.kind != JobKind::Witness)
        };
        counts.iter().filter(|(key, _)| of(key)).for_each(|(key, count)| tally.add(key.state, *count));
        tally
    };
    let lanes = lanes.0.iter().map(|lane| LaneView {
        name: lane.name.clone(),
        rounds: [
            tally(AggregationRound::Basic, lane.basic),
            tally(AggregationRound::Leaf, lane.branch),
            tally(AggregationRound::Node, lane.branch),
        ],
    });
    BatchView {
        title: format!(
            "batch {} (version {}, priority {}): {}",
            batch_name(summary.batch),
            summary.protocol_version,
            summary.priority,
            state_name(summary.state)
        ),
        pace,
        rounds: by_round(counts).into(),
        lanes: lanes.filter(|lane| lane.rounds.iter().any(|tally| tally.total > 0)).collect(),
    }
}

fn worker_line(worker: &WorkerInfo) -> String {
    let registration = &worker.registration;
    let mut text = format!(
        "{:<8} {:<24} {} on {}",
        state(worker),
        registration.component.name(),
        registration.name,
        registration.host
    );
    if let Some(stream) = &registration.stream {
        text.push_str(&format!(
            ", {}/{} slabs free, {} wait, {} proving",
            worker.load.free_slabs, stream.slabs, worker.load.queued, worker.load.proving
        ));
    }
    match worker.leases.as_slice() {
        [] => {}
        [job] => text.push_str(&format!(", has {job}")),
        [job, more @ ..] => text.push_str(&format!(", has {job} and {} more", more.len())),
    }
    if !worker.status.is_empty() {
        text.push_str(&format!("; {}", worker.status));
    }
    text
}

fn stuck_line(job: &Job, now_ms: u64) -> String {
    let reason = job.status.last_error.as_ref().map_or("no reason given", |error| error.reason.as_str());
    let (attempts, most) = (job.status.attempts, job.spec.max_attempts);
    match job.status.state {
        JobState::Failed { retry_at_ms } => format!(
            "{} failed {attempts} of {most} times, again in {}: {reason}",
            job.key(),
            span(retry_at_ms.saturating_sub(now_ms))
        ),
        _ => format!("{} given up after {attempts} of {most} attempts: {reason}", job.key()),
    }
}

#[cfg(test)]
#[path = "model_tests.rs"]
pub(super) mod tests;
