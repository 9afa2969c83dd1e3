//! What only the database can get wrong: the file, its owner, its schema, and a disk that fills up.

use std::{fs, os::unix::fs::FileExt as _};

use ingot_types::{JobKey, ProtocolVersion, RetryClass};

use super::*;
use crate::{ArtifactName, AuditEntry, Filter, Home as _, JobSpec, JobStore as _, StateName};

fn spec(key: &str, depends_on: &[&str]) -> JobSpec {
    JobSpec {
        key: key.parse().unwrap(),
        protocol_version: ProtocolVersion { minor: 1, patch: 2 },
        priority: -3,
        sealed_at_ms: 77,
        max_attempts: 3,
        group: Some("left".into()),
        zone: None,
        depends_on: depends_on.iter().map(|key| key.parse().unwrap()).collect(),
        inputs: vec![file("in")],
    }
}

fn file(hash: &str) -> ArtifactName {
    ArtifactName { role: "made".into(), hash: hash.into(), size_bytes: 5 }
}

fn key(text: &str) -> JobKey {
    text.parse().unwrap()
}

fn open(path: &Path) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(path, Backoff::default())
}

/// A row in every state, a file in and out, a failure, an archived batch, an entry of the audit.
fn fill(store: &mut SqliteStore) {
    let jobs = [
        spec("1/2/witness/0/0/0/0", &[]),
        spec("1/2/prove/0/1/0/0", &["1/2/witness/0/0/0/0"]),
        spec("1/2/prove/0/1/0/1", &[]),
        spec("1/2/prove/0/1/0/2", &[]),
        spec("1/2/prove/0/1/0/3", &[]),
        spec("1/2/prove/0/1/0/4", &[]),
        spec("1/2/witness/1/1/0/0", &["1/2/prove/0/1/0/0", "1/2/prove/0/1/0/1"]),
    ];
    store.insert(vec![spec("1/1/prove/0/1/0/0", &[])], 10).unwrap();
    let lease = store.lease(&Filter::default(), "w", 100, 11).unwrap().unwrap();
    store.complete(lease.job.key(), lease.token, vec![file("first")], vec![], 12).unwrap();
    store.archive_batch(lease.job.batch(), 13).unwrap();
    store.insert(jobs.to_vec(), 20).unwrap();
    let mut next = |kind| {
        let filter = Filter { kinds: Some([kind].into()), ..Filter::default() };
        store.lease(&filter, "w", 100, 21).unwrap().unwrap()
    };
    use ingot_types::JobKind::{Prove, Witness};
    let (first, failed, given_up, held) = (next(Witness), next(Prove), next(Prove), next(Prove));
    store.complete(first.job.key(), first.token, vec![file("second")], vec![], 22).unwrap();
    store.fail(failed.job.key(), failed.token, RetryClass::Transient, "busy", 23).unwrap();
    store.fail(given_up.job.key(), given_up.token, RetryClass::Deterministic, "wrong", 24).unwrap();
    assert_eq!(held.expires_at_ms, 121);
    let entry = AuditEntry {
        at_ms: 25,
        who: "ada".into(),
        origin: String::new(),
        action: "requeue".into(),
        target: "job 1".into(),
        result: String::new(),
    };
    store.audit(&entry).unwrap();
}

fn check_filled(store: &mut SqliteStore) {
    let id = key("1/2/prove/0/1/0/0").batch;
    let jobs = store.batch_jobs(id).unwrap();
    let states: Vec<(String, StateName)> =
        jobs.iter().map(|job| (job.key().to_string(), job.status.state.name())).collect();
    use StateName::{Done, Failed, Leased, Quarantined, Queued, Waiting};
    let expected = [
        ("1/2/witness/0/0/0/0", Done),
        ("1/2/witness/1/1/0/0", Waiting),
        ("1/2/prove/0/1/0/0", Queued),
        ("1/2/prove/0/1/0/1", Failed),
        ("1/2/prove/0/1/0/2", Quarantined),
        ("1/2/prove/0/1/0/3", Leased),
        ("1/2/prove/0/1/0/4", Queued),
    ];
    assert_eq!(states, expected.map(|(key, state)| (key.to_owned(), state)));
    assert_eq!(*jobs[2].spec, spec("1/2/prove/0/1/0/0", &["1/2/witness/0/0/0/0"]));
    assert_eq!(jobs[0].outputs(), [file("second")]);
    assert_eq!(jobs[3].status.last_error.as_ref().map(|e| (e.at_ms, e.reason.as_str())), Some((23, "busy")));
    let failures = store.failures(&key("1/2/prove/0/1/0/2")).unwrap();
    assert_eq!(
        failures.iter().map(|f| (f.at_ms, &f.worker[..], &f.reason[..])).collect::<Vec<_>>(),
        [(24, "w", "wrong")]
    );
    assert_eq!(store.first_quarantined(id).unwrap(), Some((key("1/2/prove/0/1/0/2"), "wrong".into())));
    let archived = store.archived().unwrap();
    assert_eq!(archived.len(), 1);
    assert_eq!(
        (&archived[0].inputs[..], &archived[0].outputs[..]),
        (&[file("in")][..], &[file("first")][..])
    );
    let audit = store.audit_log(9).unwrap();
    assert_eq!((audit.len(), audit[0].who.as_str(), audit[0].at_ms), (1, "ada", 25));
    assert_eq!(store.reconcile(30).unwrap(), []);
}

