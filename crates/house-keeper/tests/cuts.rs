//! Connections that break, sockets that were left behind, and clients that go.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        atomic::{AtomicU64, Ordering},
        Arc, Mutex,
    },
    thread,
    time::{Duration, Instant},
};

use ingot_artifacts::Artifacts as _;
use ingot_house_keeper::{
    client::{Address, Client, ClientError, ClientOptions, Link, RemoteArtifacts, Stop},
    protocol::{Answer, Component, Request},
    HouseKeeper, HouseKeeperConfig,
};
use ingot_job_store::Filter;
use ingot_types::JobKind;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

mod support;
use support::*;

/// Forwards to `target`, and cuts each connection after a random number of bytes of its larger direction.
fn cutting_proxy(target: SocketAddr, most_bytes: u64) -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let cuts = Arc::new(AtomicU64::new(0));
    let counted = cuts.clone();
    let rng = Mutex::new(ChaCha8Rng::seed_from_u64(7));
    thread::spawn(move || {
        for near in listener.incoming() {
            let (near, far) = (near.unwrap(), TcpStream::connect(target).unwrap());
            let limit = rng.lock().unwrap().gen_range(1..most_bytes);
            for (from, to) in [(&near, &far), (&far, &near)] {
                let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                let counted = counted.clone();
                thread::spawn(move || {
                    let (mut left, mut buffer) = (limit, vec![0; 16 << 10]);
                    while left > 0 {
                        let most = usize::try_from(left).unwrap().min(buffer.len());
                        match from.read(&mut buffer[..most]) {
                            Ok(length) if length > 0 && to.write_all(&buffer[..length]).is_ok() => {
                                left -= length as u64;
                            }
                            _ => break,
                        }
                    }
                    counted.fetch_add(u64::from(left == 0), Ordering::SeqCst);
                    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
                });
            }
        }
    });
    (address, cuts)
}

#[test]
fn artifacts_arrive_over_a_line_that_is_cut_again_and_again() {
    let folder = tempfile::tempdir().unwrap();
    let house_keeper = HouseKeeper::start(&config(folder.path())).unwrap();
    // No connection lasts for a whole artifact: whoever began from zero again would never end.
    let (proxy, cuts) = cutting_proxy(house_keeper.addresses()[0], 1 << 20);
    let remote = RemoteArtifacts::new(Address::Tcp(proxy.to_string()), None, "test", LONG);
    let mut bytes = vec![0; 6 << 20];
    ChaCha8Rng::seed_from_u64(8).fill(&mut bytes[..]);
    let artifact = remote.put(&bytes).unwrap();
    let stored = std::fs::read(folder.path().join("artifacts").join(artifact.hash.to_string())).unwrap();
    assert!(stored == bytes, "what was stored is what was sent");
    let put_cuts = cuts.load(Ordering::SeqCst);
    assert!(put_cuts >= 6, "{put_cuts} cuts");
    assert!(remote.get(&artifact).unwrap() == bytes);
    let get_cuts = cuts.load(Ordering::SeqCst) - put_cuts;
    assert!(get_cuts >= 5, "{get_cuts} cuts");
    house_keeper.stop();
}

