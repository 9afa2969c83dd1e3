//! The journal against crashes and damage: every truncation, every flipped bit.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests are tests

mod common;

use std::{fs, path::Path, process::Command};

use common::{after_a_crash, batch, file, key, spec};
use ingot_job_store::{Backoff, Filter, JobSpec, JobStore, MemoryStore, Recovered, Status, StoreError};
use ingot_types::{JobKind, RetryClass};

const MAGIC_LEN: usize = 16;
const HEADER_LEN: usize = 28;

type Snapshot = Vec<(JobSpec, Status)>;

fn open(path: &Path) -> Result<(MemoryStore, Recovered), StoreError> {
    MemoryStore::open(path, Backoff::default(), 50_000)
}

/// Runs a small batch through most transitions; returns the journal's length and the state after each of them.
fn scenario(path: &Path) -> Vec<(usize, Snapshot)> {
    let (mut store, recovered) = MemoryStore::open(path, Backoff::default(), 0).unwrap();
    assert_eq!(recovered, Recovered::default());
    let mut seen = Vec::new();
    let mut step = |store: &MemoryStore| {
        let length = usize::try_from(fs::metadata(path).unwrap().len()).unwrap();
        seen.push((length, after_a_crash(store, &[batch(1)])));
    };
    let witness = key(batch(1), JobKind::Witness, 0, 0, 0, 0);
    let prove = |n| key(batch(1), JobKind::Prove, 0, 1, 0, n);
    let leaf = key(batch(1), JobKind::Prove, 1, 1, 0, 0);
    let any = Filter::default();
    step(&store);
    store.insert(vec![spec(witness, vec![])], 1).unwrap();
    step(&store);
    let lease = store.lease(&any, "w", 1_000, 2).unwrap().unwrap();
    step(&store);
    let new_jobs = vec![spec(prove(0), vec![]), spec(prove(1), vec![]), spec(leaf, vec![prove(0), prove(1)])];
    store.complete(witness, lease.token, vec![file("w")], new_jobs, 3).unwrap();
    step(&store);
    let first = store.lease(&any, "wvg", 1_000, 4).unwrap().unwrap();
    step(&store);
    let second = store.lease(&any, "wvg", 1_000, 4).unwrap().unwrap();
    step(&store);
    store.heartbeat(prove(1), second.token, 20_000, 5).unwrap();
    let first = store.hand_over(prove(0), first.token, "prover", 1_000, 6).unwrap();
    step(&store);
    store.fail(prove(0), first.token, RetryClass::Transient, "busy", 7).unwrap();
    step(&store);
    store.advance(2_000).unwrap();
    step(&store);
    let first = store.lease(&any, "prover", 1_000, 2_000).unwrap().unwrap();
    step(&store);
    store.release(prove(0), first.token, 2_001).unwrap();
    step(&store);
    let first = store.lease(&any, "prover", 1_000, 2_000).unwrap().unwrap();
    step(&store);
    store.complete(prove(0), first.token, vec![file("p")], vec![], 2_001).unwrap();
    step(&store);
    store.fail(prove(1), second.token, RetryClass::Deterministic, "unsatisfied", 2_002).unwrap();
    step(&store);
    store.requeue(prove(1), 2_003).unwrap();
    step(&store);
    store.reset(prove(0), None, 2_004).unwrap();
    step(&store);
    seen
}

#[test]
fn a_journal_cut_anywhere_opens_in_the_state_of_its_whole_records() {
    let folder = common::fast_folder();
    let whole = folder.path().join("whole");
    let steps = scenario(&whole);
    let bytes = fs::read(&whole).unwrap();
    let cut = folder.path().join("cut");
    for length in 0..=bytes.len() {
        fs::write(&cut, &bytes[..length]).unwrap();
        let (store, recovered) = open(&cut).unwrap();
        let (kept, expected) = match steps.iter().rfind(|(end, _)| *end <= length) {
            Some((end, state)) => (*end, state.clone()),
            None => (0, vec![]),
        };
        assert_eq!(after_a_crash(&store, &[batch(1)]), expected, "cut to {length} bytes");
        assert_eq!(recovered.cut_off_bytes, (length - kept) as u64);
    }
}

