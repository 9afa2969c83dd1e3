//! What homes that outlive processes must do beside keeping jobs.

use ingot_types::{JobKind, ProtocolVersion, RetryClass};

use super::{
    jobs::{file, finish, key, lease, spec, A, B, C},
    HomeCase,
};
use crate::{
    AuditEntry, Backoff, BatchRow, DeliveryOutcome, DeliveryState, Filter, Home, JobQuery, JobSpec, JobState,
    Refusal, StateName, StoreError, VersionRow,
};

/// The cases.
pub(super) const CASES: &[HomeCase] = &[
    ("batches_are_listed_until_they_are_archived", batches_are_listed_until_they_are_archived),
    ("files_are_kept_as_long_as_any_batch_names_them", files_are_kept_as_long_as_any_batch_names_them),
    ("a_priority_moves_a_batch_in_the_queue", a_priority_moves_a_batch_in_the_queue),
    ("leases_outlive_the_process_and_waits_are_bounded", leases_outlive_the_process_and_waits_are_bounded),
    ("many_heartbeats_have_an_answer_each", many_heartbeats_have_an_answer_each),
    ("failures_are_remembered_and_few", failures_are_remembered_and_few),
    ("the_audit_is_part_of_the_change", the_audit_is_part_of_the_change),
    ("a_delivery_is_pending_until_it_is_acknowledged", a_delivery_is_pending_until_it_is_acknowledged),
    ("a_delivery_ends_with_its_batch", a_delivery_ends_with_its_batch),
    ("a_rehearsal_stores_nothing", a_rehearsal_stores_nothing),
    ("versions_are_recorded_and_replaced", versions_are_recorded_and_replaced),
    ("jobs_are_found_by_what_they_are", jobs_are_found_by_what_they_are),
    ("parts_stand_or_fall_alone", parts_stand_or_fall_alone),
    ("a_batch_that_is_undone_is_not_done", a_batch_that_is_undone_is_not_done),
];

fn batches_are_listed_until_they_are_archived(store: &mut dyn Home) {
    let a = JobSpec { priority: 4, sealed_at_ms: 9, inputs: vec![file("in")], ..spec(A, &[]) };
    store.insert(vec![a, spec(C, &[A])], 50).unwrap();
    let id = key(A).batch;
    let row = BatchRow {
        batch: id,
        protocol_version: ProtocolVersion { minor: 1, patch: 0 },
        priority: 4,
        sealed_at_ms: 9,
        submitted_at_ms: 50,
        done_at_ms: None,
    };
    assert_eq!(store.batches().unwrap(), std::slice::from_ref(&row));
    finish(store, A, "a");
    let refused = store.archive_batch(id, 60).unwrap_err();
    assert_eq!(refused.refusal(), Some(&Refusal::BatchNotDone(id)));
    let last = store.lease(&Filter::default(), "w", 9, 60).unwrap().unwrap();
    store.complete(key(C), last.token, vec![file("c")], vec![], 70).unwrap();
    let row = BatchRow { done_at_ms: Some(70), ..row };
    assert_eq!(store.batch(id).unwrap(), Some(row.clone()));
    assert_eq!(store.outputs(id).unwrap(), [file("c")]);
    assert_eq!(store.archive_batch(id, 80).unwrap(), [file("a")], "only what is not kept");
    assert_eq!((store.batches().unwrap(), store.batch_jobs(id).unwrap()), (vec![], vec![]));
    let archived = store.archived().unwrap();
    assert_eq!(archived.len(), 1);
    assert_eq!((&archived[0].row, archived[0].archived_at_ms, archived[0].jobs), (&row, 80, 2));
    assert_eq!((&archived[0].inputs[..], &archived[0].outputs[..]), (&[file("in")][..], &[file("c")][..]));
    let refused = store.archive_batch(id, 90).unwrap_err();
    assert_eq!(refused.refusal(), Some(&Refusal::UnknownBatch(id)));
    let mut freed = store.forget_archived(id).unwrap();
    freed.sort();
    assert_eq!(freed, [file("c"), file("in")]);
    assert_eq!(store.archived().unwrap(), []);
    assert!(store.live_artifacts().unwrap().is_empty());
}

