//! The commands that people operate the appliance with, on a real house keeper with a real store.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::fs;

use ingot_house_keeper::{client::Link, protocol::Component};
use ingot_types::{JobKind, RetryClass};
use support::*;

#[test]
fn a_batch_is_shown_changed_and_accounted_for() {
    let keeper = Keeper::start();
    let generator = keeper.worker(Component::WitnessGenerator, "generator");
    let batch = keeper.batch_file("1", "one.batch");
    let (chain, number) = batch.split_once('/').unwrap();
    let job = format!("{batch}/witness/0/0/0/0");
    keeper.expect(&["status"], 0, &["no batches", "witness-generator generator on test: there"]);
    keeper.expect(
        &["insert-batch", "one.batch", "--dry-run"],
        0,
        &["would do, and has not done", "accepted"],
    );
    keeper.expect(&["status"], 0, &["no batches"]);
    keeper.expect(
        &["insert-batch", "one.batch", "--number", number, "--chain", chain, "--priority", "-2"],
        0,
        &["insert batch", &batch, "priority -2"],
    );
    keeper.expect(&["insert-batch", "one.batch"], 0, &["it is there already"]);

    // Round by round, by number, by chain and number, and with the word that ZKsync's tool wants.
    for args in [&["status", number][..], &["status", "batch", &batch], &["status", number, "--chain", chain]]
    {
        keeper.expect(
            args,
            0,
            &[&batch, "proving", "round 0 basic", "queued", "round 4 scheduler", "no jobs yet"],
        );
    }
    let rounds = keeper.events("round", &["status", number]);
    assert_eq!((rounds.len(), &rounds[0]["queued"], &rounds[0]["total"]), (5, &1.into(), &1.into()));

    // A worker has it: nothing takes it away unless forced.
    let lease = take(&generator, JobKind::Witness);
    keeper.expect(
        &["jobs", "--state", "leased"],
        0,
        &[&job, "leased", "witness generation: generator has it"],
    );
    keeper.expect(&["workers", "--verbose"], 0, &["generator", "1 jobs", &format!("has {job}"), "test-keys"]);
    keeper.expect(&["requeue", "job", &job], 2, &["is leased: expected failed or quarantined"]);
    keeper.expect(&["restart", "job", &job], 2, &["is leased: expected done"]);
    keeper.expect(&["restart", "batch", number], 2, &["is leased by generator right now", "force it"]);
    keeper.expect(&["delete", "batch", number, "--yes"], 2, &["is leased by generator right now"]);
    keeper.expect(
        &["restart", "batch", number, "--force", "--dry-run"],
        0,
        &["lease of job", "of generator ends"],
    );

    // It fails for good, and is tried again.
    lease.fail(RetryClass::Deterministic, "the dog ate it").unwrap();
    keeper.expect(
        &["status", number],
        0,
        &[
            "stuck",
            "1 given up",
            &format!("given up: {job} witness generation after 1 of 10 attempts: the dog ate it"),
        ],
    );
    keeper.expect(&["requeue", "batch", number, "--dry-run"], 0, &["would do", &job]);
    keeper.expect(&["jobs", "--state", "quarantined"], 0, &[&job]);
    keeper.expect(&["requeue", "batch", number], 0, &["1 job has all its attempts again", &job]);
    keeper.expect(&["requeue", "batch", number], 0, &["no job of it had failed"]);
    keeper.expect(&["jobs", "--state", "quarantined"], 0, &["no job matches"]);

    // Its completion creates others, which are named and filtered.
    let lease = take(&generator, JobKind::Witness);
    let new = created(&lease.lease().job.spec, 3);
    lease.complete(vec![file("made", "m")], new).unwrap();
    keeper.expect(
        &["status", number, "--verbose"],
        0,
        &[
            "round 0 basic          queued             4 jobs: 1 done, 3 queued",
            "TransactionExecutor",
            "waiting for proofs",
        ],
    );
    assert_eq!(keeper.events("job", &["jobs", "--batch", number]).len(), 5);
    assert_eq!(keeper.events("job", &["jobs", "--round", "leaf"]).len(), 1);
    assert_eq!(keeper.events("job", &["jobs", "--kind", "prove", "--circuit", "1", "--round", "0"]).len(), 3);
    assert_eq!(keeper.events("job", &["jobs", "--chain", "999"]).len(), 0);
    keeper.expect(&["jobs", "--limit", "2"], 0, &["there may be more"]);
    keeper.expect(&["restart", "job", &job], 0, &["restart", "queued now"]);
    keeper.expect(&["jobs", "--state", "waiting"], 0, &["waits for 4 jobs"]);

    keeper.expect(&["priority", number, "9", "--dry-run"], 0, &["would do", "priority 9, was -2"]);
    keeper.expect(&["priority", number, "9"], 0, &["priority 9, was -2"]);
    keeper.expect(&["priority", number, "-9"], 0, &["priority -9, was 9"]);
    keeper.expect(&["restart", "batch", number], 0, &["5 jobs forgotten, it begins anew"]);
    keeper.expect(&["stats"], 0, &[&batch, "proving", "so far", "1 batches, 0 proved"]);
    keeper.expect(&["stats", "--period", "day"], 0, &["1 batches"]);

    // Without a terminal nobody can say yes.
    keeper.expect(&["delete", "batch", number], 2, &["this is no terminal", "--yes"]);
    keeper.expect(&["delete", "batch", number, "--dry-run"], 0, &["would do", "1 jobs forgotten"]);
    keeper.expect(&["delete", "batch", number, "--yes"], 0, &["1 jobs forgotten"]);
    keeper.expect(&["status", number], 2, &[&format!("there is no batch {number}")]);

    // Everything is on record, with who it was, also what was refused.
    let audit = keeper.events("audit", &["audit"]);
    let actions: Vec<String> = audit
        .iter()
        .rev()
        .map(|entry| format!("{} {}", entry["action"].as_str().unwrap(), entry["target"].as_str().unwrap()))
        .collect();
    let of = |action: &str| format!("{action} {batch}");
    let expected = [
        of("insert batch"),
        of("insert batch"),
        format!("requeue {job}"),
        format!("restart {job}"),
        of("restart"),
        of("delete"),
        of("requeue"),
        of("requeue"),
        format!("restart {job}"),
        of("priority 9"),
        of("priority -9"),
        of("restart"),
        of("delete"),
    ];
    assert_eq!(actions, expected);
    assert!(audit.iter().all(|entry| entry["who"].as_str().unwrap().starts_with("operator-")
        && entry["origin"].as_str().unwrap().contains("of user")));
    assert_eq!(audit.iter().filter(|e| e["result"].as_str().unwrap().starts_with("refused: ")).count(), 4);
    keeper.expect(&["audit", "--limit", "1"], 0, &["delete", "1 jobs forgotten"]);
}

