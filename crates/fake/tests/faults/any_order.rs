//! Components in any order: each waits, says what for, and goes on.

use ingot_fake::cluster::fetch;
use ingot_services::component::ComponentName;
use ingot_types::ProtocolVersion;

use crate::support::{small, wait_for, Cluster, VERSION};

fn in_this_order(order: [&str; 4]) {
    let mut cluster = Cluster::with_workers();
    let (before, after) = order.split_at(order.iter().position(|name| *name == "hk").unwrap());
    for name in before {
        cluster.start(name);
    }
    for name in before {
        let address = cluster.http(name);
        let told = wait_for("a worker that waits", || {
            let (status, body) = fetch(address, "/readyz").ok()?;
            (status == 503 && body.contains("No such file")).then_some(body)
        });
        assert!(told.contains("the house keeper at unix:") && told.contains("hk.sock"), "{told}");
    }
    // Batches come as soon as there is somebody to take them.
    cluster.start("hk");
    (1..=3).for_each(|seed| cluster.submit(&small(seed)));
    for name in &after[1..] {
        cluster.start(name);
        if *name != "prover" {
            continue;
        }
        assert!(!cluster.all_proved(), "proved by whom?");
    }
    let audit = cluster.finish();
    assert_eq!((audit.failed_attempts, audit.completed_again), (0, 0));
    for name in ["wg", "wvg", "prover", "hk"] {
        let address = cluster.http(name);
        wait_for("readiness", || fetch(address, "/readyz").ok().filter(|(status, _)| *status == 200));
        assert_eq!(fetch(address, "/livez").unwrap().0, 200);
    }
}

#[test]
fn the_house_keeper_last() {
    in_this_order(["prover", "wvg", "wg", "hk"]);
}

#[test]
fn the_prover_last() {
    in_this_order(["hk", "wg", "wvg", "prover"]);
}

#[test]
fn the_witness_generator_last() {
    in_this_order(["prover", "hk", "wvg", "wg"]);
}

#[test]
fn two_protocol_versions_side_by_side() {
    let newer = ProtocolVersion { minor: 100, patch: 1 };
    let mut cluster = Cluster::with_workers();
    for (component, name) in [
        (ComponentName::WitnessGenerator, "wg-new"),
        (ComponentName::WitnessVectorGenerator, "wvg-new"),
        (ComponentName::CircuitProver, "prover-new"),
    ] {
        cluster.add(component, name).version(newer);
    }
    cluster.start_all();
    for seed in 1..=4 {
        cluster.submit_version(&small(seed), if seed % 2 == 0 { newer } else { VERSION });
    }
    let audit = cluster.finish();
    assert_eq!((audit.failed_attempts, audit.completed_again), (0, 0));
    // Each version's jobs were done by its own workers.
    for (name, batches) in [("prover", ["1/1/", "1/3/"]), ("prover-new", ["1/2/", "1/4/"])] {
        let log = cluster.node(name).log();
        let done = log.lines().filter(|line| line.contains(": done in "));
        assert!(done.clone().count() > 0);
        for line in done {
            assert!(batches.iter().any(|batch| line.contains(&format!("JOB={batch}"))), "{name}: {line}");
        }
    }
}