fn files_are_kept_as_long_as_any_batch_names_them(store: &mut dyn Home) {
    let shared = |name| JobSpec { inputs: vec![file("shared")], ..spec(name, &[]) };
    let other = "1/2/prove/0/1/0/0";
    store.insert(vec![shared(A), shared(other)], 0).unwrap();
    finish(store, A, "a");
    finish(store, other, "other");
    store.archive_batch(key(A).batch, 1).unwrap();
    store.archive_batch(key(other).batch, 1).unwrap();
    assert_eq!(store.forget_archived(key(A).batch).unwrap(), [file("a")]);
    let mut freed = store.forget_archived(key(other).batch).unwrap();
    freed.sort();
    assert_eq!(freed, [file("other"), file("shared")]);
}

fn a_priority_moves_a_batch_in_the_queue(store: &mut dyn Home) {
    let later = "1/2/prove/0/1/0/0";
    let second = "1/2/prove/0/1/0/1";
    store.insert(vec![spec(A, &[]), spec(later, &[]), spec(second, &[])], 0).unwrap();
    store.set_priority(key(later).batch, 7, 1).unwrap();
    let first = store.lease(&Filter::default(), "w", 9, 1).unwrap().unwrap();
    assert_eq!((first.job.key(), first.job.spec.priority), (key(later), 7));
    assert_eq!(store.batch(key(later).batch).unwrap().map(|row| row.priority), Some(7));
    store.set_priority(key(later).batch, -7, 1).unwrap();
    assert_eq!(store.lease(&Filter::default(), "w", 9, 1).unwrap().unwrap().job.key(), key(A));
    let unknown = key("9/9/prove/0/1/0/0").batch;
    assert_eq!(
        store.set_priority(unknown, 1, 1).unwrap_err().refusal(),
        Some(&Refusal::UnknownBatch(unknown))
    );
}

fn leases_outlive_the_process_and_waits_are_bounded(store: &mut dyn Home) {
    store.insert(vec![spec(A, &[]), spec(B, &[])], 0).unwrap();
    let late = 1_000_000_000;
    let failed = store.lease(&Filter::default(), "w", 9, late).unwrap().unwrap();
    let held = store.lease(&Filter::default(), "v", 9, late).unwrap().unwrap();
    store.fail(failed.job.key(), failed.token, RetryClass::Transient, "busy", late).unwrap();
    // The clock was an age ahead, and has been set right.
    store.restart_clock(30, 500).unwrap();
    assert_eq!(store.leases().unwrap(), [(held.job.key(), held.token, "v".to_owned())]);
    assert_eq!(store.next_deadline_ms().unwrap(), Some(530));
    let JobState::Failed { retry_at_ms } = store.job(&failed.job.key()).unwrap().unwrap().status.state else {
        panic!("{failed:?}");
    };
    assert!(retry_at_ms <= 500 + Backoff::default().cap_ms);
    store.complete(held.job.key(), held.token, vec![], vec![], 520).unwrap();
    store.advance(retry_at_ms).unwrap();
    assert!(store.lease(&Filter::default(), "w", 9, retry_at_ms).unwrap().is_some());
}

fn many_heartbeats_have_an_answer_each(store: &mut dyn Home) {
    store.insert(vec![spec(A, &[]), spec(B, &[]), spec(C, &[A])], 0).unwrap();
    let a = store.lease(&Filter::default(), "w", 9, 0).unwrap().unwrap();
    let b = store.lease(&Filter::default(), "w", 9, 0).unwrap().unwrap();
    store.release(key(B), b.token, 1).unwrap();
    let answers =
        store.heartbeat_many(&[(key(B), b.token), (key(A), a.token), (key(C), a.token)], 100, 5).unwrap();
    assert!(matches!(answers[0], Err(Refusal::StaleToken { held: None, .. })), "{answers:?}");
    assert_eq!(answers[1], Ok(105));
    assert!(matches!(answers[2], Err(Refusal::StaleToken { .. })), "{answers:?}");
    assert_eq!(store.next_deadline_ms().unwrap(), Some(105));
}

