//! What the tests over real sockets share.
#![allow(dead_code, reason = "each test uses some of it")]

use std::{path::Path, time::Duration};

use ingot_house_keeper::{
    client::{Address, Client, ClientOptions},
    protocol::{Answer, Component, Registration, Request, Served, Submission, SubmitOutcome},
    HouseKeeperConfig,
};
use ingot_job_store::{ArtifactName, Filter, JobSpec};
use ingot_types::{BatchId, BatchNumber, ChainId, JobKind, ProtocolVersion};
use ingot_wire::Token;

pub const VERSION: ProtocolVersion = ProtocolVersion { minor: 1, patch: 0 };
pub const LONG: Duration = Duration::from_secs(60);

pub fn config(folder: &Path) -> HouseKeeperConfig {
    HouseKeeperConfig {
        folder: folder.to_owned(),
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        disk_low_bytes: 0,
        disk_high_bytes: 0,
        ..HouseKeeperConfig::default()
    }
}

pub fn unix(folder: &Path) -> Address {
    Address::Unix(folder.join("house-keeper.sock"))
}

pub fn served() -> Served {
    Served {
        protocol_version: VERSION,
        circuit_set: "test".into(),
        parameter_set: "test".into(),
        key_manifest: "test".into(),
    }
}

pub fn registration(component: Component, name: &str) -> Registration {
    let mut instance = [0; 16];
    instance[..8].copy_from_slice(&std::process::id().to_le_bytes().repeat(2));
    Registration {
        component,
        name: name.into(),
        instance,
        host: "test".into(),
        pid: std::process::id(),
        zone: None,
        group: None,
        serves: (component != Component::Operator).then(served),
        stream: None,
    }
}

pub fn client(address: Address, token: Option<Token>, registration: Registration) -> Client {
    let mut options = ClientOptions::new(address, token, registration);
    options.heartbeat = Duration::from_millis(200);
    Client::start(options).unwrap()
}

pub fn operator(folder: &Path) -> Client {
    client(unix(folder), None, registration(Component::Operator, "operator"))
}

pub fn batch(n: u32) -> BatchId {
    BatchId { chain: ChainId(1), batch: BatchNumber(n) }
}

pub fn file(role: &str, hash: &str) -> ArtifactName {
    ArtifactName { role: role.into(), hash: hash.into(), size_bytes: 1 }
}

pub fn submission(n: u32) -> Submission {
    Submission {
        batch: batch(n),
        protocol_version: VERSION,
        witness_inputs: file("witness-inputs", &format!("inputs {n}")),
        priority: 0,
        sealed_at_ms: 0,
        max_attempts: 5,
        deliver_to: None,
    }
}

pub fn submit(client: &Client, n: u32) -> SubmitOutcome {
    let Answer::Submitted(outcome) = client.call(Request::Submit(submission(n))).unwrap() else { panic!() };
    outcome
}

pub fn prove_jobs(n: u32, count: u32) -> Vec<JobSpec> {
    (0..count)
        .map(|i| JobSpec {
            key: format!("1/{n}/prove/0/1/0/{i}").parse().unwrap(),
            protocol_version: VERSION,
            priority: 0,
            sealed_at_ms: 0,
            max_attempts: 5,
            group: None,
            zone: None,
            depends_on: vec![],
            inputs: vec![file("circuit", &format!("c{i}"))],
        })
        .collect()
}

pub fn kinds(kind: JobKind) -> Filter {
    Filter { kinds: Some([kind].into()), ..Filter::default() }
}
