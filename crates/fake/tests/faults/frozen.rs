//! A worker that stands still for longer than its lease lasts.

use std::{thread, time::Duration};

use ingot_fake::{cluster::Signal, work::FakeBatch};
use ingot_services::component::ComponentName;
use rand::Rng as _;

use crate::support::{for_seeds, large, small, wait_for, Cluster, LEASE_TTL};

/// Freezes `name` while it has a job that takes long, until another worker of its kind has done that job.
fn frozen(component: ComponentName, name: &str, slow: &FakeBatch) {
    let mut cluster = Cluster::with_workers();
    cluster.start_all();
    cluster.submit(slow);
    let held = wait_for("a job of the one to be frozen", || {
        let jobs = cluster.jobs(cluster.batches[0].id);
        let its = |job: &&ingot_job_store::Job| matches!(&job.status.state, ingot_job_store::JobState::Leased { worker, .. } if worker == name);
        jobs.iter().find(its).map(|job| job.key())
    });
    cluster.node(name).signal(Signal::SIGSTOP);
    let other = format!("{name}-2");
    cluster.add(component, &other);
    cluster.start(&other);
    (2..=3).for_each(|seed| cluster.submit(&small(seed)));
    thread::sleep(LEASE_TTL * 2);
    cluster.wait("the others to do its job", |cluster| {
        let lines = cluster.node(&other).log();
        lines.lines().any(|line| line.contains(": done in ") && line.contains(&format!("JOB={held}")))
            // A vector is synthesized by the one and proved by the other.
            || cluster.node("prover").log().lines().any(|l| l.contains(&format!("JOB={held}")) && l.contains(": done in"))
    });
    cluster.node(name).signal(Signal::SIGCONT);
    wait_for("its late completion to be refused", || {
        let log = cluster.node(name).log();
        let refused = |line: &str| {
            line.contains(&format!("JOB={held}"))
                && ["no longer ours", "lease is gone", "handed back", "is lost", "stale"]
                    .iter()
                    .any(|why| line.to_lowercase().contains(why))
        };
        log.lines().any(refused).then_some(())
    });
    let audit = cluster.finish();
    assert_eq!(audit.completed_again, 0);
    assert!(audit.failed_attempts >= 1, "the lease that ran out counts as an attempt");
    let late = cluster.node(name).log();
    let told = |line: &str| line.contains(&format!("JOB={held}")) && line.contains(": done in ");
    assert!(!late.lines().any(told), "its completion was taken");
}

#[test]
fn a_frozen_prover_comes_too_late() {
    frozen(ComponentName::CircuitProver, "prover", &FakeBatch { proving_ms: 700, ..small(1) });
}

#[test]
fn a_frozen_witness_vector_generator_comes_too_late() {
    frozen(ComponentName::WitnessVectorGenerator, "wvg", &FakeBatch { synthesis_ms: 700, ..small(1) });
}

#[test]
fn a_frozen_witness_generator_comes_too_late() {
    frozen(ComponentName::WitnessGenerator, "wg", &FakeBatch { witness_ms: 700, ..small(1) });
}

#[test]
fn everyone_stands_still_now_and_then() {
    for_seeds(|mut rng| {
        let mut cluster = Cluster::with_workers();
        cluster.max_attempts = 1000;
        cluster.start_all();
        (1..=3).for_each(|seed| cluster.submit(&large(seed)));
        let names = cluster.names();
        for _ in 0..4 {
            thread::sleep(Duration::from_millis(rng.gen_range(50..500)));
            let name = &names[rng.gen_range(0..names.len())];
            cluster.node(name).signal(Signal::SIGSTOP);
            thread::sleep(LEASE_TTL + Duration::from_millis(rng.gen_range(0..1000)));
            cluster.node(name).signal(Signal::SIGCONT);
        }
        assert_eq!(cluster.finish().completed_again, 0);
    });
}
