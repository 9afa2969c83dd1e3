//! What components write to a journal: real datagrams of real processes, taken where systemd's socket would be.

use std::{collections::BTreeMap, fs, os::linux::fs::MetadataExt as _};

use ingot_fake::journal::{Entry, Journal};
use ingot_types::{JobKey, JobKind};

use crate::support::{small, wait_for, Cluster};

/// The job of an entry. Whatever names one has all fields that a journal is searched by, and they agree.
fn job(entry: &Entry) -> Option<JobKey> {
    let key: JobKey = entry.get("JOB")?.parse().unwrap_or_else(|e| panic!("{e:?}: {entry:?}"));
    let field = |name: &str| entry.get(name).unwrap_or_else(|| panic!("no {name}: {entry:?}")).clone();
    assert_eq!(field("BATCH"), key.batch.batch.0.to_string(), "{entry:?}");
    assert_eq!(field("ROUND"), (key.round as u8).to_string(), "{entry:?}");
    assert_eq!(field("CIRCUIT"), key.circuit_id.0.to_string(), "{entry:?}");
    Some(key)
}

#[test]
fn lines_about_jobs_have_fields_of_their_own() {
    let mut cluster = Cluster::with_workers();
    let folder = cluster.folder.join("journal");
    fs::create_dir(&folder).unwrap();
    let journal = Journal::open(&folder).unwrap();
    for name in cluster.names() {
        let log = cluster.folder.join(format!("{name}.log"));
        let file = fs::File::create(&log).unwrap().metadata().unwrap();
        let node = cluster.node(&name);
        node.through(journal.join());
        if name == "hk" {
            node.set("host.log", "journal");
        } else {
            // As under systemd, which names the stream that it connected standard error to.
            node.set("host.log", "auto");
            node.environment("JOURNAL_STREAM", format!("{}:{}", file.st_dev(), file.st_ino()));
        }
    }
    cluster.start_all();
    cluster.submit(&small(1));
    cluster.finish();
    let id = cluster.batches[0].id;
    let expected: BTreeMap<JobKey, u32> = cluster.jobs(id).iter().map(|job| (job.key(), 1)).collect();
    let done = || {
        let mut done: BTreeMap<JobKey, u32> = BTreeMap::new();
        for entry in journal.entries().unwrap() {
            if entry["MESSAGE"].contains(": done in ") {
                *done.entry(job(&entry).unwrap()).or_default() += 1;
                assert_eq!(entry["PRIORITY"], "6", "{entry:?}");
            }
        }
        done
    };
    wait_for("the last line", || (done().len() == expected.len()).then_some(()));
    assert_eq!(done(), expected, "each job's end is told once");
    let entries = journal.entries().unwrap();
    for entry in &entries {
        job(entry);
        let who = entry["SYSLOG_IDENTIFIER"].as_str();
        let known = ["house-keeper", "witness-generator", "witness-vector-generator", "circuit-prover"];
        assert!(known.iter().any(|name| who == format!("ingot-{name}")), "{entry:?}");
    }
    let of = |who: &str, text: &str| {
        entries.iter().find(|e| e["SYSLOG_IDENTIFIER"] == who && e["MESSAGE"].contains(text)).cloned()
    };
    let came = of("ingot-house-keeper", "came in").unwrap();
    assert_eq!(came["BATCH"], "1", "{came:?}");
    let proved = entries.iter().filter(|e| e["SYSLOG_IDENTIFIER"] == "ingot-circuit-prover");
    assert!(proved.filter_map(job).any(|key| key.kind == JobKind::Prove));
    // Nothing went past the journal.
    for name in cluster.names() {
        assert!(
            !cluster.node(&name).log().contains("done in"),
            "{name}: {}",
            cluster.node(&name).log_tail(5)
        );
    }
}
