//! Who may synthesize: as many threads as the governor allows, within a memory budget, one of them asking for work at a
//! time.
//!
//! Asking one at a time is what makes the budget exact: a thread asks only for circuits that fit what is free, and takes
//! the memory before the next one asks. When memory comes free meanwhile, the one who asks is interrupted and asks again
//! for more.

use std::{
    collections::BTreeSet,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ingot_types::CircuitKey;

use crate::stop::Stop;

/// How often a thread that waits for its turn looks whether it should stop.
const TICK: Duration = Duration::from_millis(200);

/// The budget and the queue in front of it.
#[derive(Debug)]
pub struct Admission {
    state: Mutex<State>,
    changed: Condvar,
    budget_bytes: u64,
}

#[derive(Debug)]
struct State {
    used_bytes: u64,
    running: usize,
    synthesizing: usize,
    /// Grows with each admission: tells whether someone else began meanwhile.
    admissions: u64,
    max_threads: usize,
    asking: Option<Stop>,
}

/// The right to ask for work.
#[derive(Debug)]
pub struct Turn {
    admission: Arc<Admission>,
    interrupt: Stop,
    free_bytes: u64,
    alone: bool,
}

/// Memory that a job may use; given back when dropped.
#[derive(Debug)]
pub struct Permit {
    admission: Arc<Admission>,
    bytes: u64,
    /// The number of its admission, if no other synthesis was under way then.
    began_alone: Option<u64>,
    synthesizing: bool,
}

impl Admission {
    /// `budget_bytes` for all, and at most `max_threads` (at least 1) at once.
    pub fn new(budget_bytes: u64, max_threads: usize) -> Arc<Self> {
        let state = State {
            used_bytes: 0,
            running: 0,
            synthesizing: 0,
            admissions: 0,
            max_threads: max_threads.max(1),
            asking: None,
        };
        Arc::new(Self { state: Mutex::new(state), changed: Condvar::new(), budget_bytes })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The budget, in bytes.
    pub fn budget_bytes(&self) -> u64 {
        self.budget_bytes
    }

    /// What is taken of it, in bytes.
    pub fn used_bytes(&self) -> u64 {
        self.lock().used_bytes
    }

    /// Jobs admitted so far.
    pub fn admissions(&self) -> u64 {
        self.lock().admissions
    }

    /// Jobs under way.
    pub fn running(&self) -> usize {
        self.lock().running
    }

    /// From now on at most `threads` (at least 1) at once; those above finish what they do.
    pub fn set_threads(&self, threads: usize) {
        self.lock().max_threads = threads.max(1);
        self.changed.notify_all();
    }

    /// Waits for the turn to ask; `None` if the process is to stop.
    pub fn turn(self: &Arc<Self>, stop: &Stop) -> Option<Turn> {
        let mut state = self.lock();
        loop {
            if stop.is_raised() {
                return None;
            }
            let free_bytes = self.budget_bytes.saturating_sub(state.used_bytes);
            if state.asking.is_none()
                && state.running < state.max_threads
                && (free_bytes > 0 || state.running == 0)
            {
                let interrupt = Stop::new();
                state.asking = Some(interrupt.clone());
                let alone = state.running == 0;
                return Some(Turn { admission: self.clone(), interrupt, free_bytes, alone });
            }
            state = self.changed.wait_timeout(state, TICK).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whoever asks stops asking: the process is to stop.
    pub fn interrupt(&self) {
        if let Some(interrupt) = &self.lock().asking {
            interrupt.raise();
        }
    }
}

impl Turn {
    /// Of the circuits with their estimates in bytes, those that fit. One job alone always fits: refusing it would not
    /// make it smaller. `None` if that is all of them.
    pub fn fitting(&self, circuits: impl Iterator<Item = (CircuitKey, u64)>) -> Option<BTreeSet<CircuitKey>> {
        if self.alone {
            return None;
        }
        let (mut fitting, mut all) = (BTreeSet::new(), true);
        for (key, bytes) in circuits {
            if bytes <= self.free_bytes {
                fitting.insert(key);
            } else {
                all = false;
            }
        }
        (!all).then_some(fitting)
    }

    /// Raised when asking again would bring more.
    pub fn interrupted(&self) -> &Stop {
        &self.interrupt
    }

    /// Takes the memory for a job, and lets the next thread ask.
    pub fn admit(self, bytes: u64) -> Permit {
        let mut state = self.admission.lock();
        state.used_bytes = state.used_bytes.saturating_add(bytes);
        state.running += 1;
        state.synthesizing += 1;
        state.admissions += 1;
        let began_alone = (state.synthesizing == 1).then_some(state.admissions);
        drop(state);
        Permit { admission: self.admission.clone(), bytes, began_alone, synthesizing: true }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.admission.lock().asking = None;
        self.admission.changed.notify_all();
    }
}

impl Permit {
    /// Whether no other synthesis was under way when this one began.
    pub fn began_alone(&self) -> bool {
        self.began_alone.is_some()
    }

    /// The synthesis is over and `bytes` are left of it: its witness vector. Whether none other was under way all the time.
    pub fn synthesized(&mut self, bytes: u64) -> bool {
        let mut state = self.admission.lock();
        let alone = self.began_alone == Some(state.admissions);
        if std::mem::take(&mut self.synthesizing) {
            state.synthesizing -= 1;
        }
        state.used_bytes = state.used_bytes.saturating_sub(self.bytes).saturating_add(bytes);
        self.bytes = bytes;
        self.admission.freed(&state);
        alone
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.admission.lock();
        state.used_bytes = state.used_bytes.saturating_sub(self.bytes);
        state.running -= 1;
        if self.synthesizing {
            state.synthesizing -= 1;
        }
        self.admission.freed(&state);
    }
}

impl Admission {
    fn freed(&self, state: &State) {
        if let Some(interrupt) = &state.asking {
            interrupt.raise();
        }
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU64, Ordering},
        thread,
    };

    use ingot_types::AggregationRound;

    use super::*;

    fn key(id: u8) -> CircuitKey {
        CircuitKey::new(AggregationRound::Basic, id)
    }

    #[test]
    fn only_what_fits_is_asked_for_and_freed_memory_interrupts_the_question() {
        let (admission, stop) = (Admission::new(100, 8), Stop::new());
        let sizes = || [(key(1), 30), (key(2), 60), (key(3), 200)].into_iter();
        let turn = admission.turn(&stop).unwrap();
        assert_eq!(turn.fitting(sizes()), None, "alone, everything fits");
        let first = turn.admit(60);
        let turn = admission.turn(&stop).unwrap();
        assert_eq!(turn.fitting(sizes()), Some([key(1)].into()));
        assert!(!turn.interrupted().is_raised());
        drop(first);
        assert!(turn.interrupted().is_raised());
        drop(turn);
        assert_eq!((admission.used_bytes(), admission.running()), (0, 0));
    }

    #[test]
    fn a_synthesis_that_had_company_does_not_count_as_alone() {
        let (admission, stop) = (Admission::new(100, 8), Stop::new());
        let mut first = admission.turn(&stop).unwrap().admit(10);
        assert!(first.began_alone() && first.synthesized(2));
        assert_eq!(admission.used_bytes(), 2);
        // The first only waits for a prover: it is no company.
        let mut second = admission.turn(&stop).unwrap().admit(10);
        let mut third = admission.turn(&stop).unwrap().admit(10);
        assert!(!second.synthesized(1) && !third.synthesized(1));
        drop((first, second, third));
        assert_eq!((admission.used_bytes(), admission.running()), (0, 0));
    }

    #[test]
    fn a_stopped_process_gets_no_turn_and_nobody_asks_beyond_the_limit_of_threads() {
        let (admission, stop) = (Admission::new(100, 1), Stop::new());
        let permit = admission.turn(&stop).unwrap().admit(1);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| admission.turn(&stop).is_some());
            admission.set_threads(2);
            assert!(waiting.join().unwrap());
        });
        drop(permit);
        stop.raise();
        assert!(admission.turn(&stop).is_none());
    }

    #[test]
    fn many_threads_stay_within_the_budget_except_for_one_job_alone() {
        let (admission, stop) = (Admission::new(10, 8), Stop::new());
        let (used, peak) = (AtomicU64::new(0), AtomicU64::new(0));
        thread::scope(|scope| {
            for i in 0..8u64 {
                let (admission, stop, used, peak) = (&admission, &stop, &used, &peak);
                scope.spawn(move || {
                    for round in 0..100 {
                        let wanted = if round == 77 && i == 3 { 25 } else { 1 + (i + round) % 7 };
                        // As if the queue held one job of this size.
                        let permit = loop {
                            let turn = admission.turn(stop).unwrap();
                            match turn.fitting([(key(1), wanted)].into_iter()) {
                                None => break turn.admit(wanted),
                                Some(fitting) if !fitting.is_empty() => break turn.admit(wanted),
                                Some(_) => drop(turn),
                            }
                        };
                        let now = used.fetch_add(wanted, Ordering::SeqCst) + wanted;
                        if wanted == 25 {
                            assert_eq!(now, 25, "alone");
                        } else {
                            peak.fetch_max(now, Ordering::SeqCst);
                        }
                        used.fetch_sub(wanted, Ordering::SeqCst);
                        drop(permit);
                    }
                });
            }
        });
        assert!(peak.into_inner() <= 10);
    }
}
