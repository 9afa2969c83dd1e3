//! What people change by hand: each change with its entry in the audit, or nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use ingot_house_keeper::{
    client::{Client, ClientError, Link, Stop},
    protocol::{
        Answer, Change, Changed, Component, OperatorAnswer, OperatorRequest, Request, Served, Submission,
        Target, VersionInfo,
    },
    HouseKeeper,
};
use ingot_job_store::{AuditEntry, DeliveryOutcome, DeliveryState, Job, JobQuery, StateName};
use ingot_types::{JobKind, RetryClass};
use support::*;

fn ask(client: &Client, request: OperatorRequest) -> Result<OperatorAnswer, ClientError> {
    match client.call_within(Request::Operator(request), LONG)? {
        Answer::Operator(answer) => Ok(answer),
        other => panic!("{other:?}"),
    }
}

fn change(client: &Client, change: Change) -> Result<Changed, ClientError> {
    ask(client, OperatorRequest::Change { change, dry_run: false }).map(changed)
}

fn rehearse(client: &Client, change: Change) -> Result<Changed, ClientError> {
    ask(client, OperatorRequest::Change { change, dry_run: true }).map(changed)
}

fn changed(answer: OperatorAnswer) -> Changed {
    let OperatorAnswer::Changed(changed) = answer else { panic!("{answer:?}") };
    changed
}

fn audit(client: &Client) -> Vec<AuditEntry> {
    let OperatorAnswer::Audit(entries) = ask(client, OperatorRequest::Audit { limit: 100 }).unwrap() else {
        panic!()
    };
    entries
}

fn jobs(client: &Client, n: u32) -> Vec<Job> {
    let query = JobQuery { batch: Some(batch(n)), limit: 100, ..JobQuery::default() };
    let OperatorAnswer::Jobs(jobs) = ask(client, OperatorRequest::FindJobs(query)).unwrap() else { panic!() };
    jobs
}

fn states(client: &Client, n: u32) -> Vec<StateName> {
    jobs(client, n).iter().map(|job| job.status.state.name()).collect()
}

fn versions(client: &Client) -> Vec<VersionInfo> {
    let OperatorAnswer::Versions(versions) = ask(client, OperatorRequest::Versions).unwrap() else {
        panic!()
    };
    versions
}

/// What would change if `change` were made: nothing does, and then it is.
fn rehearsed_then_made(client: &Client, n: u32, wanted: Change) -> Changed {
    let before = (jobs(client, n), audit(client));
    let planned = rehearse(client, wanted.clone()).unwrap();
    assert_eq!((jobs(client, n), audit(client)), before, "a rehearsal changes nothing");
    let made = change(client, wanted.clone()).unwrap();
    assert_eq!(planned, made);
    let after = audit(client);
    assert_eq!(after.len(), before.1.len() + 1);
    assert_eq!(after[0].action, wanted.action());
    assert_eq!((&after[0].target, &after[0].result), (&wanted.target(), &made.result));
    assert_eq!(after[0].who, "operator");
    assert!(after[0].origin.contains("of user"), "{:?}", after[0]);
    made
}

fn refused(client: &Client, wanted: Change) -> String {
    let before = audit(client).len();
    let rehearsed = rehearse(client, wanted.clone()).unwrap_err().to_string();
    assert_eq!(audit(client).len(), before);
    let reason = change(client, wanted).unwrap_err().to_string();
    assert_eq!(rehearsed, reason);
    let entries = audit(client);
    assert_eq!(entries.len(), before + 1);
    assert_eq!(entries[0].result, format!("refused: {reason}"));
    reason
}

