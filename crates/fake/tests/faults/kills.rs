//! `kill -9`, again and again, while batches are proved.

use std::{thread, time::Duration};

use ingot_fake::cluster::Signal;
use rand::Rng as _;

use crate::support::{env_number, for_seeds, large, pick, Cluster};

fn kills() -> u64 {
    env_number("INGOT_KILLS", 12)
}

/// Three batches with one worker of each kind, and jobs that may lose their lease as often as the test kills.
fn under_load() -> Cluster {
    let mut cluster = Cluster::with_workers();
    cluster.max_attempts = 1000;
    cluster.start_all();
    (1..=3).for_each(|seed| cluster.submit(&large(seed)));
    cluster
}

#[test]
fn one_after_the_other_at_random_moments() {
    for_seeds(|mut rng| {
        let mut cluster = under_load();
        let names = cluster.names();
        for _ in 0..kills() {
            thread::sleep(Duration::from_millis(rng.gen_range(50..500)));
            let name = pick(&mut rng, &names);
            cluster.node(name).kill();
            thread::sleep(Duration::from_millis(*pick(&mut rng, &[0, 20, 300])));
            cluster.start(name);
        }
        let audit = cluster.finish();
        assert_eq!(audit.completed_again, 0);
    });
}

#[test]
fn all_at_once() {
    for_seeds(|mut rng| {
        let mut cluster = under_load();
        for _ in 0..kills().div_ceil(4) {
            thread::sleep(Duration::from_millis(rng.gen_range(300..1200)));
            cluster.nodes.values_mut().for_each(|node| node.signal(Signal::SIGKILL));
            cluster.nodes.values_mut().for_each(|node| node.kill());
            let mut names = cluster.names();
            while !names.is_empty() {
                let name = names.remove(rng.gen_range(0..names.len()));
                cluster.start(&name);
            }
        }
        let audit = cluster.finish();
        assert_eq!(audit.completed_again, 0);
    });
}

#[test]
fn the_house_keeper_goes_and_comes_under_load() {
    for_seeds(|mut rng| {
        let mut cluster = under_load();
        cluster.max_attempts = 1;
        for _ in 0..kills().div_ceil(2) {
            thread::sleep(Duration::from_millis(rng.gen_range(100..600)));
            if rng.gen() {
                cluster.node("hk").kill();
            } else {
                let Some((status, _)) = cluster.node("hk").stop(Duration::from_secs(5)) else {
                    cluster.fail("the house keeper did not stop within 5 s")
                };
                assert!(status.success(), "{status}");
            }
            thread::sleep(Duration::from_millis(*pick(&mut rng, &[0, 50, 700])));
            cluster.start("hk");
        }
        let audit = cluster.finish();
        // Workers keep what they have: nothing failed.
        assert_eq!((audit.failed_attempts, audit.completed_again), (0, 0));
    });
}