#[test]
fn what_is_not_there_or_makes_no_sense_is_refused_with_a_sentence() {
    let keeper = Keeper::start();
    keeper.batch_file("1", "one.batch");
    keeper.expect(&["insert-batch", "one.batch"], 0, &[]);
    for args in [
        &["status", "7"][..],
        &["requeue", "batch", "7"],
        &["restart", "batch", "7"],
        &["delete", "batch", "7", "--yes"],
        &["priority", "7", "1"],
        &["deliver", "7"],
        &["jobs", "--batch", "7"],
        &["export", "7", "--out", "x"],
    ] {
        keeper.expect(args, 2, &["there is no batch 7"]);
        let named: Vec<&str> = args.iter().map(|arg| if *arg == "7" { "5/7" } else { arg }).collect();
        keeper.expect(
            &named,
            2,
            &[if args[0] == "export" { "has no jobs of batch 5/7" } else { "there is no batch 5/7" }],
        );
        let no_number: Vec<&str> = args.iter().map(|arg| if *arg == "7" { "seven" } else { arg }).collect();
        keeper.expect(&no_number, 2, &["`seven` is no batch: expected its number, or chain/number"]);
    }
    let job = "5/7/prove/0/1/0/0";
    keeper.expect(&["requeue", "job", job], 2, &[&format!("there is no job {job}")]);
    keeper.expect(&["restart", "job", job], 2, &[&format!("there is no job {job}")]);
    keeper.expect(&["requeue", "job", "7"], 2, &["`7` is no job key"]);
    keeper.expect(&["requeue", "proof", "7"], 2, &["possible values: batch, job"]);
    keeper.expect(&["status", "5/7", "--chain", "6"], 2, &["batch 5/7 is of chain 5: expected chain 6"]);
    keeper.expect(&["status", "batch"], 2, &["which batch?"]);
    keeper.expect(&["drain", "nobody"], 2, &["there is no worker named nobody"]);
    keeper.expect(&["jobs", "--state", "lost"], 2, &["`lost` is no state"]);
    keeper.expect(&["jobs", "--round", "5"], 2, &["`5` is no round"]);
    keeper.expect(&["jobs", "--circuit", "256"], 2, &["`256` is no circuit id"]);
    keeper.expect(&["jobs", "--kind", "bake"], 2, &["`bake` is no kind of job"]);
    keeper.expect(&["insert-batch", "none.batch"], 2, &["none.batch"]);
    keeper.expect(
        &["insert-batch", "one.batch", "--number", "999999"],
        2,
        &["expected 999999, as --number says"],
    );
    keeper.expect(&["insert-batch", "one.batch", "--chain", "999999"], 2, &["expected chain 999999"]);
    keeper.expect(
        &["insert-batch", "one.batch", "--version", "0.77.1"],
        2,
        &["say which it is with --chain and --number"],
    );
    keeper.expect(
        &["insert-batch", "one.batch", "--version", "0.77.1", "--chain", "3", "--number", "8"],
        0,
        &["insert batch 3/8: accepted, protocol version 0.77.1"],
    );
    // A number that two chains have is nobody's until one is named.
    keeper.expect(
        &["insert-batch", "one.batch", "--version", "0.77.1", "--chain", "4", "--number", "8"],
        0,
        &["insert batch 4/8: accepted"],
    );
    keeper.expect(&["priority", "8", "1"], 2, &["chains 3 and 4 have a batch 8: name one with --chain"]);
    keeper.expect(&["priority", "8", "1", "--chain", "4"], 0, &["priority 1 4/8"]);
    assert_eq!(
        keeper.events("job", &["jobs", "--chain", "4", "--limit", "1"])[0]["job"],
        "4/8/witness/0/0/0/0"
    );
    assert_eq!(keeper.events("batch", &["status", "--chain", "3"]).len(), 1);
    keeper.expect(&["stats", "--chain", "3"], 0, &["3/8", "1 batches"]);
}

