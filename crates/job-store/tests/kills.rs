//! A process that changes a database and says what it has stored is killed at random moments. What it said is there
//! afterwards, and nothing is half done.
//!
//! `INGOT_KILLS=n` kills n times (5 by default).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests are tests

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use common::{batch, file, key, spec};
use ingot_job_store::{
    Backoff, Filter, Home, JobSpec, JobState, JobStore as _, SqliteStore, StoreError, Token, Writer,
    WriterHandle,
};
use ingot_types::{JobKey, JobKind, RetryClass};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const DATABASE: &str = "INGOT_KILLS_DATABASE";
const SEED: &str = "INGOT_KILLS_SEED";
const TTL_MS: u64 = 60_000;

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// What a batch's first job creates.
fn created(first: JobKey) -> Vec<JobSpec> {
    let proofs: Vec<JobKey> = (0..12).map(|n| key(first.batch, JobKind::Prove, 0, 1, 0, n)).collect();
    let merge = key(first.batch, JobKind::Witness, 1, 1, 0, 0);
    let mut jobs: Vec<JobSpec> = proofs.iter().map(|key| spec(*key, vec![])).collect();
    jobs.push(spec(merge, proofs));
    jobs
}

/// Adds a batch, or takes a job and ends it in one way or another. Returns what to say once it is stored.
fn change(store: &mut dyn Home, now_ms: u64, dice: (u32, u32)) -> Result<String, StoreError> {
    if dice.0 < 5 {
        let number = store.batches()?.last().map_or(0, |row| row.batch.batch.0) + 1;
        let first = key(batch(number), JobKind::Witness, 0, 0, 0, 0);
        store.insert(vec![spec(first, vec![])], now_ms)?;
        return Ok(format!("inserted {first} 0"));
    }
    if dice.0 < 40 {
        let lease = store.lease(&Filter::default(), "w", TTL_MS, now_ms)?;
        return Ok(match lease {
            Some(lease) => format!("leased {} {}", lease.job.key(), lease.token.0),
            None => "nothing".into(),
        });
    }
    let leases = store.leases()?;
    let Some((held, token, _)) = leases.get(dice.1 as usize % leases.len().max(1)).cloned() else {
        return Ok("nothing".into());
    };
    if dice.0 < 50 {
        store.fail(held, token, RetryClass::Resource, "planned", now_ms)?;
        return Ok(format!("failed {held} {}", token.0));
    }
    let first = held.kind == JobKind::Witness && held.round as u8 == 0;
    let new_jobs = if first { created(held) } else { vec![] };
    store.complete(held, token, vec![file(token.0)], new_jobs, now_ms)?;
    Ok(format!("done {held} {}", token.0))
}

/// The process that is killed: not a test of its own.
#[test]
fn process_to_kill() {
    let Some(path) = std::env::var_os(DATABASE) else { return };
    let seed: u64 = std::env::var(SEED).unwrap().parse().unwrap();
    let mut store = SqliteStore::open(Path::new(&path), Backoff { base_ms: 1, cap_ms: 2, seed: 0 }).unwrap();
    store.restart_clock(TTL_MS, now_ms()).unwrap();
    let writer = Writer::spawn(store, now_ms).unwrap();
    let work = |store: WriterHandle, seed: u64| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        loop {
            let dice = (rng.gen_range(0..100), rng.gen());
            // Another thread may have ended the lease just now: that is a refusal, and changes nothing.
            match store.call(move |store, now| change(store, now, dice)) {
                Ok(said) => {
                    // In one write, so that lines of different threads do not mix.
                    let mut out = std::io::stdout().lock();
                    out.write_all(format!("stored {said}\n").as_bytes()).unwrap();
                    out.flush().unwrap();
                }
                Err(error) => assert!(error.refusal().is_some(), "{error}"),
            }
        }
    };
    let threads: Vec<_> = (0..4)
        .map(|n| {
            let store = writer.handle();
            std::thread::spawn(move || work(store, seed * 4 + n))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[derive(Default)]
struct Said {
    done: BTreeMap<JobKey, Token>,
    inserted: BTreeSet<JobKey>,
    tokens: BTreeSet<u64>,
    lines: usize,
}

impl Said {
    fn hear(&mut self, line: &str) {
        let Some(said) = line.split_once("stored ").map(|(_, said)| said) else { return };
        self.lines += 1;
        let words: Vec<&str> = said.split_whitespace().collect();
        let [what, key, number] = words[..] else { return };
        let (key, number): (JobKey, u64) = (key.parse().unwrap(), number.parse().unwrap());
        match what {
            "inserted" => assert!(self.inserted.insert(key), "{key} was inserted twice"),
            "leased" => assert!(self.tokens.insert(number), "token {number} was given out twice"),
            "done" => assert_eq!(self.done.insert(key, Token(number)), None, "{key} was done twice"),
            _ => {}
        }
    }

    fn check(&self, path: &Path) {
        let mut store = SqliteStore::open(path, Backoff::default()).unwrap();
        for (key, token) in &self.done {
            let job = store.job(key).unwrap().unwrap();
            let expected = JobState::Done { token: *token, outputs: vec![file(token.0)] };
            assert_eq!(job.status.state, expected, "{key}");
            if key.kind == JobKind::Witness && key.round as u8 == 0 {
                assert_eq!(store.batch_jobs(key.batch).unwrap().len(), 14, "what {key} created");
            }
        }
        for key in &self.inserted {
            assert!(store.job(key).unwrap().is_some(), "{key}");
        }
        assert_eq!(store.reconcile(now_ms()).unwrap(), []);
        for row in store.batches().unwrap() {
            let progress = store.progress(row.batch).unwrap();
            assert!([1, 14].contains(&progress.jobs), "{progress:?}");
            assert_eq!(row.done_at_ms.is_some(), progress.is_done(), "{row:?}");
        }
    }
}

fn kill_once(path: &PathBuf, seed: u64, after: usize, said: &mut Said) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "process_to_kill", "--nocapture"])
        .env(DATABASE, path)
        .env(SEED, seed.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    let until = said.lines + after;
    let mut killed = false;
    loop {
        line.clear();
        if out.read_line(&mut line).unwrap() == 0 {
            break;
        }
        // A line without an end was not said.
        if line.ends_with('\n') {
            said.hear(&line);
        }
        if said.lines >= until && !killed {
            child.kill().unwrap();
            killed = true;
        }
    }
    assert!(killed, "it ended by itself: {}", child.wait().unwrap());
    child.wait().unwrap();
}

#[test]
fn nothing_that_was_said_is_lost() {
    let kills: u64 = std::env::var("INGOT_KILLS").map_or(5, |n| n.parse().expect("INGOT_KILLS is a number"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut said = Said::default();
    for seed in 0..kills {
        kill_once(&path, seed, rng.gen_range(1..300), &mut said);
        said.check(&path);
    }
    println!("{kills} kills, {} changes, {} jobs done", said.lines, said.done.len());
    assert!(said.done.len() as u64 > kills, "{}", said.done.len());
}
