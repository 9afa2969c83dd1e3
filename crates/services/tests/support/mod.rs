//! A batch of real (tiny) circuits, and a house keeper without sockets.
#![allow(dead_code, clippy::unwrap_used)]

pub mod wire;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::Path,
    sync::{mpsc, Arc, Condvar, Mutex},
    time::{Duration, Instant},
};

use ingot_artifacts::{ArtifactStore, Blake3};
use ingot_circuit_set::{encode, CircuitSet};
use ingot_house_keeper::protocol::{Grant, Notice, ProverLoad, Reservation};
use ingot_job_store::{
    ArtifactName, Backoff, CountKey, Filter, Job, JobState, JobStore as _, Lease, MemoryStore, Refusal,
    StoreError, Token,
};
use ingot_keystore::{generate, BuildReceipt, FileSource, KeyStore, KeygenOptions};
use ingot_services::{
    queue::{HeldJob, JobQueue, LinkState, QueueError},
    stop::Stop,
    work::{put, role, CircuitWork, Graph, Made, Work},
};
use ingot_test_set::{TestBatch, TestSet};
use ingot_types::{BatchId, BatchNumber, ChainId, JobKey, ProtocolVersion, RetryClass};

pub const BATCH: BatchId = BatchId { chain: ChainId(7), batch: BatchNumber(3) };
pub const INPUTS: TestBatch = TestBatch { seed: 42, instances: [5, 2] };
/// 7 basic proofs; leaves and nodes of 2 over them: 3 + 1 and 2 + 1 + 1; tip; scheduler.
pub const PROOFS: usize = 17;
/// All waiting in tests ends after this long, with a failure.
pub const PATIENCE: Duration = Duration::from_secs(300);

pub fn inputs() -> Vec<u8> {
    encode("batch", &INPUTS).unwrap()
}

/// The test set with keys made in `folder`.
pub fn circuit_work(folder: &Path) -> Arc<CircuitWork> {
    let set: Arc<dyn CircuitSet> = Arc::new(TestSet::new(9));
    let receipt = BuildReceipt {
        version: String::new(),
        commit: None,
        rustc: String::new(),
        crates: BTreeMap::default(),
        made_at_unix: 0,
    };
    let options = KeygenOptions {
        threads: 2,
        max_ram_bytes: 1 << 30,
        only: &[],
        vks: None,
        keep_setup_keys: true,
        stop: &|| false,
        on_event: &|_| {},
    };
    let manifest = generate(&*set, folder, None, &receipt, options).unwrap().manifest;
    let source = FileSource::Folder(folder.to_owned());
    let keys = KeyStore::new(&*set, Path::new("m"), manifest, source, 1 << 26).unwrap();
    Arc::new(CircuitWork::new(set, Arc::new(keys), Blake3::of(b"manifest"), 2).unwrap())
}

pub fn graph(version: ProtocolVersion) -> Graph {
    Graph { batch: BATCH, protocol_version: version, priority: 2, sealed_at_ms: 99, max_attempts: 3 }
}

/// A job store that a batch was submitted to.
pub fn submitted(work: &dyn Work, artifacts: &ArtifactStore) -> MemoryStore {
    let mut store = MemoryStore::new(Backoff { base_ms: 1, cap_ms: 5, seed: 0 });
    let file = put(artifacts, role::WITNESS_INPUTS, &inputs()).unwrap();
    store.insert(vec![graph(work.served().protocol_version).first(file)], 0).unwrap();
    store
}

/// The file of a done job.
pub fn output(job: &Job, role: &str) -> ArtifactName {
    job.outputs().iter().find(|file| file.role == role).unwrap().clone()
}

/// The house keeper's part, in memory, for one worker.
#[derive(Clone)]
pub struct FakeQueue {
    pub shared: Arc<Shared>,
    pub worker: String,
}

pub struct Shared {
    pub state: Mutex<State>,
    pub changed: Condvar,
}

