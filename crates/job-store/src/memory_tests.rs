//! What the suite for all homes cannot reach.

use ingot_types::ProtocolVersion;

use super::*;

fn key(text: &str) -> JobKey {
    text.parse().unwrap()
}

fn spec(name: &str, depends_on: &[&str]) -> JobSpec {
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

fn file(hash: &str) -> ArtifactName {
    ArtifactName { role: "proof".into(), hash: hash.into(), size_bytes: 1 }
}

const A: &str = "1/1/prove/0/1/0/0";
const B: &str = "1/1/prove/0/1/0/1";
const C: &str = "1/1/prove/1/1/0/0";
const D: &str = "1/1/prove/2/1/0/0";

fn store(specs: Vec<JobSpec>) -> MemoryStore {
    let mut store = MemoryStore::new(Backoff::default());
    store.insert(specs, 0).unwrap();
    store
}

fn state(store: &MemoryStore, name: &str) -> JobState {
    store.job(&key(name)).unwrap().unwrap().status.state
}

fn lease(store: &mut MemoryStore, name: &str) -> Lease {
    let circuits =
        [ingot_types::CircuitKey { round: key(name).round, circuit_id: key(name).circuit_id }].into();
    let filter = Filter { circuits: Some(circuits), ..Filter::default() };
    let lease = store.lease(&filter, "w", 1_000, 0).unwrap().unwrap();
    assert_eq!(lease.job.key(), key(name));
    lease
}

fn finish(store: &mut MemoryStore, name: &str, hash: &str) -> Effects {
    let lease = lease(store, name);
    store.complete(key(name), lease.token, vec![file(hash)], vec![], 0).unwrap()
}

#[test]
fn filters_choose() {
    let other = JobSpec {
        protocol_version: ProtocolVersion { minor: 2, patch: 0 },
        group: Some("g1".into()),
        zone: Some("z1".into()),
        ..spec("1/2/prove/1/4/0/0", &[])
    };
    let any = spec(A, &[]);
    let text = |t: &str| Some(t.to_owned());
    for (filter, takes_other, takes_any) in [
        (Filter::default(), true, true),
        (Filter { kinds: Some([JobKind::Witness].into()), ..Filter::default() }, false, false),
        (Filter { kinds: Some([JobKind::Prove].into()), ..Filter::default() }, true, true),
        (Filter { rounds: Some([AggregationRound::Leaf].into()), ..Filter::default() }, true, false),
        (Filter { batch: Some(key(A).batch), ..Filter::default() }, false, true),
        (Filter { protocol_version: Some(any.protocol_version), ..Filter::default() }, false, true),
        (Filter { group: text("g1"), ..Filter::default() }, true, true),
        (Filter { group: text("g2"), ..Filter::default() }, false, true),
        (Filter { zone: text("z1"), group: text("g2"), ..Filter::default() }, false, true),
        (Filter { zone: text("z2"), ..Filter::default() }, false, true),
    ] {
        assert_eq!((filter.matches(&other), filter.matches(&any)), (takes_other, takes_any), "{filter:?}");
    }
}

#[test]
fn the_reconciler_repairs_every_disagreement() {
    let mut store = store(vec![spec(A, &[]), spec(B, &[]), spec(C, &[A, B]), spec(D, &[C])]);
    assert_eq!(store.reconcile(0).unwrap(), []);
    finish(&mut store, A, "a");
    let leased = JobState::Leased { token: Token(99), worker: "w".into(), expires_at_ms: 1 };
    for (name, damaged, sound) in [
        (C, JobState::Waiting { missing: 2 }, JobState::Waiting { missing: 1 }),
        (C, JobState::Queued, JobState::Waiting { missing: 1 }),
        (C, leased, JobState::Waiting { missing: 1 }),
        (D, JobState::Failed { retry_at_ms: 1 }, JobState::Waiting { missing: 1 }),
        (B, JobState::Waiting { missing: 0 }, JobState::Queued),
        (B, JobState::Waiting { missing: 7 }, JobState::Queued),
    ] {
        let mut delta = Delta::default();
        let mut job = store.job(&key(name)).unwrap().unwrap();
        job.status.state = damaged.clone();
        delta.changed.insert(key(name), job);
        store.table.commit(delta);
        let repair = Repair { key: key(name), found: damaged, repaired: sound.clone() };
        assert_eq!(store.reconcile(0).unwrap(), [repair]);
        assert_eq!(state(&store, name), sound);
        assert_eq!(store.reconcile(0).unwrap(), []);
    }
    finish(&mut store, B, "b");
    assert_eq!(state(&store, C), JobState::Queued);
}
