//! How fast the house keeper is: a real one, in a process of its own, and fake workers that do nothing but lease and
//! complete.

use std::{
    collections::BTreeSet,
    process::{Command, Stdio},
    sync::{
        atomic::{AtomicUsize, Ordering},
        Arc, Mutex, PoisonError,
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{bail, ensure, Context as _};
use clap::Args;
use ingot_house_keeper::{
    client::{Address, Client, ClientOptions, Link, Stop},
    protocol::{Answer, BatchState, Component, Registration, Request, Submission},
};
use ingot_job_store::{ArtifactName, Filter};
use ingot_services::work::{first_key, role, Graph, Work as _};
use ingot_types::{BatchId, BatchNumber, ChainId, CircuitId, ProtocolVersion};

use crate::work::{plan_of, FakeWork};

/// What to measure.
#[derive(Args, Clone, Copy, Debug)]
pub struct BenchArgs {
    /// Jobs of round 0.
    #[arg(long, default_value_t = 10_000)]
    pub jobs: u32,
    /// Connections, each of which leases and completes one job after the other.
    #[arg(long, default_value_t = 64)]
    pub connections: u16,
}

/// Runs it and prints the figures.
///
/// # Errors
/// If something does not start, or a job was done other than once.
pub fn run(args: &BenchArgs) -> anyhow::Result<()> {
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let path = folder.path().display().to_string();
    let mut house_keeper = Command::new(std::env::current_exe()?)
        .args(["house-keeper", "--set", &format!("house-keeper.folder={path}")])
        .args(["--set", "house-keeper.disk-low-bytes=0", "--set", "house-keeper.disk-high-bytes=0"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start the house keeper")?;
    let result = measure(args, &Address::Unix(folder.path().join("house-keeper.sock")));
    // It has nothing that anyone wants to keep.
    let _ = house_keeper.kill();
    let _ = house_keeper.wait();
    result
}

fn client(address: &Address, n: u16, operator: bool) -> anyhow::Result<Client> {
    let version = ProtocolVersion { minor: 99, patch: 0 };
    let work = FakeWork::new(version, 0);
    let registration = Registration {
        component: if operator { Component::Operator } else { Component::CircuitProver },
        name: format!("bench-{n}"),
        instance: [1; 16],
        host: "bench".into(),
        pid: std::process::id(),
        zone: None,
        group: None,
        serves: Some(work.served()),
        stream: None,
    };
    Ok(Client::start(ClientOptions::new(address.clone(), None, registration))?)
}

fn file(role: &str, n: usize) -> ArtifactName {
    ArtifactName {
        role: role.into(),
        hash: blake3::hash(&n.to_le_bytes()).to_hex().to_string(),
        size_bytes: 1000,
    }
}

fn measure(args: &BenchArgs, address: &Address) -> anyhow::Result<()> {
    let stop = Stop::new();
    let operator = client(address, u16::MAX, true)?;
    ensure!(operator.wait_connected(Duration::from_secs(30), &stop) == Link::Connected, "no house keeper");
    let batch = BatchId { chain: ChainId(1), batch: BatchNumber(1) };
    let submission = Submission {
        batch,
        protocol_version: ProtocolVersion { minor: 99, patch: 0 },
        witness_inputs: file(role::WITNESS_INPUTS, 0),
        priority: 0,
        sealed_at_ms: 0,
        max_attempts: 3,
        deliver_to: None,
    };
    operator.call(Request::Submit(submission))?;

    // The first job creates all others.
    let first = operator
        .lease_within(Filter::default(), Duration::from_secs(10), &stop)?
        .context("the first job cannot be had")?;
    let basic = (0..args.jobs).map(|n| ((CircuitId(1), n), file(role::CIRCUIT, n as usize))).collect();
    let plan = plan_of([args.jobs, 0, 0, 0]);
    let jobs = Graph::of(&first.lease().job.spec).rest(&basic, &plan);
    let total = jobs.len() + 1;
    let start = Instant::now();
    first.complete(vec![file(role::AGGREGATION_INPUTS, 1)], jobs)?;
    let fan_out = start.elapsed();

    let done: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    let latencies: Arc<Mutex<Vec<Duration>>> = Arc::default();
    let repeated = Arc::new(AtomicUsize::new(0));
    let mut threads = Vec::new();
    let clients = (0..args.connections).map(|n| client(address, n, false)).collect::<Result<Vec<_>, _>>()?;
    for client in &clients {
        ensure!(client.wait_connected(Duration::from_secs(30), &stop) == Link::Connected, "no house keeper");
    }
    let start = Instant::now();
    for client in clients {
        let (done, latencies, repeated, stop) =
            (done.clone(), latencies.clone(), repeated.clone(), stop.clone());
        threads.push(thread::spawn(move || -> anyhow::Result<()> {
            let mut own = Vec::new();
            loop {
                let asked = Instant::now();
                let Some(held) = client.lease_within(Filter::default(), Duration::from_secs(60), &stop)?
                else {
                    break;
                };
                own.push(asked.elapsed());
                let key = held.key();
                if key == first_key(key.batch) {
                    bail!("the first job came again");
                }
                held.complete(vec![file(role::PROOF, key.sequence as usize)], vec![])?;
                if !done.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_string()) {
                    repeated.fetch_add(1, Ordering::SeqCst);
                }
            }
            latencies.lock().unwrap_or_else(PoisonError::into_inner).extend(own);
            Ok(())
        }));
    }
    let mut known = None;
    loop {
        let request = Request::WatchBatch { batch, known, wait_ms: 1_000 };
        let Answer::Batch(Some(summary)) = operator.call(request)? else { bail!("the batch is gone") };
        known = Some(summary.change);
        match summary.state {
            BatchState::Proved => break,
            BatchState::Proving => thread::sleep(Duration::from_millis(100)),
            other => bail!("the batch is {other:?}"),
        }
    }
    let took = start.elapsed();
    stop.raise();
    for thread in threads {
        thread.join().map_err(|_| anyhow::anyhow!("a connection's thread panicked"))??;
    }
    let done = done.lock().unwrap_or_else(PoisonError::into_inner).len() + 1;
    ensure!(
        done == total && repeated.load(Ordering::SeqCst) == 0,
        "{done} of {total} jobs done, {repeated:?} repeated"
    );
    let mut latencies = std::mem::take(&mut *latencies.lock().unwrap_or_else(PoisonError::into_inner));
    latencies.sort();
    let at = |percent: usize| latencies.get(latencies.len() * percent / 100).copied().unwrap_or_default();
    // Two of them for each job: leased, done.
    let transitions = 2.0 * (total - 1) as f64 / took.as_secs_f64();
    println!("{total} jobs, each done once, over {} connections", args.connections);
    println!("  creating all others by completing the first: {:.0} ms", fan_out.as_secs_f64() * 1e3);
    println!("  {transitions:.0} transitions/s, {:.2} s in all", took.as_secs_f64());
    println!(
        "  claim latency: p50 {:.1} ms, p99 {:.1} ms",
        at(50).as_secs_f64() * 1e3,
        at(99).as_secs_f64() * 1e3
    );
    Ok(())
}
