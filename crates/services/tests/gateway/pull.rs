//! Batches from a core to the house keeper and proofs back, through a gateway that asks, while each of the three is stopped
//! and started and the link between core and gateway is cut: nothing is lost, every batch is proved once, proofs go out in
//! order.

use std::{
    collections::BTreeMap,
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc, Mutex,
    },
    thread,
    time::{Duration, Instant},
};

use ingot_house_keeper::protocol::{Answer, Component, Request};
use ingot_job_store::DeliveryState;
use ingot_services::stop::Stop;
use rand::{Rng as _, SeedableRng as _};

use super::{
    core_side::{hand_in, inputs, proved},
    support::*,
};

#[test]
fn every_batch_comes_back_proved_once_and_in_order_whoever_is_stopped() {
    const BATCHES: u32 = 20;
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().to_owned();
    let proofs: Arc<BTreeMap<u32, Vec<u8>>> = Arc::new((0..BATCHES).map(|n| (n, proved(n))).collect());
    let address = free_port();
    let (stop, done) = (Stop::new(), Arc::new(Mutex::new(Vec::new())));
    let mut hk = Some(house_keeper(&folder));
    let mut pdh = Some(core(&folder, address));
    let mut gw = Some(gateway(&folder, address));
    let worker = {
        let (folder, proofs, done, stop) = (folder.clone(), proofs, done.clone(), stop.clone());
        thread::spawn(move || prover(folder, proofs, done, stop))
    };
    let mut rng = rand_chacha::ChaCha12Rng::seed_from_u64(7);
    let mut next = 0;
    while next < BATCHES {
        // The core is down now and then: it hands in when it is up.
        for _ in 0..rng.gen_range(1..4) {
            if next < BATCHES && hand_in(pdh.as_ref().unwrap(), next, &inputs(next)).is_ok() {
                next += 1;
            }
        }
        thread::sleep(Duration::from_millis(rng.gen_range(0..300)));
        match rng.gen_range(0..3) {
            0 => {
                hk.take().unwrap().stop();
                thread::sleep(Duration::from_millis(rng.gen_range(0..100)));
                hk = Some(house_keeper(&folder));
            }
            1 => {
                drop(pdh.take());
                thread::sleep(Duration::from_millis(rng.gen_range(0..100)));
                pdh = Some(core(&folder, address));
            }
            _ => {
                gw.take().unwrap().stop();
                gw = Some(gateway(&folder, address));
            }
        }
    }
    let times = wait_proved(address, 0..BATCHES);
    assert!(times.is_sorted(), "{times:?}");
    let completed = done.lock().unwrap().clone();
    assert!(completed.len() >= BATCHES as usize, "{completed:?}");
    // What the house keeper has to say agrees.
    let operator = client(&folder, registration(Component::Operator, "operator", false));
    let start = Instant::now();
    loop {
        let Answer::Deliveries(all) = operator.call_within(Request::Deliveries, PATIENCE).unwrap() else {
            panic!()
        };
        assert_eq!(all.len(), BATCHES as usize);
        if all.iter().all(|delivery| delivery.state == DeliveryState::Sent) {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "{all:?}");
        thread::sleep(Duration::from_millis(50));
    }
    stop.raise();
    worker.join().unwrap();
    gw.unwrap().stop();
    drop(pdh);
    hk.unwrap().stop();
}

#[test]
fn a_core_that_is_away_is_named_and_a_proof_it_refuses_is_kept_with_the_reason() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().to_owned();
    let address = free_port();
    let hk = house_keeper(&folder);
    let gw = gateway(&folder, address);
    let start = Instant::now();
    while gw.gateway.observed().health.readiness().ready {
        assert!(start.elapsed() < PATIENCE);
        thread::sleep(Duration::from_millis(20));
    }
    let line = gw.gateway.observed().health.readiness().line();
    assert!(line.contains(&address.to_string()), "{line}");
    // The core comes; the batch is proved by another batch's proof.
    let pdh = core(&folder, address);
    hand_in(&pdh, 1, &inputs(1)).unwrap();
    let (stop, raised) = (Stop::new(), AtomicBool::new(false));
    let proofs = Arc::new(BTreeMap::from([(1, proved(2))]));
    let worker = {
        let (folder, stop) = (folder.clone(), stop.clone());
        thread::spawn(move || prover(folder, proofs, Arc::default(), stop))
    };
    let operator = client(&folder, registration(Component::Operator, "operator", false));
    let start = Instant::now();
    while !raised.load(Ordering::SeqCst) {
        assert!(start.elapsed() < PATIENCE);
        let Answer::Deliveries(all) = operator.call_within(Request::Deliveries, PATIENCE).unwrap() else {
            panic!()
        };
        if let Some(refused) = all.iter().find(|delivery| delivery.state == DeliveryState::Refused) {
            let reason = refused.reason.clone().unwrap();
            assert!(reason.contains("(422)") && reason.contains("another batch"), "{reason}");
            raised.store(true, Ordering::SeqCst);
        }
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(state_of(address, 1).unwrap().0, "proving");
    stop.raise();
    worker.join().unwrap();
    gw.stop();
    drop(pdh);
    hk.stop();
}
