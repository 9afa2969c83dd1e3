//! The workers with the real house keeper in one process: SQLite, Unix socket and TCP, the stream, real circuits.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::{
    path::Path,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use ingot_artifacts::{ArtifactRef, ArtifactStore, Artifacts};
use ingot_house_keeper::{
    client::{Client, ClientOptions, RemoteArtifacts, Stop},
    engine::{EngineHandle, EngineOptions},
    protocol::{Answer, BatchState, Component, Registration, Request, Submission},
    server::{Backups, Limits, Server},
};
use ingot_job_store::{Backoff, SqliteStore};
use ingot_services::{
    config::Config,
    remote::RemoteHouseKeeper,
    start::{self, Connect},
    work::{put, role, CircuitWork, Work},
    ServiceError,
};
use ingot_types::JobKind;
use support::{circuit_work, inputs, BATCH, PATIENCE, PROOFS};

type Started = (Stop, JoinHandle<Result<(), ServiceError>>);

fn started(
    config: &Config,
    work: &Arc<CircuitWork>,
    run: impl FnOnce(&Config, Arc<dyn Work>, &dyn Connect, Stop) -> Result<(), ServiceError> + Send + 'static,
) -> Started {
    let (config, work, stop) = (config.clone(), work.clone(), Stop::new());
    let raised = stop.clone();
    let run = move || run(&config, work, &RemoteHouseKeeper::new(&config.host)?, raised);
    (stop, thread::spawn(run))
}

fn config(folder: &Path, house_keeper: &str, prover: &str) -> Config {
    let mut config = Config::default();
    config.host.house_keeper = house_keeper.to_owned();
    config.host.state_dir = folder.join("state");
    config.witness_vector_generator.threads = 2;
    config.circuit_prover.name = Some(prover.to_owned());
    config
}

#[test]
fn a_batch_is_proved_by_workers_over_sockets_although_a_prover_goes_away() {
    let folder = tempfile::tempdir().unwrap();
    let work = circuit_work(&folder.path().join("keys"));
    let socket = folder.path().join("house-keeper.sock");
    let unix = format!("unix:{}", socket.display());

    // The workers come first, and wait.
    let a = config(folder.path(), &unix, "prover-a");
    let mut workers = vec![
        started(&a, &work, start::witness_generator),
        started(&a, &work, start::witness_vector_generator),
    ];
    let (stop_first, first) = started(&a, &work, start::circuit_prover);

    let backoff = Backoff { base_ms: 10, cap_ms: 100, seed: 0 };
    let store = SqliteStore::open(&folder.path().join("jobs.sqlite"), backoff).unwrap();
    let (engine, engine_thread) = EngineHandle::start(Box::new(store), EngineOptions::default()).unwrap();
    let artifacts = ArtifactStore::open(folder.path().join("artifacts")).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = runtime
        .block_on(Server::open(
            engine.clone(),
            artifacts.clone(),
            Backups::new(folder.path().join("jobs.sqlite"), artifacts),
            None,
            Limits::default(),
            Some(&socket),
            &[([127, 0, 0, 1], 0).into()],
        ))
        .unwrap();

    let registration = Registration {
        component: Component::Operator,
        name: "operator".into(),
        instance: [9; 16],
        host: "h".into(),
        pid: 1,
        zone: None,
        group: None,
        serves: None,
        stream: None,
    };
    let address: ingot_house_keeper::client::Address = unix.parse().unwrap();
    let client = Client::start(ClientOptions::new(address.clone(), None, registration)).unwrap();
    let remote = RemoteArtifacts::new(address, None, "operator", PATIENCE);
    let witness_inputs = put(&remote, role::WITNESS_INPUTS, &inputs()).unwrap();
    let submission = Submission {
        batch: BATCH,
        protocol_version: work.served().protocol_version,
        witness_inputs,
        priority: 0,
        sealed_at_ms: 5,
        max_attempts: 3,
        deliver_to: None,
    };
    client.call(Request::Submit(submission)).unwrap();

    let wait = |wanted: &dyn Fn() -> bool| {
        let start = Instant::now();
        while !wanted() {
            assert!(start.elapsed() < PATIENCE, "{:?}", client.call(Request::Batches { archived: false }));
            thread::sleep(Duration::from_millis(20));
        }
    };
    let jobs = || match client.call(Request::Jobs { batch: BATCH }).unwrap() {
        Answer::Jobs(jobs) => jobs,
        other => panic!("{other:?}"),
    };
    let proofs =
        || jobs().iter().filter(|j| j.key().kind == JobKind::Prove && !j.outputs().is_empty()).count();
    wait(&|| proofs() >= 3);
    stop_first.raise();
    first.join().unwrap().unwrap();
    // The second one comes over TCP.
    let b = config(folder.path(), &format!("tcp:{}", server.tcp[0]), "prover-b");
    workers.push(started(&b, &work, start::circuit_prover));

    let proved = || match client.call(Request::WatchBatch { batch: BATCH, known: None, wait_ms: 0 }).unwrap()
    {
        Answer::Batch(Some(batch)) => {
            assert_ne!(batch.state, BatchState::Stuck, "{batch:?}");
            (batch.state == BatchState::Proved).then_some(batch.outputs)
        }
        other => panic!("{other:?}"),
    };
    wait(&|| proved().is_some());
    let file = proved().unwrap().into_iter().find(|file| file.role == role::PROOF).unwrap();
    let artifact = ArtifactRef { hash: file.hash.parse().unwrap(), size_bytes: file.size_bytes };
    work.check_final(BATCH, &inputs(), &remote.get(&artifact).unwrap()).unwrap();
    assert_eq!(proofs(), PROOFS);
    assert_eq!(jobs().iter().map(|job| job.status.attempts).sum::<u32>(), 0, "no attempt was burned");

    for (stop, thread) in workers {
        stop.raise();
        thread.join().unwrap().unwrap();
    }
    client.close(Duration::from_secs(5));
    server.close();
    engine.stop();
    engine_thread.join().unwrap();
}
