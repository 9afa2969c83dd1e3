//! A core that hands batches in and asks for proofs by itself.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use ingot_circuit_set::CircuitSet as _;
use ingot_core_api::BatchFormat as _;
use ingot_house_keeper::protocol::{Answer, Component, Request};
use ingot_job_store::{Delivery, DeliveryState};
use ingot_services::{config::GatewayConfig, stop::Stop};
use serde_json::{json, Value};

use super::{
    core_side::{inputs, post, proved, raw, request, world, TestFormat},
    support::*,
};

/// A house keeper, a prover and a gateway that serves.
struct Rig {
    folder: tempfile::TempDir,
    house_keeper: Option<ingot_house_keeper::HouseKeeper>,
    gateway: Option<Running>,
    prover: Option<JoinHandle<()>>,
    stop: Stop,
    done: Arc<Mutex<Vec<u32>>>,
    settled_after_s: Option<u64>,
}

impl Rig {
    fn new(batches: std::ops::Range<u32>, settled_after_s: Option<u64>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let house_keeper = Some(house_keeper(folder.path()));
        let gateway = Some(serving(folder.path(), settled_after_s));
        let (stop, done) = (Stop::new(), Arc::<Mutex<Vec<u32>>>::default());
        let proofs: Arc<BTreeMap<u32, Vec<u8>>> = Arc::new(batches.map(|n| (n, proved(n))).collect());
        let worker = {
            let (folder, done, stop) = (folder.path().to_owned(), done.clone(), stop.clone());
            thread::spawn(move || prover(folder, proofs, done, stop))
        };
        Self { folder, house_keeper, gateway, prover: Some(worker), stop, done, settled_after_s }
    }