fn failures_are_remembered_and_few(store: &mut dyn Home) {
    store.insert(vec![spec(A, &[])], 0).unwrap();
    let mut now = 0;
    for n in 0..50 {
        now += 400_000;
        let lease = store.lease(&Filter::default(), &format!("w{n}"), 9, now).unwrap().unwrap();
        store.fail(key(A), lease.token, RetryClass::Resource, &format!("no memory {n}"), now).unwrap();
    }
    let failures = store.failures(&key(A)).unwrap();
    assert!((5..50).contains(&failures.len()), "{}", failures.len());
    let last = &failures[0];
    assert_eq!((last.at_ms, &last.worker[..], &last.reason[..]), (now, "w49", "no memory 49"));
    assert_eq!(failures[1].worker, "w48");
    assert_eq!(store.failures(&key(B)).unwrap(), []);
    // A lease that ran out is one, too.
    now += 400_000;
    store.lease(&Filter::default(), "gone", 9, now).unwrap().unwrap();
    store.advance(now + 9).unwrap();
    assert_eq!(store.failures(&key(A)).unwrap()[0].worker, "gone");
}

fn the_audit_is_part_of_the_change(store: &mut dyn Home) {
    store.insert(vec![spec(A, &[])], 0).unwrap();
    let batch = key(A).batch;
    let change = |home: &mut dyn Home, target| {
        home.audit(&entry(5, "ada", "set priority", target))?;
        home.set_priority(target_batch(target), 3, 5)
    };
    store.part(&mut |home| change(home, "1/1")).unwrap();
    store.part(&mut |home| change(home, "1/8")).unwrap_err();
    let log = store.audit_log(10).unwrap();
    assert_eq!(log.len(), 1);
    assert_eq!(log[0], entry(5, "ada", "set priority", "1/1"));
    store.audit(&entry(6, "bob", "requeue", A)).unwrap();
    assert_eq!(store.audit_log(1).unwrap()[0].who, "bob", "latest first");
    assert_eq!(store.batch(batch).unwrap().map(|row| row.priority), Some(3));
}

fn a_delivery_is_pending_until_it_is_acknowledged(store: &mut dyn Home) {
    let id = key(A).batch;
    store.expect_delivery(id, "core", 1).unwrap();
    store.expect_delivery(id, "core", 2).unwrap();
    let pending = store.deliveries(Some("core")).unwrap();
    assert_eq!(pending.len(), 1);
    assert_eq!((pending[0].batch, pending[0].attempts, pending[0].changed_at_ms), (id, 0, 1));
    assert_eq!(store.deliveries(Some("other")).unwrap(), []);
    store.delivered(id, &DeliveryOutcome::Failed("no route".into()), 3).unwrap();
    let pending = store.deliveries(Some("core")).unwrap();
    assert_eq!((pending[0].attempts, pending[0].reason.as_deref()), (1, Some("no route")));
    store.delivered(id, &DeliveryOutcome::Acknowledged, 4).unwrap();
    assert_eq!(store.deliveries(Some("core")).unwrap(), []);
    assert_eq!(store.deliveries(None).unwrap()[0].state, DeliveryState::Sent);
    // A late failure of another attempt takes nothing back.
    store.delivered(id, &DeliveryOutcome::Failed("late".into()), 5).unwrap();
    assert_eq!(store.deliveries(None).unwrap()[0].state, DeliveryState::Sent);
    // Who asks again has lost it.
    store.expect_delivery(id, "core", 6).unwrap();
    assert_eq!(store.deliveries(Some("core")).unwrap()[0].attempts, 0);
    store.delivered(id, &DeliveryOutcome::Refused("not mine".into()), 7).unwrap();
    store.expect_delivery(id, "core", 8).unwrap();
    let refused = &store.deliveries(None).unwrap()[0];
    assert_eq!((refused.state, refused.reason.as_deref()), (DeliveryState::Refused, Some("not mine")));
    store.retry_delivery(id, 9).unwrap();
    assert_eq!(store.deliveries(Some("core")).unwrap().len(), 1);
    let unknown = key("1/2/prove/0/1/0/0").batch;
    for refusal in [
        store.retry_delivery(unknown, 9).unwrap_err(),
        store.delivered(unknown, &DeliveryOutcome::Acknowledged, 9).unwrap_err(),
    ] {
        assert_eq!(refusal.refusal(), Some(&Refusal::UnknownBatch(unknown)));
    }
}