#[test]
fn without_a_house_keeper_every_command_says_so() {
    let keeper = Keeper::none();
    keeper.batch_file("1", "one.batch");
    let said = |args: &[&str]| {
        keeper.expect(args, 2, &["no house keeper at unix:", "`ingot up` starts one"]);
    };
    std::thread::scope(|scope| {
        for args in [
            &["status", "1"][..],
            &["status"],
            &["jobs"],
            &["requeue", "batch", "1"],
            &["restart", "batch", "1"],
            &["delete", "batch", "1", "--yes"],
            &["priority", "1", "1"],
            &["stats"],
            &["workers"],
            &["drain", "w"],
            &["export", "1", "--out", "x"],
            &["submit", "one.batch", "--dry-run"],
            &["audit"],
            &["protocol", "list"],
            &["insert-batch", "one.batch"],
        ] {
            scope.spawn(move || said(args));
        }
    });
}

#[test]
fn workers_drain_and_foreign_keys_are_not_let_in() {
    let mut keeper = Keeper::start();
    let generator = keeper.worker(Component::WitnessGenerator, "generator");
    keeper.expect(&["drain", "generator", "--dry-run"], 0, &["would do", "it takes no new work"]);
    keeper.expect(&["workers"], 0, &["generator on test: there"]);
    keeper.expect(&["drain", "generator"], 0, &["it takes no new work"]);
    keeper.expect(&["workers"], 0, &["generator on test: draining"]);
    keeper.expect(&["drain", "generator", "--undo"], 0, &["it takes work again"]);
    keeper.expect(&["protocol", "list"], 0, &["not recorded", "test-keys", "1 workers"]);

    let hash = "ab".repeat(32);
    keeper.expect(
        &["protocol", "insert", "--key-manifest", &hash],
        2,
        &["worker generator is connected with key manifest test-keys"],
    );
    drop(generator);
    let gone = || keeper.expect(&["workers"], 0, &[]).contains("generator on test: gone");
    while !gone() {}
    keeper.expect(&["protocol", "insert", "--key-manifest", &hash, "--dry-run"], 0, &["would do", &hash]);
    keeper.expect(&["insert-version", "--key-manifest", &hash], 0, &["recorded with key manifest", &hash]);
    keeper.expect(
        &["protocol", "insert", "--key-manifest", &"cd".repeat(32)],
        2,
        &["replace it if that is meant"],
    );
    keeper.expect(&["protocol", "insert", "--key-manifest", "short"], 2, &["--key-manifest short"]);
    keeper.expect(
        &["protocol", "insert", "--version", "0.77.1"],
        2,
        &["no key manifest of protocol version 0.77.1"],
    );
    keeper.expect(&["protocol", "list"], 0, &["recorded by operator-", &hash]);

    // Recorded is recorded, also for the next house keeper.
    keeper.stop();
    keeper.start_again();
    let (stranger, link) = keeper.join(Component::CircuitProver, "stranger", "test-keys");
    let Link::Refused { why } = link else { panic!("{link:?}") };
    assert!(why.contains("worker stranger") && why.contains(&hash), "{why}");
    drop(stranger);
    let (_known, link) = keeper.join(Component::CircuitProver, "known", &hash);
    assert_eq!(link, Link::Connected);
}