pub struct State {
    pub store: MemoryStore,
    /// Whether the house keeper can be reached.
    pub reachable: bool,
    /// Whether it hears what is said, and does not answer.
    pub silent: bool,
    /// The prover's notices and what it said of each ticket.
    pub provers: BTreeMap<String, mpsc::Sender<Notice>>,
    /// Where they receive.
    pub addresses: BTreeMap<String, Vec<SocketAddr>>,
    pub answers: BTreeMap<u64, bool>,
    pub next_ticket: u64,
    pub loads: Vec<ProverLoad>,
    pub statuses: BTreeSet<String>,
    pub draining: BTreeSet<String>,
    pub returned: u64,
    /// Keys of the jobs that were completed, in order.
    pub completed: Vec<JobKey>,
    pub released: u64,
    pub failed: Vec<(JobKey, RetryClass, String)>,
}

impl Shared {
    pub fn new(store: MemoryStore) -> Arc<Self> {
        let state = State {
            store,
            reachable: true,
            silent: false,
            provers: BTreeMap::new(),
            addresses: BTreeMap::new(),
            answers: BTreeMap::new(),
            next_ticket: 1,
            loads: vec![],
            statuses: BTreeSet::new(),
            draining: BTreeSet::new(),
            returned: 0,
            completed: vec![],
            released: 0,
            failed: vec![],
        };
        Arc::new(Self { state: Mutex::new(state), changed: Condvar::new() })
    }

    pub fn queue(self: &Arc<Self>, worker: &str) -> Arc<FakeQueue> {
        Arc::new(FakeQueue { shared: self.clone(), worker: worker.to_owned() })
    }

    /// Waits until `wanted` says so of the state.
    pub fn wait<T>(&self, mut wanted: impl FnMut(&mut State) -> Option<T>) -> T {
        let start = Instant::now();
        let mut state = self.state.lock().unwrap();
        loop {
            if let Some(found) = wanted(&mut state) {
                return found;
            }
            assert!(start.elapsed() < PATIENCE, "waited too long");
            state = self.changed.wait_timeout(state, Duration::from_millis(20)).unwrap().0;
        }
    }

    pub fn job(&self, key: JobKey) -> Job {
        self.state.lock().unwrap().store.job(&key).unwrap().unwrap()
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> Result<T, StoreError>) -> Result<T, QueueError> {
        let result = change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
        result.map_err(|error| match error {
            StoreError::Refused(Refusal::StaleToken { .. }) => QueueError::Stale(error.to_string()),
            other => QueueError::Failed { class: RetryClass::Transient, reason: other.to_string() },
        })
    }
}

const TTL_MS: u64 = 1 << 40;

pub fn now_ms() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64
}

impl FakeQueue {
    fn held(&self, lease: Lease) -> Arc<dyn HeldJob> {
        Arc::new(FakeHeld { shared: self.shared.clone(), lease, ended: Mutex::new(false) })
    }
}

impl JobQueue for FakeQueue {
    fn link(&self) -> LinkState {
        match self.shared.state.lock().unwrap().reachable {
            true => LinkState::Connected,
            false => LinkState::Waiting("the house keeper at unix:/fake: no such file".into()),
        }
    }

    fn lease(
        &self,
        filter: Filter,
        wait: Duration,
        stop: &Stop,
    ) -> Result<Option<Arc<dyn HeldJob>>, QueueError> {
        let start = Instant::now();
        while !stop.is_raised() && start.elapsed() < wait {
            let lease = self.shared.change(|state| {
                if !state.reachable {
                    return Ok(None);
                }
                state.store.lease(&filter, &self.worker, TTL_MS, now_ms())
            })?;
            if let Some(lease) = lease {
                return Ok(Some(self.held(lease)));
            }
            stop.wait_timeout(Duration::from_millis(5));
        }
        Ok(None)
    }

    fn hand_over(&self, key: JobKey, token: Token) -> Result<Arc<dyn HeldJob>, QueueError> {
        let lease =
            self.shared.change(|state| state.store.hand_over(key, token, &self.worker, TTL_MS, now_ms()))?;
        Ok(self.held(lease))
    }

    fn slab_reserved(&self, ticket: u64, accepted: bool) -> Result<(), QueueError> {
        self.shared.change(|state| {
            state.answers.insert(ticket, accepted);
            Ok(())
        })
    }

    fn slab_returned(&self, _ticket: u64) -> Result<(), QueueError> {
        self.shared.change(|state| {
            state.returned += 1;
            Ok(())
        })
    }

    fn load(&self, load: ProverLoad) {
        self.shared.state.lock().unwrap().loads.push(load);
    }

    fn status(&self, text: &str) {
        self.shared.state.lock().unwrap().statuses.insert(text.to_owned());
    }

