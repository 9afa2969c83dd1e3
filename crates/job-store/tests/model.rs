//! Random events against a naive model that knows no counters: it works readiness out anew at every step.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests are tests

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{after_a_crash, batch, fast_folder, file, key};
use ingot_job_store::{
    Backoff, Filter, JobSpec, JobState, JobStore, MemoryStore, Refusal, SqliteStore, StateName, Token,
};
use ingot_types::{JobKey, JobKind, RetryClass};
use proptest::prelude::*;

const TTL: u64 = 1_000;
const MAX_ATTEMPTS: u32 = 3;

#[derive(Clone, Debug)]
enum Op {
    /// Adds jobs, each depending on some that exist (chosen by index).
    Insert(Vec<NewJob>),
    Lease {
        prove_only: bool,
    },
    Heartbeat(Pick),
    HandOver(Pick),
    Complete(Pick, Vec<NewJob>),
    Fail(Pick, RetryClass),
    Release(Pick),
    Wait(u64),
    Reset {
        job: usize,
    },
    Report(Pick),
    Requeue {
        job: usize,
    },
    Crash,
}

/// One of the leases ever given out: the `n`th last.
#[derive(Clone, Copy, Debug)]
struct Pick(usize);

#[derive(Clone, Debug)]
struct NewJob {
    prove: bool,
    round: u8,
    priority: i32,
    depends_on: Vec<usize>,
}

fn new_job() -> impl Strategy<Value = NewJob> {
    (any::<bool>(), 0..5u8, 0..2i32, prop::collection::vec(any::<usize>(), 0..4))
        .prop_map(|(prove, round, priority, depends_on)| NewJob { prove, round, priority, depends_on })
}

fn op() -> impl Strategy<Value = Op> {
    // Mostly live leases, now and then old ones.
    let pick = || prop_oneof![4 => 0..3usize, 1 => 0..40usize].prop_map(Pick);
    let class =
        prop::sample::select(vec![RetryClass::Transient, RetryClass::Resource, RetryClass::Deterministic]);
    prop_oneof![
        2 => prop::collection::vec(new_job(), 1..5).prop_map(Op::Insert),
        8 => any::<bool>().prop_map(|prove_only| Op::Lease { prove_only }),
        1 => pick().prop_map(Op::Heartbeat),
        2 => pick().prop_map(Op::HandOver),
        6 => (pick(), prop::collection::vec(new_job(), 0..3)).prop_map(|(pick, jobs)| Op::Complete(pick, jobs)),
        2 => (pick(), class).prop_map(|(pick, class)| Op::Fail(pick, class)),
        1 => pick().prop_map(Op::Release),
        2 => (0..2 * TTL).prop_map(Op::Wait),
        1 => any::<usize>().prop_map(|job| Op::Reset { job }),
        1 => pick().prop_map(Op::Report),
        1 => any::<usize>().prop_map(|job| Op::Requeue { job }),
        1 => Just(Op::Crash),
    ]
}

/// Where a job stands; waiting and queued are not told apart, they follow from the dependencies.
#[derive(Clone, Debug, PartialEq)]
enum Stage {
    Open,
    Leased { token: Token, until: u64 },
    Resting,
    Done,
    GivenUp,
}

#[derive(Debug)]
struct ModelJob {
    spec: JobSpec,
    stage: Stage,
    attempts: u32,
    resets: u32,
    /// Completions accepted, less those undone by resets.
    completions: u32,
}

#[derive(Debug, Default)]
struct Model {
    jobs: BTreeMap<JobKey, ModelJob>,
    /// Every lease ever given out.
    leases: Vec<(JobKey, Token)>,
    now: u64,
}

impl Model {
    fn done(&self, key: &JobKey) -> bool {
        self.jobs[key].stage == Stage::Done
    }

    fn ready(&self, key: &JobKey) -> bool {
        self.jobs[key].spec.depends_on.iter().all(|d| self.done(d))
    }

    fn expected_state(&self, key: &JobKey) -> StateName {
        match self.jobs[key].stage {
            Stage::Open if self.ready(key) => StateName::Queued,
            Stage::Open => StateName::Waiting,
            Stage::Leased { .. } => StateName::Leased,
            Stage::Resting => StateName::Failed,
            Stage::Done => StateName::Done,
            Stage::GivenUp => StateName::Quarantined,
        }
    }

    fn valid(&self, key: &JobKey, token: Token) -> bool {
        matches!(self.jobs[key].stage, Stage::Leased { token: held, .. } if held == token)
    }

