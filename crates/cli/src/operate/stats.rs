//! `ingot stats`.

use std::sync::Arc;

use ingot_house_keeper::protocol::{BatchState, BatchSummary};
use serde::Serialize;

use super::{
    args::{Period, StatsArgs},
    desk::{batch_name, Desk},
    time::{now_ms, span, utc},
};
use crate::{exit::Outcome, ui::Ui};

const DAY_MS: u64 = 24 * 3_600_000;

#[derive(Serialize)]
struct Row {
    batch: String,
    came_in_at_ms: u64,
    proved_at_ms: Option<u64>,
    /// From coming in to the last proof, or to now.
    took_ms: u64,
    jobs: u64,
    done: u64,
    state: &'static str,
}

#[derive(Debug, PartialEq, Serialize)]
struct Totals {
    batches: usize,
    proved: usize,
    jobs_done: u64,
    mean_ms: Option<u64>,
    median_ms: Option<u64>,
    longest_ms: Option<u64>,
}

/// A batch's state in a word.
pub(crate) const fn state_name(state: BatchState) -> &'static str {
    match state {
        BatchState::Proving => "proving",
        BatchState::Stuck => "stuck",
        BatchState::Proved => "proved",
        BatchState::Archived => "archived",
    }
}

/// How long batches took.
pub(crate) fn stats(ui: &Arc<Ui>, args: &StatsArgs) -> anyhow::Result<Outcome> {
    let desk = Desk::open(&args.service, Some(&args.chain))?;
    let now_ms = now_ms();
    let since_ms = match args.period {
        None => 0,
        Some(Period::Day) => now_ms.saturating_sub(DAY_MS),
        Some(Period::Week) => now_ms.saturating_sub(7 * DAY_MS),
    };
    let mut batches = desk.batches(true)?;
    batches.retain(|batch| batch.submitted_at_ms >= since_ms);
    batches.sort_by_key(|batch| (batch.submitted_at_ms, batch.batch));
    let rows: Vec<Row> = batches.iter().map(|batch| row(batch, now_ms)).collect();
    for row in &rows {
        let end = if row.proved_at_ms.is_some() { "took" } else { "so far" };
        let text = format!(
            "{:<16} {:<9} came in {}  {end} {:<12} {} of {} jobs",
            row.batch,
            row.state,
            utc(row.came_in_at_ms),
            span(row.took_ms),
            row.done,
            row.jobs
        );
        ui.show("batch_time", row, &text);
    }
    let totals = totals(&rows);
    let time = |ms: Option<u64>| ms.map_or("-".into(), span);
    let text = format!(
        "{} batches, {} proved; {} jobs done; time of a batch: mean {}, median {}, longest {}",
        totals.batches,
        totals.proved,
        totals.jobs_done,
        time(totals.mean_ms),
        time(totals.median_ms),
        time(totals.longest_ms)
    );
    ui.show("totals", &totals, &text);
    Ok(Outcome::Done)
}

fn row(batch: &BatchSummary, now_ms: u64) -> Row {
    Row {
        batch: batch_name(batch.batch),
        came_in_at_ms: batch.submitted_at_ms,
        proved_at_ms: batch.proved_at_ms,
        took_ms: batch.proved_at_ms.unwrap_or(now_ms).saturating_sub(batch.submitted_at_ms),
        jobs: batch.progress.jobs,
        done: batch.progress.done,
        state: state_name(batch.state),
    }
}

fn totals(rows: &[Row]) -> Totals {
    let mut took: Vec<u64> =
        rows.iter().filter(|row| row.proved_at_ms.is_some()).map(|row| row.took_ms).collect();
    took.sort_unstable();
    let count = took.len() as u64;
    Totals {
        batches: rows.len(),
        proved: took.len(),
        jobs_done: rows.iter().map(|row| row.done).sum(),
        mean_ms: took.iter().sum::<u64>().checked_div(count),
        median_ms: took.get(took.len() / 2).copied(),
        longest_ms: took.last().copied(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(took_ms: u64, proved: bool) -> Row {
        Row {
            batch: "1/1".into(),
            came_in_at_ms: 5,
            proved_at_ms: proved.then_some(5 + took_ms),
            took_ms,
            jobs: 3,
            done: 2,
            state: "proved",
        }
    }

    #[test]
    fn batches_that_are_not_proved_have_no_part_in_the_times() {
        let found = totals(&[of(10, true), of(1_000_000, false), of(50, true), of(30, true)]);
        let expected = Totals {
            batches: 4,
            proved: 3,
            jobs_done: 8,
            mean_ms: Some(30),
            median_ms: Some(30),
            longest_ms: Some(50),
        };
        assert_eq!(found, expected);
        assert_eq!(totals(&[]).mean_ms, None);
    }
}
