//! What a component is waiting for, and whether its threads make progress.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde::Serialize;

/// The health of one process.
#[derive(Debug, Default)]
pub struct Health {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting_for: BTreeMap<&'static str, String>,
    doing: String,
    beats: BTreeMap<&'static str, Instant>,
}

/// What `/readyz` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// Whether it can work.
    pub ready: bool,
    /// If not: what it waits for.
    pub waiting_for: Vec<String>,
    /// What it is doing.
    pub doing: String,
}

impl Readiness {
    /// One line for people.
    pub fn line(&self) -> String {
        match self.ready {
            true => self.doing.clone(),
            false => format!("waiting for {}", self.waiting_for.join("; ")),
        }
    }
}

impl Health {
    /// Nothing is waited for.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something is waited for, and why: `what` is a name for the code, `why` a phrase for people.
    pub fn wait_for(&self, what: &'static str, why: impl Into<String>) {
        self.lock().waiting_for.insert(what, why.into());
    }

    /// It is there.
    pub fn got(&self, what: &'static str) {
        self.lock().waiting_for.remove(what);
    }

    /// What the component is doing.
    pub fn doing(&self, what: impl Into<String>) {
        self.lock().doing = what.into();
    }

    /// What it is and waits for.
    pub fn readiness(&self) -> Readiness {
        let state = self.lock();
        Readiness {
            ready: state.waiting_for.is_empty(),
            waiting_for: state.waiting_for.values().cloned().collect(),
            doing: state.doing.clone(),
        }
    }

    /// A thread that must never stand still says that it does not.
    pub fn beat(&self, thread: &'static str) {
        self.lock().beats.insert(thread, Instant::now());
    }

    /// A thread that said so is done, and need not say it any more.
    pub fn rest(&self, thread: &'static str) {
        self.lock().beats.remove(thread);
    }

    /// The threads that have stood still for longer than `limit`.
    pub fn stuck(&self, limit: Duration) -> Vec<&'static str> {
        let state = self.lock();
        state.beats.iter().filter(|(_, at)| at.elapsed() > limit).map(|(thread, _)| *thread).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_ready_when_nothing_is_waited_for_and_says_what_otherwise() {
        let health = Health::new();
        health.doing("2 jobs");
        assert!(health.readiness().ready);
        health.wait_for("house keeper", "the house keeper at unix:/x: no such file");
        health.wait_for("house keeper", "the house keeper at unix:/x: connection refused");
        health.wait_for("slab", "a prover");
        let readiness = health.readiness();
        assert!(!readiness.ready);
        assert_eq!(readiness.line(), "waiting for the house keeper at unix:/x: connection refused; a prover");
        health.got("house keeper");
        health.got("slab");
        assert_eq!(health.readiness().line(), "2 jobs");
    }

    #[test]
    fn a_thread_that_stands_still_is_named() {
        let health = Health::new();
        health.beat("main");
        assert!(health.stuck(Duration::from_secs(600)).is_empty());
        assert_eq!(health.stuck(Duration::ZERO), ["main"]);
        health.rest("main");
        assert!(health.stuck(Duration::ZERO).is_empty());
    }
}
