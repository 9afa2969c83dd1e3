//! The executable as people use it. Everything that proves does so under test parameters.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

fn ingot(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ingot"));
    command.current_dir(dir).args(["--parameters", "legacy100"]).args(args).stdin(Stdio::null());
    command
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs to the end; checks the exit code and that each text is in what was printed.
fn expect(dir: &Path, args: &[&str], code: i32, texts: &[&str]) -> String {
    let output = ingot(dir, args).output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    for text in texts {
        assert!(said.contains(text), "{args:?}: no `{text}` in {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
    said
}

#[test]
fn bad_input_is_named_and_never_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    expect(dir, &["sample-batch", "--ops", "3", "--seed", "1", "--out", "a.batch"], 0, &["3 operations"]);
    let good = fs::read(dir.join("a.batch")).unwrap();
    for at in (0..good.len()).step_by(good.len() / 25).chain([good.len() - 1]) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(dir.join("bad.batch"), bad).unwrap();
        expect(dir, &["prove", "bad.batch"], 2, &["bad.batch", "expected", "found"]);
    }
    expect(dir, &["prove", "a.batch", "--out", "a.batch"], 2, &["overwrite"]);
    expect(dir, &["prove", "a.batch", "--chain", "999"], 2, &["a.batch", "expected chain 999"]);
    expect(dir, &["keygen", "--check", "--circuit", "0:99"], 2, &["no circuit 0:99", "ingot circuits"]);
    expect(dir, &["keygen", "--check", "--circuit", "zero"], 2, &["`zero` is no circuit", "round:id"]);
    expect(dir, &["keygen", "--circuit", "0:1"], 2, &["leave --circuit away"]);
    expect(dir, &["verify", "a.batch"], 1, &["INVALID", "a.batch", "INGOTPRF"]);
    expect(dir, &["verify", "none.proof"], 2, &["can't tell", "none.proof"]);
}

#[test]
fn one_key_is_checked_alone() {
    let dir = tempfile::tempdir().unwrap();
    expect(dir.path(), &["keygen", "--check", "--circuit", "4:1"], 0, &["3 files compared", "0 differ"]);
}

#[test]
fn the_same_seed_gives_the_same_batch_and_another_another() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut batches = vec![];
    for (seed, out) in [("5", "a"), ("5", "b"), ("6", "c")] {
        expect(dir, &["sample-batch", "--ops", "12", "--seed", seed, "--out", out], 0, &[]);
        batches.push(fs::read(dir.join(out)).unwrap());
    }
    assert_eq!(batches[0], batches[1]);
    assert_ne!(batches[0], batches[2]);
}

#[test]
fn json_output_is_one_object_a_line() {
    let dir = tempfile::tempdir().unwrap();
    for args in
        [&["--json", "circuits"][..], &["--json", "verify", "none.proof"], &["--json", "prove", "none.batch"]]
    {
        let output = ingot(dir.path(), args).output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert!(!stdout.is_empty() && output.stderr.is_empty(), "{args:?}");
        for line in stdout.lines() {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(event["event"].is_string(), "{line}");
        }
    }
}