#[test]
fn files_are_told_apart() {
    let keeper = Keeper::none();
    keeper.batch_file("1", "one.batch");
    keeper.expect(
        &["file-info", "one.batch"],
        0,
        &["ledger batch (witness inputs)", "3 operations", "BLAKE3"],
    );
    fs::write(keeper.dir().join("x"), b"\x7fELF what is this").unwrap();
    keeper.expect(&["file-info", "x"], 0, &["unknown", "first bytes 7f 45 4c 46"]);
    keeper.expect(&["file-info", "none"], 2, &["cannot read none"]);
    keeper.expect(&["file-info", "."], 2, &["is a folder or a device"]);
    keeper.expect(&["debug-proof", "x"], 2, &["x", "INGOTPRF"]);
    keeper.expect(&["debug-proof", "none"], 2, &["none"]);
}

#[test]
fn what_this_executable_is_is_printed_without_secrets() {
    let keeper = Keeper::none();
    fs::write(keeper.dir().join("token"), "a secret that nobody may see").unwrap();
    let printed = keeper.expect(
        &["info", "--set", "host.token-file=\"token\""],
        0,
        &["protocol", "ledger", "jobs.db", "(not shown) in token", "WARNING"],
    );
    assert!(!printed.contains("a secret"), "{printed}");
    let info = keeper.events("info", &["info"]);
    assert_eq!(info[0]["protocol_version"], VERSION.to_string());
    let default = std::process::Command::new(env!("CARGO_BIN_EXE_ingot"))
        .current_dir(keeper.dir())
        .args(["info"])
        .output()
        .unwrap();
    let text = said(&default);
    assert!(default.status.success() && text.contains("key 4:1"), "{text}");
}