#[test]
fn only_a_socket_on_which_nobody_listens_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("house-keeper.sock");
    std::fs::write(&path, "precious").unwrap();
    let error = HouseKeeper::start(&config(folder.path())).unwrap_err().to_string();
    assert!(error.contains("house-keeper.sock") && error.contains("expected a socket"), "{error}");
    assert!(error.contains("found a file"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    std::fs::remove_file(&path).unwrap();
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let house_keeper = HouseKeeper::start(&config(folder.path())).unwrap();
    assert_eq!(operator(folder.path()).wait_connected(LONG, &Stop::new()), Link::Connected);
    house_keeper.stop();
}

#[test]
fn a_client_ends_with_its_last_handle() {
    let folder = tempfile::tempdir().unwrap();
    let house_keeper = HouseKeeper::start(&config(folder.path())).unwrap();
    let worker = client(unix(folder.path()), None, registration(Component::CircuitProver, "w"));
    let other = worker.clone();
    assert_eq!(worker.wait_connected(LONG, &Stop::new()), Link::Connected);
    let connected = || {
        let (sender, receiver) = std::sync::mpsc::channel();
        house_keeper.engine().view(move |view| {
            sender.send(view.workers.iter().any(|w| w.registration.name == "w" && w.connected)).unwrap();
        });
        receiver.recv().unwrap()
    };
    drop(worker);
    assert!(matches!(other.link(), Link::Connected) && connected());
    drop(other);
    let start = Instant::now();
    while connected() {
        assert!(start.elapsed() < LONG, "it is connected although nobody holds it");
        thread::sleep(Duration::from_millis(20));
    }
    house_keeper.stop();
}

#[test]
fn leases_run_out_while_the_house_keeper_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let house_keeper = HouseKeeper::start(&config(folder.path())).unwrap();
    submit(&operator(folder.path()), 1);
    let registered = registration(Component::WitnessGenerator, "w");
    let mut options = ClientOptions::new(unix(folder.path()), None, registered);
    options.heartbeat = Duration::from_millis(100);
    options.lease_ttl = Some(Duration::from_millis(100));
    let refused = Client::start(options.clone()).unwrap_err();
    assert!(matches!(&refused, ClientError::Options(why) if why.contains("100 ms")), "{refused}");
    options.lease_ttl = Some(Duration::from_millis(600));
    let worker = Client::start(options).unwrap();
    let held = worker.lease_within(Filter::default(), LONG, &Stop::new()).unwrap().unwrap();
    thread::sleep(Duration::from_millis(1_000));
    assert!(!held.is_lost(), "it is acknowledged all the time");
    house_keeper.stop();
    let start = Instant::now();
    while !held.is_lost() {
        assert!(start.elapsed() < LONG, "nobody can have kept it alive");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_hand_over_is_answered_again_after_a_restart_and_only_to_the_holder() {
    let folder = tempfile::tempdir().unwrap();
    let house_keeper = HouseKeeper::start(&config(folder.path())).unwrap();
    let operator = operator(folder.path());
    submit(&operator, 1);
    let stop = Stop::new();
    let worker = |component, name| client(unix(folder.path()), None, registration(component, name));
    let generator = worker(Component::WitnessGenerator, "wg");
    let first = generator.lease_within(Filter::default(), LONG, &stop).unwrap().unwrap();
    first.complete(vec![file("made", "m")], prove_jobs(1, 1)).unwrap();
    let sender = worker(Component::CircuitProver, "sender");
    let prover = worker(Component::CircuitProver, "prover");
    let sent = sender.lease_within(kinds(JobKind::Prove), LONG, &stop).unwrap().unwrap();
    let (key, token) = (sent.key(), sent.token());
    let proving = prover.hand_over(key, token).unwrap();
    sent.forget();
    house_keeper.stop();
    let house_keeper = HouseKeeper::start(&config(folder.path())).unwrap();
    // As if the answer had been lost.
    let Answer::Lease(Some(again)) = prover.call(Request::HandOver { key, token }).unwrap() else { panic!() };
    assert_eq!((again.token, again.job.key()), (proving.token(), key));
    for stranger in [&sender, &generator] {
        let refused = stranger.call(Request::HandOver { key, token });
        assert!(matches!(refused, Err(ClientError::Stale(_))), "{refused:?}");
    }
    // A token that the lease cannot have been exchanged for.
    let later = ingot_job_store::Token(proving.token().0 + 1);
    assert!(matches!(prover.call(Request::HandOver { key, token: later }), Err(ClientError::Stale(_))));
    assert!(matches!(prover.hand_over(key, token), Err(ClientError::Stale(_))), "it is in hand already");
    proving.complete(vec![file("proof", "p")], vec![]).unwrap();
    house_keeper.stop();
}

#[test]
fn closing_hands_back_what_is_held() {
    let folder = tempfile::tempdir().unwrap();
    let config = HouseKeeperConfig { lease_ttl_ms: 3_600_000, ..config(folder.path()) };
    let house_keeper = HouseKeeper::start(&config).unwrap();
    submit(&operator(folder.path()), 1);
    let stop = Stop::new();
    let worker = client(unix(folder.path()), None, registration(Component::WitnessGenerator, "a"));
    let held = worker.lease_within(Filter::default(), LONG, &stop).unwrap().unwrap();
    worker.close(LONG);
    assert!(held.is_lost());
    let other = client(unix(folder.path()), None, registration(Component::WitnessGenerator, "b"));
    let again = other.lease_within(Filter::default(), LONG, &stop).unwrap().unwrap();
    assert_eq!((again.key(), again.lease().job.status.attempts), (held.key(), 0));
    house_keeper.stop();
}