#[test]
fn every_change_is_rehearsed_made_and_noted() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = HouseKeeper::start(&config(folder.path())).unwrap();
    let operator = operator(folder.path());
    let worker = client(unix(folder.path()), None, registration(Component::WitnessGenerator, "generator"));
    submit(&operator, 1);

    // A job in somebody's hands stays there.
    let lease = worker.lease_within(kinds(JobKind::Witness), LONG, &Stop::new()).unwrap().unwrap();
    let key = lease.key();
    let reason = refused(&operator, Change::Requeue { target: Target::Job(key) });
    assert!(reason.contains("is leased: expected failed or quarantined"), "{reason}");
    let reason = refused(&operator, Change::Restart { target: Target::Job(key), force: false });
    assert!(reason.contains("is leased: expected done"), "{reason}");
    for wanted in [
        Change::Delete { batch: batch(1), force: false },
        Change::Restart { target: Target::Batch(batch(1)), force: false },
    ] {
        let reason = refused(&operator, wanted);
        assert!(reason.contains("is leased by generator right now"), "{reason}");
    }

    // What failed for good is tried again, as a job and as a batch.
    lease.fail(RetryClass::Deterministic, "wrong").unwrap();
    assert_eq!(states(&operator, 1), [StateName::Quarantined]);
    let made = rehearsed_then_made(&operator, 1, Change::Requeue { target: Target::Batch(batch(1)) });
    assert_eq!((made.jobs, made.result.as_str()), (vec![key], "1 job has all its attempts again"));
    assert_eq!(states(&operator, 1), [StateName::Queued]);
    let made = rehearsed_then_made(&operator, 1, Change::Requeue { target: Target::Batch(batch(1)) });
    assert!(made.jobs.is_empty() && made.result.contains("no job"), "{made:?}");

    let made = rehearsed_then_made(&operator, 1, Change::SetPriority { batch: batch(1), priority: 9 });
    assert_eq!(made.result, "priority 9, was 0");

    // A done job runs again; a batch begins anew, with the priority it has now.
    let lease = worker.lease_within(kinds(JobKind::Witness), LONG, &Stop::new()).unwrap().unwrap();
    lease.complete(vec![file("made", "m")], prove_jobs(1, 3)).unwrap();
    assert_eq!(jobs(&operator, 1).len(), 4);
    rehearsed_then_made(&operator, 1, Change::Restart { target: Target::Job(key), force: false });
    assert_eq!(states(&operator, 1)[0], StateName::Queued);
    let made =
        rehearsed_then_made(&operator, 1, Change::Restart { target: Target::Batch(batch(1)), force: false });
    assert_eq!((made.jobs, made.result.as_str()), (vec![key], "4 jobs forgotten, it begins anew"));
    let left = jobs(&operator, 1);
    assert_eq!((left.len(), left[0].spec.priority), (1, 9));

    // Forced, a lease ends and its holder is told.
    let lease = worker.lease_within(kinds(JobKind::Witness), LONG, &Stop::new()).unwrap().unwrap();
    let made = rehearsed_then_made(&operator, 1, Change::Delete { batch: batch(1), force: true });
    assert_eq!(made.leases_lost, [(key, "generator".to_owned())]);
    assert!(jobs(&operator, 1).is_empty());
    assert!(lease.complete(vec![], vec![]).is_err());

    // A batch by hand, as if it had come in.
    let made = rehearsed_then_made(&operator, 2, Change::InsertBatch(submission(2)));
    assert!(made.result.starts_with("accepted"), "{made:?}");
    let made = rehearsed_then_made(&operator, 2, Change::InsertBatch(submission(2)));
    assert_eq!(made.result, "it is there already");

    let drain = |draining| Change::Drain { worker: "generator".into(), draining };
    assert_eq!(rehearsed_then_made(&operator, 2, drain(true)).result, "it takes no new work");
    assert!(worker
        .lease_within(kinds(JobKind::Witness), std::time::Duration::ZERO, &Stop::new())
        .unwrap()
        .is_none());
    assert_eq!(rehearsed_then_made(&operator, 2, drain(false)).result, "it takes work again");
    worker.lease_within(kinds(JobKind::Witness), LONG, &Stop::new()).unwrap().unwrap();
    keeper.stop();
}

/// Whoever waits for a proof goes on waiting when its batch begins anew.
#[test]
fn a_delivery_outlives_a_restart_and_is_begun_anew_on_record() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = HouseKeeper::start(&config(folder.path())).unwrap();
    let operator = operator(folder.path());
    let wanted = Submission { deliver_to: Some("core".into()), ..submission(1) };
    assert_eq!(rehearse(&operator, Change::InsertBatch(wanted.clone())).unwrap().leases_lost, []);
    let deliveries = || {
        let Answer::Deliveries(found) = operator.call_within(Request::Deliveries, LONG).unwrap() else {
            panic!()
        };
        found
    };
    assert_eq!(deliveries(), []);
    rehearsed_then_made(&operator, 1, Change::InsertBatch(wanted));
    rehearsed_then_made(&operator, 1, Change::Restart { target: Target::Batch(batch(1)), force: false });
    let found = deliveries();
    assert_eq!((found.len(), found[0].destination.as_str()), (1, "core"));
    let refused_by_core =
        Request::Delivered { batch: batch(1), outcome: DeliveryOutcome::Refused("not mine".into()) };
    operator.call_within(refused_by_core, LONG).unwrap();
    rehearsed_then_made(&operator, 1, Change::RetryDelivery { batch: batch(1) });
    assert_eq!(deliveries()[0].state, DeliveryState::Pending);
    refused(&operator, Change::RetryDelivery { batch: batch(9) });
    rehearsed_then_made(&operator, 1, Change::Delete { batch: batch(1), force: false });
    assert_eq!(deliveries(), []);
    keeper.stop();
}

