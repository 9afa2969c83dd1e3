//! Which key to make next: dependencies first, and never more memory at once than allowed. Pure.

use std::collections::BTreeSet;

use ingot_types::CircuitKey;

use crate::KeyError;

/// A key to make.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub key: CircuitKey,
    pub name: &'static str,
    pub ram_bytes: u64,
    pub needs: Vec<CircuitKey>,
}

/// The tasks of one run and where they stand.
#[derive(Debug)]
pub(crate) struct Schedule {
    waiting: Vec<Task>,
    running: Vec<Task>,
    done: BTreeSet<CircuitKey>,
    max_ram_bytes: u64,
}

impl Schedule {
    /// A schedule for `tasks` when the keys in `done` exist.
    ///
    /// # Errors
    /// [`KeyError::Memory`] if one task alone exceeds the budget; [`KeyError::Cycle`].
    pub fn new(tasks: Vec<Task>, done: BTreeSet<CircuitKey>, max_ram_bytes: u64) -> Result<Self, KeyError> {
        if let Some(big) = tasks.iter().find(|t| t.ram_bytes > max_ram_bytes) {
            return Err(KeyError::Memory {
                key: big.key,
                name: big.name,
                needed: big.ram_bytes,
                allowed: max_ram_bytes,
            });
        }
        let mut reachable = done.clone();
        loop {
            let before = reachable.len();
            for task in &tasks {
                if task.needs.iter().all(|need| reachable.contains(need)) {
                    reachable.insert(task.key);
                }
            }
            if reachable.len() == before {
                break;
            }
        }
        if let Some(stuck) = tasks.iter().find(|t| !reachable.contains(&t.key)) {
            return Err(KeyError::Cycle { key: stuck.key });
        }
        Ok(Self { waiting: tasks, running: Vec::new(), done, max_ram_bytes })
    }

    /// Starts the first task that may start now.
    pub fn start(&mut self) -> Option<Task> {
        let in_use: u64 = self.running.iter().map(|t| t.ram_bytes).sum();
        let at = self.waiting.iter().position(|t| {
            t.needs.iter().all(|need| self.done.contains(need))
                && in_use.saturating_add(t.ram_bytes) <= self.max_ram_bytes
        })?;
        let task = self.waiting.remove(at);
        self.running.push(task.clone());
        Some(task)
    }

    /// Records that the key of `key` exists.
    pub fn finish(&mut self, key: CircuitKey) {
        self.running.retain(|t| t.key != key);
        self.done.insert(key);
    }

    /// Whether nothing waits any more.
    pub fn all_started(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use ingot_types::AggregationRound;
    use proptest::prelude::*;

    use super::*;

    fn key(id: u8) -> CircuitKey {
        CircuitKey::new(AggregationRound::Basic, id)
    }

    fn task(id: u8, ram_bytes: u64, needs: &[u8]) -> Task {
        Task { key: key(id), name: "t", ram_bytes, needs: needs.iter().map(|n| key(*n)).collect() }
    }

    #[test]
    fn a_task_above_the_budget_and_a_cycle_are_refused_at_the_start() {
        assert!(matches!(
            Schedule::new(vec![task(1, 11, &[])], BTreeSet::new(), 10),
            Err(KeyError::Memory { needed: 11, allowed: 10, .. })
        ));
        assert!(matches!(
            Schedule::new(vec![task(1, 1, &[2]), task(2, 1, &[1])], BTreeSet::new(), 10),
            Err(KeyError::Cycle { .. })
        ));
    }

    proptest! {
        #[test]
        fn every_task_runs_once_after_its_needs_and_within_the_budget(
            rams in prop::collection::vec(1u64..100, 1..20),
            seed in prop::collection::vec(any::<u8>(), 20),
            finish_order in prop::collection::vec(any::<u8>(), 60),
        ) {
            let tasks: Vec<Task> = rams.iter().enumerate().map(|(i, ram)| {
                let needs: Vec<u8> = if i > 0 { vec![seed[i] % i as u8] } else { vec![] };
                task(i as u8, *ram, &needs)
            }).collect();
            let count = tasks.len();
            let mut schedule = Schedule::new(tasks, BTreeSet::new(), 100).unwrap();
            let mut running: Vec<Task> = vec![];
            let mut finished = BTreeSet::new();
            let mut order = finish_order.into_iter().cycle();
            while finished.len() < count {
                while let Some(task) = schedule.start() {
                    prop_assert!(task.needs.iter().all(|n| finished.contains(n)));
                    running.push(task);
                    prop_assert!(running.iter().map(|t| t.ram_bytes).sum::<u64>() <= 100);
                }
                prop_assert!(!running.is_empty(), "stuck");
                let task = running.remove(order.next().unwrap() as usize % running.len());
                schedule.finish(task.key);
                prop_assert!(finished.insert(task.key));
            }
            prop_assert!(schedule.all_started());
        }
    }
}
