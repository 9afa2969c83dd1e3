//! The outbox over real sockets: a proof is offered until its receiver has acknowledged it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{thread, time::Duration};

use ingot_house_keeper::{
    client::{Client, ClientError, Stop},
    protocol::{Answer, Component, OutboxEntry, Request, SubmitOutcome},
    HouseKeeper,
};
use ingot_job_store::{DeliveryOutcome, DeliveryState, Filter};

mod support;
use support::*;

fn submit_for(client: &Client, n: u32, destination: &str) -> SubmitOutcome {
    let submission =
        ingot_house_keeper::protocol::Submission { deliver_to: Some(destination.into()), ..submission(n) };
    let Answer::Submitted(outcome) = client.call(Request::Submit(submission)).unwrap() else { panic!() };
    outcome
}

fn outbox(client: &Client, in_order: bool, wait_ms: u64) -> Vec<OutboxEntry> {
    let request = Request::Outbox { destination: "core".into(), in_order, wait_ms };
    let Answer::Outbox(entries) = client.call(request).unwrap() else { panic!() };
    entries
}

/// Does the only job of a batch.
fn prove(worker: &Client, n: u32) {
    let filter = Filter { batch: Some(batch(n)), ..Filter::default() };
    let held = worker.lease_within(filter, LONG, &Stop::new()).unwrap().unwrap();
    let key = format!("1/{n}/prove/4/1/0/0").parse().unwrap();
    let last = ingot_job_store::JobSpec { key, ..prove_jobs(n, 1).remove(0) };
    held.complete(vec![file("circuit", "c0")], vec![last]).unwrap();
    let filter = Filter { batch: Some(batch(n)), ..Filter::default() };
    let held = worker.lease_within(filter, LONG, &Stop::new()).unwrap().unwrap();
    held.complete(vec![file("proof", &format!("p{n}"))], vec![]).unwrap();
}

fn delivered(client: &Client, n: u32, outcome: DeliveryOutcome) {
    client.call(Request::Delivered { batch: batch(n), outcome }).unwrap();
}

#[test]
fn proofs_are_offered_in_order_until_they_are_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let house_keeper = HouseKeeper::start(&config(folder.path())).unwrap();
    let gateway = client(unix(folder.path()), None, registration(Component::Gateway, "gateway"));
    let worker = client(unix(folder.path()), None, registration(Component::CircuitProver, "w"));
    for n in 1..=3 {
        assert_eq!(submit_for(&gateway, n, "core"), SubmitOutcome::Accepted);
        assert_eq!(submit_for(&gateway, n, "core"), SubmitOutcome::Known);
    }
    submit_for(&gateway, 4, "other");
    assert_eq!(outbox(&gateway, true, 0), []);
    // Batch 2 is proved first: it is not offered before batch 1 to those who want them in order.
    prove(&worker, 2);
    assert_eq!(outbox(&gateway, true, 0), []);
    let entries = outbox(&gateway, false, 0);
    assert_eq!(entries.iter().map(|entry| entry.batch).collect::<Vec<_>>(), [batch(2)]);
    assert_eq!(entries[0].outputs, [file("proof", "p2")]);
    assert_eq!(entries[0].inputs, [submission(2).witness_inputs]);
    // Who waits is woken.
    let waiting = {
        let gateway = gateway.clone();
        thread::spawn(move || outbox(&gateway, true, 60_000))
    };
    thread::sleep(Duration::from_millis(100));
    prove(&worker, 1);
    let batches: Vec<_> = waiting.join().unwrap().into_iter().map(|entry| entry.batch).collect();
    assert_eq!(batches, [batch(1), batch(2)]);
    delivered(&gateway, 1, DeliveryOutcome::Failed("no route".into()));
    assert_eq!(outbox(&gateway, true, 0)[0].attempts, 1);
    delivered(&gateway, 1, DeliveryOutcome::Acknowledged);
    delivered(&gateway, 2, DeliveryOutcome::Refused("not mine".into()));
    assert_eq!(outbox(&gateway, true, 0), []);
    let refused =
        gateway.call(Request::Delivered { batch: batch(9), outcome: DeliveryOutcome::Acknowledged });
    assert!(matches!(refused, Err(ClientError::Refused(_))), "{refused:?}");
    // A refused one waits for an operator; a sent one is sent again if the receiver asks again.
    let operator = operator(folder.path());
    operator.call(Request::RetryDelivery { batch: batch(2) }).unwrap();
    assert_eq!(submit_for(&gateway, 1, "core"), SubmitOutcome::Known);
    assert_eq!(outbox(&gateway, true, 0).len(), 2);
    // All of it outlives the house keeper.
    house_keeper.stop();
    let house_keeper = HouseKeeper::start(&config(folder.path())).unwrap();
    let again = client(unix(folder.path()), None, registration(Component::Gateway, "gateway-2"));
    assert_eq!(outbox(&again, true, 0).len(), 2);
    let Answer::Deliveries(all) = again.call(Request::Deliveries).unwrap() else { panic!() };
    assert_eq!(all.len(), 4);
    assert!(all.iter().all(|delivery| delivery.state == DeliveryState::Pending));
    house_keeper.stop();
}