/// Keys and a small batch, killed on the way at random moments by SIGKILL and SIGINT, then completed; then everything that can be
/// said about the proof.
#[test]
fn killed_at_random_moments_keys_and_proofs_complete() {
    let kills: u32 = std::env::var("INGOT_LEDGER_KILLS").map_or(4, |n| n.parse().unwrap());
    let home = tempfile::tempdir().unwrap();
    let dir = home.path();
    for (seed, out) in [("3", "small.batch"), ("4", "other.batch")] {
        expect(dir, &["sample-batch", "--ops", "6", "--seed", seed, "--out", out], 0, &[]);
    }
    let prove = ["prove", "small.batch", "--no-snark"];

    let mut random = std::process::id();
    for kill in 0..kills {
        random = random.wrapping_mul(1664525).wrapping_add(1013904223);
        let mut child = ingot(dir, &prove).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(500 + u64::from(random >> 16) % 12_000));
        let interrupt = kill % 2 == 0;
        if interrupt {
            let pid = child.id().to_string();
            Command::new("kill").args(["-INT", &pid]).status().unwrap();
            let asked = Instant::now();
            let status = child.wait().unwrap();
            assert!(matches!(status.code(), Some(130 | 0)), "{status}");
            assert!(asked.elapsed() < Duration::from_secs(5), "SIGINT took {:?}", asked.elapsed());
        } else {
            let _ = child.kill();
            child.wait().unwrap();
        }
    }

    // While it works, nobody else gets in.
    let mut child = ingot(dir, &prove).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    thread::sleep(Duration::from_millis(500));
    if child.try_wait().unwrap().is_none() {
        expect(dir, &["keygen"], 2, &["another ingot"]);
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("WARNING: these proofs must not be trusted"));

    // Everything is there: nothing is made again, and the proof is the same.
    let said = expect(dir, &["--json", "prove", "small.batch", "--out", "again.proof"], 0, &[]);
    let events = said.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let summary = events.into_iter().find(|e| e["event"] == "summary").unwrap();
    assert_eq!(summary["keys_made"], 0);
    assert!(summary["rounds"].as_object().unwrap().values().all(|r| r["made_now"] == 0), "{summary}");
    let proof = fs::read(dir.join("small.proof")).unwrap();
    assert_eq!(proof, fs::read(dir.join("again.proof")).unwrap());

    every_proof_passes_the_librarys_own_verifier(&dir.join("ingot-data"), 11);

    everything_is_told_what_it_is(dir, &proof);

    components_die_while_a_batch_is_proved(dir);

    // A damaged key file is named and made again, the same as before.
    let keys = fs::read_dir(dir.join("ingot-data/keys")).unwrap().next().unwrap().unwrap().path();
    let key = fs::read_dir(&keys).unwrap().map(|e| e.unwrap().path());
    let key = key
        .into_iter()
        .find(|p| {
            p.file_name().unwrap().to_str().unwrap().starts_with("0-1") && p.extension().unwrap() == "setup"
        })
        .unwrap();
    let whole = fs::read(&key).unwrap();
    let mut bad = whole.clone();
    bad[12_345] ^= 1;
    fs::write(&key, bad).unwrap();
    expect(dir, &["keygen"], 0, &[key.file_name().unwrap().to_str().unwrap(), "expected", "found"]);
    assert!(fs::read(&key).unwrap() == whole);

    expect(dir, &["verify", "small.proof", "--batch", "small.batch"], 0, &["valid", "must not be trusted"]);
    expect(dir, &["verify", "small.proof"], 0, &["valid for some header only"]);
    expect(dir, &["verify", "small.proof", "--batch", "other.batch"], 1, &["INVALID", "another batch"]);
    // Under the default parameters, a proof with test parameters is no proof.
    let default = Command::new(env!("CARGO_BIN_EXE_ingot"))
        .current_dir(dir)
        .args(["verify", "small.proof", "--batch", "small.batch"])
        .output()
        .unwrap();
    assert_eq!(default.status.code(), Some(2), "{}", text(&default));
    assert!(text(&default).contains("legacy100"));

    for at in (0..proof.len()).step_by(proof.len() / 20) {
        let mut bad = proof.clone();
        bad[at] ^= 1;
        fs::write(dir.join("bad.proof"), bad).unwrap();
        let output = ingot(dir, &["verify", "bad.proof", "--batch", "small.batch"]).output().unwrap();
        assert!(matches!(output.status.code(), Some(1 | 2)), "byte {at}: {}", text(&output));
        assert!(
            text(&output).contains("bad.proof") && !text(&output).contains("panicked"),
            "{}",
            text(&output)
        );
    }
}

