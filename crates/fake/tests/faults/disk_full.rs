//! A full disk: what cannot be stored is put off, new batches are turned away, and nothing is lost.

use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use ingot_artifacts::Artifacts as _;
use ingot_fake::{cluster::fetch, disk::Disk, work::FakeBatch};
use ingot_house_keeper::{
    client::ClientError,
    protocol::{Answer, Request, Submission, SubmitOutcome},
};
use ingot_types::RetryClass;

use crate::support::{large, small, wait_for, Cluster, Submitted, LEASE_TTL, PATIENCE, VERSION};

const MIB: u64 = 1 << 20;
const DISK_BYTES: u64 = 32 * MIB;
/// Below this no batch is taken.
const LOW_BYTES: u64 = 8 * MIB;
/// Above this they are taken again.
const HIGH_BYTES: u64 = 12 * MIB;

/// A cluster whose house keeper lives on a small disk; no attempt of its jobs may fail unless a test says so.
fn on_a_small_disk() -> Option<(Cluster, Disk)> {
    let mut disk = None;
    let mut cluster = Cluster::with_workers_in(|folder| {
        disk = Some(Disk::small(&folder.join("disk"), DISK_BYTES));
        match &disk {
            Some(Ok(disk)) => disk.inside().join("hk"),
            _ => folder.join("hk"),
        }
    });
    let disk = match disk.unwrap() {
        Ok(disk) => disk,
        Err(error) => {
            eprintln!("NOT TESTED: {error}");
            return None;
        }
    };
    cluster.max_attempts = 1;
    cluster
        .node("hk")
        .through(disk.join())
        .set("house-keeper.disk-low-bytes", LOW_BYTES)
        .set("house-keeper.disk-high-bytes", HIGH_BYTES);
    cluster.start_all();
    Some((cluster, disk))
}

/// A batch whose inputs are stored, and that is not submitted yet.
fn prepared(cluster: &Cluster, batch: &FakeBatch) -> (Submitted, Submission) {
    cluster.submission(100 + cluster.batches.len() as u64, batch, VERSION)
}

/// What the house keeper waits for, by its own account; empty when it is ready.
fn waiting_for(cluster: &Cluster) -> String {
    match fetch(cluster.http("hk"), "/readyz") {
        Ok((503, body)) => body,
        Ok((200, _)) => String::new(),
        other => cluster.fail(&format!("{other:?}")),
    }
}

fn refused(cluster: &Cluster, disk: &Disk, submission: &Submission) {
    match cluster.try_ask(Request::Submit(submission.clone())) {
        Err(ClientError::Unavailable { reason, retry: RetryClass::Resource }) => {
            let named = ["bytes free", "again above", &HIGH_BYTES.to_string()];
            let full = reason.contains("disk is full") && disk.free_bytes().unwrap() == 0;
            assert!(full || named.iter().all(|part| reason.contains(part)), "{reason}");
        }
        other => cluster.fail(&format!("a batch came in while the disk was full: {other:?}")),
    }
}

fn accepted(cluster: &mut Cluster, (submitted, submission): (Submitted, Submission)) {
    match cluster.ask(Request::Submit(submission)) {
        Answer::Submitted(SubmitOutcome::Accepted) => cluster.batches.push(submitted),
        other => cluster.fail(&format!("{other:?}")),
    }
}

#[test]
fn below_the_watermark_no_batch_comes_in_and_those_inside_are_proved() {
    let Some((mut cluster, disk)) = on_a_small_disk() else { return };
    cluster.submit(&large(1));
    let next = prepared(&cluster, &small(2));
    cluster.wait("work", |cluster| cluster.done() >= 5);
    disk.fill(LOW_BYTES - 2 * MIB).unwrap();
    wait_for("the watermark", || Some(waiting_for(&cluster)).filter(|why| why.contains("bytes free")));
    refused(&cluster, &disk, &next.1);
    // What was begun goes on.
    cluster.wait("the batch that is inside", |cluster| cluster.all_proved());
    // A little room is not enough: otherwise intake would flutter.
    disk.make_room().unwrap();
    disk.fill((LOW_BYTES + HIGH_BYTES) / 2).unwrap();
    thread::sleep(Duration::from_secs(6));
    refused(&cluster, &disk, &next.1);
    disk.make_room().unwrap();
    wait_for("readiness", || waiting_for(&cluster).is_empty().then_some(()));
    accepted(&mut cluster, next);
    let audit = cluster.finish();
    assert_eq!((audit.failed_attempts, audit.completed_again), (0, 0));
}

