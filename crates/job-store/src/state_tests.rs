//! Every state against every event, and what each transition does to the counters.

use std::sync::Arc;

use ingot_types::ProtocolVersion;

use super::*;
use crate::JobSpec;

const NOW: u64 = 1_000;

fn job(state: JobState) -> Job {
    let spec = JobSpec {
        key: "1/2/prove/0/1/0/3".parse().unwrap(),
        protocol_version: ProtocolVersion { minor: 1, patch: 0 },
        priority: 0,
        sealed_at_ms: 0,
        max_attempts: 3,
        group: None,
        zone: None,
        depends_on: vec![],
        inputs: vec![],
    };
    Job { spec: Arc::new(spec), created_by: None, status: Status::new(state) }
}

fn leased(expires_at_ms: u64) -> JobState {
    JobState::Leased { token: Token(5), worker: "w".into(), expires_at_ms }
}

fn fail(token: u64, class: RetryClass) -> Event {
    Event::Fail { token: Token(token), class, reason: "broke".into(), retry_at_ms: 1_500 }
}

fn lost() -> Effect {
    Effect::LeaseLost { token: Token(5), worker: "w".into() }
}

/// One letter for each outcome, as in the table below.
fn outcome(state: &JobState, event: &Event) -> char {
    match transition(&job(state.clone()), event, NOW) {
        Ok((status, _)) if status.state.name() == state.name() => '=',
        Ok((status, _)) => match status.state.name() {
            StateName::Waiting => 'W',
            StateName::Queued => 'Q',
            StateName::Leased => 'L',
            StateName::Failed => 'F',
            StateName::Done => 'D',
            StateName::Quarantined => 'X',
        },
        Err(Refusal::StaleToken { .. }) => 's',
        Err(Refusal::AlreadyDone { .. }) => 'a',
        Err(Refusal::WrongState { .. }) => '.',
        Err(Refusal::NotYet { .. }) => 'n',
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn every_event_in_every_state() {
    let states = [
        JobState::Waiting { missing: 2 },
        JobState::Waiting { missing: 1 },
        JobState::Queued,
        leased(NOW + 1),
        leased(NOW),
        JobState::Failed { retry_at_ms: NOW + 1 },
        JobState::Failed { retry_at_ms: NOW },
        JobState::Done { token: Token(5), outputs: vec![] },
        JobState::Quarantined,
    ];
    let own = Token(5);
    let stale = Token(4);
    let lease = |token| Event::Lease { token, worker: "v".into(), expires_at_ms: 2_000 };
    let hand_over =
        |token| Event::HandOver { token, new_token: Token(9), worker: "v".into(), expires_at_ms: 2_000 };
    let table = [
        // waiting 2, waiting 1, queued, leased, leased out, failed, failed due, done, quarantined
        (Event::DependencyDone, "=Q.....=="),
        (Event::DependencyUndone, "==WWWWW=="),
        (lease(Token(6)), "..L......"),
        (Event::Heartbeat { token: own, expires_at_ms: 9 }, "sss==ssas"),
        (Event::Heartbeat { token: stale, expires_at_ms: 9 }, "sssssssss"),
        (hand_over(own), "sss==ssas"),
        (hand_over(stale), "sssssssss"),
        (Event::Complete { token: own, outputs: vec![] }, "sssDDssas"),
        (Event::Complete { token: stale, outputs: vec![] }, "sssssssss"),
        (fail(5, RetryClass::Transient), "sssFFssas"),
        (fail(5, RetryClass::Resource), "sssFFssas"),
        (fail(5, RetryClass::Deterministic), "sssXXssas"),
        (fail(4, RetryClass::Deterministic), "sssssssss"),
        (Event::Release { token: own }, "sssQQssas"),
        (Event::Release { token: stale }, "sssssssss"),
        (Event::Expire, "...nQ...."),
        (Event::RetryDue, ".....nQ.."),
        (Event::Reset { missing: 0 }, ".......Q."),
        (Event::Reset { missing: 3 }, ".......W."),
        (Event::Requeue { missing: 0 }, ".....QQ.Q"),
        (Event::Requeue { missing: 1 }, ".....WW.W"),
    ];
    for (event, expected) in table {
        let found: String = states.iter().map(|state| outcome(state, &event)).collect();
        assert_eq!(found, expected, "{event:?}");
    }
}

#[test]
fn dependencies_are_counted_down_and_up() {
    let mut waiting = job(JobState::Waiting { missing: 2 });
    let (status, effects) = transition(&waiting, &Event::DependencyDone, NOW).unwrap();
    assert_eq!((status.state.clone(), effects), (JobState::Waiting { missing: 1 }, vec![]));
    waiting.status = status;
    let (status, effects) = transition(&waiting, &Event::DependencyUndone, NOW).unwrap();
    assert_eq!((status.state, effects), (JobState::Waiting { missing: 2 }, vec![]));
    let (status, effects) = transition(&waiting, &Event::DependencyDone, NOW).unwrap();
    assert_eq!((status.state, effects), (JobState::Queued, vec![Effect::Ready]));
    let (status, effects) = transition(&job(leased(NOW)), &Event::DependencyUndone, NOW).unwrap();
    assert_eq!((status.state, status.attempts, effects), (JobState::Waiting { missing: 1 }, 0, vec![lost()]));
}

#[test]
fn a_heartbeat_prolongs_and_never_shortens() {
    for (given, expected) in [(3_000, 3_000), (1_500, 2_000)] {
        let event = Event::Heartbeat { token: Token(5), expires_at_ms: given };
        let (status, effects) = transition(&job(leased(2_000)), &event, NOW).unwrap();
        assert_eq!((status.state, effects), (leased(expected), vec![]));
    }
}

#[test]
fn a_hand_over_fences_the_old_holder() {
    let event = Event::HandOver {
        token: Token(5),
        new_token: Token(6),
        worker: "prover".into(),
        expires_at_ms: 2_000,
    };
    let mut job = job(leased(NOW));
    let (status, effects) = transition(&job, &event, NOW).unwrap();
    job.status = status;
    assert_eq!(effects, []);
    let late = Event::Complete { token: Token(5), outputs: vec![] };
    let refusal = transition(&job, &late, NOW).unwrap_err();
    let state = StateName::Leased;
    assert_eq!(refusal, Refusal::StaleToken { key: job.key(), given: Token(5), held: Some(Token(6)), state });
    assert_eq!(refusal.to_string(), "job 1/2/prove/0/1/0/3 is leased: token 5 is stale, 6 holds it");
    assert!(transition(&job, &Event::Complete { token: Token(6), outputs: vec![] }, NOW).is_ok());
}

/// Fails a fresh lease with each event in turn; returns (state, attempts, deferrals) after each.
fn after(events: &[Event]) -> Vec<(StateName, u32, u32)> {
    let mut job = job(JobState::Queued);
    let mut seen = Vec::new();
    for event in events {
        job.status.state = leased(NOW);
        job.status = transition(&job, event, NOW).unwrap().0;
        seen.push((job.status.state.name(), job.status.attempts, job.status.deferrals));
    }
    seen
}

#[test]
fn attempts_are_burned_by_class() {
    use StateName::{Failed, Quarantined, Queued};
    let transient = fail(5, RetryClass::Transient);
    let resource = fail(5, RetryClass::Resource);
    let release = Event::Release { token: Token(5) };
    assert_eq!(
        after(&[transient.clone(), transient.clone(), transient.clone()]),
        [(Failed, 1, 0), (Failed, 2, 0), (Quarantined, 3, 0)]
    );
    assert_eq!(
        after(&[Event::Expire, transient, Event::Expire]),
        [(Queued, 1, 0), (Failed, 2, 0), (Quarantined, 3, 0)]
    );
    assert_eq!(
        after(&[resource.clone(), resource.clone(), resource.clone(), resource, release]),
        [(Failed, 0, 1), (Failed, 0, 2), (Failed, 0, 3), (Failed, 0, 4), (Queued, 0, 4)]
    );
    assert_eq!(after(&[fail(5, RetryClass::Deterministic)]), [(Quarantined, 1, 0)]);
}

#[test]
fn failures_say_why_and_when() {
    let (status, effects) = transition(&job(leased(NOW)), &fail(5, RetryClass::Transient), NOW).unwrap();
    assert_eq!(status.state, JobState::Failed { retry_at_ms: 1_500 });
    assert_eq!(status.last_error, Some(JobError { at_ms: NOW, reason: "broke".into() }));
    assert_eq!(effects, []);
    let (status, effects) = transition(&job(leased(NOW)), &Event::Expire, NOW).unwrap();
    assert_eq!(status.last_error.unwrap().reason, "lease of worker w ran out");
    assert_eq!(effects, [lost(), Effect::Ready]);
    let (_, effects) = transition(&job(leased(NOW)), &fail(5, RetryClass::Deterministic), NOW).unwrap();
    assert_eq!(effects, [Effect::Quarantined]);
}

#[test]
fn a_bad_output_gives_new_attempts_but_not_for_ever() {
    let mut job = job(JobState::Queued);
    for resets in 1..=4 {
        job.status.state = JobState::Done { token: Token(5), outputs: vec![] };
        job.status.attempts = 2;
        let (status, effects) = transition(&job, &Event::Reset { missing: 0 }, NOW).unwrap();
        job.status = status;
        assert_eq!((job.status.attempts, job.status.resets), (0, resets));
        if resets <= 3 {
            assert_eq!(
                (&job.status.state, effects),
                (&JobState::Queued, vec![Effect::Undone, Effect::Ready])
            );
        } else {
            let expected = (&JobState::Quarantined, vec![Effect::Undone, Effect::Quarantined]);
            assert_eq!((&job.status.state, effects), expected);
        }
    }
    let (status, _) = transition(&job, &Event::Requeue { missing: 0 }, NOW).unwrap();
    assert_eq!((status.attempts, status.deferrals, status.resets), (0, 0, 0));
}
