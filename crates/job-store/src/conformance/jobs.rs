//! What every home must do with jobs, case by case.

use ingot_types::{AggregationRound, CircuitId, CircuitKey, JobKey, JobKind, ProtocolVersion, RetryClass};

use super::JobStoreCase;
use crate::{
    ArtifactName, CountKey, Effect, Effects, Filter, JobSpec, JobState, JobStore, Lease, Refusal, StateName,
    StoreError,
};

/// The cases.
pub(super) const CASES: &[JobStoreCase] = &[
    ("a_completion_readies_what_waited_for_it_alone", a_completion_readies_what_waited_for_it_alone),
    ("tokens_grow_and_stale_ones_are_refused", tokens_grow_and_stale_ones_are_refused),
    ("a_refused_completion_changes_nothing", a_refused_completion_changes_nothing),
    ("created_jobs_depend_on_their_creator", created_jobs_depend_on_their_creator),
    (
        "a_creator_that_runs_again_finds_its_jobs_and_renews_their_inputs",
        a_creator_that_runs_again_finds_its_jobs_and_renews_their_inputs,
    ),
    ("a_reset_reaches_only_what_is_not_done", a_reset_reaches_only_what_is_not_done),
    ("resets_need_a_valid_reporter", resets_need_a_valid_reporter),
    (
        "inserting_again_changes_nothing_and_other_content_is_refused",
        inserting_again_changes_nothing_and_other_content_is_refused,
    ),
    ("time_expires_leases_and_ends_waits", time_expires_leases_and_ends_waits),
    (
        "a_lease_takes_over_what_ran_out_and_nobody_misses_it",
        a_lease_takes_over_what_ran_out_and_nobody_misses_it,
    ),
    (
        "resource_failures_wait_longer_each_time_and_burn_nothing",
        resource_failures_wait_longer_each_time_and_burn_nothing,
    ),
    ("quarantine_stops_a_batch_and_a_requeue_revives_it", quarantine_stops_a_batch_and_a_requeue_revives_it),
    (
        "a_removed_batch_is_gone_with_its_leases_and_can_come_again",
        a_removed_batch_is_gone_with_its_leases_and_can_come_again,
    ),
    ("queries_say_what_is_there", queries_say_what_is_there),
];

pub(super) fn key(text: &str) -> JobKey {
    text.parse().unwrap()
}

pub(super) fn spec(name: &str, depends_on: &[&str]) -> JobSpec {
    JobSpec {
        key: key(name),
        protocol_version: ProtocolVersion { minor: 1, patch: 0 },
        priority: 0,
        sealed_at_ms: 0,
        max_attempts: 3,
        group: None,
        zone: None,
        depends_on: depends_on.iter().map(|d| key(d)).collect(),
        inputs: vec![],
    }
}

pub(super) fn file(hash: &str) -> ArtifactName {
    ArtifactName { role: "proof".into(), hash: hash.into(), size_bytes: 1 }
}

pub(super) const W: &str = "1/1/witness/0/0/0/0";
pub(super) const A: &str = "1/1/prove/0/1/0/0";
pub(super) const B: &str = "1/1/prove/0/1/0/1";
pub(super) const C: &str = "1/1/prove/1/1/0/0";
pub(super) const D: &str = "1/1/prove/2/1/0/0";

fn insert(store: &mut dyn JobStore, specs: Vec<JobSpec>) {
    store.insert(specs, 0).unwrap();
}

fn state(store: &dyn JobStore, name: &str) -> JobState {
    store.job(&key(name)).unwrap().unwrap().status.state
}

pub(super) fn lease(store: &mut dyn JobStore, name: &str) -> Lease {
    let circuits = [CircuitKey { round: key(name).round, circuit_id: key(name).circuit_id }].into();
    let filter = Filter { circuits: Some(circuits), ..Filter::default() };
    let lease = store.lease(&filter, "w", 1_000, 0).unwrap().unwrap();
    assert_eq!(lease.job.key(), key(name));
    lease
}

pub(super) fn finish(store: &mut dyn JobStore, name: &str, hash: &str) -> Effects {
    let lease = lease(store, name);
    store.complete(key(name), lease.token, vec![file(hash)], vec![], 0).unwrap()
}

fn refusal<T: std::fmt::Debug>(result: Result<T, StoreError>) -> Refusal {
    result.unwrap_err().refusal().unwrap().clone()
}

