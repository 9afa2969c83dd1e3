//! A house keeper and its clients over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use ingot_artifacts::Artifacts as _;
use ingot_house_keeper::{
    client::{Address, Client, ClientError, ClientOptions, Link, RemoteArtifacts, Stop},
    protocol::{
        Answer, BatchState, Component, ProverLoad, Registration, Request, Served, StreamOffer, SubmitOutcome,
    },
    HouseKeeper, HouseKeeperConfig,
};
use ingot_job_store::Filter;
use ingot_types::{JobKey, JobKind};
use ingot_wire::Token;

mod support;
use support::*;

#[test]
fn many_workers_take_each_job_once() {
    let folder = tempfile::tempdir().unwrap();
    let house_keeper = HouseKeeper::start(&config(folder.path())).unwrap();
    let operator = operator(folder.path());
    assert_eq!(submit(&operator, 1), SubmitOutcome::Accepted);
    assert_eq!(submit(&operator, 1), SubmitOutcome::Known);
    let taken: Arc<Mutex<Vec<JobKey>>> = Arc::default();
    let stop = Stop::new();
    let workers: Vec<_> = (0..8)
        .map(|n| {
            let address = if n % 2 == 0 {
                unix(folder.path())
            } else {
                Address::Tcp(house_keeper.addresses()[0].to_string())
            };
            let (taken, stop) = (taken.clone(), stop.clone());
            let client = client(address, None, registration(Component::CircuitProver, &format!("w{n}")));
            thread::spawn(move || {
                // They wait before there is anything to take, and are woken.
                while let Ok(held) = client.lease_within(Filter::default(), LONG, &stop) {
                    let Some(held) = held else { break };
                    let new = if held.key().kind == JobKind::Witness { prove_jobs(1, 200) } else { vec![] };
                    taken.lock().unwrap().push(held.key());
                    held.complete(vec![file("made", "m")], new).unwrap();
                }
            })
        })
        .collect();
    let summary = until(&operator, 1, BatchState::Proved);
    assert_eq!(summary.progress.done, 201);
    assert_eq!(summary.outputs.len(), 200, "what nothing depends on");
    stop.raise();
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    let taken = taken.lock().unwrap();
    assert_eq!((taken.len(), taken.iter().collect::<BTreeSet<_>>().len()), (201, 201));
    house_keeper.stop();
}

fn until(client: &Client, n: u32, state: BatchState) -> ingot_house_keeper::protocol::BatchSummary {
    let (start, mut known) = (Instant::now(), None);
    loop {
        assert!(start.elapsed() < LONG, "batch {n} does not get {state:?}");
        let request = Request::WatchBatch { batch: batch(n), known, wait_ms: 1_000 };
        let Answer::Batch(Some(summary)) = client.call(request).unwrap() else { panic!() };
        if summary.state == state {
            return *summary;
        }
        known = Some(summary.change);
    }
}

#[test]
fn leases_outlive_the_house_keeper_and_late_completions_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let config = HouseKeeperConfig { lease_ttl_ms: 1_500, ..config(folder.path()) };
    let mut house_keeper = HouseKeeper::start(&config).unwrap();
    assert!(HouseKeeper::start(&config).unwrap_err().to_string().contains("in use"));
    let operator = operator(folder.path());
    submit(&operator, 1);
    let stop = Stop::new();
    let worker = client(unix(folder.path()), None, registration(Component::WitnessGenerator, "w"));
    let held = worker.lease_within(kinds(JobKind::Witness), LONG, &stop).unwrap().unwrap();
    for _ in 0..2 {
        house_keeper.stop();
        thread::sleep(Duration::from_millis(300));
        house_keeper = HouseKeeper::start(&config).unwrap();
        // Heartbeats keep it longer than it lasts by itself.
        thread::sleep(Duration::from_millis(2_000));
        assert!(!held.is_lost());
    }
    held.complete(vec![file("made", "m")], prove_jobs(1, 2)).unwrap();

    // A worker that does not send heartbeats loses its lease, and finds out.
    let mut frozen =
        ClientOptions::new(unix(folder.path()), None, registration(Component::CircuitProver, "frozen"));
    frozen.heartbeat = Duration::from_secs(3600);
    let frozen = Client::start(frozen).unwrap();
    let lost = frozen.lease_within(kinds(JobKind::Prove), LONG, &stop).unwrap().unwrap();
    let other = client(unix(folder.path()), None, registration(Component::CircuitProver, "other"));
    let first = other.lease_within(kinds(JobKind::Prove), LONG, &stop).unwrap().unwrap();
    let again = other.lease_within(kinds(JobKind::Prove), LONG, &stop).unwrap().unwrap();
    assert_eq!(again.key(), lost.key());
    assert!(lost.is_lost());
    assert!(matches!(lost.complete(vec![file("made", "late")], vec![]), Err(ClientError::Stale(_))));
    first.complete(vec![file("made", "a")], vec![]).unwrap();
    again.complete(vec![file("made", "b")], vec![]).unwrap();
    assert!(matches!(again.complete(vec![], vec![]), Err(ClientError::Stale(_))), "an end is an end");
    let summary = until(&operator, 1, BatchState::Proved);
    assert!(summary.outputs.iter().all(|file| file.hash != "late"));
    house_keeper.stop();
}