/// Each file that proving has left is known to `file-info`, but for logs and locks; and a proof is taken apart.
fn everything_is_told_what_it_is(dir: &Path, proof: &[u8]) {
    let mut files = vec![];
    files_below(&dir.join("ingot-data"), &mut files);
    let mut kinds = std::collections::BTreeMap::new();
    for file in files {
        if file.extension().is_some_and(|e| e == "log") || file.file_name().is_some_and(|name| name == "lock")
        {
            continue;
        }
        let said = expect(dir, &["--json", "file-info", file.to_str().unwrap()], 0, &[]);
        let info: serde_json::Value = serde_json::from_str(said.trim()).unwrap();
        let kind = info["kind"].as_str().unwrap();
        assert_ne!(kind, "unknown", "{said}");
        assert!(!said.contains("NOT what") && !said.contains("does not know"), "{said}");
        *kinds.entry(kind.to_owned()).or_insert(0) += 1;
    }
    for (kind, least) in [
        ("proof file", 11),
        ("setup key", 9),
        ("verification key", 9),
        ("finalization hint", 9),
        ("key manifest", 1),
        ("job store (SQLite)", 1),
        ("ledger batch (witness inputs)", 1),
        ("aggregation inputs, which rounds 1 to 4 read", 1),
        ("circuit input of circuit 0:2 (SignatureVerifier)", 1),
        ("circuit input of a leaf (round 1)", 3),
        ("circuit input of a node (round 2)", 3),
        ("circuit input of the recursion tip (round 3)", 1),
        ("circuit input of the scheduler (round 4)", 1),
    ] {
        assert!(kinds.get(kind).is_some_and(|found| *found >= least), "{kind}: {kinds:?}");
    }
    let parts =
        ["circuit 4:1 (Scheduler)", "witness openings", "verifies: under the built-in key", "WARNING"];
    expect(dir, &["debug-proof", "small.proof"], 0, &parts);
    let mut stored = ingot_prover::StoredProof::from_bytes(Path::new("small.proof"), proof).unwrap();
    stored.proof.public_inputs.swap(0, 1);
    fs::write(dir.join("false.proof"), stored.to_bytes().unwrap()).unwrap();
    expect(dir, &["debug-proof", "false.proof"], 1, &["DOES NOT VERIFY"]);
    let other = Command::new(env!("CARGO_BIN_EXE_ingot"))
        .current_dir(dir)
        .args(["debug-proof", "small.proof"])
        .output();
    let other = other.unwrap();
    assert_eq!(other.status.code(), Some(2));
    assert!(
        text(&other).contains("can't tell: it claims") && text(&other).contains("proven80"),
        "{}",
        text(&other)
    );
}