fn a_delivery_ends_with_its_batch(store: &mut dyn Home) {
    store.insert(vec![spec(A, &[])], 0).unwrap();
    let id = key(A).batch;
    store.expect_delivery(id, "core", 1).unwrap();
    finish(store, A, "a");
    store.archive_batch(id, 2).unwrap();
    assert_eq!(store.deliveries(Some("core")).unwrap().len(), 1, "the proof is still to be sent");
    store.forget_archived(id).unwrap();
    assert_eq!(store.deliveries(None).unwrap(), []);
    store.insert(vec![spec(A, &[])], 3).unwrap();
    store.expect_delivery(id, "core", 3).unwrap();
    store.remove_batch(id, 4).unwrap();
    assert_eq!(store.deliveries(None).unwrap(), []);
}

fn entry(at_ms: u64, who: &str, action: &str, target: &str) -> AuditEntry {
    AuditEntry {
        at_ms,
        who: who.into(),
        origin: "process 7 of user 8".into(),
        action: action.into(),
        target: target.into(),
        result: "done".into(),
    }
}

/// A rehearsal gives its answer and leaves nothing.
fn a_rehearsal_stores_nothing(store: &mut dyn Home) {
    store.insert(vec![spec(A, &[]), spec(C, &[A])], 0).unwrap();
    let before = (store.batch_jobs(key(A).batch).unwrap(), store.batches().unwrap());
    let mut removed = 0;
    let refused = store.part(&mut |home| {
        home.set_priority(key(A).batch, 9, 1)?;
        home.remove_batch(key(A).batch, 1)?;
        removed = 2 - home.batch_jobs(key(A).batch)?.len();
        home.audit(&entry(1, "ada", "remove", "1/1"))?;
        Err(StoreError::Rehearsed)
    });
    assert!(matches!(refused, Err(StoreError::Rehearsed)), "{refused:?}");
    assert_eq!(removed, 2);
    assert_eq!((store.batch_jobs(key(A).batch).unwrap(), store.batches().unwrap()), before);
    assert_eq!(store.audit_log(10).unwrap(), []);
}

fn versions_are_recorded_and_replaced(store: &mut dyn Home) {
    let version = |patch, keys: &str| VersionRow {
        protocol_version: ProtocolVersion { minor: 1, patch },
        circuit_set: "set".into(),
        parameter_set: "strong".into(),
        key_manifest: keys.into(),
        recorded_at_ms: 5,
        who: "ada".into(),
    };
    assert_eq!(store.versions().unwrap(), []);
    store.record_version(&version(3, "aa")).unwrap();
    store.record_version(&version(2, "bb")).unwrap();
    assert_eq!(store.versions().unwrap(), [version(2, "bb"), version(3, "aa")]);
    store.record_version(&version(3, "cc")).unwrap();
    assert_eq!(store.versions().unwrap(), [version(2, "bb"), version(3, "cc")]);
}