#[test]
fn a_dropped_or_released_job_goes_to_another_without_burning_an_attempt() {
    let folder = tempfile::tempdir().unwrap();
    let house_keeper = HouseKeeper::start(&config(folder.path())).unwrap();
    let operator = operator(folder.path());
    submit(&operator, 1);
    let stop = Stop::new();
    for n in 0..12 {
        let worker =
            client(unix(folder.path()), None, registration(Component::WitnessGenerator, &format!("w{n}")));
        let held = worker.lease_within(Filter::default(), LONG, &stop).unwrap().unwrap();
        assert_eq!(held.lease().job.status.attempts, 0);
        match n % 3 {
            0 => held.release().unwrap(),
            1 => drop(held),
            _ => {
                std::mem::forget(held);
                // Closing hands back what is held.
                worker.close(LONG);
            }
        }
    }
    house_keeper.stop();
}

#[test]
fn a_token_is_asked_for_and_other_keys_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let token_file = folder.path().join("token");
    std::fs::write(&token_file, "0123456789abcdef0123456789abcdef\n").unwrap();
    let everywhere =
        HouseKeeperConfig { listen: vec!["0.0.0.0:0".parse().unwrap()], ..config(folder.path()) };
    assert!(HouseKeeper::start(&everywhere).unwrap_err().to_string().contains("token-file"));
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(&token_file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let config = HouseKeeperConfig { token_file: Some(token_file.clone()), ..everywhere };
    let house_keeper = HouseKeeper::start(&config).unwrap();
    let port = house_keeper.addresses()[0].port();
    let tcp = || Address::Tcp(format!("127.0.0.1:{port}"));
    let stop = Stop::new();
    let good = Token::load(&token_file).unwrap();
    let bad = Token::from_bytes(b"another token of some length").unwrap();
    let link = |token, registration| client(tcp(), token, registration).wait_connected(LONG, &stop);
    let worker = || registration(Component::CircuitProver, "w");
    assert!(matches!(link(Some(bad), worker()), Link::Refused { .. }));
    assert!(matches!(link(None, worker()), Link::Refused { .. }));
    let first = client(tcp(), Some(good.clone()), worker());
    assert_eq!(first.wait_connected(LONG, &stop), Link::Connected);
    // Another process under the same name, and one with other keys.
    let twin = Registration { instance: [9; 16], ..worker() };
    assert!(
        matches!(link(Some(good.clone()), twin), Link::Refused { why } if why.contains("connected already"))
    );
    let other_keys = Registration {
        serves: Some(Served { key_manifest: "other".into(), ..served() }),
        ..registration(Component::CircuitProver, "x")
    };
    let refused = link(Some(good), other_keys);
    assert!(
        matches!(&refused, Link::Refused { why } if why.contains("expected key manifest test") && why.contains("found other")),
        "{refused:?}"
    );
    house_keeper.stop();
}

