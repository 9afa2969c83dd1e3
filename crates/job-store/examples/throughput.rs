//! How many transitions per second the database takes: 10,000 basic proofs and what merges them, done by 64 threads that
//! ask for the next as soon as they have an answer. Every answer is on disk.
//!
//! `throughput FOLDER [THREADS] [JOBS]`
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a measurement, not a service

use std::{
    path::PathBuf,
    sync::{Arc, Barrier},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use ingot_job_store::{Backoff, Filter, JobSpec, SqliteStore, Writer, WriterHandle};
use ingot_types::{
    AggregationRound, BatchId, BatchNumber, ChainId, CircuitId, JobKey, JobKind, ProtocolVersion,
};

const TTL_MS: u64 = 60_000;
const ARITY: usize = 100;

fn key(kind: JobKind, round: AggregationRound, depth: u16, sequence: usize) -> JobKey {
    let batch = BatchId { chain: ChainId(1), batch: BatchNumber(1) };
    let sequence = u32::try_from(sequence).unwrap();
    JobKey { batch, kind, round, circuit_id: CircuitId(1), depth, sequence }
}

fn spec(key: JobKey, depends_on: Vec<JobKey>) -> JobSpec {
    JobSpec {
        key,
        protocol_version: ProtocolVersion { minor: 1, patch: 0 },
        priority: 0,
        sealed_at_ms: 0,
        max_attempts: 3,
        group: None,
        zone: None,
        depends_on,
        inputs: vec![],
    }
}

/// Basic proofs; for each hundred of a level, one above it.
fn jobs(basic: usize) -> Vec<JobSpec> {
    let mut level: Vec<JobKey> =
        (0..basic).map(|n| key(JobKind::Prove, AggregationRound::Basic, 0, n)).collect();
    let mut jobs: Vec<JobSpec> = level.iter().map(|key| spec(*key, vec![])).collect();
    for (round, depth) in
        [(AggregationRound::Leaf, 0), (AggregationRound::Node, 0), (AggregationRound::Node, 1)]
    {
        let mut above = Vec::new();
        for (n, children) in level.chunks(ARITY).enumerate() {
            let witness = key(JobKind::Witness, round, depth, n);
            above.push(key(JobKind::Prove, round, depth, n));
            jobs.push(spec(witness, children.to_vec()));
            jobs.push(spec(key(JobKind::Prove, round, depth, n), vec![witness]));
        }
        level = above;
    }
    jobs
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}

/// Takes and completes jobs until none are left; returns the time that each claim took, in microseconds.
fn work(store: &WriterHandle, worker: &str) -> Vec<u128> {
    let mut claims_us = Vec::new();
    let mut idle = 0;
    loop {
        let start = Instant::now();
        let name = worker.to_owned();
        let lease =
            store.call(move |store, now| store.lease(&Filter::default(), &name, TTL_MS, now)).unwrap();
        claims_us.push(start.elapsed().as_micros());
        let Some(lease) = lease else {
            claims_us.pop();
            let batch = key(JobKind::Prove, AggregationRound::Basic, 0, 0).batch;
            if store.call(move |store, _| store.progress(batch)).unwrap().is_done() {
                return claims_us;
            }
            idle += 1;
            // Few jobs are left, and others have them.
            std::thread::sleep(std::time::Duration::from_millis(idle.min(20)));
            continue;
        };
        store
            .call(move |store, now| store.complete(lease.job.key(), lease.token, vec![], vec![], now))
            .unwrap();
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().expect("a folder for the database"));
    let threads: usize = arguments.next().map_or(64, |n| n.parse().unwrap());
    let basic: usize = arguments.next().map_or(10_000, |n| n.parse().unwrap());
    let folder = tempfile::tempdir_in(folder).unwrap();
    let store = SqliteStore::open(&folder.path().join("jobs.db"), Backoff::default()).unwrap();
    let writer = Writer::spawn(store, now_ms).unwrap();
    let handle = writer.handle();

    let first = key(JobKind::Witness, AggregationRound::Basic, 0, 0);
    handle.call(move |store, now| store.insert(vec![spec(first, vec![])], now)).unwrap();
    let lease =
        handle.call(|store, now| store.lease(&Filter::default(), "first", TTL_MS, now)).unwrap().unwrap();
    let created = jobs(basic);
    let total = created.len();
    let start = Instant::now();
    handle.call(move |store, now| store.complete(first, lease.token, vec![], created, now)).unwrap();
    println!("completing the job that creates {total} others: {} ms", start.elapsed().as_millis());

    let (commits, statements) = (handle.commits(), handle.statements());
    let barrier = Arc::new(Barrier::new(threads + 1));
    let workers: Vec<_> = (0..threads)
        .map(|n| {
            let (handle, barrier) = (handle.clone(), Arc::clone(&barrier));
            std::thread::spawn(move || {
                barrier.wait();
                work(&handle, &format!("worker-{n}"))
            })
        })
        .collect();
    barrier.wait();
    let start = Instant::now();
    let mut claims_us: Vec<u128> = workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect();
    let seconds = start.elapsed().as_secs_f64();
    claims_us.sort_unstable();
    let at = |percent: usize| claims_us[(claims_us.len() - 1) * percent / 100] as f64 / 1_000.0;
    println!(
        "{} transitions in {seconds:.2} s: {:.0}/s, {} commits, {} statements",
        2 * total,
        2.0 * total as f64 / seconds,
        handle.commits() - commits,
        handle.statements() - statements,
    );
    println!("claims: p50 {:.2} ms, p99 {:.2} ms, longest {:.2} ms", at(50), at(99), at(100));
    writer.close().unwrap();
}