/// From the fixture on, everything gets done.
fn go_on(store: &mut SqliteStore) {
    let mut now = 1_000_000;
    store.restart_clock(50, now).unwrap();
    assert_eq!(store.leases().unwrap().len(), 1);
    store.requeue(key("1/2/prove/0/1/0/2"), now).unwrap();
    loop {
        while let Some(lease) = store.lease(&Filter::default(), "v", 10, now).unwrap() {
            assert!(lease.token.0 > 5, "{lease:?}");
            store.complete(lease.job.key(), lease.token, vec![file("out")], vec![], now).unwrap();
        }
        match store.next_deadline_ms().unwrap() {
            Some(due) => now = now.max(due),
            None => break,
        }
    }
    let id = key("1/2/prove/0/1/0/0").batch;
    assert!(store.progress(id).unwrap().is_done());
    assert_eq!(store.batch(id).unwrap().unwrap().done_at_ms, Some(now));
}

/// `INGOT_WRITE_FIXTURE=1` writes the fixture of the present schema, once, when the schema is new.
#[test]
fn a_database_of_every_schema_is_read_and_goes_on() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let newest = fixtures.join(format!("schema-{SCHEMA_VERSION}.db"));
    if std::env::var_os("INGOT_WRITE_FIXTURE").is_some() && !newest.exists() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs.db");
        fill(&mut open(&path).unwrap());
        fs::copy(&path, &newest).unwrap();
    }
    for version in 1..=SCHEMA_VERSION {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs.db");
        fs::copy(fixtures.join(format!("schema-{version}.db")), &path).unwrap();
        let mut store = open(&path).unwrap();
        check_filled(&mut store);
        go_on(&mut store);
        assert_eq!(
            folder.path().join(format!("jobs.db.schema-{version}.backup")).exists(),
            version < SCHEMA_VERSION
        );
    }
}

#[test]
fn settings_are_those_that_survive_a_power_cut() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("jobs.db")).unwrap();
    let text =
        |name: &str| -> String { store.connection.pragma_query_value(None, name, |row| row.get(0)).unwrap() };
    let number =
        |name: &str| -> i64 { store.connection.pragma_query_value(None, name, |row| row.get(0)).unwrap() };
    assert_eq!(text("journal_mode"), "wal");
    assert_eq!((number("synchronous"), number("foreign_keys"), number("mmap_size")), (2, 1, 0));
    let triggers: i64 = store
        .connection
        .query_row("SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(triggers, 0);
}

#[test]
fn one_owner_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let store = open(&path).unwrap();
    let error = open(&path).unwrap_err();
    assert!(matches!(&error, StoreError::InUse { path: named } if *named == path), "{error}");
    assert_eq!(error.retry_class(), RetryClass::Transient);
    drop(store);
    open(&path).unwrap();
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    open(&path).unwrap().connection.pragma_update(None, "user_version", 99).unwrap();
    let before = fs::read(&path).unwrap();
    let error = open(&path).unwrap_err();
    assert!(matches!(error, StoreError::Schema { found: 99, newest: SCHEMA_VERSION, .. }), "{error}");
    assert_eq!(error.retry_class(), RetryClass::Deterministic);
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_damaged_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    fill(&mut open(&path).unwrap());
    let whole = fs::read(&path).unwrap();
    // The header, then the page of the schema, then the rest of the pages in turn.
    let pages = whole.len() / 4096;
    let mut refused = 0;
    for place in std::iter::once(0).chain((0..pages).map(|page| page * 4096 + 100)) {
        fs::write(&path, &whole).unwrap();
        fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .unwrap()
            .write_all_at(&[0xa5; 64], place as u64)
            .unwrap();
        if let Err(error) = open(&path) {
            refused += 1;
            assert!(error.to_string().contains("jobs.db"), "{error}");
            assert_eq!(error.retry_class(), RetryClass::Deterministic, "{error}");
        }
    }
    assert!(refused > 1, "{refused} of {pages}");
    fs::write(&path, b"not a database at all, but a letter to the operator".repeat(100)).unwrap();
    let error = open(&path).unwrap_err();
    assert!(error.to_string().contains("jobs.db") && error.to_string().contains("not a database"), "{error}");
}