#[test]
fn garbage_costs_a_connection_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let house_keeper = HouseKeeper::start(&config(folder.path())).unwrap();
    let address: SocketAddr = house_keeper.addresses()[0];
    let mut kept = Vec::new();
    for n in 0..200u32 {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        let garbage: Vec<u8> = match n % 4 {
            0 => vec![0xff; 64],
            1 => (0..5_000u32).map(|i| (i.wrapping_mul(n + 1) >> 3) as u8).collect(),
            2 => u32::MAX.to_le_bytes().to_vec(),
            // Half-open: says nothing.
            _ => {
                kept.push(stream);
                continue;
            }
        };
        let _ = stream.write_all(&garbage);
        assert!(matches!(stream.read(&mut [0; 16]), Ok(0) | Err(_)), "it is closed");
    }
    let operator = operator(folder.path());
    submit(&operator, 1);
    house_keeper.stop();
}

#[test]
fn artifacts_come_and_go_over_the_network_and_damage_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let house_keeper = HouseKeeper::start(&config(folder.path())).unwrap();
    let tcp = Address::Tcp(house_keeper.addresses()[0].to_string());
    let remote = RemoteArtifacts::new(tcp, None, "test", Duration::from_secs(2));
    let bytes: Vec<u8> = (0..3_000_000u32).map(|n| (n ^ (n >> 7)) as u8).collect();
    let artifact = remote.put(&bytes).unwrap();
    assert_eq!(remote.put(&bytes).unwrap(), artifact);
    assert!(remote.contains(&artifact).unwrap());
    assert_eq!(remote.get(&artifact).unwrap(), bytes);
    assert_eq!(remote.get(&remote.put(b"").unwrap()).unwrap(), b"");
    let path = folder.path().join("artifacts").join(artifact.hash.to_string());
    let mut damaged = bytes.clone();
    damaged[1_000_000] ^= 1;
    std::fs::write(&path, &damaged).unwrap();
    assert!(remote.get(&artifact).unwrap_err().is_bad_artifact());
    remote.put(&bytes).unwrap();
    assert_eq!(remote.get(&artifact).unwrap(), bytes, "putting it again mends it");
    std::fs::write(&path, &bytes[..100]).unwrap();
    assert!(remote.get(&artifact).unwrap_err().is_bad_artifact());
    std::fs::remove_file(&path).unwrap();
    assert!(remote.get(&artifact).unwrap_err().is_bad_artifact());
    assert!(!remote.contains(&artifact).unwrap());
    house_keeper.stop();
    let error = remote.get(&artifact).unwrap_err();
    assert!(!error.is_bad_artifact(), "nobody is there: {error}");
}