    /// The lease to use, if any was ever given out.
    fn pick(&self, Pick(n): Pick) -> Option<(JobKey, Token)> {
        self.leases.iter().rev().nth(n).copied()
    }

    fn nth(&self, n: usize) -> Option<JobKey> {
        (!self.jobs.is_empty()).then(|| *self.jobs.keys().nth(n % self.jobs.len()).unwrap())
    }

    fn specs(&self, new: &[NewJob], creator: Option<JobKey>) -> Vec<JobSpec> {
        let mut known: Vec<JobKey> = self.jobs.keys().copied().collect();
        new.iter()
            .map(|new| {
                let kind = if new.prove { JobKind::Prove } else { JobKind::Witness };
                let key = key(batch(1), kind, new.round, 1, 0, known.len() as u32);
                let mut depends_on: Vec<JobKey> = Vec::new();
                for index in new.depends_on.iter().filter(|_| !known.is_empty()) {
                    let dependency = known[index % known.len()];
                    if !depends_on.contains(&dependency) {
                        depends_on.push(dependency);
                    }
                }
                depends_on.extend(creator.filter(|c| !depends_on.contains(c)));
                known.push(key);
                let spec = common::spec(key, depends_on);
                JobSpec { priority: new.priority, max_attempts: MAX_ATTEMPTS, ..spec }
            })
            .collect()
    }

    fn add(&mut self, specs: Vec<JobSpec>) {
        for spec in specs {
            let job = ModelJob { spec, stage: Stage::Open, attempts: 0, resets: 0, completions: 0 };
            self.jobs.insert(job.spec.key, job);
        }
    }

    /// The job that goes first, by comparing all of them.
    fn next(&self, prove_only: bool) -> Option<JobKey> {
        let queued = self.jobs.iter().filter(|(key, job)| {
            job.stage == Stage::Open && self.ready(key) && (!prove_only || key.kind == JobKind::Prove)
        });
        queued
            .min_by_key(|(key, job)| {
                (-job.spec.priority, -(key.round as i32), key.circuit_id, key.sequence, **key)
            })
            .map(|(key, _)| *key)
    }

    fn burn(&mut self, key: &JobKey, otherwise: Stage) {
        let job = self.jobs.get_mut(key).unwrap();
        job.attempts += 1;
        job.stage = if job.attempts >= MAX_ATTEMPTS { Stage::GivenUp } else { otherwise };
    }

    fn undo(&mut self, key: &JobKey) {
        let job = self.jobs.get_mut(key).unwrap();
        job.attempts = 0;
        job.resets += 1;
        job.completions -= 1;
        job.stage = if job.resets > MAX_ATTEMPTS { Stage::GivenUp } else { Stage::Open };
        for job in self.jobs.values_mut().filter(|job| job.spec.depends_on.contains(key)) {
            if matches!(job.stage, Stage::Leased { .. } | Stage::Resting) {
                job.stage = Stage::Open;
            }
        }
    }

    fn set(&mut self, key: &JobKey, stage: Stage) {
        self.jobs.get_mut(key).unwrap().stage = stage;
    }
}

fn backoff() -> Backoff {
    Backoff { base_ms: 100, cap_ms: 1_500, seed: 3 }
}