#[test]
fn work_goes_on_after_a_cut() {
    let folder = common::fast_folder();
    let whole = folder.path().join("whole");
    scenario(&whole);
    let bytes = fs::read(&whole).unwrap();
    let path = folder.path().join("cut");
    for length in (0..=bytes.len()).step_by(29) {
        fs::write(&path, &bytes[..length]).unwrap();
        let (mut store, _) = open(&path).unwrap();
        store.insert(vec![spec(key(batch(2), JobKind::Prove, 0, 1, 0, 0), vec![])], 50_000).unwrap();
        let before = after_a_crash(&store, &[batch(1), batch(2)]);
        drop(store);
        let (store, recovered) = open(&path).unwrap();
        assert_eq!(after_a_crash(&store, &[batch(1), batch(2)]), before);
        assert_eq!(recovered.cut_off_bytes, 0);
    }
}

#[test]
fn leases_end_and_tokens_go_on_after_a_crash() {
    let folder = common::fast_folder();
    let path = folder.path().join("journal");
    let (mut store, _) = open(&path).unwrap();
    let job = key(batch(1), JobKind::Prove, 0, 1, 0, 0);
    store.insert(vec![spec(job, vec![])], 0).unwrap();
    let mut last = None;
    for _ in 0..20 {
        let lease = store.lease(&Filter::default(), "w", 1_000_000, 0).unwrap().unwrap();
        assert!(Some(lease.token) > last);
        last = Some(lease.token);
        drop(store);
        let (reopened, recovered) = open(&path).unwrap();
        store = reopened;
        assert_eq!(recovered.handed_back, [job]);
        assert!(store.complete(job, lease.token, vec![], vec![], 0).unwrap_err().refusal().is_some());
    }
    assert_eq!(store.job(&job).unwrap().unwrap().status.attempts, 0);
}

#[test]
fn every_flipped_bit_is_reported_with_its_record() {
    let folder = common::fast_folder();
    let whole = folder.path().join("whole");
    let steps = scenario(&whole);
    let bytes = fs::read(&whole).unwrap();
    let path = folder.path().join("flipped");
    for position in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[position] ^= 1 << bit;
            fs::write(&path, &flipped).unwrap();
            match open(&path) {
                Err(StoreError::Corrupt { offset, .. }) => {
                    // The record that the position is in; a step may have written several.
                    let offset = usize::try_from(offset).unwrap();
                    let in_step = steps.iter().rfind(|(end, _)| *end <= position).map_or(0, |(end, _)| *end);
                    assert!(
                        in_step <= offset && offset <= position,
                        "bit {bit} of byte {position}: {offset}"
                    );
                }
                other => panic!("bit {bit} of byte {position}: {other:?}"),
            }
            assert_eq!(fs::read(&path).unwrap(), flipped, "a damaged journal is left as it is");
        }
    }
}

#[test]
fn records_that_are_left_out_repeated_or_swapped_are_reported() {
    let folder = common::fast_folder();
    let whole = folder.path().join("whole");
    let steps = scenario(&whole);
    let bytes = fs::read(&whole).unwrap();
    let frame = |n: usize| &bytes[steps[n].0..steps[n + 1].0];
    let path = folder.path().join("changed");
    for n in 0..steps.len() - 2 {
        let (before, after) = (&bytes[..steps[n].0], &bytes[steps[n + 2].0..]);
        for changed in [
            [before, frame(n + 1), after].concat(),
            [before, frame(n), frame(n), frame(n + 1), after].concat(),
            [before, frame(n + 1), frame(n), after].concat(),
        ] {
            fs::write(&path, changed).unwrap();
            assert!(matches!(open(&path), Err(StoreError::Corrupt { .. })), "record {n}");
        }
    }
}