fn jobs_are_found_by_what_they_are(store: &mut dyn Home) {
    let other = "1/2/prove/0/1/0/0";
    let witness = "1/1/witness/1/1/0/0";
    store.insert(vec![spec(A, &[]), spec(B, &[]), spec(witness, &[A]), spec(other, &[])], 0).unwrap();
    finish(store, A, "a");
    let find = |query| -> Vec<String> {
        store.find_jobs(&query).unwrap().iter().map(|job| job.key().to_string()).collect()
    };
    let any = JobQuery { limit: 10, ..JobQuery::default() };
    assert_eq!(find(any), [witness, A, B, other]);
    assert_eq!(find(JobQuery { limit: 1, ..any }), [witness]);
    assert_eq!(find(JobQuery { batch: Some(key(other).batch), ..any }), [other]);
    assert_eq!(find(JobQuery { batch: Some(key("1/3/prove/0/1/0/0").batch), ..any }), [""; 0]);
    assert_eq!(find(JobQuery { chain: Some(key(other).batch.chain), ..any }).len(), 4);
    assert_eq!(find(JobQuery { chain: Some(ingot_types::ChainId(2)), ..any }), [""; 0]);
    assert_eq!(find(JobQuery { state: Some(StateName::Done), ..any }), [A]);
    assert_eq!(find(JobQuery { kind: Some(JobKind::Witness), ..any }), [witness]);
    assert_eq!(find(JobQuery { round: Some(key(witness).round), ..any }), [witness]);
    let two = JobQuery { batch: Some(key(A).batch), circuit_id: Some(key(B).circuit_id), ..any };
    assert!(find(two).contains(&B.to_owned()));
    assert_eq!(find(JobQuery { circuit_id: Some(ingot_types::CircuitId(99)), ..any }), [""; 0]);
}

fn target_batch(target: &str) -> ingot_types::BatchId {
    key(&format!("{target}/prove/0/1/0/0")).batch
}

fn parts_stand_or_fall_alone(store: &mut dyn Home) {
    store
        .group(&mut |home| {
            home.insert(vec![spec(A, &[])], 0).unwrap();
            let refused = home.part(&mut |home| {
                // The lease of a part that falls was never given out.
                home.lease(&Filter::default(), "w", 9, 0)?;
                home.requeue(key(B), 0).map(drop)
            });
            assert_eq!(refused.unwrap_err().refusal(), Some(&Refusal::UnknownJob(key(B))));
            home.part(&mut |home| home.insert(vec![spec(C, &[A])], 0).map(drop)).unwrap();
        })
        .unwrap();
    assert_eq!(store.leases().unwrap(), []);
    assert_eq!(store.batch_jobs(key(A).batch).unwrap().len(), 2);
    assert_eq!(lease(store, A).job.key(), key(A));
}

fn a_batch_that_is_undone_is_not_done(store: &mut dyn Home) {
    store.insert(vec![spec(A, &[]), spec(C, &[A])], 0).unwrap();
    finish(store, A, "a");
    finish(store, C, "c");
    let id = key(A).batch;
    assert_eq!(store.batch(id).unwrap().unwrap().done_at_ms, Some(0));
    store.reset(key(A), None, 5).unwrap();
    assert_eq!(store.batch(id).unwrap().unwrap().done_at_ms, None);
    let again = store.lease(&Filter::default(), "w", 9, 6).unwrap().unwrap();
    store.fail(key(A), again.token, RetryClass::Deterministic, "wrong", 6).unwrap();
    assert_eq!(store.batch(id).unwrap().unwrap().done_at_ms, None);
    assert_eq!(store.first_quarantined(id).unwrap(), Some((key(A), "wrong".into())));
    store.requeue(key(A), 7).unwrap();
    let again = store.lease(&Filter::default(), "w", 9, 7).unwrap().unwrap();
    store.complete(key(A), again.token, vec![file("a")], vec![], 8).unwrap();
    assert_eq!(store.batch(id).unwrap().unwrap().done_at_ms, Some(8));
}