    fn address(&self) -> SocketAddr {
        let start = Instant::now();
        loop {
            if let Some(address) = self.gateway.as_ref().unwrap().gateway.address() {
                return address;
            }
            assert!(start.elapsed() < PATIENCE);
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn restart_gateway(&mut self) {
        self.gateway.take().unwrap().stop();
        self.gateway = Some(serving(self.folder.path(), self.settled_after_s));
    }

    fn restart_house_keeper(&mut self) {
        self.house_keeper.take().unwrap().stop();
        self.house_keeper = Some(house_keeper(self.folder.path()));
    }

    fn deliveries(&self) -> Vec<Delivery> {
        let operator = client(self.folder.path(), registration(Component::Operator, "operator", false));
        let Answer::Deliveries(all) = operator.call_within(Request::Deliveries, PATIENCE).unwrap() else {
            panic!()
        };
        operator.close(Duration::from_secs(1));
        all
    }

    /// Asks until there is an answer that is not `null`; what is not there yet may be unavailable too.
    fn poll_until(&self, body: &Value) -> Value {
        let start = Instant::now();
        loop {
            let (status, answer) = self.post("/poll_generated_proofs", body);
            match status {
                200 if answer != Value::Null => return answer,
                200 | 503 => {}
                _ => panic!("{status}: {answer}"),
            }
            assert!(start.elapsed() < PATIENCE);
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let (status, text) = post(self.address(), path, "application/json", body.to_string().as_bytes());
        (status, serde_json::from_str(&text).unwrap_or_else(|e| panic!("{status} {text}: {e}")))
    }

    /// Hands a batch in until the gateway has it.
    fn hand_in(&self, n: u32) {
        let start = Instant::now();
        while self.post("/submit_request_for_proofs", &batch(n)) != (200, Value::Null) {
            assert!(start.elapsed() < PATIENCE);
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop.raise();
        if let Some(prover) = self.prover.take() {
            let _ = prover.join();
        }
        if let Some(gateway) = self.gateway.take() {
            gateway.stop();
        }
        if let Some(house_keeper) = self.house_keeper.take() {
            house_keeper.stop();
        }
    }
}

fn serving(folder: &Path, settled_after_s: Option<u64>) -> Running {
    let listen = Some(([127, 0, 0, 1], 0).into());
    let most_input_bytes = 100 << 20;
    gateway_with(
        folder,
        GatewayConfig { listen, settled_after_s, most_input_bytes, ..GatewayConfig::default() },
    )
}

/// What today's core sends.
fn batch(n: u32) -> Value {
    let inputs = TestFormat.inputs_to_json(&inputs(n)).unwrap();
    json!({
        "l1_batch_number": n,
        "chain_id": chain(n),
        "batch_sealed_at": "2026-07-01T10:20:30.123456789Z",
        "witness_input_data": serde_json::from_str::<Value>(inputs.get()).unwrap(),
        "protocol_version": world().set.protocol_version().to_string(),
        "l1_verifier_config": {
            "snark_wrapper_vk_hash": format!("0x{}", "01".repeat(32)),
            "fflonk_snark_wrapper_vk_hash": null,
        },
    })
}

fn chain(n: u32) -> u64 {
    TestFormat.identify("test", &inputs(n), None).unwrap().chain.0
}

fn id(n: u32) -> Value {
    json!({ "l1_batch_id": { "chain_id": chain(n), "batch_number": n } })
}

#[test]
fn a_proof_can_be_asked_for_until_it_is_acknowledged_whoever_is_stopped_meanwhile() {
    let mut rig = Rig::new(0..4, None);
    for n in 0..4 {
        rig.hand_in(n);
        // An answer that was lost: the same again is the same batch.
        rig.hand_in(n);
        match n {
            1 => rig.restart_gateway(),
            2 => rig.restart_house_keeper(),
            _ => {}
        }
    }
    for n in 0..4 {
        let answer = rig.poll_until(&id(n));
        assert_eq!(answer["l1_batch_id"], id(n)["l1_batch_id"]);
        let json = serde_json::value::to_raw_value(&answer["proof"]["scheduler_proof"]).unwrap();
        assert_eq!(TestFormat.proof_from_json(&json).unwrap(), proved(n));
        // It was lost on the way: it is there still, after a restart too.
        if n == 0 {
            rig.restart_gateway();
        }
        assert_eq!(rig.poll_until(&id(n)), answer);
    }
    assert!(rig.deliveries().iter().all(|delivery| delivery.state == DeliveryState::Pending));
    for n in 0..4 {
        assert_eq!(rig.post("/ack", &id(n)), (200, Value::Null));
        // Again, and asking once more changes nothing.
        assert_eq!(rig.post("/ack", &id(n)), (200, Value::Null));
        rig.poll_until(&id(n));
    }
    let deliveries = rig.deliveries();
    assert_eq!(deliveries.len(), 4);
    assert!(deliveries.iter().all(|delivery| delivery.state == DeliveryState::Sent), "{deliveries:?}");
    assert_eq!(rig.done.lock().unwrap().len(), 4, "each was proved once");
}

#[test]
fn silence_settles_only_where_it_is_configured_and_only_what_was_handed_out() {
    let rig = Rig::new(1..2, Some(1));
    rig.hand_in(1);
    // Nobody will ever prove this one.
    rig.hand_in(9);
    rig.poll_until(&id(1));
    let start = Instant::now();
    loop {
        let states: BTreeMap<u32, DeliveryState> =
            rig.deliveries().into_iter().map(|delivery| (delivery.batch.batch.0, delivery.state)).collect();
        assert_eq!(states[&9], DeliveryState::Pending);
        if states[&1] == DeliveryState::Sent {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "{states:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_cannot_be_taken_is_refused_with_the_reason() {
    let rig = Rig::new(1..2, None);
    let refused = |path: &str, body: &Value, status: u16, words: &str| {
        let (found, answer) = rig.post(path, body);
        assert_eq!(found, status, "{answer}");
        assert!(answer["error"].as_str().unwrap().contains(words), "{answer}");
    };
    let submit = "/submit_request_for_proofs";
    let changed = |field: &str, value: Value| {
        let mut body = batch(1);
        body[field] = value;
        body
    };
    refused(submit, &json!([]), 400, "the body");
    refused(submit, &changed("l1_batch_number", json!(-1)), 400, "integer `-1`");
    refused(submit, &changed("protocol_version", json!("x")), 400, "the body: ");
    refused(submit, &changed("batch_sealed_at", json!("yesterday")), 400, "time in UTC");
    refused(submit, &changed("l1_batch_number", json!(2)), 422, "witness inputs of batch 1");
    refused(submit, &changed("witness_input_data", json!("AAAA")), 422, "batch 1");
    refused(submit, &changed("witness_input_data", json!({ "a": 1 })), 422, "Base64");
    // Nothing of it is left, and the true batch is taken; then no other under its name.
    assert!(rig.deliveries().is_empty());
    rig.hand_in(1);
    refused("/ack", &id(2), 404, "no proof to acknowledge");
    refused("/ack", &json!({}), 400, "`l1_batch_id`");
    refused("/poll_generated_proofs", &json!({ "l1_batch_id": 1 }), 400, "L1BatchId");
    assert_eq!(rig.post("/poll_generated_proofs", &id(7)), (200, Value::Null));
    // Too long by its announcement, unread; and no such path.
    let head = request("POST", submit, &[("content-length", (3u64 << 30).to_string())], b"");
    assert_eq!(raw(rig.address(), &head).0, 413);
    assert_eq!(post(rig.address(), "/else", "application/json", b"{}").0, 404);
}

#[test]
fn a_core_that_hands_in_slowly_holds_up_nobody() {
    use std::io::Write as _;
    let rig = Rig::new(1..3, None);
    let body = batch(1).to_string();
    let whole = request("POST", "/submit_request_for_proofs", &[], body.as_bytes());
    let mut slow: Vec<_> = (0..50)
        .map(|_| {
            let mut stream = std::net::TcpStream::connect(rig.address()).unwrap();
            stream.write_all(&whole[..whole.len() - 10]).unwrap();
            stream
        })
        .collect();
    rig.hand_in(2);
    rig.poll_until(&id(2));
    // It comes after all, and is taken.
    slow[0].write_all(&whole[whole.len() - 10..]).unwrap();
    rig.poll_until(&id(1));
}