/// Fills the disk while three batches are proved, and makes room after a while. Attempts that failed all the same.
fn full_for_a_while(max_attempts: u32) -> u32 {
    let Some((mut cluster, disk)) = on_a_small_disk() else { return 0 };
    cluster.max_attempts = max_attempts;
    (1..=3).for_each(|seed| cluster.submit(&large(seed)));
    let next = prepared(&cluster, &small(4));
    cluster.wait("work", |cluster| cluster.done() >= 5);
    disk.fill(0).unwrap();
    let start = Instant::now();
    let mut told = String::new();
    // Long enough for every lease to run out if heartbeats came to nothing.
    while start.elapsed() < LEASE_TTL * 4 || told.is_empty() {
        // What is removed makes no room for anything else.
        disk.fill(0).unwrap();
        cluster.all_alive();
        if told.is_empty() {
            told = waiting_for(&cluster);
        }
        assert!(start.elapsed() < PATIENCE, "the house keeper says nothing about its disk");
        thread::sleep(Duration::from_millis(20));
    }
    assert!(told.contains("bytes free"), "{told}");
    let failed = |line: &&str| line.contains(": failed (");
    let logs: Vec<String> = ["wg", "wvg", "prover"].iter().map(|name| cluster.node(name).log()).collect();
    let failures: Vec<&str> = logs.iter().flat_map(|log| log.lines()).filter(failed).collect();
    for line in &failures {
        assert!(line.contains("failed (Resource)"), "{line}");
    }
    refused(&cluster, &disk, &next.1);
    let refusals = cluster.node("hk").log().matches("nothing was stored").count();
    assert!(refusals > 0, "the disk was not full");
    disk.make_room().unwrap();
    wait_for("readiness", || waiting_for(&cluster).is_empty().then_some(()));
    accepted(&mut cluster, next);
    let audit = cluster.finish();
    eprintln!("{} failures for want of room, {refusals} commits failed, {audit:?}", failures.len());
    assert_eq!(audit.completed_again, 0);
    audit.failed_attempts
}

#[test]
fn a_full_disk_puts_work_off_and_loses_nothing() {
    full_for_a_while(1000);
}

#[test]
fn a_full_disk_costs_no_attempt() {
    assert_eq!(full_for_a_while(1), 0);
}

#[test]
fn a_house_keeper_that_starts_on_a_full_disk_goes_on_when_there_is_room() {
    let Some((mut cluster, disk)) = on_a_small_disk() else { return };
    cluster.max_attempts = 1000;
    (1..=2).for_each(|seed| cluster.submit(&large(seed)));
    cluster.wait("work", |cluster| cluster.done() >= 5);
    disk.fill(0).unwrap();
    cluster.node("hk").kill();
    disk.fill(0).unwrap();
    for _ in 0..3 {
        cluster.start("hk");
        thread::sleep(Duration::from_millis(500));
        if cluster.node("hk").ended().is_some() {
            let log = cluster.node("hk").log();
            let full = ["No space left on device", "database or disk is full"];
            assert!(full.iter().any(|why| log.contains(why)), "it ended for another reason");
        }
    }
    cluster.node("hk").kill();
    disk.make_room().unwrap();
    cluster.start("hk");
    assert_eq!(cluster.finish().completed_again, 0);
}

#[test]
fn a_large_file_that_finds_no_room_is_told_so_at_once() {
    let Some((mut cluster, disk)) = on_a_small_disk() else { return };
    cluster.submit(&small(1));
    disk.fill(MIB).unwrap();
    let file = vec![7; 8 << 20];
    let start = Instant::now();
    let (told, is_told) = mpsc::channel();
    let (remote, sent) = (cluster.remote.clone(), file.clone());
    thread::spawn(move || told.send(remote.put(&sent)));
    let Ok(result) = is_told.recv_timeout(PATIENCE) else {
        cluster.fail("whoever stores the file is not told")
    };
    let error = result.unwrap_err();
    eprintln!("after {:?}: {error}", start.elapsed());
    assert_eq!(error.retry_class(), RetryClass::Resource, "{error}");
    assert!(error.to_string().contains("No space left on device"), "{error}");
    disk.make_room().unwrap();
    let stored = cluster.remote.put(&file).unwrap();
    assert_eq!(cluster.remote.get(&stored).unwrap(), file);
    cluster.finish();
}