#[test]
fn completions_and_the_manual_know_every_command() {
    let keeper = Keeper::none();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        keeper.expect(&["completions", shell], 0, &["requeue", "insert-batch", "dry-run"]);
    }
    keeper.expect(&["completions", "csh"], 2, &["possible values"]);
    keeper.expect(&["man"], 0, &[".TH", "requeue", "keygen"]);
    keeper.expect(&["man", "--out", "pages"], 0, &["pages in pages"]);
    for page in ["ingot.1", "ingot-requeue.1", "ingot-protocol-insert.1", "ingot-status.1"] {
        let text = fs::read_to_string(keeper.dir().join("pages").join(page)).unwrap();
        assert!(text.contains(".SH NAME"), "{page}: {text}");
    }
    // A script that the shell itself accepts.
    let script = keeper.expect(&["completions", "bash"], 0, &[]);
    fs::write(keeper.dir().join("ingot.bash"), script).unwrap();
    let checked =
        std::process::Command::new("bash").arg("-n").arg(keeper.dir().join("ingot.bash")).output().unwrap();
    assert!(checked.status.success(), "{}", said(&checked));
}

/// An Ethereum node that answers each request by the next of `answers`, and gives back what it was asked.
fn node(answers: Vec<(u16, String)>) -> (String, std::thread::JoinHandle<Vec<serde_json::Value>>) {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let mut asked = Vec::new();
        for (status, answer) in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let body = loop {
                let mut bytes = [0; 4096];
                let read = stream.read(&mut bytes).unwrap();
                request.extend_from_slice(&bytes[..read]);
                let text = String::from_utf8_lossy(&request).into_owned();
                let Some((_, body)) = text.split_once("\r\n\r\n") else { continue };
                if let Ok(body) = serde_json::from_str(body) {
                    break body;
                }
            };
            asked.push(body);
            let length = answer.len();
            write!(
                stream,
                "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{answer}"
            )
            .unwrap();
        }
        asked
    });
    (url, thread)
}

#[test]
fn l1_is_asked_for_what_its_contract_has() {
    let keeper = Keeper::start();
    let contract = format!("0x{}", "ab".repeat(20));
    let result = |word: u64| (200, format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"0x{word:064x}\"}}"));
    let (url, asked) = node(vec![result(1), result(7), result(5), result(4)]);
    let l1 = |url: &str| vec!["status".to_owned(), "l1".into(), "--l1-rpc".into(), url.into()];
    let expect = |url: &str, code: i32, words: &[&str]| {
        let mut args = l1(url);
        args.extend(["--l1-contract".into(), contract.clone()]);
        keeper.expect(&args.iter().map(String::as_str).collect::<Vec<_>>(), code, words);
    };
    expect(
        &url,
        0,
        &["committed up to batch 7, verified up to 5, executed up to 4", "nothing is proved", "batch 6"],
    );
    let asked = asked.join().unwrap();
    assert_eq!(asked[0]["method"], "eth_chainId");
    let calls: Vec<&str> =
        asked[1..].iter().map(|call| call["params"][0]["data"].as_str().unwrap()).collect();
    assert_eq!(calls, ["0xdb1f0bf9", "0xef3f0bae", "0xb8c2f66f"]);
    assert!(asked[1..].iter().all(|call| call["params"][0]["to"] == contract.as_str()));

    // Each thing that can be wrong with it is said.
    let (url, _asked) = node(vec![(503, "busy".into())]);
    expect(&url, 2, &["503"]);
    let (url, _asked) =
        node(vec![result(1), (200, "{\"error\":{\"code\":-32000,\"message\":\"reverted\"}}".into())]);
    expect(&url, 2, &["getTotalBatchesCommitted", "reverted"]);
    let (url, _asked) = node(vec![result(1), (200, "{\"result\":\"0x\"}".into())]);
    expect(&url, 2, &["is this the chain's contract"]);
    let (url, _asked) = node(vec![(200, "no JSON".into())]);
    expect(&url, 2, &["something else than JSON"]);
    keeper.expect(&["status", "l1"], 2, &["--l1-rpc", "--l1-contract"]);
    let short = ["status", "l1", "--l1-rpc", "http://127.0.0.1:1", "--l1-contract", "0x12"];
    keeper.expect(&short, 2, &["`0x12`: expected an address"]);
}