#[test]
fn slabs_are_granted_by_provers_and_nothing_is_synthesized_without_them() {
    let folder = tempfile::tempdir().unwrap();
    let house_keeper = HouseKeeper::start(&config(folder.path())).unwrap();
    let operator = operator(folder.path());
    submit(&operator, 1);
    let stop = Stop::new();
    let generator = client(unix(folder.path()), None, registration(Component::WitnessGenerator, "wg"));
    let first = generator.lease_within(Filter::default(), LONG, &stop).unwrap().unwrap();
    first.complete(vec![file("made", "m")], prove_jobs(1, 3)).unwrap();
    let wvg = client(unix(folder.path()), None, registration(Component::WitnessVectorGenerator, "wvg"));
    let none = wvg.lease_within(kinds(JobKind::Prove), Duration::from_millis(300), &stop).unwrap();
    assert!(none.is_none(), "no prover lives");

    let stream = StreamOffer { addresses: vec!["127.0.0.1:9".parse().unwrap()], slabs: 1, slab_bytes: 1_000 };
    let prover = client(
        unix(folder.path()),
        None,
        Registration { stream: Some(stream), ..registration(Component::CircuitProver, "p") },
    );
    let notices = prover.notices().unwrap();
    prover.call(Request::Load(ProverLoad { free_slabs: 1, ..ProverLoad::default() })).unwrap();
    let held = wvg.lease_within(kinds(JobKind::Prove), LONG, &stop).unwrap().unwrap();
    let (key, token) = (held.key(), held.token());
    let large = wvg.slab(key, token, 1_001, LONG, &stop).unwrap_err();
    assert!(large.to_string().contains("1001 bytes") && large.to_string().contains("1000"), "{large}");
    let prover_side = {
        let prover = prover.clone();
        thread::spawn(move || {
            let ingot_house_keeper::protocol::Notice::Reserve(reservation) = notices.recv().unwrap() else {
                panic!()
            };
            prover.call(Request::SlabReserved { ticket: reservation.ticket, accepted: true }).unwrap();
            prover.call(Request::Load(ProverLoad { free_slabs: 0, ..ProverLoad::default() })).unwrap();
            (reservation, notices)
        })
    };
    let grant = wvg.slab(key, token, 900, LONG, &stop).unwrap().unwrap();
    let (reservation, notices_back) = prover_side.join().unwrap();
    assert_eq!((grant.ticket, grant.key, grant.prover.as_str()), (reservation.ticket, reservation.key, "p"));
    // The vector has come: the lease is the prover's now.
    let proving = prover.hand_over(reservation.job, reservation.token).unwrap();
    held.forget();
    assert!(matches!(wvg.call(Request::Release { key, token }), Err(ClientError::Stale(_))));
    proving.complete(vec![file("proof", "p")], vec![]).unwrap();

    // No slab is free: the request waits, until the prover has one.
    let held = wvg.lease_within(kinds(JobKind::Prove), LONG, &stop).unwrap().unwrap();
    assert_eq!(wvg.slab(held.key(), held.token(), 900, Duration::from_millis(200), &stop).unwrap(), None);

    // A house keeper that was started again learns what the prover had told the one before.
    let notices =
        prover_side_notices(&prover, ProverLoad { free_slabs: 1, ..ProverLoad::default() }, notices_back);
    house_keeper.stop();
    let house_keeper = HouseKeeper::start(&config(folder.path())).unwrap();
    assert!(wvg.slab(held.key(), held.token(), 900, LONG, &stop).unwrap().is_some());
    notices.join().unwrap();
    house_keeper.stop();
}

/// A prover that says how busy it is once, and then accepts one reservation.
fn prover_side_notices(
    prover: &Client,
    load: ProverLoad,
    notices: std::sync::mpsc::Receiver<ingot_house_keeper::protocol::Notice>,
) -> thread::JoinHandle<()> {
    prover.call(Request::Load(load)).unwrap();
    let prover = prover.clone();
    thread::spawn(move || loop {
        if let ingot_house_keeper::protocol::Notice::Reserve(reservation) = notices.recv().unwrap() {
            prover.call(Request::SlabReserved { ticket: reservation.ticket, accepted: true }).unwrap();
            return;
        }
    })
}

#[test]
fn nothing_is_asked_of_the_store_while_nothing_happens() {
    let folder = tempfile::tempdir().unwrap();
    let house_keeper = HouseKeeper::start(&config(folder.path())).unwrap();
    let stop = Stop::new();
    // Workers that wait for jobs, and one who watches a batch.
    let workers: Vec<Client> = (0..4)
        .map(|n| client(unix(folder.path()), None, registration(Component::CircuitProver, &format!("w{n}"))))
        .collect();
    let waiting: Vec<_> = workers
        .into_iter()
        .map(|client| {
            let stop = stop.clone();
            thread::spawn(move || {
                client.lease_within(Filter::default(), LONG, &stop).map(|held| held.is_none())
            })
        })
        .collect();
    let statements = || {
        let (sender, receiver) = std::sync::mpsc::channel();
        house_keeper.engine().view(move |view| sender.send((view.statements, view.parked)).unwrap());
        receiver.recv().unwrap()
    };
    let start = Instant::now();
    while statements().1 < 4 {
        assert!(start.elapsed() < LONG);
        thread::sleep(Duration::from_millis(20));
    }
    // Looking costs statements of its own; what matters is that waiting in between costs none.
    let cost = statements().0;
    let cost = statements().0 - cost;
    // Retention looks at batches once soon after the start, and then rarely: one of a few windows may contain that.
    let quiet = (0..4).any(|_| {
        let before = statements().0;
        thread::sleep(Duration::from_secs(3));
        statements().0 - before == cost
    });
    assert!(quiet, "something asks all the time");
    stop.raise();
    for worker in waiting {
        assert!(worker.join().unwrap().unwrap());
    }
    house_keeper.stop();
}