#[test]
fn what_is_not_there_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = HouseKeeper::start(&config(folder.path())).unwrap();
    let operator = operator(folder.path());
    let job = "1/5/prove/0/1/0/0".parse().unwrap();
    let bad = Submission { witness_inputs: file("proof", "x"), ..submission(7) };
    for (wanted, text) in [
        (Change::Requeue { target: Target::Batch(batch(5)) }, "there is no batch 1/5"),
        (Change::Requeue { target: Target::Job(job) }, "there is no job 1/5/prove/0/1/0/0"),
        (Change::Restart { target: Target::Batch(batch(5)), force: true }, "there is no batch 1/5"),
        (Change::Restart { target: Target::Job(job), force: true }, "there is no job 1/5/prove/0/1/0/0"),
        (Change::Delete { batch: batch(5), force: true }, "there is no batch 1/5"),
        (Change::SetPriority { batch: batch(5), priority: 1 }, "there is no batch 1/5"),
        (Change::Drain { worker: "nobody".into(), draining: true }, "there is no worker named nobody"),
        (Change::InsertBatch(bad), "has the role proof"),
    ] {
        let reason = refused(&operator, wanted);
        assert!(reason.contains(text), "{reason}");
    }
    keeper.stop();
}

#[test]
fn recorded_keys_bind_every_worker_and_survive_the_house_keeper() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = HouseKeeper::start(&config(folder.path())).unwrap();
    let operator = operator(folder.path());
    let other = Served { key_manifest: "other".into(), ..served() };
    let insert = |served: Served, replace| Change::InsertVersion { served, replace };
    assert_eq!(versions(&operator), []);
    let made = change(&operator, insert(other.clone(), false)).unwrap();
    assert_eq!(made.result, "recorded with key manifest other");
    assert!(change(&operator, insert(other.clone(), false)).unwrap().result.contains("already"));

    let join = |name: &str| {
        let worker = client(unix(folder.path()), None, registration(Component::CircuitProver, name));
        let link = worker.wait_connected(LONG, &Stop::new());
        (worker, link)
    };
    let (worker, link) = join("stranger");
    let Link::Refused { why } = link else { panic!("{link:?}") };
    for text in ["worker stranger", "key manifest other", "operator recorded it", "found test"] {
        assert!(why.contains(text), "{why}");
    }
    drop(worker);
    keeper.stop();

    // After a restart it is still so; and it can be put right.
    let keeper = HouseKeeper::start(&config(folder.path())).unwrap();
    let (worker, link) = join("stranger");
    assert!(matches!(link, Link::Refused { .. }), "{link:?}");
    drop(worker);
    let reason = refused(&operator, insert(served(), false));
    assert!(reason.contains("is recorded with key manifest other"), "{reason}");
    let made = change(&operator, insert(served(), true)).unwrap();
    assert_eq!(made.result, "recorded with key manifest test in place of other");
    let (worker, link) = join("prover");
    assert_eq!(link, Link::Connected);
    let there = versions(&operator);
    assert_eq!(
        (there.len(), &there[0].served, &there[0].workers[..]),
        (1, &served(), &["prover".to_owned()][..])
    );

    // Those who are there keep what they have.
    let reason = refused(&operator, insert(other, true));
    assert!(reason.contains("worker prover is connected with key manifest test"), "{reason}");
    let reason = refused(&operator, insert(Served { key_manifest: "two words".into(), ..served() }, true));
    assert!(reason.contains("names no circuits or keys"), "{reason}");
    drop(worker);
    keeper.stop();
}

#[test]
fn jobs_are_found_by_state_kind_and_circuit() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = HouseKeeper::start(&config(folder.path())).unwrap();
    let operator = operator(folder.path());
    let worker = client(unix(folder.path()), None, registration(Component::WitnessGenerator, "generator"));
    submit(&operator, 1);
    submit(&operator, 2);
    let lease = worker.lease_within(kinds(JobKind::Witness), LONG, &Stop::new()).unwrap().unwrap();
    let n = lease.key().batch.batch.0;
    lease.complete(vec![], prove_jobs(n, 3)).unwrap();
    let count = |query| {
        let OperatorAnswer::Jobs(jobs) = ask(&operator, OperatorRequest::FindJobs(query)).unwrap() else {
            panic!()
        };
        jobs.len()
    };
    let any = JobQuery { limit: u32::MAX, ..JobQuery::default() };
    assert_eq!(count(any), 5);
    assert_eq!(count(JobQuery { state: Some(StateName::Done), ..any }), 1);
    assert_eq!(count(JobQuery { kind: Some(JobKind::Prove), ..any }), 3);
    assert_eq!(count(JobQuery { batch: Some(batch(3 - n)), ..any }), 1);
    assert_eq!(count(JobQuery { limit: 2, ..any }), 2);
    keeper.stop();
}
