//! The three workers together, without sockets: a fake house keeper over the real state machine, and witness vectors
//! handed from thread to thread.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        atomic::{AtomicBool, AtomicU32, Ordering},
        Arc, Mutex,
    },
    thread::{self, JoinHandle},
};

use ingot_artifacts::{ArtifactStore, Artifacts};
use ingot_house_keeper::protocol::{Registration, Served};
use ingot_job_store::{JobStore as _, Lease, StateName};
use ingot_services::{
    circuit_prover::{self, Inbox},
    config::{Config, HostConfig},
    desk::Desk,
    observability::{init_logs, LogFormat, Observed, LOG_FILTER_VARIABLE},
    start::{self, Connect, Connection},
    stop::Stop,
    witness_generator, witness_vector_generator,
    work::{CircuitWork, JobCircuit, JobFailure, Made, WitnessSections, Work},
    ServiceError,
};
use ingot_types::{BatchId, JobKey, JobKind, RetryClass};
use support::{
    circuit_work, inputs, output, submitted,
    wire::{Local, Wire},
    Shared, BATCH, PROOFS,
};

struct House {
    folder: tempfile::TempDir,
    shared: Arc<Shared>,
    work: Arc<CircuitWork>,
    wire: Arc<Wire>,
}

struct Running {
    desk: Arc<Desk>,
    thread: JoinHandle<Result<(), ServiceError>>,
}

impl Running {
    fn stop(self) {
        self.desk.stop.raise();
        self.thread.join().unwrap().unwrap();
    }
}

