//! A house keeper, a gateway, a core and a prover, in one process.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use ingot_circuit_set::CircuitSet as _;
use ingot_house_keeper::{
    client::{Address, Client, ClientOptions, RemoteArtifacts},
    protocol::{Component, Registration, Served},
    HouseKeeper, HouseKeeperConfig,
};
use ingot_job_store::{Filter, JobSpec};
use ingot_proof_data_handler::{ProofDataHandler, ProofDataHandlerConfig};
use ingot_services::{
    config::GatewayConfig,
    gateway::Gateway,
    observability::{Observed, Systemd},
    stop::Stop,
    work::{put, role},
};
use ingot_types::{AggregationRound, CircuitId, JobKey, JobKind};

use super::core_side::{self, world};

pub const PATIENCE: Duration = Duration::from_secs(60);

/// A port that is free, and stays this test's while nothing else takes ports at random.
pub fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

pub fn registration(component: Component, name: &str, works: bool) -> Registration {
    let mut instance = [0; 16];
    instance[..8].copy_from_slice(&rand::random::<u64>().to_le_bytes());
    let served = || Served {
        protocol_version: world().set.protocol_version(),
        circuit_set: "test".into(),
        parameter_set: "test".into(),
        key_manifest: "test".into(),
    };
    Registration {
        component,
        name: name.into(),
        instance,
        host: "h".into(),
        pid: 1,
        zone: None,
        group: None,
        serves: works.then(served),
        stream: None,
    }
}

pub fn socket(folder: &Path) -> Address {
    Address::Unix(folder.join("hk/house-keeper.sock"))
}

pub fn house_keeper(folder: &Path) -> HouseKeeper {
    let config = HouseKeeperConfig {
        folder: folder.join("hk"),
        disk_low_bytes: 0,
        disk_high_bytes: 0,
        ..HouseKeeperConfig::default()
    };
    HouseKeeper::start(&config).unwrap()
}

pub fn client(folder: &Path, registration: Registration) -> Client {
    Client::start(ClientOptions::new(socket(folder), None, registration)).unwrap()
}

/// A gateway on threads of its own.
pub struct Running {
    stop: Stop,
    thread: JoinHandle<()>,
    pub gateway: Arc<Gateway>,
}

/// A gateway that asks the core at `core`.
pub fn gateway(folder: &Path, core: SocketAddr) -> Running {
    gateway_with(
        folder,
        GatewayConfig {
            core: format!("http://{core}"),
            poll_wait_ms: 200,
            poll_every_ms: 20,
            ..GatewayConfig::default()
        },
    )
}

pub fn gateway_with(folder: &Path, config: GatewayConfig) -> Running {
    let (stop, observed) = (Stop::new(), Arc::new(Observed::default()));
    let house_keeper = client(folder, registration(Component::Gateway, "gateway", false));
    let artifacts = Arc::new(RemoteArtifacts::new(socket(folder), None, "gateway", Duration::from_secs(5)));
    let gateway = Gateway::new(
        config,
        Arc::new(core_side::TestFormat),
        house_keeper,
        artifacts,
        observed.clone(),
        stop.clone(),
    )
    .unwrap();
    let running = gateway.clone();
    let thread = thread::spawn(move || running.run(&Systemd::ready(&observed)).unwrap());
    Running { stop, thread, gateway }
}

impl Running {
    pub fn stop(self) {
        self.stop.raise();
        self.thread.join().unwrap();
    }
}

pub fn core(folder: &Path, listen: SocketAddr) -> ProofDataHandler {
    let config = ProofDataHandlerConfig {
        listen,
        external: None,
        lease_s: 2,
        ..core_side::config(&folder.join("core"))
    };
    core_side::start(&config)
}

/// Proves whatever there is, by proofs made beforehand: round 0 leads to the last round at once.
pub fn prover(folder: PathBuf, proofs: Arc<BTreeMap<u32, Vec<u8>>>, done: Arc<Mutex<Vec<u32>>>, stop: Stop) {
    let worker = client(&folder, registration(Component::CircuitProver, "prover", true));
    let artifacts = RemoteArtifacts::new(socket(&folder), None, "prover", PATIENCE);
    while !stop.is_raised() {
        let Ok(Some(held)) = worker.lease_within(Filter::default(), Duration::from_secs(1), &stop) else {
            thread::sleep(Duration::from_millis(20));
            continue;
        };
        let spec = held.lease().job.spec.clone();
        let number = spec.key.batch.batch.0;
        let result = match spec.key.kind {
            JobKind::Witness => {
                let key = JobKey {
                    kind: JobKind::Prove,
                    round: AggregationRound::Scheduler,
                    circuit_id: CircuitId(1),
                    ..spec.key
                };
                held.complete(vec![], vec![JobSpec { key, inputs: vec![], ..JobSpec::clone(&spec) }])
            }
            _ => match put(&artifacts, role::PROOF, &proofs[&number]) {
                Ok(proof) => held.complete(vec![proof], vec![]).map(|()| done.lock().unwrap().push(number)),
                Err(_) => continue,
            },
        };
        // The house keeper may have gone just then: the job is done again.
        drop(result);
    }
    worker.close(Duration::from_secs(1));
}

pub fn state_of(core: SocketAddr, n: u32) -> Option<(String, u64)> {
    let client = ingot_core_api::HttpClient::new(&format!("http://{core}"), None);
    let answer = client.get(&format!("/batches/{n}"), Duration::ZERO).ok()?;
    let json: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
    Some((json["state"].as_str()?.to_owned(), json["proved_at_ms"].as_u64().unwrap_or_default()))
}

pub fn wait_proved(core: SocketAddr, batches: std::ops::Range<u32>) -> Vec<u64> {
    let start = Instant::now();
    loop {
        let states: Vec<_> = batches.clone().map(|n| state_of(core, n)).collect();
        let proved =
            |state: &Option<(String, u64)>| state.as_ref().is_some_and(|(state, _)| state == "proved");
        if states.iter().all(proved) {
            return states.into_iter().flatten().map(|(_, at)| at).collect();
        }
        assert!(start.elapsed() < PATIENCE, "{states:?}");
        thread::sleep(Duration::from_millis(20));
    }
}
