//! A real house keeper of the real executable, a worker that does what a test says, and the commands that people type.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(dead_code, reason = "each test uses some of it")]

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use ingot_house_keeper::{
    client::{Address, Client, ClientOptions, HeldLease, Link, Stop},
    protocol::{Component, Registration, Served},
};
use ingot_job_store::{ArtifactName, Filter, JobSpec};
use ingot_types::{JobKind, ProtocolVersion};
use serde_json::Value;

pub const LONG: Duration = Duration::from_secs(60);
pub const VERSION: ProtocolVersion = ingot_ledger::PROTOCOL_VERSION;

/// A folder, and a house keeper that has its data there.
pub struct Keeper {
    folder: tempfile::TempDir,
    child: Option<Child>,
}

impl Keeper {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut keeper = Self { folder, child: None };
        keeper.start_again();
        keeper
    }

    /// A folder without one.
    pub fn none() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), child: None }
    }

    pub fn start_again(&mut self) {
        let log = File::create(self.dir().join("house-keeper.log")).unwrap();
        let mut command = ingot(self.dir(), &["house-keeper", "--stop-with-parent"]);
        command.args(["--set", "house-keeper.disk-low-bytes=0", "--set", "house-keeper.disk-high-bytes=0"]);
        command.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().unwrap());
        let start = Instant::now();
        while !self.socket().exists() {
            assert!(
                start.elapsed() < LONG,
                "{}",
                fs::read_to_string(self.dir().join("house-keeper.log")).unwrap()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Its parent is gone, as far as it knows.
            drop(child.stdin.take());
            assert!(child.wait().unwrap().success());
        }
    }

    pub fn dir(&self) -> &Path {
        self.folder.path()
    }

    pub fn socket(&self) -> PathBuf {
        self.dir().join("ingot-data/house-keeper/house-keeper.sock")
    }

    /// Runs a command to its end; checks the exit code and that each text is in what was printed.
    pub fn expect(&self, args: &[&str], code: i32, texts: &[&str]) -> String {
        let output = ingot(self.dir(), args).output().unwrap();
        let said = said(&output);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        for text in texts {
            assert!(said.contains(text), "{args:?}: no `{text}` in {said}");
        }
        assert!(!said.contains("panicked") && !said.contains("internal error"), "{said}");
        said
    }

    /// The objects that a command prints with `--json`.
    pub fn json(&self, args: &[&str]) -> Vec<Value> {
        let args: Vec<&str> = ["--json"].iter().chain(args).copied().collect();
        let said = self.expect(&args, 0, &[]);
        said.lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}")))
            .collect()
    }

    /// Those of one kind.
    pub fn events(&self, kind: &str, args: &[&str]) -> Vec<Value> {
        self.json(args).into_iter().filter(|event| event["event"] == kind).collect()
    }

    /// A batch of a few operations, as a file of this name; its number.
    pub fn batch_file(&self, seed: &str, name: &str) -> String {
        let said = self.expect(&["sample-batch", "--ops", "3", "--seed", seed, "--out", name], 0, &[]);
        let batch =
            said.split_whitespace().find(|word| word.contains('/') && word.starts_with(char::is_numeric));
        batch.unwrap().to_owned()
    }

    /// A worker under this name, connected.
    pub fn worker(&self, component: Component, name: &str) -> Client {
        let (client, link) = self.join(component, name, "test-keys");
        assert_eq!(link, Link::Connected);
        client
    }

    pub fn join(&self, component: Component, name: &str, key_manifest: &str) -> (Client, Link) {
        let registration = Registration {
            component,
            name: name.into(),
            instance: [7; 16],
            host: "test".into(),
            pid: std::process::id(),
            zone: None,
            group: None,
            serves: Some(Served {
                protocol_version: VERSION,
                circuit_set: "ledger".into(),
                parameter_set: "legacy100".into(),
                key_manifest: key_manifest.into(),
            }),
            stream: None,
        };
        let options = ClientOptions::new(Address::Unix(self.socket()), None, registration);
        let client = Client::start(options).unwrap();
        let link = client.wait_connected(LONG, &Stop::new());
        (client, link)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub fn ingot(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ingot"));
    command.current_dir(dir).args(["--parameters", "legacy100"]).args(args).stdin(Stdio::null());
    command
}

pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

pub fn take(worker: &Client, kind: JobKind) -> HeldLease {
    let filter = Filter { kinds: Some([kind].into()), ..Filter::default() };
    worker.lease_within(filter, LONG, &Stop::new()).unwrap().expect("a job")
}

pub fn file(role: &str, hash: &str) -> ArtifactName {
    ArtifactName { role: role.into(), hash: hash.into(), size_bytes: 1 }
}

/// What witness generation creates: prove jobs of circuit 0:1, and a leaf that waits for them.
pub fn created(of: &JobSpec, count: u32) -> Vec<JobSpec> {
    let batch = format!("{}/{}", of.key.batch.chain.0, of.key.batch.batch.0);
    let spec = |key: String, depends_on| JobSpec {
        key: key.parse().unwrap(),
        depends_on,
        inputs: vec![],
        ..of.clone()
    };
    let proofs: Vec<JobSpec> = (0..count).map(|n| spec(format!("{batch}/prove/0/1/0/{n}"), vec![])).collect();
    let keys = proofs.iter().map(|spec| spec.key).collect();
    let leaf = spec(format!("{batch}/witness/1/1/0/0"), keys);
    proofs.into_iter().chain([leaf]).collect()
}
