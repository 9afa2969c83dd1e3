//! Witness vectors that wait to be proved, and which one is next.

use std::{
    cmp::Reverse,
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ingot_job_store::{JobSpec, QueuePlace};
use ingot_types::{AggregationRound, CircuitKey, JobKey};

use crate::{desk::DeskJob, stop::Stop, transport::Vector, work::job_circuit};

/// How often the proving thread looks whether it should stop.
const TICK: Duration = Duration::from_millis(200);

/// A witness vector and its job.
pub(super) struct Entry {
    pub vector: Box<dyn Vector>,
    pub job: DeskJob,
    pub received: Instant,
}

/// The vectors.
#[derive(Default)]
pub(super) struct Waiting {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    entries: VecDeque<Entry>,
    proving: u32,
    last: Option<CircuitKey>,
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn push(&self, entry: Entry) {
        self.lock().entries.push_back(entry);
        self.changed.notify_all();
    }

    /// How many wait, and how many are proved now.
    pub fn load(&self) -> (u32, u32) {
        let state = self.lock();
        (u32::try_from(state.entries.len()).unwrap_or(u32::MAX), state.proving)
    }

    /// The next one, waiting for it, and the job after it if that is known; `None` if the process is to stop. Those whose
    /// lease is lost are dropped.
    pub fn next(&self, stop: &Stop) -> Option<(Entry, Option<JobKey>)> {
        let mut state = self.lock();
        loop {
            if stop.is_raised() {
                return None;
            }
            state.entries.retain(|entry| {
                let lost = entry.job.is_lost();
                if lost {
                    ingot_house_keeper::job_log!(
                        info,
                        entry.job.key(),
                        "its lease is lost: the witness vector is dropped"
                    );
                }
                !lost
            });
            if let Some(entry) = state.take_first() {
                state.proving += 1;
                state.last = Some(job_circuit(entry.job.key()));
                let after = state.first().and_then(|at| state.entries.get(at)).map(|entry| entry.job.key());
                return Some((entry, after));
            }
            state = self.changed.wait_timeout(state, TICK).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub fn proved(&self) {
        let mut state = self.lock();
        state.proving = state.proving.saturating_sub(1);
    }
}

impl State {
    fn first(&self) -> Option<usize> {
        let entries = self.entries.iter().enumerate();
        entries.min_by_key(|(_, entry)| place(&entry.job.lease().job.spec, self.last)).map(|(at, _)| at)
    }

    fn take_first(&mut self) -> Option<Entry> {
        self.first().and_then(|at| self.entries.remove(at))
    }
}

type Place = (Reverse<i32>, u64, Reverse<AggregationRound>, bool, QueuePlace);

/// The job store's order; among jobs of one batch and round, the circuit whose key is in use goes first.
fn place(spec: &JobSpec, last: Option<CircuitKey>) -> Place {
    let other = last != Some(job_circuit(spec.key));
    (Reverse(spec.priority), spec.sealed_at_ms, Reverse(spec.key.round), other, QueuePlace::of(spec))
}

#[cfg(test)]
mod tests {
    use ingot_types::{CircuitId, ProtocolVersion};

    use super::*;

    fn spec(priority: i32, sealed_at_ms: u64, key: &str) -> JobSpec {
        JobSpec {
            key: key.parse().unwrap(),
            protocol_version: ProtocolVersion { minor: 1, patch: 0 },
            priority,
            sealed_at_ms,
            max_attempts: 1,
            group: None,
            zone: None,
            depends_on: vec![],
            inputs: vec![],
        }
    }

    #[test]
    fn the_circuit_in_use_decides_only_between_jobs_that_are_equal_otherwise() {
        let last = Some(CircuitKey { round: AggregationRound::Basic, circuit_id: CircuitId(3) });
        let same = spec(0, 5, "1/1/prove/0/3/0/9");
        let first = |specs: &[&JobSpec]| {
            specs.iter().min_by_key(|s| place(s, last)).map(|s| s.key.to_string()).unwrap()
        };
        let other = spec(0, 5, "1/1/prove/0/1/0/0");
        assert_eq!(first(&[&other, &same]), "1/1/prove/0/3/0/9");
        assert!(place(&other, None) < place(&same, None), "without one in use, the store's order");
        for better in [
            spec(1, 5, "1/1/prove/0/1/0/0"),
            spec(0, 4, "1/1/prove/0/1/0/0"),
            spec(0, 5, "1/1/prove/2/1/0/0"),
        ] {
            assert_eq!(first(&[&same, &better]), better.key.to_string());
        }
    }
}
