//! Five batches of 2,000 jobs and more on virtual time: workers that crash, stall, stop and come back as zombies; a store
//! that is killed, and rebuilt from its journal or opened from its database; damaged artifacts. When the faults stop,
//! everything gets done.
//!
//! `INGOT_SIM_SEEDS=n` runs n seeds on each home (2 by default).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests are tests

mod common;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    path::PathBuf,
};

use common::{after_a_crash, batch, fast_folder, file, key, spec};
use ingot_job_store::{
    Backoff, Effect, Effects, Filter, Home as _, JobSpec, JobStore, Lease, MemoryStore, SqliteStore,
    StoreError, Token,
};
use ingot_types::{BatchId, JobKey, JobKind, RetryClass};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const BATCHES: u32 = 5;
const BASIC: u32 = 1_200;
const ARITY: usize = 4;
const TTL: u64 = 10_000;
const WITNESS_WORKERS: usize = 12;
const SYNTHESIZERS: usize = 20;
const PROVERS: usize = 12;
/// No fault begins after this.
const FAULTS_END: u64 = 400_000;

/// What a batch's first job creates: proofs of basic circuits, and a witness and a prove job for each proof above them.
fn created(batch: BatchId) -> Vec<JobSpec> {
    let mut jobs = Vec::new();
    let mut roots = Vec::new();
    for circuit in 1..=3u8 {
        let mut level: Vec<JobKey> =
            (0..BASIC / 3).map(|n| key(batch, JobKind::Prove, 0, circuit, 0, n)).collect();
        jobs.extend(level.iter().map(|k| spec(*k, vec![])));
        level = merge(&mut jobs, batch, &level, ARITY, 1, circuit, 0);
        for depth in 0.. {
            level = merge(&mut jobs, batch, &level, ARITY, 2, circuit, depth);
            if level.len() == 1 {
                break;
            }
        }
        roots.extend(level);
    }
    let tip = merge(&mut jobs, batch, &roots, roots.len(), 3, 1, 0);
    merge(&mut jobs, batch, &tip, 1, 4, 1, 0);
    jobs
}

fn merge(
    jobs: &mut Vec<JobSpec>,
    batch: BatchId,
    level: &[JobKey],
    arity: usize,
    round: u8,
    circuit: u8,
    depth: u16,
) -> Vec<JobKey> {
    let mut above = Vec::new();
    for (children, n) in level.chunks(arity).zip(0..) {
        let witness = key(batch, JobKind::Witness, round, circuit, depth, n);
        let prove = key(batch, JobKind::Prove, round, circuit, depth, n);
        jobs.push(spec(witness, children.to_vec()));
        jobs.push(spec(prove, vec![witness]));
        above.push(prove);
    }
    above
}

fn first_job(batch: BatchId) -> JobKey {
    key(batch, JobKind::Witness, 0, 0, 0, 0)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    /// An idle worker looks for work.
    Look(usize),
    /// A worker says that it is alive, if it still has this lease.
    Beat(usize, JobKey, Token),
    /// A worker's time with a lease is over, one way or the other.
    End(usize, JobKey, Token, End),
    /// The store's timer.
    Tick,
    /// The store is killed and rebuilt.
    Kill,
    /// An operator requeues what is quarantined.
    Operate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Complete,
    HandOver,
    Fail(u8),
    Release,
    /// It stopped answering long ago, and comes back as if nothing had happened.
    Zombie,
    /// It found a file of its upstream damaged.
    Report,
}

/// Where the jobs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In memory, with a journal: leases end with the process, which did the work itself.
    Journal,
    /// In a database: leases go on, since their holders live elsewhere.
    Database,
}

/// Figures that two runs of one seed must share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Figures {
    completions: u64,
    refused: u64,
    resets: u64,
    expired: u64,
    kills: u64,
    quarantined: u64,
    finished_at_ms: u64,
}