fn a_completion_readies_what_waited_for_it_alone(store: &mut dyn JobStore) {
    insert(store, vec![spec(C, &[B, A]), spec(A, &[]), spec(B, &[]), spec(D, &[C])]);
    assert_eq!(state(store, C), JobState::Waiting { missing: 2 });
    assert_eq!(finish(store, A, "a"), [(key(A), Effect::Done)]);
    assert_eq!(state(store, C), JobState::Waiting { missing: 1 });
    assert_eq!(finish(store, B, "b"), [(key(B), Effect::Done), (key(C), Effect::Ready)]);
    assert_eq!(state(store, D), JobState::Waiting { missing: 1 });
    let lease = lease(store, C);
    let made: Vec<_> = lease.upstream.iter().map(|u| (u.key, u.outputs.clone())).collect();
    assert_eq!(made, [(key(B), vec![file("b")]), (key(A), vec![file("a")])], "in the order named");
}

fn tokens_grow_and_stale_ones_are_refused(store: &mut dyn JobStore) {
    insert(store, vec![spec(A, &[]), spec(B, &[])]);
    let first = lease(store, A);
    store.release(key(A), first.token, 0).unwrap();
    let second = lease(store, A);
    let third = store.hand_over(key(A), second.token, "prover", 500, 100).unwrap();
    assert!(first.token < second.token && second.token < third.token);
    assert_eq!(third.expires_at_ms, 600);
    assert!(matches!(
        refusal(store.complete(key(A), second.token, vec![], vec![], 100)),
        Refusal::StaleToken { held: Some(held), .. } if held == third.token
    ));
    assert!(matches!(refusal(store.heartbeat(key(A), first.token, 1, 1)), Refusal::StaleToken { .. }));
    assert_eq!(store.heartbeat(key(A), third.token, 1_000, 200).unwrap(), 1_200);
    store.complete(key(A), third.token, vec![], vec![], 300).unwrap();
    assert!(matches!(
        refusal(store.complete(key(A), third.token, vec![], vec![], 300)),
        Refusal::AlreadyDone { .. }
    ));
}

fn a_refused_completion_changes_nothing(store: &mut dyn JobStore) {
    insert(store, vec![spec(W, &[])]);
    let lease = lease(store, W);
    let before = store.batch_jobs(key(W).batch).unwrap();
    for (new_jobs, reason) in [
        (vec![spec(A, &[B])], "does not exist"),
        (vec![spec(A, &["1/2/prove/0/1/0/0"])], "of another batch"),
        (vec![spec(C, &[A, A]), spec(A, &[])], "twice"),
        (vec![spec(A, &[]), spec(A, &[])], "in the request twice"),
        (vec![spec(A, &[A])], "itself"),
        (vec![spec(B, &[]), spec(A, &[D, B]), spec(C, &[A]), spec(D, &[C])], "itself"),
        (vec![JobSpec { max_attempts: 0, ..spec(A, &[]) }], "no attempt"),
    ] {
        let result = store.complete(key(W), lease.token, vec![], new_jobs, 0);
        let text = refusal(result).to_string();
        assert!(text.contains(reason), "{text}");
        assert_eq!(store.batch_jobs(key(W).batch).unwrap(), before);
    }
    store.complete(key(W), lease.token, vec![], vec![spec(A, &[])], 0).unwrap();
}

fn created_jobs_depend_on_their_creator(store: &mut dyn JobStore) {
    insert(store, vec![spec(W, &[])]);
    let lease = lease(store, W);
    let a = JobSpec { inputs: vec![file("c")], ..spec(A, &[]) };
    let effects = store.complete(key(W), lease.token, vec![file("q")], vec![a, spec(C, &[A])], 0).unwrap();
    assert_eq!(effects, [(key(W), Effect::Done), (key(A), Effect::Ready)]);
    let created = store.job(&key(C)).unwrap().unwrap();
    assert_eq!(created.spec.depends_on, [key(A), key(W)]);
    assert_eq!(created.created_by, Some(key(W)));
    assert_eq!(created.status.state, JobState::Waiting { missing: 1 });
}

