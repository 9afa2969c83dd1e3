//! A batch round by round: pure functions from counts of jobs to what people are shown.

use std::collections::BTreeMap;

use ingot_job_store::{CountKey, StateName};
use ingot_types::AggregationRound;
use serde::Serialize;

/// How many jobs stand where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Tally {
    /// All of them.
    pub total: u64,
    /// They wait for other jobs.
    pub waiting: u64,
    /// They wait for a worker.
    pub queued: u64,
    /// A worker has them.
    pub in_progress: u64,
    /// Done.
    pub done: u64,
    /// They failed and will be tried again.
    pub failed: u64,
    /// Given up until an operator requeues them.
    pub stuck: u64,
}

impl Tally {
    /// Counts `count` more in `state`.
    pub fn add(&mut self, state: StateName, count: u64) {
        self.total += count;
        *match state {
            StateName::Waiting => &mut self.waiting,
            StateName::Queued => &mut self.queued,
            StateName::Leased => &mut self.in_progress,
            StateName::Done => &mut self.done,
            StateName::Failed => &mut self.failed,
            StateName::Quarantined => &mut self.stuck,
        } += count;
    }

    /// Where they stand as a whole, in words.
    pub const fn state(&self) -> &'static str {
        match self {
            Self { total: 0, .. } => "no jobs yet",
            Self { stuck: 1.., .. } => "stuck",
            Self { total, done, .. } if *total == *done => "done",
            Self { in_progress: 1.., .. } => "in progress",
            Self { queued: 0, failed: 1.., .. } => "to be tried again",
            Self { queued: 1.., .. } => "queued",
            _ => "waiting for proofs",
        }
    }
}

impl std::fmt::Display for Tally {
    /// `5 jobs: 2 done, 1 in progress, …`, without what there is none of.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} jobs", self.total)?;
        let parts = [
            (self.done, "done"),
            (self.in_progress, "in progress"),
            (self.queued, "queued"),
            (self.waiting, "waiting"),
            (self.failed, "failed, to be tried again"),
            (self.stuck, "given up"),
        ];
        let mut between = ": ";
        for (count, what) in parts.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, "{between}{count} {what}")?;
            between = ", ";
        }
        Ok(())
    }
}

/// The five rounds.
pub(crate) fn by_round(counts: &BTreeMap<CountKey, u64>) -> [(AggregationRound, Tally); 5] {
    AggregationRound::ALL.map(|round| {
        let mut tally = Tally::default();
        for (key, count) in counts.iter().filter(|(key, _)| key.round == round) {
            tally.add(key.state, *count);
        }
        (round, tally)
    })
}

#[cfg(test)]
mod tests {
    use ingot_types::{CircuitId, JobKind};

    use super::*;

    fn tally(states: &[(StateName, u64)]) -> Tally {
        let mut tally = Tally::default();
        states.iter().for_each(|(state, count)| tally.add(*state, *count));
        tally
    }

    #[test]
    fn a_round_is_as_its_jobs_are() {
        use StateName::{Done, Failed, Leased, Quarantined, Queued, Waiting};
        for (states, expected) in [
            (&[][..], "no jobs yet"),
            (&[(Waiting, 3)], "waiting for proofs"),
            (&[(Waiting, 3), (Queued, 1)], "queued"),
            (&[(Queued, 3), (Leased, 1)], "in progress"),
            (&[(Failed, 1), (Done, 4)], "to be tried again"),
            (&[(Failed, 1), (Queued, 4)], "queued"),
            (&[(Leased, 9), (Quarantined, 1)], "stuck"),
            (&[(Done, 9)], "done"),
        ] {
            assert_eq!(tally(states).state(), expected, "{states:?}");
        }
        let all = tally(&[(Waiting, 1), (Queued, 2), (Leased, 3), (Failed, 4), (Done, 5), (Quarantined, 6)]);
        assert_eq!(
            all.to_string(),
            "21 jobs: 5 done, 3 in progress, 2 queued, 1 waiting, 4 failed, to be tried again, 6 given up"
        );
        assert_eq!(Tally::default().to_string(), "0 jobs");
    }

    #[test]
    fn counts_go_to_their_round() {
        let key = |kind, round, state| CountKey { kind, round, circuit_id: CircuitId(1), state };
        let counts = BTreeMap::from([
            (key(JobKind::Witness, AggregationRound::Leaf, StateName::Done), 2),
            (key(JobKind::Prove, AggregationRound::Leaf, StateName::Queued), 3),
            (key(JobKind::Prove, AggregationRound::Scheduler, StateName::Waiting), 1),
        ]);
        let rounds = by_round(&counts);
        assert_eq!(rounds[1].1, Tally { total: 5, done: 2, queued: 3, ..Tally::default() });
        assert_eq!(rounds[4].1, Tally { total: 1, waiting: 1, ..Tally::default() });
        assert_eq!(rounds[0].1, Tally::default());
    }
}
