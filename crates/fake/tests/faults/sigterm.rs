//! SIGTERM: a clean end within seconds, and what was held is handed back.

use std::{thread, time::Duration};

use rand::Rng as _;

use crate::support::{for_seeds, large, Cluster};

/// How long a component may take to stop.
const LIMIT: Duration = Duration::from_secs(5);

#[test]
fn each_component_stops_at_once_and_no_attempt_is_burned() {
    for_seeds(|mut rng| {
        let mut cluster = Cluster::with_workers();
        cluster.max_attempts = 1;
        cluster.start_all();
        (1..=3).for_each(|seed| cluster.submit(&large(seed)));
        for _ in 0..2 {
            let mut names = cluster.names();
            while !names.is_empty() {
                let name = names.remove(rng.gen_range(0..names.len()));
                thread::sleep(Duration::from_millis(rng.gen_range(0..600)));
                match cluster.node(&name).stop(LIMIT) {
                    Some((status, _)) => assert!(status.success(), "{name}: {status}"),
                    None => cluster.fail(&format!("{name} did not stop within {LIMIT:?}")),
                }
                cluster.start(&name);
            }
        }
        let audit = cluster.finish();
        assert_eq!((audit.failed_attempts, audit.completed_again), (0, 0));
    });
}

#[test]
fn without_a_house_keeper_workers_stop_as_well() {
    let mut cluster = Cluster::with_workers();
    cluster.max_attempts = 1;
    cluster.start_all();
    (1..=3).for_each(|seed| cluster.submit(&large(seed)));
    cluster.wait("work", |cluster| cluster.done() >= 5);
    cluster.node("hk").kill();
    for name in ["wg", "wvg", "prover"] {
        match cluster.node(name).stop(LIMIT) {
            Some((status, _)) => assert!(status.success(), "{name}: {status}"),
            None => cluster.fail(&format!("{name} did not stop within {LIMIT:?}")),
        }
    }
    cluster.max_attempts = 5;
    cluster.start_all();
    // Their leases could not be handed back. That they run out, or that their holders are new processes, ends them.
    cluster.wait("all batches", |cluster| cluster.all_proved());
    assert_eq!(cluster.finish().completed_again, 0);
}
