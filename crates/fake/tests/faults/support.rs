//! A cluster of processes, and what must be true at the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use ingot_artifacts::{ArtifactRef, Artifacts as _};
use ingot_fake::{
    cluster::{own_address, Node},
    proof::to_bytes,
    work::{plan_of, FakeBatch, FakeWork},
};
use ingot_house_keeper::{
    client::{Address, Client, ClientError, ClientOptions, RemoteArtifacts},
    protocol::{
        Answer, BatchState, BatchSummary, Component, Registration, Request, Submission, SubmitOutcome,
    },
};
use ingot_job_store::{ArtifactName, Job, StateName};
use ingot_services::{
    component::ComponentName,
    work::{put, role, Work as _},
};
use ingot_types::{BatchId, BatchNumber, ChainId, JobKey, ProtocolVersion};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// How long anything may take on a machine that has other things to do.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(25);
/// The version that is served unless a test says otherwise.
pub const VERSION: ProtocolVersion = ProtocolVersion { minor: 99, patch: 0 };
/// Leases of the tests last this long.
pub const LEASE_TTL: Duration = Duration::from_millis(3_000);

/// A number from the environment.
pub fn env_number(name: &str, default: u64) -> u64 {
    env::var(name).ok().map_or(default, |text| text.parse().unwrap_or_else(|e| panic!("{name}={text}: {e}")))
}

/// Runs `test` with every seed, and says which one it failed with.
pub fn for_seeds(test: impl Fn(ChaCha8Rng)) {
    let first = env_number("INGOT_FAULT_SEED", 1);
    for seed in first..first + env_number("INGOT_FAULT_SEEDS", 1) {
        eprintln!("seed {seed}");
        test(ChaCha8Rng::seed_from_u64(seed));
    }
}

/// Waits until `wanted` gives something.
pub fn wait_for<T>(what: &str, mut wanted: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = wanted() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited too long for {what}");
        thread::sleep(LOOK);
    }
}

/// A batch that was submitted.
#[derive(Clone, Debug)]
pub struct Submitted {
    pub id: BatchId,
    pub batch: FakeBatch,
    pub inputs: Vec<u8>,
    pub version: ProtocolVersion,
}

/// Processes of one appliance, and the test's own connection to it.
pub struct Cluster {
    /// Where the nodes are, by name.
    pub nodes: BTreeMap<String, Node>,
    pub address: IpAddr,
    pub folder: PathBuf,
    /// What is submitted may fail so many times.
    pub max_attempts: u32,
    client: Client,
    pub remote: Arc<RemoteArtifacts>,
    pub batches: Vec<Submitted>,
    _temporary: tempfile::TempDir,
}

pub fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_ingot-fake"))
}

fn operator() -> Registration {
    Registration {
        component: Component::Operator,
        name: "test".into(),
        instance: [7; 16],
        host: "test".into(),
        pid: std::process::id(),
        zone: None,
        group: None,
        serves: None,
        stream: None,
    }
}

impl Cluster {
    /// A house keeper, which is not started.
    pub fn new() -> Self {
        Self::with_folder(|folder| folder.join("hk"))
    }

    /// With the house keeper's folder elsewhere.
    pub fn with_folder(house_keeper_folder: impl FnOnce(&Path) -> PathBuf) -> Self {
        let temporary = tempfile::Builder::new().prefix("ingot-faults-").tempdir().unwrap();
        let folder = temporary.path().to_owned();
        let home = house_keeper_folder(&folder);
        std::fs::create_dir_all(&home).unwrap();
        let socket = Address::Unix(folder.join("hk.sock"));
        let address = own_address();
        let mut options = ClientOptions::new(socket.clone(), None, operator());
        options.heartbeat = Duration::from_millis(200);
        let mut cluster = Self {
            nodes: BTreeMap::new(),
            address,
            client: Client::start(options).unwrap(),
            remote: Arc::new(RemoteArtifacts::new(socket, None, "test", PATIENCE)),
            folder,
            max_attempts: 5,
            batches: Vec::new(),
            _temporary: temporary,
        };
        let socket = cluster.folder.join("hk.sock");
        let (listen, http) = (cluster.at(3000), cluster.at(3001));
        cluster
            .add(ComponentName::HouseKeeper, "hk")
            .set("house-keeper.folder", home.display())
            .set("house-keeper.socket", socket.display())
            .set("house-keeper.listen", format!("[\"{listen}\"]"))
            .set("house-keeper.http", http)
            .set("house-keeper.lease-ttl-ms", LEASE_TTL.as_millis())
            .set("house-keeper.disk-low-bytes", 0)
            .set("house-keeper.disk-high-bytes", 0);
        cluster
    }