    fn draining(&self) {
        self.shared.wait(|state| (!state.silent).then_some(()));
        let mut state = self.shared.state.lock().unwrap();
        state.draining.insert(self.worker.clone());
        state.provers.remove(&self.worker);
    }

    fn counts(&self) -> Result<BTreeMap<CountKey, u64>, QueueError> {
        self.shared.change(|state| state.store.counts(None))
    }

    fn notices(&self) -> Option<mpsc::Receiver<Notice>> {
        let (sender, receiver) = mpsc::channel();
        self.shared.state.lock().unwrap().provers.insert(self.worker.clone(), sender);
        Some(receiver)
    }

    fn close(&self, _limit: Duration) {}
}

pub struct FakeHeld {
    shared: Arc<Shared>,
    lease: Lease,
    ended: Mutex<bool>,
}

impl FakeHeld {
    fn end<T>(&self, end: impl FnOnce(&mut State) -> Result<T, StoreError>) -> Result<(), QueueError> {
        if std::mem::replace(&mut *self.ended.lock().unwrap(), true) {
            return Err(QueueError::Stale("it ended already".into()));
        }
        self.shared.change(end).map(drop)
    }
}

impl HeldJob for FakeHeld {
    fn lease(&self) -> &Lease {
        &self.lease
    }

    fn is_lost(&self) -> bool {
        let job = self.shared.job(self.lease.job.key());
        let ours = matches!(&job.status.state, JobState::Leased { token, .. } if *token == self.lease.token);
        *self.ended.lock().unwrap() || !ours
    }

    fn complete(&self, made: Made) -> Result<(), QueueError> {
        let key = self.lease.job.key();
        self.end(|state| {
            let done = state.store.complete(key, self.lease.token, made.outputs, made.new_jobs, now_ms());
            if done.is_ok() {
                state.completed.push(key);
            }
            done
        })
    }

    fn fail(&self, class: RetryClass, reason: &str) -> Result<(), QueueError> {
        let key = self.lease.job.key();
        self.end(|state| {
            state.failed.push((key, class, reason.to_owned()));
            state.store.fail(key, self.lease.token, class, reason, now_ms())
        })
    }

    fn bad_file(&self, maker: JobKey, _reason: &str) -> Result<(), QueueError> {
        let reporter = Some((self.lease.job.key(), self.lease.token));
        self.end(|state| state.store.reset(maker, reporter, now_ms()))
    }

    fn release(&self) -> Result<(), QueueError> {
        let key = self.lease.job.key();
        self.end(|state| {
            state.released += 1;
            state.store.release(key, self.lease.token, now_ms())
        })
    }

    fn forget(&self) {
        *self.ended.lock().unwrap() = true;
    }

    fn slab(&self, bytes: u64, wait: Duration, stop: &Stop) -> Result<Option<Grant>, QueueError> {
        let start = Instant::now();
        let (job, token) = (self.lease.job.key(), self.lease.token);
        while !stop.is_raised() && start.elapsed() < wait {
            let mut state = self.shared.state.lock().unwrap();
            let provers: Vec<_> = state.provers.iter().map(|(n, s)| (n.clone(), s.clone())).collect();
            for (prover, sender) in provers {
                let ticket = state.next_ticket;
                state.next_ticket += 1;
                let reservation = Reservation { ticket, key: [0; 32], job, token, bytes, keep_ms: 60_000 };
                if !prover.starts_with("prover") || sender.send(Notice::Reserve(reservation)).is_err() {
                    continue;
                }
                let asked = Instant::now();
                let accepted = loop {
                    state = self.shared.changed.wait_timeout(state, Duration::from_millis(20)).unwrap().0;
                    match state.answers.remove(&ticket) {
                        Some(accepted) => break accepted,
                        None if stop.is_raised() || asked.elapsed() > Duration::from_secs(5) => break false,
                        None => {}
                    }
                };
                if accepted {
                    let addresses = state.addresses.get(&prover).cloned().unwrap_or_default();
                    return Ok(Some(Grant { prover, addresses, ticket, key: [0; 32] }));
                }
            }
            drop(state);
            stop.wait_timeout(Duration::from_millis(5));
        }
        Ok(None)
    }
}

impl Drop for FakeHeld {
    fn drop(&mut self) {
        // As the real one does; a job that ended refuses.
        let _ = self.release();
    }
}
