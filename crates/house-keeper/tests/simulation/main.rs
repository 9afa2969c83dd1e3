//! The real engine and the real store under simulated workers, network and time: a seed decides everything.
//!
//! Workers crash, freeze past their leases and go on, lose answers, connect again and repeat requests; streams break,
//! acknowledgements get lost, the house keeper is killed and starts again over the same store. In the end every batch is
//! done, no completion under a lease that was over was ever accepted, and nothing was completed twice.
//!
//! INGOT_SIM_SEEDS says how many seeds (20 by default).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::collapsible_match)] // one arm for each event reads better

mod actor;
mod world;

use world::{Figures, Options, World};

#[test]
fn everything_gets_done_and_no_lease_that_is_over_counts() {
    let seeds: u64 =
        std::env::var("INGOT_SIM_SEEDS").map_or(20, |n| n.parse().expect("INGOT_SIM_SEEDS is a number"));
    let first: u64 =
        std::env::var("INGOT_SIM_FIRST").map_or(0, |n| n.parse().expect("INGOT_SIM_FIRST is a number"));
    let mut total = Figures::default();
    for seed in first..first + seeds {
        let figures =
            World::new(seed, Options::default()).run().unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        total.add(&figures);
    }
    println!("{seeds} seeds: {total:?}");
    // The faults did happen, or the run would show nothing.
    if seeds >= 20 {
        assert!(total.refused_late > 0 && total.crashes > 0 && total.restarts > 0, "{total:?}");
        assert!(total.disconnections > 0 && total.lost_acks > 0 && total.bad_files > 0, "{total:?}");
    }
}

#[test]
fn a_seed_decides_everything() {
    let run = |seed| World::new(seed, Options::default()).run().unwrap();
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

/// Without fencing, a worker that froze and went on would complete a job that is somebody else's: the simulation finds it.
#[test]
fn a_house_keeper_without_fencing_is_found_out() {
    let options = Options { fencing: false };
    let found = (0..20).filter_map(|seed| World::new(seed, options).run().err()).find(|e| e.contains("over"));
    assert!(found.is_some(), "twenty seeds, and nothing was noticed");
}
