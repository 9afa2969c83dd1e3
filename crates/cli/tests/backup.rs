//! `ingot backup` and `ingot restore` as people use them: a house keeper alone, with a batch that waits for workers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

fn ingot(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ingot"));
    command.current_dir(dir).args(["--parameters", "legacy100"]).args(args);
    command
}

/// Runs to the end; checks the exit code and that each text is in what was printed.
fn expect(dir: &Path, args: &[&str], code: i32, texts: &[&str]) {
    let output = ingot(dir, args).stdin(Stdio::null()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    for text in texts {
        assert!(said.contains(text), "{args:?}: no `{text}` in {said}");
    }
}

/// A house keeper of this folder, until it is dropped.
struct HouseKeeper(Child);

impl HouseKeeper {
    fn start(dir: &Path) -> Self {
        let log = fs::File::create(dir.join("log")).unwrap();
        let mut command = ingot(dir, &["house-keeper", "--dir", "data", "--stop-with-parent"]);
        // The folder may be on a disk that is nearly full.
        command.args(["--set", "house-keeper.disk-low-bytes=0", "--set", "house-keeper.disk-high-bytes=0"]);
        // Whatever becomes of the test, it ends.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
        let house_keeper = Self(command.spawn().unwrap());
        let start = Instant::now();
        while !dir.join("data/house-keeper/house-keeper.sock").exists() {
            let log = fs::read_to_string(dir.join("log")).unwrap();
            assert!(start.elapsed() < Duration::from_secs(60), "it does not come up: {log}");
            thread::sleep(Duration::from_millis(20));
        }
        house_keeper
    }
}

impl Drop for HouseKeeper {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_batch_that_waits_is_there_again_after_its_folder_was_lost() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    expect(dir, &["sample-batch", "--ops", "3", "--seed", "1", "--out", "a.batch"], 0, &[]);
    let house_keeper = HouseKeeper::start(dir);
    expect(dir, &["submit", "a.batch", "--dir", "data"], 0, &["was accepted"]);
    for (out, more) in [("copied", None), ("linked", Some("--link"))] {
        let mut args = vec!["backup", "--dir", "data", "--out", out];
        args.extend(more);
        expect(dir, &args, 0, &[out, "1 batches, 1 of them not proved", "1 artifacts"]);
        expect(dir, &args, 2, &[out, "is not empty"]);
    }
    expect(dir, &["restore", "copied", "--dir", "data"], 2, &["in use", "a house keeper runs on it"]);
    expect(dir, &["restore", "data", "--dir", "other"], 2, &["is missing"]);
    drop(house_keeper);
    expect(dir, &["backup", "--dir", "data", "--out", "none"], 2, &["no house keeper at"]);
    assert!(!dir.join("none").exists() && !dir.join("other/house-keeper").exists());

    fs::remove_dir_all(dir.join("data")).unwrap();
    for from in ["copied", "linked"] {
        expect(dir, &["restore", from, "--dir", "data"], 0, &["restored to", "1 batches", "1 artifacts"]);
        let house_keeper = HouseKeeper::start(dir);
        expect(dir, &["status", "--dir", "data"], 0, &["proving"]);
        expect(dir, &["submit", "a.batch", "--dir", "data"], 0, &["is there already"]);
        drop(house_keeper);
        fs::remove_dir_all(dir.join("data")).unwrap();
    }
}