/// Applies `op` to both; the model decides whether the store must accept or refuse.
fn step(store: &mut dyn JobStore, model: &mut Model, op: &Op) {
    let now = model.now;
    let check_refusal = |accepted: bool, valid: bool| assert_eq!(accepted, valid, "{op:?}");
    match op {
        Op::Insert(new) => {
            let specs = model.specs(new, None);
            store.insert(specs.clone(), now).unwrap();
            model.add(specs);
        }
        Op::Lease { prove_only } => {
            let kinds = prove_only.then(|| [JobKind::Prove].into());
            let lease = store.lease(&Filter { kinds, ..Filter::default() }, "w", TTL, now).unwrap();
            assert_eq!(lease.as_ref().map(|l| l.job.key()), model.next(*prove_only));
            if let Some(lease) = lease {
                let key = lease.job.key();
                assert!(lease.upstream.iter().all(|u| u.outputs.len() == 1));
                model.set(&key, Stage::Leased { token: lease.token, until: now + TTL });
                model.leases.push((key, lease.token));
            }
        }
        Op::Heartbeat(pick) => {
            let Some((key, token)) = model.pick(*pick) else { return };
            let valid = model.valid(&key, token);
            check_refusal(store.heartbeat(key, token, TTL, now).is_ok(), valid);
            if valid {
                model.set(&key, Stage::Leased { token, until: now + TTL });
            }
        }
        Op::HandOver(pick) => {
            let Some((key, token)) = model.pick(*pick) else { return };
            let lease = store.hand_over(key, token, "v", TTL, now);
            check_refusal(lease.is_ok(), model.valid(&key, token));
            if let Ok(lease) = lease {
                model.set(&key, Stage::Leased { token: lease.token, until: now + TTL });
                model.leases.push((key, lease.token));
            }
        }
        Op::Complete(pick, new) => {
            let Some((key, token)) = model.pick(*pick) else { return };
            let specs = model.specs(new, Some(key));
            let valid = model.valid(&key, token);
            check_refusal(store.complete(key, token, vec![file(token.0)], specs.clone(), now).is_ok(), valid);
            if valid {
                model.set(&key, Stage::Done);
                model.jobs.get_mut(&key).unwrap().completions += 1;
                model.add(specs);
            }
        }
        Op::Fail(pick, class) => {
            let Some((key, token)) = model.pick(*pick) else { return };
            let valid = model.valid(&key, token);
            check_refusal(store.fail(key, token, *class, "x", now).is_ok(), valid);
            match class {
                _ if !valid => {}
                RetryClass::Transient => model.burn(&key, Stage::Resting),
                RetryClass::Resource => model.set(&key, Stage::Resting),
                RetryClass::Deterministic => {
                    model.burn(&key, Stage::GivenUp);
                }
            }
        }
        Op::Release(pick) => {
            let Some((key, token)) = model.pick(*pick) else { return };
            let valid = model.valid(&key, token);
            check_refusal(store.release(key, token, now).is_ok(), valid);
            if valid {
                model.set(&key, Stage::Open);
            }
        }
        Op::Wait(ms) => {
            model.now += ms;
            wait(store, model);
        }
        Op::Reset { job } => {
            let Some(key) = model.nth(*job) else { return };
            let valid = model.done(&key);
            check_refusal(store.reset(key, None, now).is_ok(), valid);
            if valid {
                model.undo(&key);
            }
        }
        Op::Report(pick) => {
            let Some((reporter, token)) = model.pick(*pick) else { return };
            let Some(key) = model.jobs[&reporter].spec.depends_on.first().copied() else { return };
            let valid = model.valid(&reporter, token);
            check_refusal(store.reset(key, Some((reporter, token)), now).is_ok(), valid);
            if valid {
                model.undo(&key);
            }
        }
        Op::Requeue { job } => {
            let Some(key) = model.nth(*job) else { return };
            let valid = matches!(model.jobs[&key].stage, Stage::GivenUp | Stage::Resting);
            check_refusal(store.requeue(key, now).is_ok(), valid);
            if valid {
                let job = model.jobs.get_mut(&key).unwrap();
                (job.attempts, job.resets, job.stage) = (0, 0, Stage::Open);
            }
        }
        Op::Crash => {}
    }
}

/// What time does. When a retry is due is the store's to say, within the bounds of the backoff.
fn wait(store: &mut dyn JobStore, model: &mut Model) {
    let due_before: Vec<(JobKey, u64)> = model
        .jobs
        .keys()
        .filter_map(|key| match store.job(key).unwrap().unwrap().status.state {
            JobState::Failed { retry_at_ms } => Some((*key, retry_at_ms)),
            _ => None,
        })
        .collect();
    store.advance(model.now).unwrap();
    let expired: Vec<JobKey> = model
        .jobs
        .iter()
        .filter(|(_, job)| matches!(job.stage, Stage::Leased { until, .. } if until <= model.now))
        .map(|(key, _)| *key)
        .collect();
    expired.iter().for_each(|key| model.burn(key, Stage::Open));
    for (key, due) in due_before {
        assert!(due <= model.now + 1_500);
        if due <= model.now {
            model.set(&key, Stage::Open);
        }
    }
}

