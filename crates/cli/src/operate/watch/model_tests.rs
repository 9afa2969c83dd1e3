use ingot_house_keeper::protocol::{Component, ProverLoad, Registration, Served, StreamOffer};
use ingot_job_store::{JobError, JobSpec, Progress, StateName, Status};
use ingot_types::{BatchNumber, ChainId, ProtocolVersion};

use super::*;

const VERSION: ProtocolVersion = ProtocolVersion { minor: 1, patch: 0 };

pub(crate) fn batch(n: u32) -> BatchId {
    BatchId { chain: ChainId(1), batch: BatchNumber(n) }
}

fn summary(n: u32, state: BatchState) -> BatchSummary {
    BatchSummary {
        batch: batch(n),
        protocol_version: VERSION,
        priority: 5,
        sealed_at_ms: 0,
        submitted_at_ms: 10_000,
        proved_at_ms: (state == BatchState::Proved).then_some(70_000),
        state,
        progress: Progress { jobs: 9, done: 4, active: 1, quarantined: 1 },
        change: 3,
        outputs: vec![],
        stuck_on: None,
    }
}

pub(crate) fn lanes() -> Lanes {
    let lane = |name: &str, id| Branch { name: name.into(), basic: CircuitId(id), branch: CircuitId(id + 2) };
    Lanes(vec![lane("Executor", 1), lane("Signatures", 2), lane("Hasher", 3)])
}

/// Three batches, of which the second is stuck; a prover at work.
pub(crate) fn seen() -> Seen {
    let count = |kind, round, circuit, state, count| {
        (CountKey { kind, round, circuit_id: CircuitId(circuit), state }, count)
    };
    use AggregationRound::{Basic, Leaf};
    let counts = BTreeMap::from([
        count(JobKind::Witness, Basic, 0, StateName::Done, 1),
        count(JobKind::Prove, Basic, 1, StateName::Done, 3),
        count(JobKind::Prove, Basic, 1, StateName::Leased, 1),
        count(JobKind::Prove, Basic, 1, StateName::Quarantined, 1),
        count(JobKind::Witness, Leaf, 3, StateName::Waiting, 2),
        count(JobKind::Prove, Leaf, 5, StateName::Waiting, 1),
    ]);
    let job: ingot_types::JobKey = "1/2/prove/0/1/0/4".parse().unwrap();
    let spec = JobSpec {
        key: job,
        protocol_version: VERSION,
        priority: 0,
        sealed_at_ms: 0,
        max_attempts: 3,
        group: None,
        zone: None,
        depends_on: vec![],
        inputs: vec![],
    };
    let status = Status {
        attempts: 3,
        last_error: Some(JobError { at_ms: 5, reason: "out of memory".into() }),
        ..Status::new(JobState::Quarantined)
    };
    let worker = WorkerInfo {
        registration: Registration {
            component: Component::CircuitProver,
            name: "prover-1".into(),
            instance: [0; 16],
            host: "here".into(),
            pid: 1,
            zone: None,
            group: None,
            serves: Some(Served {
                protocol_version: VERSION,
                circuit_set: "s".into(),
                parameter_set: "p".into(),
                key_manifest: "k".into(),
            }),
            stream: Some(StreamOffer { addresses: vec![], slabs: 2, slab_bytes: 1 }),
        },
        connected: true,
        draining: false,
        seen_at_ms: 0,
        leases: vec!["1/2/prove/0/1/0/0".parse().unwrap()],
        load: ProverLoad { free_slabs: 1, queued: 1, proving: 1 },
        status: "proving".into(),
    };
    Seen {
        at_ms: 40_000,
        batches: vec![
            summary(1, BatchState::Proving),
            summary(2, BatchState::Stuck),
            summary(3, BatchState::Proved),
        ],
        counts: Some((batch(2), counts)),
        stuck: vec![Job { spec: spec.into(), created_by: None, status }],
        workers: vec![worker],
        host: Host {
            ram_bytes: Some(4 << 30),
            ram_free_bytes: Some(1 << 30),
            disk_bytes: Some(100 << 30),
            disk_free_bytes: Some(50 << 30),
        },
    }
}

#[test]
fn the_graph_has_each_branch_with_its_rounds() {
    let view = view(&seen(), Some(batch(2)), &Pace::default(), &lanes());
    let chosen = view.batch.unwrap();
    assert_eq!(chosen.rounds[0].1.total, 6);
    let names: Vec<&str> = chosen.lanes.iter().map(|lane| lane.name.as_str()).collect();
    assert_eq!(names, ["Executor", "Hasher"], "a branch without jobs is left out");
    let [basic, leaf, node] = &chosen.lanes[0].rounds;
    assert_eq!((basic.total, basic.done, basic.stuck), (5, 3, 1), "witness generation belongs to no branch");
    assert_eq!((leaf.total, leaf.waiting, node.total), (2, 2, 0));
    assert_eq!(chosen.pace, "5 jobs left; so far 30 s");
    assert!(view.batches[1].chosen && view.batches[1].stuck && !view.batches[0].chosen);
    assert_eq!(view.ram.unwrap().used, 0.75);
}

#[test]
fn counts_of_another_batch_are_not_shown_as_this_one_s() {
    let view = view(&seen(), Some(batch(1)), &Pace::default(), &lanes());
    assert!(view.batch.unwrap().lanes.is_empty());
    assert!(view.stuck.is_empty());
}

#[test]
fn a_proved_batch_says_what_it_took() {
    let view = view(&seen(), Some(batch(3)), &Pace::default(), &lanes());
    assert_eq!(view.batch.unwrap().pace, "proved in 1 min 00 s");
}

#[test]
fn the_pace_is_of_the_last_minute_and_of_one_batch() {
    let mut pace = Pace::default();
    assert_eq!((pace.per_minute(), pace.left_ms(5)), (None, None));
    pace.note(batch(1), 0, 10);
    pace.note(batch(1), 500, 11);
    assert_eq!(pace.per_minute(), None, "too little to tell");
    pace.note(batch(1), 30_000, 20);
    assert_eq!((pace.per_minute(), pace.left_ms(40)), (Some(20.0), Some(120_000)));
    for n in 1..=20 {
        pace.note(batch(1), 30_000 + n * 10_000, 20);
    }
    assert_eq!((pace.per_minute(), pace.left_ms(40)), (Some(0.0), None), "nothing for more than a minute");
    pace.note(batch(1), 300_000, 3);
    assert_eq!(pace.per_minute(), None, "it begins anew");
    pace.note(batch(2), 302_000, 0);
    pace.note(batch(2), 304_000, 2);
    assert_eq!(pace.per_minute(), Some(60.0));
}

#[test]
fn the_first_choice_is_what_needs_somebody() {
    assert_eq!(first_choice(&seen().batches), Some(batch(2)));
    assert_eq!(first_choice(&seen().batches[..1]), Some(batch(1)));
    assert_eq!(first_choice(&seen().batches[2..]), Some(batch(3)));
    assert_eq!(first_choice(&[]), None);
}

#[test]
fn lanes_come_from_the_circuit_set() {
    let set = ingot_ledger::LedgerSet::new(&ingot_ledger::security::PROVEN80);
    let lanes = Lanes::of(&set);
    assert_eq!(lanes.0.len(), 3);
    assert_eq!((lanes.0[0].name.as_str(), lanes.0[0].basic), ("TransactionExecutor", CircuitId(1)));
}