    /// With one worker of each kind as well; nothing is started.
    pub fn with_workers() -> Self {
        Self::with_workers_in(|folder| folder.join("hk"))
    }

    /// The same, with the house keeper's folder elsewhere.
    pub fn with_workers_in(house_keeper_folder: impl FnOnce(&Path) -> PathBuf) -> Self {
        let mut cluster = Self::with_folder(house_keeper_folder);
        cluster.add(ComponentName::WitnessGenerator, "wg");
        cluster.add(ComponentName::WitnessVectorGenerator, "wvg");
        cluster.add(ComponentName::CircuitProver, "prover");
        cluster
    }

    /// An address of this cluster.
    pub fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.address, port)
    }

    /// The folder of everything.
    pub fn folder(&self) -> PathBuf {
        self.folder.clone()
    }

    /// One more component, on the house keeper's host, not started. Health is at the port of [`Self::http`].
    pub fn add(&mut self, component: ComponentName, name: &str) -> &mut Node {
        let http = self.at(3001 + u16::try_from(self.nodes.len()).unwrap());
        let mut node = Node::new(program(), component, name, &self.folder);
        node.set("host.log", "text")
            .set("host.state-dir", self.folder.join("state").display())
            .set("host.house-keeper", format!("unix:{}", self.folder.join("hk.sock").display()))
            .set("host.heartbeat-ms", 200);
        let section = component.name();
        if component != ComponentName::HouseKeeper {
            node.set(&format!("{section}.name"), name).set(&format!("{section}.http"), http);
        }
        match component {
            ComponentName::WitnessGenerator => node.set("witness-generator.threads", 2),
            ComponentName::WitnessVectorGenerator => node
                .set("witness-vector-generator.threads", 2)
                .set("witness-vector-generator.governor", false),
            _ => &mut node,
        };
        if component == ComponentName::CircuitProver {
            node.set("circuit-prover.listen", SocketAddr::new(self.address, 0))
                .set("circuit-prover.slab-size", "1M");
        }
        self.nodes.insert(name.to_owned(), node);
        self.node(name)
    }

    pub fn node(&mut self, name: &str) -> &mut Node {
        self.nodes.get_mut(name).unwrap_or_else(|| panic!("no node {name}"))
    }

    pub fn names(&self) -> Vec<String> {
        self.nodes.keys().cloned().collect()
    }

    /// Where a node's pages are.
    pub fn http(&self, name: &str) -> SocketAddr {
        let node = &self.nodes[name];
        node.value(&format!("{}.http", node.component.name())).unwrap().parse().unwrap()
    }

    pub fn start(&mut self, name: &str) {
        self.node(name).start().unwrap();
    }

    /// Starts whatever does not run.
    pub fn start_all(&mut self) {
        for node in self.nodes.values_mut() {
            node.start().unwrap();
        }
    }

    /// Asks the house keeper, whenever it is there.
    pub fn ask(&self, request: Request) -> Answer {
        self.try_ask(request).unwrap_or_else(|error| self.fail(&error.to_string()))
    }

    pub fn try_ask(&self, request: Request) -> Result<Answer, ClientError> {
        self.client.call_within(request, PATIENCE)
    }

    /// Takes the test down, with the state of everything.
    pub fn fail(&self, why: &str) -> ! {
        let within = Duration::from_secs(5);
        for submitted in &self.batches {
            if let Ok(Answer::Jobs(jobs)) =
                self.client.call_within(Request::Jobs { batch: submitted.id }, within)
            {
                for job in jobs.iter().filter(|job| job.status.state.name() != StateName::Done) {
                    eprintln!("{}: {:?}", job.key(), job.status);
                }
            }
        }
        if let Ok(Answer::Workers(workers)) = self.client.call_within(Request::Workers, within) {
            workers.iter().for_each(|worker| eprintln!("{worker:?}"));
        }
        for node in self.nodes.values() {
            eprintln!("==== {} (started {} times)\n{}", node.name, node.starts, node.log_tail(60));
        }
        if env::var_os("INGOT_FAULT_LOGS").is_some() {
            let kept = env::temp_dir().join(format!("ingot-faults-logs-{}", std::process::id()));
            std::fs::create_dir_all(&kept).unwrap();
            for node in self.nodes.values() {
                std::fs::write(kept.join(&node.name), node.log()).unwrap();
            }
            eprintln!("whole logs: {}", kept.display());
        }
        panic!("{why}");
    }

    /// Fails if a process ended although nobody asked it to.
    pub fn all_alive(&mut self) {
        let ended: Vec<String> = self.nodes.values_mut().filter_map(Node::ended).collect();
        if !ended.is_empty() {
            self.fail(&ended.join(", "));
        }
    }

    pub fn submission(
        &self,
        number: u64,
        batch: &FakeBatch,
        version: ProtocolVersion,
    ) -> (Submitted, Submission) {
        let id = BatchId { chain: ChainId(1), batch: BatchNumber(number.try_into().unwrap()) };
        let inputs = to_bytes(batch).unwrap();
        let witness_inputs = put(&*self.remote, role::WITNESS_INPUTS, &inputs)
            .unwrap_or_else(|e| self.fail(&format!("{e:?}")));
        let submission = Submission {
            batch: id,
            protocol_version: version,
            witness_inputs,
            priority: 0,
            sealed_at_ms: number,
            max_attempts: self.max_attempts,
            deliver_to: None,
        };
        (Submitted { id, batch: batch.clone(), inputs, version }, submission)
    }

    pub fn submit(&mut self, batch: &FakeBatch) {
        self.submit_version(batch, VERSION);
    }

    pub fn submit_version(&mut self, batch: &FakeBatch, version: ProtocolVersion) {
        let number = self.batches.len() as u64 + 1;
        let (submitted, submission) = self.submission(number, batch, version);
        match self.ask(Request::Submit(submission)) {
            // `Known`: the house keeper died before its first answer arrived.
            Answer::Submitted(SubmitOutcome::Accepted | SubmitOutcome::Known) => self.batches.push(submitted),
            other => self.fail(&format!("{other:?}")),
        }
    }

    pub fn summary(&self, id: BatchId) -> BatchSummary {
        match self.ask(Request::WatchBatch { batch: id, known: None, wait_ms: 0 }) {
            Answer::Batch(Some(summary)) => *summary,
            other => self.fail(&format!("batch {id:?} is gone: {other:?}")),
        }
    }

    pub fn jobs(&self, id: BatchId) -> Vec<Job> {
        match self.ask(Request::Jobs { batch: id }) {
            Answer::Jobs(jobs) => jobs,
            other => self.fail(&format!("{other:?}")),
        }
    }

    /// Jobs that are done, in all batches.
    pub fn done(&self) -> u64 {
        self.batches.iter().map(|submitted| self.summary(submitted.id).progress.done).sum()
    }

    /// Whether every batch is proved. Fails if one is stuck.
    pub fn all_proved(&self) -> bool {
        self.batches.iter().all(|submitted| {
            let summary = self.summary(submitted.id);
            if summary.state == BatchState::Stuck {
                self.fail(&format!("{summary:?}"));
            }
            summary.state == BatchState::Proved
        })
    }

    /// Waits until `wanted`, while nothing ends that nobody asked to.
    pub fn wait(&mut self, what: &str, mut wanted: impl FnMut(&mut Self) -> bool) {
        let start = Instant::now();
        while !wanted(self) {
            self.all_alive();
            if start.elapsed() > PATIENCE {
                self.fail(&format!("waited too long for {what}"));
            }
            thread::sleep(LOOK);
        }
    }

    /// Waits for all batches, and looks at everything that must be true then.
    pub fn finish(&mut self) -> Audit {
        self.wait("all batches", |cluster| cluster.all_proved());
        self.audit()
    }

    fn file(&self, name: &ArtifactName) -> Vec<u8> {
        let artifact = ArtifactRef { hash: name.hash.parse().unwrap(), size_bytes: name.size_bytes };
        self.remote.get(&artifact).unwrap_or_else(|e| self.fail(&format!("{name:?}: {e}")))
    }

    /// Every job is done, each was completed by one worker at most, the final proofs are those of the batches.
    fn audit(&self) -> Audit {
        let mut audit = Audit::default();
        for Submitted { id, batch, inputs, version } in &self.batches {
            let jobs = self.jobs(*id);
            let plan = plan_of(batch.instances);
            let basic: usize = batch.instances.iter().map(|n| *n as usize).sum();
            let keys: BTreeSet<JobKey> = jobs.iter().map(Job::key).collect();
            // The first; a proof of each basic circuit; circuit inputs and proof of each aggregation.
            assert_eq!(keys.len(), 1 + basic + 2 * plan.proofs.len(), "jobs of {id:?}");
            assert_eq!(jobs.len(), keys.len(), "a job is there twice");
            for job in &jobs {
                assert_eq!(job.status.state.name(), StateName::Done, "{job:?}");
                assert!(!job.outputs().is_empty(), "{job:?}");
                audit.jobs += 1;
                audit.failed_attempts += job.status.attempts;
                if job.status.attempts > 0 {
                    eprintln!(
                        "{}: {} attempts failed, at last: {:?}",
                        job.key(),
                        job.status.attempts,
                        job.status.last_error
                    );
                }
            }
            let summary = self.summary(*id);
            assert_eq!(summary.progress.quarantined, 0);
            let proof = summary.outputs.iter().find(|file| file.role == role::PROOF).expect("a final proof");
            FakeWork::new(*version, 0).check_final(*id, inputs, &self.file(proof)).unwrap();
        }
        // What the workers say: one of them at most was told that its completion counts.
        let mut completed: BTreeMap<String, u32> = BTreeMap::new();
        for node in self.nodes.values() {
            for line in node.log().lines().filter(|line| line.contains(": done in ")) {
                let job = line.split("JOB=").nth(1).and_then(|rest| rest.split_whitespace().next());
                *completed
                    .entry(job.unwrap_or_else(|| panic!("no job in {line}")).to_owned())
                    .or_default() += 1;
            }
        }
        audit.completed_again = completed.values().map(|times| times - 1).sum();
        audit
    }
}

/// What was found at the end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Audit {
    pub jobs: u32,
    /// Attempts that failed and were followed by another.
    pub failed_attempts: u32,
    /// Completions beyond the first of each job: 0 unless files were damaged.
    pub completed_again: u32,
}

/// A small batch: 10 basic circuits, 27 jobs.
pub fn small(seed: u64) -> FakeBatch {
    FakeBatch {
        seed,
        instances: [5, 3, 2, 0],
        witness_ms: 10,
        synthesis_ms: 10,
        proving_ms: 10,
        vector_bytes: 10_000,
    }
}

/// One that takes a while.
pub fn large(seed: u64) -> FakeBatch {
    FakeBatch {
        seed,
        instances: [12, 6, 4, 2],
        witness_ms: 60,
        synthesis_ms: 60,
        proving_ms: 60,
        vector_bytes: 200_000,
    }
}

/// One of them.
pub fn pick<'a, T>(rng: &mut impl Rng, from: &'a [T]) -> &'a T {
    &from[rng.gen_range(0..from.len())]
}
