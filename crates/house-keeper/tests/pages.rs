//! The pages over HTTP, and what is kept for how long, against a real house keeper.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use ingot_artifacts::{ArtifactRef, Artifacts as _};
use ingot_house_keeper::{
    client::{Client, RemoteArtifacts, Stop},
    protocol::{Answer, BackupAnswer, BackupRequest, BatchState, Component, Request},
    HouseKeeper, HouseKeeperConfig,
};
use ingot_job_store::{ArtifactName, Filter};
use ingot_types::JobKind;

mod support;
use support::*;

/// The status and the rest of what is answered to these bytes; 0 if the connection just ends.
fn say(address: SocketAddr, bytes: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    // It may be told off before it has said everything.
    let _ = stream.write_all(bytes);
    let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        answer.extend_from_slice(&buffer[..length]);
    }
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, answer)
}

fn get(address: SocketAddr, path: &str) -> (u16, String) {
    say(address, format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes())
}

#[test]
fn pages_tell_how_it_is_and_survive_nonsense() {
    let folder = tempfile::tempdir().unwrap();
    let http = Some("127.0.0.1:0".parse().unwrap());
    let config = HouseKeeperConfig { http, ..config(folder.path()) };
    let house_keeper = HouseKeeper::start(&config).unwrap();
    let address = house_keeper.http().unwrap();
    submit(&operator(folder.path()), 1);
    assert_eq!(get(address, "/livez").0, 200);
    let (status, ready) = get(address, "/readyz");
    assert!(status == 200 && ready.contains("\"ready\":true"), "{ready}");
    let (status, metrics) = get(address, "/metrics");
    assert!(status == 200 && metrics.contains("\ningot_open_batches 1\n"), "{metrics}");
    let (status, report) = get(address, "/queue_report");
    assert!(status == 200 && report.contains("\"version\":\"0.1.0\""), "{report}");
    assert!(report.contains("\"basic_witness_jobs\":{\"in_progress\":0,\"queued\":1}"), "{report}");
    assert_eq!(get(address, "/no-such-page").0, 404);
    assert_eq!(say(address, b"POST /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").0, 405);
    let long = get(address, &format!("/{}", "x".repeat(2 << 20))).0;
    assert!(long == 0 || (400..500).contains(&long), "{long}");
    let mut header = b"GET /livez HTTP/1.1\r\nX: ".to_vec();
    header.resize(2 << 20, b'x');
    let large = say(address, &header).0;
    assert!(large == 0 || (400..500).contains(&large), "{large}");
    for garbage in [&[0xff; 300][..], b"\r\n\r\n\0\0\0 x\r\n", b"GET / HTTP/9.9\r\n\r\n"] {
        let status = say(address, garbage).0;
        assert!(status == 0 || (400..600).contains(&status), "{status}");
    }
    assert_eq!(get(address, "/livez").0, 200, "it lives on");
    house_keeper.stop();
}

#[test]
fn a_full_disk_makes_it_not_ready_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let http = Some("127.0.0.1:0".parse().unwrap());
    let full = HouseKeeperConfig {
        http,
        disk_low_bytes: u64::MAX,
        disk_high_bytes: u64::MAX,
        ..config(folder.path())
    };
    let house_keeper = HouseKeeper::start(&full).unwrap();
    let address = house_keeper.http().unwrap();
    let start = Instant::now();
    let told = loop {
        let (status, told) = get(address, "/readyz");
        if status == 503 {
            break told;
        }
        assert!(start.elapsed() < LONG, "{told}");
        thread::sleep(Duration::from_millis(20));
    };
    assert!(told.contains("\"ready\":false") && told.contains("bytes free"), "{told}");
    assert_eq!(get(address, "/livez").0, 200);
    assert!(get(address, "/metrics").1.contains("\ningot_intake_stopped 1\n"));
    house_keeper.stop();
}

fn named(role: &str, artifact: &ArtifactRef) -> ArtifactName {
    ArtifactName { role: role.into(), hash: artifact.hash.to_string(), size_bytes: artifact.size_bytes }
}

/// Until the only batch is as wanted; `None`: forgotten.
fn wait_for(operator: &Client, wanted: Option<BatchState>) {
    let start = Instant::now();
    loop {
        let Answer::Batches(batches) = operator.call(Request::Batches { archived: true }).unwrap() else {
            panic!()
        };
        let found = batches.first().map(|batch| batch.state);
        if found == wanted {
            return;
        }
        assert!(start.elapsed() < LONG, "expected {wanted:?}, found {found:?}");
        thread::sleep(Duration::from_millis(100));
    }
}

fn wait_until_gone(artifacts: &RemoteArtifacts, artifact: &ArtifactRef) {
    let start = Instant::now();
    while artifacts.contains(artifact).unwrap() {
        assert!(start.elapsed() < LONG, "nothing names it, and it stays");
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_proved_batch_is_archived_and_then_forgotten_with_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let (stop, artifacts) = (Stop::new(), RemoteArtifacts::new(unix(folder.path()), None, "test", LONG));
    let house_keeper = HouseKeeper::start(&config(folder.path())).unwrap();
    submit(&operator(folder.path()), 1);
    let middle = artifacts.put(b"of the middle").unwrap();
    let proof = artifacts.put(b"a proof").unwrap();
    let worker = client(unix(folder.path()), None, registration(Component::CircuitProver, "w"));
    let first = worker.lease_within(Filter::default(), LONG, &stop).unwrap().unwrap();
    first.complete(vec![named("made", &middle)], prove_jobs(1, 1)).unwrap();
    let last = worker.lease_within(kinds(JobKind::Prove), LONG, &stop).unwrap().unwrap();
    last.complete(vec![named("proof", &proof)], vec![]).unwrap();
    wait_for(&operator(folder.path()), Some(BatchState::Proved));
    house_keeper.stop();

    let short = HouseKeeperConfig { keep_proved_s: 0, orphan_age_s: 0, ..config(folder.path()) };
    let house_keeper = HouseKeeper::start(&short).unwrap();
    let operator = operator(folder.path());
    let begun = operator.call(Request::Backup(BackupRequest::Begin)).unwrap();
    let Answer::Backup(BackupAnswer::Snapshot { id, .. }) = begun else { panic!("{begun:?}") };
    wait_for(&operator, Some(BatchState::Archived));
    // Long enough for another look.
    thread::sleep(Duration::from_secs(7));
    assert!(artifacts.contains(&middle).unwrap(), "the backup's copy of the database names it");
    operator.call(Request::Backup(BackupRequest::End { id })).unwrap();
    wait_until_gone(&artifacts, &middle);
    assert_eq!(artifacts.get(&proof).unwrap(), b"a proof", "the proof of an archived batch is kept");
    house_keeper.stop();

    let shorter = HouseKeeperConfig { keep_archived_s: 0, ..short };
    let house_keeper = HouseKeeper::start(&shorter).unwrap();
    wait_for(&operator, None);
    wait_until_gone(&artifacts, &proof);
    house_keeper.stop();
}