fn a_creator_that_runs_again_finds_its_jobs_and_renews_their_inputs(store: &mut dyn JobStore) {
    insert(store, vec![spec(W, &[])]);
    let new_jobs = |hash| [A, B].map(|name| JobSpec { inputs: vec![file(hash)], ..spec(name, &[]) }).to_vec();
    let first = lease(store, W);
    store.complete(key(W), first.token, vec![], new_jobs("old"), 0).unwrap();
    finish(store, A, "proof");
    let reporter = lease(store, B);

    let effects = store.reset(key(W), Some((key(B), reporter.token)), 5).unwrap();
    let lost = Effect::LeaseLost { token: reporter.token, worker: "w".into() };
    let expected = [(key(W), Effect::Undone), (key(W), Effect::Ready), (key(B), lost)];
    assert_eq!(effects, expected);
    assert_eq!(state(store, B), JobState::Waiting { missing: 1 });
    assert!(state(store, A).is_done(), "what is done stays done");

    let again = lease(store, W);
    store.complete(key(W), again.token, vec![], new_jobs("new"), 0).unwrap();
    let inputs = |name| store.job(&key(name)).unwrap().unwrap().spec.inputs.clone();
    assert_eq!(inputs(A), [file("old")]);
    assert_eq!(inputs(B), [file("new")]);
    assert_eq!(state(store, B), JobState::Queued);
    assert_eq!(store.batch_jobs(key(W).batch).unwrap().len(), 3);
    assert_eq!(store.reconcile(0).unwrap(), []);
}

fn a_reset_reaches_only_what_is_not_done(store: &mut dyn JobStore) {
    insert(store, vec![spec(A, &[]), spec(B, &[]), spec(C, &[A, B]), spec(D, &[C])]);
    for name in [A, B, C] {
        finish(store, name, "x");
    }
    store.reset(key(A), None, 0).unwrap();
    assert_eq!(state(store, A), JobState::Queued);
    assert!(state(store, C).is_done());
    assert_eq!(state(store, D), JobState::Queued);
    // A job whose own dependency runs again waits for it.
    store.reset(key(C), None, 0).unwrap();
    assert_eq!(state(store, C), JobState::Waiting { missing: 1 });
    assert_eq!(state(store, D), JobState::Waiting { missing: 1 });
    assert_eq!(store.reconcile(0).unwrap(), []);
    for name in [A, C, D] {
        finish(store, name, "y");
    }
    assert!(store.progress(key(A).batch).unwrap().is_done());
}

fn resets_need_a_valid_reporter(store: &mut dyn JobStore) {
    insert(store, vec![spec(A, &[]), spec(B, &[]), spec(C, &[A])]);
    finish(store, A, "a");
    let stranger = lease(store, B);
    assert!(matches!(
        refusal(store.reset(key(A), Some((key(B), stranger.token)), 0)),
        Refusal::NotADependency { .. }
    ));
    let reporter = lease(store, C);
    store.reset(key(A), Some((key(C), reporter.token)), 0).unwrap();
    finish(store, A, "a");
    // The lease was lost with the first report: a repeated one must not undo the new output.
    assert!(matches!(
        refusal(store.reset(key(A), Some((key(C), reporter.token)), 0)),
        Refusal::StaleToken { .. }
    ));
    assert!(state(store, A).is_done());
}

fn inserting_again_changes_nothing_and_other_content_is_refused(store: &mut dyn JobStore) {
    let a = JobSpec { inputs: vec![file("x")], ..spec(A, &[]) };
    insert(store, vec![a.clone(), spec(B, &[])]);
    finish(store, A, "a");
    let before = store.batch_jobs(key(A).batch).unwrap();
    assert_eq!(store.insert(vec![a.clone(), spec(B, &[])], 9).unwrap(), []);
    assert_eq!(store.batch_jobs(key(A).batch).unwrap(), before);
    let version = ProtocolVersion { minor: 2, patch: 0 };
    for (other, what) in [
        (JobSpec { protocol_version: version, ..a.clone() }, "protocol version"),
        (JobSpec { inputs: vec![file("y")], ..a.clone() }, "list of inputs"),
        (JobSpec { depends_on: vec![key(B)], ..a.clone() }, "list of dependencies"),
    ] {
        assert_eq!(refusal(store.insert(vec![other], 9)), Refusal::Conflict { key: key(A), what });
    }
}

fn time_expires_leases_and_ends_waits(store: &mut dyn JobStore) {
    insert(store, vec![spec(A, &[]), spec(B, &[])]);
    let a = lease(store, A);
    let b = lease(store, B);
    store.fail(key(B), b.token, RetryClass::Transient, "busy", 100).unwrap();
    let JobState::Failed { retry_at_ms } = state(store, B) else { panic!() };
    assert!((600..=1_100).contains(&retry_at_ms));
    assert_eq!(store.next_deadline_ms().unwrap(), Some(retry_at_ms.min(1_000)));
    assert_eq!(store.advance(599).unwrap(), []);
    let effects = store.advance(1_100).unwrap();
    assert_eq!(effects.iter().filter(|(_, e)| *e == Effect::Ready).count(), 2);
    assert_eq!(store.next_deadline_ms().unwrap(), None);
    assert_eq!(store.job(&key(A)).unwrap().unwrap().status.attempts, 1);
    assert!(matches!(
        refusal(store.complete(key(A), a.token, vec![], vec![], 1_200)),
        Refusal::StaleToken { held: None, .. }
    ));
}