#[test]
fn a_full_disk_is_an_error_that_passes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let mut store = open(&path).unwrap();
    let batch = |number: u32| -> Vec<JobSpec> {
        (0..400).map(|n| spec(&format!("1/{number}/prove/0/1/0/{n}"), &[])).collect()
    };
    store.insert(batch(1), 0).unwrap();
    let before = store.batch_jobs(key("1/1/prove/0/1/0/0").batch).unwrap();
    store.limit_pages(1).unwrap(); // SQLite takes no fewer than there are
    let error = store.insert(batch(2), 1).unwrap_err();
    assert!(error.to_string().contains("jobs.db"), "{error}");
    assert_eq!(error.retry_class(), RetryClass::Resource, "{error}");
    // In a group, nothing of it happens, whatever the operations before had said.
    let held = store.group(|store| {
        let lease = store.lease(&Filter::default(), "w", 9, 2).unwrap();
        assert!(lease.is_some());
        store.insert(batch(3), 2).unwrap_err()
    });
    assert!(held.is_err());
    assert_eq!(store.leases().unwrap(), []);
    assert_eq!(store.batch_jobs(before[0].batch()).unwrap(), before);
    assert_eq!(store.batches().unwrap().len(), 1);
    store.limit_pages(1 << 20).unwrap();
    store.insert(batch(2), 3).unwrap();
    assert_eq!(store.batches().unwrap().len(), 2);
    assert_eq!(store.reconcile(4).unwrap(), []);
}

#[test]
fn a_refused_change_leaves_the_rest_of_its_group() {
    let mut store = SqliteStore::in_memory(Backoff::default()).unwrap();
    let too_late = JobSpec { sealed_at_ms: u64::MAX, ..spec("1/1/prove/0/1/0/2", &[]) };
    store
        .group(|store| {
            store.insert(vec![spec("1/1/prove/0/1/0/0", &[])], 0).unwrap();
            // It is refused when half of it is written.
            let error = store.insert(vec![spec("1/1/prove/0/1/0/1", &[]), too_late], 0).unwrap_err();
            assert!(error.refusal().is_some(), "{error}");
            let part: Result<(), StoreError> = store.part(|store| {
                store.insert(vec![spec("1/1/prove/0/1/0/3", &[])], 0)?;
                store.requeue(key("1/1/prove/0/1/0/0"), 0).map(drop)
            });
            assert!(part.is_err());
            store.insert(vec![spec("1/1/prove/0/1/0/4", &[])], 0).unwrap();
        })
        .unwrap();
    let keys: Vec<String> = store
        .batch_jobs(key("1/1/prove/0/1/0/0").batch)
        .unwrap()
        .iter()
        .map(|j| j.key().to_string())
        .collect();
    assert_eq!(keys, ["1/1/prove/0/1/0/0", "1/1/prove/0/1/0/4"]);
}

#[test]
fn a_panic_in_a_group_undoes_it() {
    let mut store = SqliteStore::in_memory(Backoff::default()).unwrap();
    let result = catch_unwind(AssertUnwindSafe(|| {
        store.group(|store| {
            store.insert(vec![spec("1/1/prove/0/1/0/0", &[])], 0).unwrap();
            panic!("planned");
        })
    }));
    assert!(result.is_err());
    assert_eq!(store.batches().unwrap(), []);
    store.insert(vec![spec("1/1/prove/0/1/0/0", &[])], 0).unwrap();
}

/// Completing a job costs the same however many others there are.
#[test]
fn the_size_of_a_batch_does_not_matter_to_one_job() {
    let statements = |jobs: u32| {
        let mut store = SqliteStore::in_memory(Backoff::default()).unwrap();
        store.insert(vec![spec("1/1/witness/0/0/0/0", &[])], 0).unwrap();
        let first = store.lease(&Filter::default(), "w", 9, 0).unwrap().unwrap();
        let created = (0..jobs).map(|n| spec(&format!("1/1/prove/0/1/0/{n}"), &[])).collect();
        store.complete(first.job.key(), first.token, vec![], created, 0).unwrap();
        let before = store.statements();
        let lease = store.lease(&Filter::default(), "w", 9, 0).unwrap().unwrap();
        store.heartbeat(lease.job.key(), lease.token, 10, 0).unwrap();
        store.complete(lease.job.key(), lease.token, vec![file("x")], vec![], 0).unwrap();
        store.statements() - before
    };
    assert_eq!(statements(2), statements(2_000));
}