fn check(store: &mut dyn JobStore, model: &Model) {
    let jobs = store.batch_jobs(batch(1)).unwrap();
    assert_eq!(jobs.len(), model.jobs.len());
    for job in &jobs {
        let key = job.key();
        let expected = &model.jobs[&key];
        assert_eq!(job.status.state.name(), model.expected_state(&key), "{key}: {job:?}");
        assert_eq!((job.status.attempts, job.status.resets), (expected.attempts, expected.resets), "{key}");
        assert_eq!(*job.spec, expected.spec);
        assert_eq!(expected.completions, u32::from(model.done(&key)), "{key} is done once");
        if let JobState::Waiting { missing } = job.status.state {
            let open = job.spec.depends_on.iter().filter(|d| !model.done(d)).count();
            assert_eq!(missing as usize, open);
        }
    }
    assert_eq!(store.reconcile(model.now).unwrap(), []);
    assert!(model.leases.windows(2).all(|pair| pair[0].1 < pair[1].1), "tokens grow");
    // Every lease but those in force is refused, and of those there is one for each leased job.
    let mut in_force = BTreeSet::new();
    for (key, token) in &model.leases {
        match store.heartbeat(*key, *token, 0, 0) {
            Ok(_) => assert!(in_force.insert(*key), "{key} is leased twice"),
            Err(error) => {
                let refusal = error.refusal().unwrap();
                assert!(
                    matches!(refusal, Refusal::StaleToken { .. } | Refusal::AlreadyDone { .. }),
                    "{refusal}"
                );
            }
        }
    }
    let leased = model.jobs.iter().filter(|(_, job)| matches!(job.stage, Stage::Leased { .. }));
    assert_eq!(in_force, leased.map(|(key, _)| *key).collect());
}

/// Once nothing fails any more, every job gets done.
fn finish(store: &mut dyn JobStore, model: &Model) {
    for (key, job) in &model.jobs {
        match job.stage {
            Stage::GivenUp => drop(store.requeue(*key, model.now).unwrap()),
            Stage::Leased { token, .. } => drop(store.release(*key, token, model.now).unwrap()),
            _ => {}
        }
    }
    let mut now = model.now;
    loop {
        while let Some(lease) = store.lease(&Filter::default(), "w", TTL, now).unwrap() {
            store.complete(lease.job.key(), lease.token, vec![], vec![], now).unwrap();
        }
        match store.next_deadline_ms().unwrap() {
            Some(due) => now = now.max(due),
            None => break,
        }
        store.advance(now).unwrap();
    }
    let progress = store.progress(batch(1)).unwrap();
    assert_eq!(progress.done, model.jobs.len() as u64, "{progress:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_agrees_with_the_model(ops in prop::collection::vec(op(), 1..80)) {
        let mut store = MemoryStore::new(backoff());
        let mut model = Model::default();
        for op in &ops {
            step(&mut store, &mut model, op);
            check(&mut store, &model);
        }
        finish(&mut store, &model);
    }

    #[test]
    fn so_does_the_store_that_crashes(ops in prop::collection::vec(op(), 1..80)) {
        let folder = fast_folder();
        let path = folder.path().join("journal");
        let mut store = MemoryStore::open(&path, backoff(), 0).unwrap().0;
        let mut model = Model::default();
        for op in &ops {
            step(&mut store, &mut model, op);
            if matches!(op, Op::Crash) {
                let expected = after_a_crash(&store, &[batch(1)]);
                drop(store);
                store = MemoryStore::open(&path, backoff(), model.now).unwrap().0;
                prop_assert_eq!(after_a_crash(&store, &[batch(1)]), expected);
                for job in model.jobs.values_mut() {
                    if matches!(job.stage, Stage::Leased { .. }) {
                        job.stage = Stage::Open;
                    }
                }
            }
            check(&mut store, &model);
        }
        finish(&mut store, &model);
    }

    #[test]
    fn the_database_agrees_with_the_model(ops in prop::collection::vec(op(), 1..80)) {
        let mut store = SqliteStore::in_memory(backoff()).unwrap();
        let mut model = Model::default();
        for op in &ops {
            step(&mut store, &mut model, op);
            check(&mut store, &model);
        }
        finish(&mut store, &model);
    }

    /// Operations share transactions of random length. What is in the file is what was seen before it was closed, leases
    /// included: their holders live elsewhere.
    #[test]
    fn so_does_the_database_in_groups_and_reopened(ops in prop::collection::vec(op(), 1..60), sizes in prop::collection::vec(1..9usize, 60)) {
        let folder = fast_folder();
        let path = folder.path().join("jobs.db");
        let mut store = SqliteStore::open(&path, backoff()).unwrap();
        let mut model = Model::default();
        let mut rest = &ops[..];
        for size in sizes {
            let (group, after) = rest.split_at(size.min(rest.len()));
            rest = after;
            store.group(|store| group.iter().for_each(|op| step(store, &mut model, op))).unwrap();
            if group.iter().any(|op| matches!(op, Op::Crash)) {
                let before = store.batch_jobs(batch(1)).unwrap();
                drop(store);
                store = SqliteStore::open(&path, backoff()).unwrap();
                prop_assert_eq!(store.batch_jobs(batch(1)).unwrap(), before);
            }
            check(&mut store, &model);
        }
        finish(&mut store, &model);
    }
}
