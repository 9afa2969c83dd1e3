//! The wall clock of every process jumps a day ahead and a day back while batches are proved: no lease runs out by it, no
//! attempt counts, no file is taken for an old one.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use ingot_fake::work::FakeBatch;
use ingot_house_keeper::protocol::Request;
use rand::Rng as _;

use crate::support::{for_seeds, large, Cluster, LEASE_TTL, VERSION};

const DAY_S: i64 = 24 * 3600;

/// The library that moves the clock.
fn library(folder: &Path) -> PathBuf {
    let (source, library) =
        (Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/clock_shift.c"), folder.join("clock.so"));
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([&library, &source])
        .status()
        .expect("a C compiler");
    assert!(status.success(), "{status}");
    library
}

/// Sets the clock `offset_s` seconds off, whole: a process never reads half a number.
fn set(offset: &Path, offset_s: i64) {
    let new = offset.with_extension("new");
    fs::write(&new, offset_s.to_string()).unwrap();
    fs::rename(new, offset).unwrap();
}

/// The days in the log's time stamps of the last line: what the process takes for today.
fn day(log: &str) -> String {
    let stamp = log.lines().rev().find_map(|line| line.get(..10).filter(|_| line.starts_with("20")));
    stamp.expect("a line with a time").to_owned()
}

/// Three batches that take several times as long as a lease lasts, on processes whose clock can be set.
fn with_own_clock() -> (Cluster, PathBuf) {
    let mut cluster = Cluster::with_workers();
    cluster.max_attempts = 1;
    let library = library(&cluster.folder());
    let offset = cluster.folder().join("offset");
    set(&offset, 0);
    for name in cluster.names() {
        cluster
            .node(&name)
            .environment("LD_PRELOAD", library.display())
            .environment("INGOT_CLOCK_OFFSET", offset.display());
    }
    cluster.start_all();
    for seed in 1..=3 {
        cluster.submit(&FakeBatch { proving_ms: 120, ..large(seed) });
    }
    cluster.wait("work", |cluster| cluster.done() >= 3);
    (cluster, offset)
}

#[test]
fn a_day_ahead_and_a_day_back_while_batches_are_proved() {
    for_seeds(|mut rng| {
        let (mut cluster, offset) = with_own_clock();
        let days: [i64; 4] = [1, 0, -1, 0];
        for days in days {
            set(&offset, days * DAY_S);
            let start = Instant::now();
            // Longer than a lease lasts, so that each is prolonged by the new clock.
            let stay = LEASE_TTL + Duration::from_millis(rng.gen_range(0..1000));
            while start.elapsed() < stay {
                cluster.all_alive();
                thread::sleep(Duration::from_millis(50));
            }
        }
        let audit = cluster.finish();
        assert_eq!((audit.failed_attempts, audit.completed_again), (0, 0));
        // The clock did jump.
        let log = cluster.node("prover").log();
        let seen: BTreeSet<&str> =
            log.lines().filter(|line| line.starts_with("20")).filter_map(|line| line.get(..10)).collect();
        assert!(seen.len() >= 3, "{seen:?}");
    });
}

#[test]
fn a_house_keeper_that_starts_again_on_another_day_keeps_leases() {
    for offset_s in [DAY_S, -DAY_S] {
        let (mut cluster, offset) = with_own_clock();
        let before = day(&cluster.node("hk").log());
        set(&offset, offset_s);
        cluster.node("hk").kill();
        cluster.start("hk");
        let audit = cluster.finish();
        assert_eq!((audit.failed_attempts, audit.completed_again), (0, 0));
        assert_ne!(day(&cluster.node("hk").log()), before);
    }
}

/// Files that are stored and not named yet are young, whatever the clock says: the first collection of orphans comes some
/// ten seconds after the start.
#[test]
fn a_day_ahead_no_file_that_is_in_use_is_collected() {
    let (mut cluster, offset) = with_own_clock();
    // Stored by a client that submits it later.
    let (submitted, submission) = cluster.submission(50, &large(50), VERSION);
    set(&offset, DAY_S);
    cluster.wait("the collection", |cluster| {
        cluster.node("hk").log().contains("files that nothing named are gone")
    });
    cluster.ask(Request::Submit(submission));
    cluster.batches.push(submitted);
    let audit = cluster.finish();
    assert_eq!((audit.failed_attempts, audit.completed_again), (0, 0));
}