fn a_lease_takes_over_what_ran_out_and_nobody_misses_it(store: &mut dyn JobStore) {
    insert(store, vec![spec(A, &[])]);
    let first = lease(store, A);
    assert!(store.lease(&Filter::default(), "v", 1_000, 999).unwrap().is_none());
    let second = store.lease(&Filter::default(), "v", 1_000, 1_000).unwrap().unwrap();
    assert!(second.job.key() == key(A) && second.token > first.token);
    let lost = Effect::LeaseLost { token: first.token, worker: "w".into() };
    assert_eq!(store.advance(1_000).unwrap(), [(key(A), lost), (key(A), Effect::Ready)]);
    assert_eq!(store.advance(1_000).unwrap(), []);
}

fn resource_failures_wait_longer_each_time_and_burn_nothing(store: &mut dyn JobStore) {
    insert(store, vec![spec(A, &[])]);
    let (mut now, mut waits) = (0, vec![]);
    for _ in 0..12 {
        let lease = store.lease(&Filter::default(), "w", 1_000, now).unwrap().unwrap();
        store.fail(key(A), lease.token, RetryClass::Resource, "no memory", now).unwrap();
        let due = store.next_deadline_ms().unwrap().unwrap();
        waits.push(due - now);
        now = due;
        store.advance(now).unwrap();
    }
    let status = store.job(&key(A)).unwrap().unwrap().status;
    assert_eq!((status.attempts, status.deferrals), (0, 12));
    assert!(waits[0] <= 1_000 && waits[4] >= 8_000 && waits.iter().all(|w| *w <= 300_000), "{waits:?}");
}

fn quarantine_stops_a_batch_and_a_requeue_revives_it(store: &mut dyn JobStore) {
    insert(store, vec![spec(A, &[]), spec(C, &[A])]);
    let a = lease(store, A);
    let effects = store.fail(key(A), a.token, RetryClass::Deterministic, "unsatisfied", 0).unwrap();
    assert_eq!(effects, [(key(A), Effect::Quarantined)]);
    let progress = store.progress(key(A).batch).unwrap();
    assert!(progress.is_stuck() && !progress.is_done());
    assert_eq!(store.requeue(key(A), 0).unwrap(), [(key(A), Effect::Ready)]);
    finish(store, A, "a");
    finish(store, C, "c");
    assert!(store.progress(key(A).batch).unwrap().is_done());
}

fn a_removed_batch_is_gone_with_its_leases_and_can_come_again(store: &mut dyn JobStore) {
    insert(store, vec![spec(A, &[]), spec(C, &[A]), spec("1/2/prove/0/1/0/0", &[])]);
    let leased = lease(store, A);
    let effects = store.remove_batch(key(A).batch, 0).unwrap();
    assert_eq!(effects, [(key(A), Effect::LeaseLost { token: leased.token, worker: "w".into() })]);
    assert_eq!(refusal(store.complete(key(A), leased.token, vec![], vec![], 0)), Refusal::UnknownJob(key(A)));
    assert_eq!(store.next_deadline_ms().unwrap(), None);
    assert_eq!(store.batch_jobs(key(A).batch).unwrap(), []);
    assert!(lease(store, "1/2/prove/0/1/0/0").token > leased.token);
    store.insert(vec![spec(A, &[]), spec(C, &[A])], 0).unwrap();
    assert_eq!(finish(store, A, "a"), [(key(A), Effect::Done), (key(C), Effect::Ready)]);
}

fn queries_say_what_is_there(store: &mut dyn JobStore) {
    let a = JobSpec { inputs: vec![file("in")], ..spec(A, &[]) };
    insert(store, vec![a, spec(B, &[]), spec(C, &[A])]);
    finish(store, A, "out");
    let hashes: Vec<_> = store.live_artifacts().unwrap().into_iter().map(|f| f.hash).collect();
    assert_eq!(hashes, ["in", "out"]);
    let counts = store.counts(Some(key(A).batch)).unwrap();
    let count = |state| {
        let round = AggregationRound::Basic;
        counts.get(&CountKey { kind: JobKind::Prove, round, circuit_id: CircuitId(1), state }).copied()
    };
    assert_eq!(
        (count(StateName::Done), count(StateName::Queued), count(StateName::Waiting)),
        (Some(1), Some(1), None)
    );
    assert_eq!(store.counts(None).unwrap().values().sum::<u64>(), 3);
}