#[test]
fn a_write_that_a_power_cut_left_as_zeros_is_cut_off() {
    let folder = common::fast_folder();
    let path = folder.path().join("journal");
    let (mut store, _) = open(&path).unwrap();
    store.insert(vec![spec(key(batch(1), JobKind::Prove, 0, 1, 0, 0), vec![])], 0).unwrap();
    let kept = usize::try_from(fs::metadata(&path).unwrap().len()).unwrap();
    let before = after_a_crash(&store, &[batch(1)]);
    let many = (1..200).map(|n| spec(key(batch(1), JobKind::Prove, 0, 1, 0, n), vec![])).collect();
    store.insert(many, 0).unwrap();
    drop(store);
    let bytes = fs::read(&path).unwrap();
    assert!(bytes.len() > 2_500, "several sectors: {}", bytes.len());
    // Sectors from `first` on were never written; or nothing of the record but its length in the folder.
    let unwritten = [kept, 512, 1024, bytes.len() / 512 * 512];
    for first in unwritten {
        let mut torn = bytes.clone();
        torn[first..].fill(0);
        fs::write(&path, torn).unwrap();
        let (store, recovered) = open(&path).unwrap();
        assert_eq!(recovered.cut_off_bytes, (bytes.len() - kept) as u64);
        assert_eq!(after_a_crash(&store, &[batch(1)]), before);
    }
}

#[test]
fn other_files_and_other_processes_are_told_apart() {
    let folder = common::fast_folder();
    let path = folder.path().join("journal");
    for content in ["hello", "ingot journal 2\n and more"] {
        fs::write(&path, content).unwrap();
        let error = open(&path).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { offset: 0, .. }), "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()));
    }
    fs::remove_file(&path).unwrap();
    let (store, _) = open(&path).unwrap();
    assert!(matches!(open(&path), Err(StoreError::InUse { .. })));
    drop(store);
    open(&path).unwrap();
    assert!(matches!(open(&folder.path().join("none/journal")), Err(StoreError::Io { .. })));
}

/// Runs in a process of its own with a limit on file size, which stops a write half-way like a full disk does.
#[test]
fn a_full_disk_refuses_the_change_and_keeps_the_rest() {
    let job = |n| spec(key(batch(1), JobKind::Prove, 0, 1, 0, n), vec![]);
    if let Some(path) = std::env::var_os("INGOT_TEST_LIMITED_JOURNAL") {
        let (mut store, _) = open(Path::new(&path)).unwrap();
        store.insert(vec![job(0)], 0).unwrap();
        let error = store.insert((1..1_000).map(job).collect(), 0).unwrap_err();
        assert_eq!(error.retry_class(), RetryClass::Resource, "{error}");
        assert_eq!(store.progress(batch(1)).unwrap().jobs, 1);
        store.insert(vec![job(1)], 0).unwrap();
        println!("limit reached");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let output = Command::new("sh")
        // The signal is ignored so that the write reports the limit instead of ending the process.
        .args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "a_full_disk_refuses_the_change_and_keeps_the_rest", "--nocapture"])
        .env("INGOT_TEST_LIMITED_JOURNAL", &path)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("limit reached"), "{text}{errors}");
    let (store, recovered) = open(&path).unwrap();
    assert_eq!((recovered.records, recovered.cut_off_bytes), (2, 0));
    assert_eq!(store.progress(batch(1)).unwrap().jobs, 2);
}

#[test]
fn a_record_is_as_long_as_the_header_says() {
    let folder = common::fast_folder();
    let path = folder.path().join("journal");
    let (mut store, _) = open(&path).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"ingot journal 1\n");
    store.insert(vec![], 7).unwrap();
    let bytes = fs::read(&path).unwrap();
    let length = u32::from_le_bytes(bytes[MAGIC_LEN..MAGIC_LEN + 4].try_into().unwrap());
    assert_eq!(bytes.len(), MAGIC_LEN + HEADER_LEN + length as usize);
    // Time 7, the first command, no jobs.
    assert_eq!(bytes[MAGIC_LEN + HEADER_LEN..], [7, 0, 0]);
}
