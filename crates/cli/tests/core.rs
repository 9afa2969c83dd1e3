//! A batch from a core to an appliance and its proof back, by the real executable: the core's proof data handler and the
//! gateway are killed one after the other while the batch is proved.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    fs::{self, File},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use ingot_artifacts::Blake3;
use ingot_core_api::{ClientError, HttpClient};
use ingot_ledger::{native::batch::Batch, PROTOCOL_VERSION};
use serde_json::Value;

mod support;
use support::{ingot, Keeper};

const PATIENCE: Duration = Duration::from_secs(400);

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A process that ends with this one.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(dir: &Path, args: &[String]) -> Running {
    let log = File::options().create(true).append(true).open(dir.join(format!("{}.log", args[0]))).unwrap();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut command = ingot(dir, &args);
    command.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log);
    Running(command.spawn().unwrap())
}

fn status(core: &HttpClient, number: u32) -> Option<Value> {
    let answer = core.get(&format!("/batches/{number}"), Duration::ZERO).ok()?;
    serde_json::from_slice(&answer.body).ok()
}

fn term(mut running: Running) {
    Command::new("kill").args(["-TERM", &running.0.id().to_string()]).status().unwrap();
    let asked = Instant::now();
    assert!(running.0.wait().unwrap().success());
    assert!(asked.elapsed() < Duration::from_secs(20), "SIGTERM took {:?}", asked.elapsed());
}

#[test]
fn a_batch_goes_to_the_appliance_and_its_proof_comes_back_whoever_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let (port, external) = (free_port(), free_port());
    let arguments = |parts: &[&str]| parts.iter().map(ToString::to_string).collect::<Vec<_>>();
    let handler = [
        arguments(&["proof-data-handler", "--set"]),
        vec![format!("proof-data-handler.listen=127.0.0.1:{port}"), "--set".into()],
        vec![format!("proof-data-handler.external=127.0.0.1:{external}")],
        arguments(&["--set", "proof-data-handler.lease-s=3"]),
    ]
    .concat();
    let gateway = [
        arguments(&["gateway", "--set", "gateway.poll-wait-ms=500", "--set"]),
        vec![format!("gateway.core=http://127.0.0.1:{port}")],
    ]
    .concat();
    // In any order.
    let mut gateway_process = start(dir, &gateway);
    let up = start(dir, &arguments(&["up"]));
    let mut handler_process = start(dir, &handler);

    let sample = ingot(dir, &["sample-batch", "--ops", "2", "--seed", "5", "--out", "a.batch"]).status();
    assert!(sample.unwrap().success());
    let inputs = fs::read(dir.join("a.batch")).unwrap();
    let number = Batch::from_bytes("a.batch", &inputs).unwrap().number;
    let core = HttpClient::new(&format!("http://127.0.0.1:{port}"), None);
    let (hash, version) = (Blake3::of(&inputs).to_string(), PROTOCOL_VERSION.to_string());
    let headers =
        [("ingot-blake3", &*hash), ("ingot-protocol-version", &*version), ("ingot-sealed-at-ms", "5")];
    let begun = Instant::now();
    while core.send("PUT", &format!("/batches/{number}"), &headers, inputs.clone(), Duration::ZERO).is_err() {
        assert!(begun.elapsed() < PATIENCE);
        thread::sleep(Duration::from_millis(100));
    }
    let mut kills = 0;
    let proved = loop {
        let found = status(&core, number);
        if let Some(found) = found.filter(|found| found["state"] == "proved") {
            break found;
        }
        assert!(begun.elapsed() < PATIENCE, "{}", fs::read_to_string(dir.join("gateway.log")).unwrap());
        thread::sleep(Duration::from_millis(1_500));
        kills += 1;
        // Dropped, a process is killed with SIGKILL.
        if kills % 2 == 0 {
            drop(gateway_process);
            gateway_process = start(dir, &gateway);
        } else {
            drop(handler_process);
            handler_process = start(dir, &handler);
            thread::sleep(Duration::from_millis(500));
        }
    };
    assert!(kills >= 2, "nothing was killed");
    assert_eq!(proved["proofs_refused"], 0);

    // The house keeper knows that the core has it.
    let deliveries = || {
        let output = ingot(dir, &["deliveries", "--all"]).output().unwrap();
        support::said(&output)
    };
    while !deliveries().contains("to core  sent") {
        assert!(begun.elapsed() < PATIENCE, "{}", deliveries());
        thread::sleep(Duration::from_millis(200));
    }

    // What came back is what anybody may check, and nothing else is.
    let proof = core.get(&format!("/proofs/{number}"), Duration::ZERO).unwrap().body;
    fs::write(dir.join("a.proof"), &proof).unwrap();
    let verdict = ingot(dir, &["verify", "a.proof", "--batch", "a.batch"]).status().unwrap();
    assert_eq!(verdict.code(), Some(0));
    let anybody = HttpClient::new(&format!("http://127.0.0.1:{external}"), None);
    let path = format!("/verify_proof/{number}");
    let kind = [("content-type", "application/octet-stream")];
    let verdict = anybody.send("POST", &path, &kind, proof.clone(), Duration::ZERO).unwrap();
    let verdict: Value = serde_json::from_slice(&verdict.body).unwrap();
    assert_eq!((&verdict["valid"], &verdict["same_as_stored"]), (&Value::Bool(true), &Value::Bool(true)));
    let mut flipped = proof;
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let refused = anybody.send("POST", &path, &kind, flipped, Duration::ZERO).unwrap_err();
    assert!(matches!(refused, ClientError::Refused { status: 422, .. }), "{refused}");

    term(gateway_process);
    term(handler_process);
    term(up);
}

#[test]
fn a_door_that_strangers_could_reach_is_not_opened() {
    let keeper = Keeper::none();
    let open = ["proof-data-handler", "--set", "proof-data-handler.listen=0.0.0.0:0"];
    keeper.expect(&open, 78, &["expected a token file"]);
    let unknown = ["proof-data-handler", "--set", "proof-data-handler.lissten=0.0.0.0:0"];
    keeper.expect(&unknown, 78, &["lissten"]);
    let token = ["gateway", "--set", "gateway.token-file=/no/such/file"];
    keeper.expect(&token, 1, &["/no/such/file"]);
}