fn files_below(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// The components of one host, of which one after the other is killed while it works: they come back, and the batch is proved.
fn components_die_while_a_batch_is_proved(dir: &Path) {
    let mut up = ingot(dir, &["up"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let submit = ingot(dir, &["submit", "other.batch", "--out", "other.proof"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    // The house keeper may still be coming up: whoever submits waits for it.
    let mut submit = submit.unwrap();
    let mut random = std::process::id();
    for kill in 0..6 {
        thread::sleep(Duration::from_millis(2_500));
        if submit.try_wait().unwrap().is_some() {
            assert!(kill > 2, "it ended before anything was killed");
            break;
        }
        random = random.wrapping_mul(1664525).wrapping_add(1013904223);
        let children = children_of(up.id());
        if let Some(child) = children.get((random >> 16) as usize % children.len().max(1)) {
            Command::new("kill").args(["-KILL", &child.to_string()]).status().unwrap();
        }
    }
    let output = submit.wait_with_output().unwrap();
    assert!(output.status.success() && text(&output).contains("valid"), "{}", text(&output));
    let status = expect(dir, &["status"], 0, &["proved", "circuit-prover"]);
    exported_and_imported_again(dir, &status);
    Command::new("kill").args(["-TERM", &up.id().to_string()]).status().unwrap();
    let asked = Instant::now();
    assert!(up.wait().unwrap().success());
    assert!(asked.elapsed() < Duration::from_secs(10), "SIGTERM took {:?}", asked.elapsed());
}

/// A batch of `status` leaves under readable names, comes back, and is refused when a byte of it has changed.
fn exported_and_imported_again(dir: &Path, status: &str) {
    let is_batch = |word: &&str| {
        let numbers =
            word.trim_end_matches(':').split_once('/').map(|(a, b)| (a.parse::<u64>(), b.parse::<u64>()));
        matches!(numbers, Some((Ok(_), Ok(_))))
    };
    let batch = status.split_whitespace().find(is_batch).unwrap().trim_end_matches(':');
    expect(dir, &["export", batch, "--out", "exported"], 0, &["files in exported"]);
    let number = batch.split_once('/').unwrap().1;
    expect(dir, &["export", number, "--out", "by-number"], 0, &["files in by-number"]);
    expect(dir, &["import", "exported", "--dry-run"], 0, &["would do", "it is there already"]);
    expect(dir, &["import", "exported"], 0, &["are stored", "it is there already"]);
    expect(dir, &["file-info", "exported/index.json"], 0, &["index of an exported batch", batch]);
    expect(dir, &["stats"], 0, &["took", "proved"]);
    expect(dir, &["workers"], 0, &["slabs free", "witness-vector-generator"]);
    expect(dir, &["protocol", "list"], 0, &["not recorded", "this executable's", "3 workers"]);
    expect(dir, &["protocol", "insert"], 0, &["recorded with key manifest"]);
    expect(
        dir,
        &["status", number, "-v"],
        0,
        &["proved", "round 4 scheduler", "done", "TransactionExecutor"],
    );
    let folder = dir.join("exported/proofs_fri");
    let file = fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&file).unwrap();
    bytes[100] ^= 1;
    fs::write(&file, bytes).unwrap();
    expect(dir, &["import", "exported"], 2, &["proofs_fri", "expected"]);
    let index = dir.join("exported/index.json");
    let good = fs::read_to_string(&index).unwrap();
    fs::write(&index, good.replace("proofs_fri/", "../proofs_fri/")).unwrap();
    expect(dir, &["import", "exported"], 2, &["not inside the folder"]);
    fs::write(&index, good.replacen("\"protocol_version\": \"", "\"protocol_version\": \"9", 1)).unwrap();
    expect(dir, &["import", "exported"], 2, &["protocol version"]);
}

/// The processes that `parent` has started.
fn children_of(parent: u32) -> Vec<u32> {
    let processes =
        fs::read_dir("/proc").unwrap().filter_map(|e| e.unwrap().file_name().to_str()?.parse().ok());
    let is_child = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after_name = stat.rsplit_once(')').map(|(_, rest)| rest.to_owned()).unwrap_or_default();
        after_name.split_whitespace().nth(1) == Some(&parent.to_string())
    };
    processes.filter(is_child).collect()
}

/// Takes every proof file and every verification key that the executable left in `data`, and gives them to the proof
/// library's verifier, without any of the code that proved them.
fn every_proof_passes_the_librarys_own_verifier(data: &Path, at_least: usize) {
    use boojum::{
        cs::implementations::{
            pow::NoPow, proof::Proof, transcript::GoldilocksPoisedon2Transcript, verifier::VerificationKey,
        },
        field::goldilocks::{GoldilocksExt2, GoldilocksField as F},
    };
    use ingot_circuit_set::{field::TreeHasher, CircuitSet};
    use ingot_ledger::{security::LEGACY100, LedgerSet};

    let mut found = vec![];
    files_below(data, &mut found);
    let mut verified = 0;
    for path in &found {
        if !fs::read(path).unwrap().starts_with(b"INGOTPRF") {
            continue;
        }
        let stored = ingot_prover::StoredProof::load(path).unwrap();
        let key = stored.header.circuit;
        let prefix = format!("{}-{}-", key.round as u8, key.circuit_id);
        let vk = found
            .iter()
            .find(|f| {
                f.extension().is_some_and(|e| e == "vk")
                    && f.file_name().unwrap().to_str().unwrap().starts_with(&prefix)
            })
            .unwrap();
        let vk: VerificationKey<F, TreeHasher> =
            ingot_circuit_set::decode("vk", &fs::read(vk).unwrap()).unwrap();
        let verifier = LedgerSet::new(&LEGACY100).verifier(key).unwrap();
        let verify = |proof: &Proof<F, TreeHasher, GoldilocksExt2>| {
            verifier.verify::<TreeHasher, GoldilocksPoisedon2Transcript, NoPow>((), &vk, proof)
        };
        assert!(verify(&stored.proof), "{}", path.display());
        let mut other = stored.proof.clone();
        other.public_inputs[0] = other.public_inputs[1];
        assert!(!verify(&other), "{}: another public input", path.display());
        verified += 1;
    }
    assert!(verified >= at_least, "only {verified} proof files");
}