impl House {
    fn new() -> Self {
        if std::env::var(LOG_FILTER_VARIABLE).is_ok() {
            init_logs(LogFormat::Text, "test").unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let work = circuit_work(&folder.path().join("keys"));
        let artifacts = ArtifactStore::open(folder.path().join("artifacts")).unwrap();
        let shared = Shared::new(submitted(&*work, &artifacts));
        Self { folder, shared, work, wire: Arc::default() }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn config(&self) -> Config {
        let mut config = Config {
            host: HostConfig { state_dir: self.path().join("state"), ..HostConfig::default() },
            ..Config::default()
        };
        config.witness_vector_generator.threads = 2;
        config.witness_generator.threads = 2;
        config
    }

    fn desk(&self, name: &str, work: Arc<dyn Work>) -> Arc<Desk> {
        let artifacts = ArtifactStore::open(self.path().join("artifacts")).unwrap();
        Desk::new(
            work,
            self.shared.queue(name),
            Arc::new(artifacts),
            Arc::new(Observed::default()),
            Stop::new(),
        )
    }

    fn start_witness_generator(&self, work: Arc<dyn Work>) -> Running {
        let (desk, config) = (self.desk("wg", work), self.config());
        let d = desk.clone();
        let thread =
            thread::spawn(move || witness_generator::run(&d, &config.host, &config.witness_generator));
        Running { desk, thread }
    }

    fn start_generator(&self, work: Arc<dyn Work>) -> Running {
        let (desk, config, wire) = (self.desk("wvg", work), self.config(), self.wire.clone());
        let d = desk.clone();
        let thread = thread::spawn(move || {
            witness_vector_generator::run(&d, &config.host, &config.witness_vector_generator, wire)
        });
        Running { desk, thread }
    }

    fn start_prover(&self, name: &str, work: Arc<dyn Work>) -> Running {
        let (desk, config) = (self.desk(name, work), self.config());
        let inbox = Inbox::new();
        let local = Arc::new(Local {
            slabs: Arc::new(AtomicU32::new(2)),
            expected: Mutex::default(),
            on_vector: inbox.on_vector(),
        });
        self.wire.provers.lock().unwrap().insert(name.to_owned(), local.clone());
        let d = desk.clone();
        let thread = thread::spawn(move || circuit_prover::run(&d, &config.host, true, &inbox, local));
        Running { desk, thread }
    }

    fn wait_proved(&self) {
        self.shared.wait(|state| {
            let progress = state.store.progress(BATCH).unwrap();
            assert_eq!(progress.quarantined, 0, "{:?}", state.failed);
            (progress.jobs > 1 && progress.is_done()).then_some(())
        });
        let last = self.shared.job(self.work.last_job(BATCH));
        let file = output(&last, ingot_services::work::role::PROOF);
        let proof = std::fs::read(self.path().join("artifacts").join(&file.hash)).unwrap();
        self.work.check_final(BATCH, &inputs(), &proof).unwrap();
    }

    fn attempts(&self) -> u32 {
        let state = self.shared.state.lock().unwrap();
        state.store.batch_jobs(BATCH).unwrap().iter().map(|job| job.status.attempts).sum()
    }
}

type Hook = Box<dyn Fn(&str, JobKey) + Send + Sync>;

/// Real work with something wrong about it.
struct Odd {
    work: Arc<CircuitWork>,
    /// Called at the start of each step.
    hook: Hook,
}

impl Work for Odd {
    fn served(&self) -> Served {
        self.work.served()
    }
    fn circuits(&self) -> &[JobCircuit] {
        self.work.circuits()
    }
    fn witness(&self, lease: &Lease, artifacts: &dyn Artifacts) -> Result<Made, JobFailure> {
        (self.hook)("witness", lease.job.key());
        self.work.witness(lease, artifacts)
    }
    fn synthesize(&self, lease: &Lease, artifacts: &dyn Artifacts) -> Result<WitnessSections, JobFailure> {
        (self.hook)("synthesize", lease.job.key());
        self.work.synthesize(lease, artifacts)
    }
    fn prove(&self, job: JobKey, sections: [&[u8]; 3]) -> Result<Vec<u8>, JobFailure> {
        (self.hook)("prove", job);
        self.work.prove(job, sections)
    }
    fn verify(&self, job: JobKey, proof: &[u8]) -> Result<(), JobFailure> {
        self.work.verify(job, proof)
    }
    fn last_job(&self, batch: BatchId) -> JobKey {
        self.work.last_job(batch)
    }
    fn check_final(&self, batch: BatchId, witness_inputs: &[u8], proof: &[u8]) -> Result<(), JobFailure> {
        self.work.check_final(batch, witness_inputs, proof)
    }
    fn name(&self, job: JobKey) -> String {
        self.work.name(job)
    }
}

#[test]
fn three_workers_prove_a_batch_each_job_once_and_stop_cleanly() {
    let house = House::new();
    house.wire.failures.store(2, Ordering::SeqCst);
    let workers = [
        house.start_prover("prover a", house.work.clone()),
        house.start_generator(house.work.clone()),
        house.start_witness_generator(house.work.clone()),
    ];
    house.wait_proved();
    {
        let state = house.shared.state.lock().unwrap();
        let completed: BTreeSet<_> = state.completed.iter().collect();
        assert_eq!(completed.len(), state.completed.len(), "a job was completed twice");
        let proofs = completed.iter().filter(|key| key.kind == JobKind::Prove).count();
        assert_eq!(proofs, PROOFS);
        assert_eq!(state.returned, 2, "the cut connections gave their grants back");
        assert!(state.loads.iter().any(|load| load.proving == 1));
        // What it is doing is told a few times a second: jobs as short as these may all fall between.
        assert!(!state.statuses.is_empty());
    }
    // The failed sends cost no attempt: another grant was had.
    assert_eq!(house.attempts(), 0);
    let metrics = workers[0].desk.observed.metrics.text();
    assert!(metrics.contains("what=\"proving\""), "{metrics}");
    for worker in workers {
        worker.stop();
    }
    let costs = std::fs::read_to_string(house.path().join("state/synthesis-costs.toml")).unwrap();
    assert!(costs.contains("0:1"), "{costs}");
    assert_eq!(house.shared.state.lock().unwrap().draining.len(), 3);
}

/// Connects started workers with the fake house keeper.
struct Fake {
    shared: Arc<Shared>,
    artifacts: ArtifactStore,
}

impl Connect for Fake {
    fn connect(&self, registration: Registration) -> Result<Connection, ServiceError> {
        if let Some(offer) = registration.stream {
            let mut state = self.shared.state.lock().unwrap();
            state.addresses.insert(registration.name.clone(), offer.addresses);
        }
        assert!(registration.serves.is_some());
        let queue = self.shared.queue(&registration.name);
        Ok(Connection { queue, artifacts: Arc::new(self.artifacts.clone()) })
    }
}

/// Starts a worker as an executable would.
fn started(
    house: &House,
    run: impl FnOnce(&Config, Arc<dyn Work>, &dyn Connect, Stop) -> Result<(), ServiceError> + Send + 'static,
    name: &str,
) -> (Stop, JoinHandle<Result<(), ServiceError>>) {
    let stop = Stop::new();
    let artifacts = ArtifactStore::open(house.path().join("artifacts")).unwrap();
    let (fake, work) = (Fake { shared: house.shared.clone(), artifacts }, house.work.clone());
    let (mut config, raised) = (house.config(), stop.clone());
    config.circuit_prover.name = Some(name.to_owned());
    config.circuit_prover.http = Some(([127, 0, 0, 1], 0).into());
    let run = move || {
        let result = run(&config, work, &fake, raised);
        if let Err(error) = &result {
            // Whoever waits for the batch will not see it.
            eprintln!("a worker ended: {error}");
        }
        result
    };
    (stop, thread::spawn(run))
}

#[test]
fn started_workers_prove_a_batch_over_real_sockets_although_a_prover_goes_away() {
    let house = House::new();
    let mut workers = vec![
        started(&house, start::witness_generator, ""),
        started(&house, start::witness_vector_generator, ""),
    ];
    let (stop, first) = started(&house, start::circuit_prover, "prover a");
    let proofs =
        |state: &mut support::State| state.completed.iter().filter(|key| key.kind == JobKind::Prove).count();
    house.shared.wait(|state| (proofs(state) >= 3).then_some(()));
    stop.raise();
    first.join().unwrap().unwrap();
    workers.push(started(&house, start::circuit_prover, "prover b"));
    house.wait_proved();
    assert_eq!(house.attempts(), 0, "no attempt was burned");
    assert_eq!(house.shared.wait(|state| Some(proofs(state))), PROOFS);
    for (stop, thread) in workers {
        stop.raise();
        thread.join().unwrap().unwrap();
    }
}

#[test]
fn a_prover_that_stops_in_the_middle_hands_back_what_it_has_and_another_goes_on() {
    let house = House::new();
    let proving = Arc::new((AtomicBool::new(false), Stop::new()));
    let seen = proving.clone();
    // Its first proof never ends.
    let stuck = Odd {
        work: house.work.clone(),
        hook: Box::new(move |step, _| {
            if step == "prove" {
                seen.0.store(true, Ordering::SeqCst);
                while !seen.1.wait_timeout(support::PATIENCE) {}
            }
        }),
    };
    let first = house.start_prover("prover a", Arc::new(stuck));
    let (generator, witness) =
        (house.start_generator(house.work.clone()), house.start_witness_generator(house.work.clone()));
    house.shared.wait(|_| proving.0.load(Ordering::SeqCst).then_some(()));
    first.stop();
    house.wire.provers.lock().unwrap().remove("prover a");
    assert!(house.shared.state.lock().unwrap().released >= 1);
    let second = house.start_prover("prover b", house.work.clone());
    house.wait_proved();
    assert_eq!(house.attempts(), 0, "no attempt was burned");
    for worker in [generator, witness, second] {
        worker.stop();
    }
    proving.1.raise();
}

#[test]
fn a_worker_that_is_stopped_while_it_waits_for_a_prover_hands_its_jobs_back() {
    let house = House::new();
    let (generator, witness) =
        (house.start_generator(house.work.clone()), house.start_witness_generator(house.work.clone()));
    // There is no prover: a vector is made and waits.
    house.shared.wait(|state| {
        let count = state.store.counts(None).unwrap();
        count
            .iter()
            .any(|(key, _)| key.kind == JobKind::Prove && key.state == StateName::Leased)
            .then_some(())
    });
    generator.stop();
    witness.stop();
    let state = house.shared.state.lock().unwrap();
    let leased =
        state.store.counts(None).unwrap().into_iter().filter(|(key, _)| key.state == StateName::Leased);
    assert_eq!(leased.count(), 0, "everything was handed back");
    assert_eq!(state.failed, []);
}

#[test]
fn a_panic_fails_the_attempt_and_the_worker_goes_on() {
    let house = House::new();
    let panics = AtomicU32::new(1);
    let odd = Odd {
        work: house.work.clone(),
        hook: Box::new(move |_, _| {
            if panics.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() {
                panic!("memory allocation of 80 bytes failed");
            }
        }),
    };
    let witness = house.start_witness_generator(Arc::new(odd));
    house.shared.wait(|state| (!state.completed.is_empty()).then_some(()));
    {
        let state = house.shared.state.lock().unwrap();
        let [(key, class, reason)] = state.failed.as_slice() else { panic!("{:?}", state.failed) };
        assert_eq!(*key, ingot_services::work::first_key(BATCH));
        assert_eq!((*class, reason.contains("80 bytes")), (RetryClass::Resource, true));
    }
    assert_eq!(witness.desk.observed.metrics.count(ingot_services::work::first_key(BATCH), "failed"), 1);
    witness.stop();
}

#[test]
fn it_says_that_it_waits_for_the_house_keeper_and_goes_on_when_it_comes() {
    let house = House::new();
    house.shared.state.lock().unwrap().reachable = false;
    let witness = house.start_witness_generator(house.work.clone());
    house.shared.wait(|_| (!witness.desk.observed.health.readiness().ready).then_some(()));
    let line = witness.desk.observed.health.readiness().line();
    assert!(line.contains("waiting for the house keeper at unix:/fake"), "{line}");
    house.shared.state.lock().unwrap().reachable = true;
    house.shared.wait(|state| (!state.completed.is_empty()).then_some(()));
    house.shared.wait(|_| witness.desk.observed.health.readiness().ready.then_some(()));
    // A drained worker takes nothing.
    witness.desk.set_draining(true);
    house.shared.wait(|_| witness.desk.observed.health.readiness().doing.contains("draining").then_some(()));
    witness.stop();
}

#[test]
fn a_lost_lease_drops_the_work() {
    let house = House::new();
    let shared = house.shared.clone();
    let odd = Odd {
        work: house.work.clone(),
        // Someone takes the job away while it is done, once.
        hook: Box::new(move |_, key| {
            let mut state = shared.state.lock().unwrap();
            let job = state.store.job(&key).unwrap().unwrap();
            if state.released == 0 {
                state.released = 1;
                let ingot_job_store::JobState::Leased { token, .. } = job.status.state else { panic!() };
                state.store.release(key, token, support::now_ms()).unwrap();
            }
        }),
    };
    let witness = house.start_witness_generator(Arc::new(odd));
    house.shared.wait(|state| (!state.completed.is_empty()).then_some(()));
    let key = ingot_services::work::first_key(BATCH);
    house.shared.wait(|_| (witness.desk.observed.metrics.count(key, "lost") == 1).then_some(()));
    assert_eq!(house.shared.state.lock().unwrap().completed, [key], "once, by whoever had it then");
    witness.stop();
}

#[test]
fn a_house_keeper_that_does_not_answer_keeps_nobody_from_ending() {
    let house = House::new();
    let witness = house.start_witness_generator(house.work.clone());
    house.shared.wait(|state| (!state.completed.is_empty()).then_some(()));
    house.shared.state.lock().unwrap().silent = true;
    witness.stop();
    assert!(house.shared.state.lock().unwrap().draining.is_empty(), "it had no answer");
    house.shared.state.lock().unwrap().silent = false;
}

#[test]
fn a_vector_that_no_prover_takes_is_handed_back_after_the_configured_time() {
    let house = House::new();
    let mut config = house.config();
    config.witness_vector_generator.prover_wait_s = 1;
    let witness = house.start_witness_generator(house.work.clone());
    let (desk, wire) = (house.desk("wvg", house.work.clone()), house.wire.clone());
    let d = desk.clone();
    let thread = thread::spawn(move || {
        witness_vector_generator::run(&d, &config.host, &config.witness_vector_generator, wire)
    });
    house.shared.wait(|state| (state.released > 0).then_some(()));
    assert_eq!(house.attempts(), 0);
    Running { desk, thread }.stop();
    witness.stop();
}