struct Simulation {
    rng: ChaCha8Rng,
    place: Place,
    store: Option<Box<dyn JobStore>>,
    file: PathBuf,
    now: u64,
    agenda: BinaryHeap<Reverse<(u64, u64, Happening)>>,
    entries: u64,
    idle: BTreeSet<usize>,
    /// Completions accepted for each job, less those undone.
    done: BTreeMap<JobKey, u32>,
    last_token: Token,
    figures: Figures,
}

impl Simulation {
    fn run(place: Place, seed: u64) -> Figures {
        Self::with_kills(place, seed, 4)
    }

    fn run_without_kills(place: Place, seed: u64) -> Figures {
        Self::with_kills(place, seed, 0)
    }

    fn with_kills(place: Place, seed: u64, kills: u64) -> Figures {
        let folder = fast_folder();
        let file = folder.path().join("store");
        let backoff = Backoff { seed, ..Backoff::default() };
        let store: Box<dyn JobStore> = match place {
            Place::Journal => Box::new(MemoryStore::open(&file, backoff, 0).unwrap().0),
            Place::Database => Box::new(SqliteStore::open(&file, backoff).unwrap()),
        };
        let mut simulation = Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            place,
            store: Some(store),
            file,
            now: 0,
            agenda: BinaryHeap::new(),
            entries: 0,
            idle: (0..WITNESS_WORKERS + SYNTHESIZERS).collect(),
            done: BTreeMap::new(),
            last_token: Token(0),
            figures: Figures::default(),
        };
        for n in 0..BATCHES {
            let effects = simulation.store().insert(vec![spec(first_job(batch(n)), vec![])], 0).unwrap();
            simulation.follow(effects);
        }
        for n in 1..=kills {
            simulation.plan(n * FAULTS_END / 5, Happening::Kill);
        }
        simulation.plan(FAULTS_END, Happening::Operate);
        // Nothing polls: if a wake-up were lost, the agenda would run dry before the work is done.
        while let Some(Reverse((at, _, happening))) = simulation.agenda.pop() {
            simulation.now = at;
            assert!(at < 10 * FAULTS_END, "no end: {:?}", simulation.figures);
            simulation.happen(happening);
        }
        simulation.finish(kills)
    }

    fn store(&mut self) -> &mut dyn JobStore {
        self.store.as_mut().unwrap().as_mut()
    }

    fn plan(&mut self, at: u64, happening: Happening) {
        self.entries += 1;
        self.agenda.push(Reverse((at, self.entries, happening)));
    }

    fn faulty(&self) -> bool {
        self.now < FAULTS_END
    }

    /// Wakes who may be waiting for what happened, and sets the timer.
    fn follow(&mut self, effects: Effects) {
        for (_, effect) in &effects {
            match effect {
                Effect::Quarantined => self.figures.quarantined += 1,
                Effect::LeaseLost { .. } => self.figures.expired += 1,
                _ => {}
            }
        }
        if effects.iter().any(|(_, effect)| *effect == Effect::Ready) {
            for worker in std::mem::take(&mut self.idle) {
                self.plan(self.now, Happening::Look(worker));
            }
        }
        if let Some(due) = self.store().next_deadline_ms().unwrap() {
            self.plan(due.max(self.now), Happening::Tick);
        }
    }

    fn happen(&mut self, happening: Happening) {
        let now = self.now;
        match happening {
            Happening::Look(worker) => self.look(worker),
            Happening::Beat(worker, key, token) => {
                if self.store().heartbeat(key, token, TTL, now).is_ok() {
                    self.plan(now + TTL / 3, Happening::Beat(worker, key, token));
                }
            }
            Happening::End(worker, key, token, end) => self.end(worker, key, token, end),
            Happening::Tick => {
                let effects = self.store().advance(now).unwrap();
                if !effects.is_empty() {
                    self.follow(effects);
                }
            }
            Happening::Kill => self.kill(),
            Happening::Operate => {
                let stuck: Vec<JobKey> = (0..BATCHES)
                    .flat_map(|n| self.store.as_ref().unwrap().batch_jobs(batch(n)).unwrap())
                    .filter(|job| job.status.state.name().name() == "quarantined")
                    .map(|job| job.key())
                    .collect();
                for key in stuck {
                    let effects = self.store().requeue(key, now).unwrap();
                    self.follow(effects);
                }
                // Faults begun before the end may still quarantine a job a little later.
                if !self.agenda.is_empty() {
                    self.plan(now + 60_000, Happening::Operate);
                }
            }
        }
    }

    fn look(&mut self, worker: usize) {
        let kind = if worker < WITNESS_WORKERS { JobKind::Witness } else { JobKind::Prove };
        let filter = Filter { kinds: Some([kind].into()), ..Filter::default() };
        let now = self.now;
        match self.store().lease(&filter, &format!("worker-{worker}"), TTL, now).unwrap() {
            Some(lease) => {
                let good = if kind == JobKind::Prove { End::HandOver } else { End::Complete };
                self.work(worker, &lease, good);
            }
            None => {
                self.idle.insert(worker);
            }
        }
    }

    /// Decides how a lease ends.
    fn work(&mut self, worker: usize, lease: &Lease, good: End) {
        assert!(lease.token > self.last_token, "tokens grow");
        self.last_token = lease.token;
        for upstream in &lease.upstream {
            assert_eq!(self.done.get(&upstream.key), Some(&1), "{} started too early", lease.job.key());
        }
        let (key, token) = (lease.job.key(), lease.token);
        let time = self.rng.gen_range(200..4_000);
        let fault = if self.faulty() { self.rng.gen_range(0..1_000) } else { 1_000 };
        let (after, end) = match fault {
            0..15 => (time + self.rng.gen_range(1..4) * TTL, End::Zombie),
            15..35 => (time, End::Fail(0)),
            35..45 => (time, End::Fail(1)),
            45..46 => (time, End::Fail(2)),
            46..56 => (time, End::Release),
            56..60 if !lease.upstream.is_empty() => (time, End::Report),
            // Longer than the lease, but alive.
            60..80 => (time + 2 * TTL, good),
            _ => (time, good),
        };
        if end != End::Zombie {
            self.plan(self.now + TTL / 3, Happening::Beat(worker, key, token));
        }
        self.plan(self.now + after, Happening::End(worker, key, token, end));
    }

    fn end(&mut self, worker: usize, key: JobKey, token: Token, end: End) {
        let now = self.now;
        // Provers take what is handed to them; the others look for work themselves.
        let looks = worker < WITNESS_WORKERS + SYNTHESIZERS;
        let store = self.store();
        let result = match end {
            End::Complete | End::Zombie => return self.complete(worker, key, token, looks),
            End::HandOver => {
                let prover = WITNESS_WORKERS + SYNTHESIZERS + self.rng.gen_range(0..PROVERS);
                match self.store().hand_over(key, token, &format!("prover-{prover}"), TTL, now) {
                    Ok(lease) => {
                        self.work(prover, &lease, End::Complete);
                        // The old holder has nothing to say any more.
                        assert!(self.store().complete(key, token, vec![], vec![], now).is_err());
                        Ok(vec![])
                    }
                    Err(error) => Err(error),
                }
            }
            End::Fail(class) => {
                let classes = [RetryClass::Transient, RetryClass::Resource, RetryClass::Deterministic];
                store.fail(key, token, classes[usize::from(class)], "simulated", now)
            }
            End::Release => store.release(key, token, now),
            End::Report => {
                let upstream = store.job(&key).unwrap().unwrap().spec.depends_on.clone();
                let damaged = upstream[self.rng.gen_range(0..upstream.len())];
                let result = self.store().reset(damaged, Some((key, token)), now);
                if result.is_ok() {
                    self.figures.resets += 1;
                    *self.done.get_mut(&damaged).unwrap() -= 1;
                }
                result
            }
        };
        self.settle(result);
        if looks {
            self.plan(now, Happening::Look(worker));
        }
    }

    fn complete(&mut self, worker: usize, key: JobKey, token: Token, looks: bool) {
        let new_jobs = if key == first_job(key.batch) { created(key.batch) } else { vec![] };
        let now = self.now;
        let result = self.store().complete(key, token, vec![file(key)], new_jobs, now);
        if result.is_ok() {
            self.figures.completions += 1;
            let done = self.done.entry(key).or_default();
            *done += 1;
            assert_eq!(*done, 1, "{key} was done twice");
        }
        self.settle(result);
        if looks {
            self.plan(now, Happening::Look(worker));
        }
    }

    fn settle(&mut self, result: Result<Effects, StoreError>) {
        match result {
            Ok(effects) => self.follow(effects),
            Err(StoreError::Refused(_)) => self.figures.refused += 1,
            Err(other) => panic!("{other}"),
        }
    }

    fn kill(&mut self) {
        let batches: Vec<BatchId> = (0..BATCHES).map(batch).collect();
        let store = self.store.take().unwrap();
        let jobs = |store: &dyn JobStore| -> Vec<_> {
            batches.iter().flat_map(|batch| store.batch_jobs(*batch).unwrap()).collect()
        };
        let (all, after_crash) = (jobs(store.as_ref()), after_a_crash(store.as_ref(), &batches));
        drop(store);
        self.figures.kills += 1;
        let effects = match self.place {
            Place::Journal => {
                let (mut store, recovered) =
                    MemoryStore::open(&self.file, Backoff::default(), self.now).unwrap();
                assert_eq!(after_a_crash(&store, &batches), after_crash);
                assert_eq!(store.reconcile(self.now).unwrap(), []);
                self.store = Some(Box::new(store));
                recovered.handed_back.into_iter().map(|key| (key, Effect::Ready)).collect()
            }
            Place::Database => {
                let mut store = SqliteStore::open(&self.file, Backoff::default()).unwrap();
                assert_eq!(jobs(&store), all);
                assert_eq!(store.reconcile(self.now).unwrap(), []);
                store.restart_clock(TTL, self.now).unwrap();
                self.store = Some(Box::new(store));
                // Whoever waited for work asks the new process.
                vec![(first_job(batch(0)), Effect::Ready)]
            }
        };
        self.follow(effects);
    }

    fn finish(mut self, kills: u64) -> Figures {
        for n in 0..BATCHES {
            let progress = self.store().progress(batch(n)).unwrap();
            assert!(progress.is_done(), "batch {n}: {progress:?}");
        }
        let now = self.now;
        assert_eq!(self.store().reconcile(now).unwrap(), []);
        assert!(self.done.values().all(|n| *n == 1));
        assert!(self.done.len() >= 10_000, "{} jobs", self.done.len());
        let figures = Figures { finished_at_ms: self.now, ..self.figures };
        // The faults did happen, or the run would show nothing.
        assert!(figures.refused > 50 && figures.expired > 50 && figures.resets > 5, "{figures:?}");
        assert!(figures.kills == kills && figures.quarantined > 3, "{figures:?}");
        assert_eq!(figures.completions, self.done.len() as u64 + figures.resets);
        figures
    }
}

#[test]
fn everything_gets_done_once() {
    let seeds =
        std::env::var("INGOT_SIM_SEEDS").map_or(2, |n| n.parse().expect("INGOT_SIM_SEEDS is a number"));
    for place in [Place::Journal, Place::Database] {
        for seed in 0..seeds {
            println!("{place:?}, seed {seed}: {:?}", Simulation::run(place, seed));
        }
    }
}

#[test]
fn a_seed_says_everything() {
    assert_eq!(Simulation::run(Place::Journal, 77), Simulation::run(Place::Journal, 77));
}

/// As long as nothing is killed, both homes do the same: the same jobs in the same order, the same tokens.
#[test]
fn both_homes_agree_on_everything_until_the_first_kill() {
    let figures = [Place::Journal, Place::Database].map(|place| Simulation::run_without_kills(place, 5));
    assert_eq!(figures[0], figures[1]);
}
