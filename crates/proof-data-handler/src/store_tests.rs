use super::*;

const VERSION: ProtocolVersion = ProtocolVersion { minor: 1, patch: 0 };

fn batch(number: u32) -> NewBatch {
    NewBatch {
        number,
        protocol_version: VERSION,
        sealed_at_ms: 5,
        inputs: ArtifactRef { hash: Blake3::of(&number.to_le_bytes()), size_bytes: 4 },
        public_input: vec![1; 32],
        coordinates: [[1; 32], [2; 32], [3; 32], [4; 32]],
    }
}

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("batches.db")).unwrap();
    (folder, store)
}

fn numbers(records: &[BatchRecord]) -> Vec<u32> {
    records.iter().map(|record| record.batch.number).collect()
}

fn hold(holding: &[u32]) -> Asking<'_> {
    Asking { name: None, holding }
}

fn at(now_ms: u64) -> LeaseTime {
    LeaseTime { now_ms, length_ms: 100 }
}

#[test]
fn batches_are_handed_out_in_order_once_until_their_lease_ends() {
    let (_folder, store) = store();
    for number in [3, 0, 1, 2] {
        assert_eq!(store.insert(&batch(number), 1).unwrap(), Received::New);
    }
    assert_eq!(numbers(&store.lease(VERSION, hold(&[]), 2, at(10)).unwrap()), [0, 1]);
    assert_eq!(numbers(&store.lease(VERSION, hold(&[]), 9, at(20)).unwrap()), [2, 3]);
    assert_eq!(numbers(&store.lease(VERSION, hold(&[]), 9, at(30)).unwrap()), [0u32; 0]);
    // Batch 0 is held; the lease of batch 1 ends.
    assert_eq!(numbers(&store.lease(VERSION, hold(&[0]), 9, at(111)).unwrap()), [1]);
    assert_eq!(store.batch(1).unwrap().unwrap().times_leased, 2);
    // What is proved is never handed out, whoever holds it.
    let proof = ArtifactRef { hash: Blake3::of(b"p"), size_bytes: 1 };
    assert_eq!(store.prove(0, &proof, 50).unwrap(), Received::New);
    let other = ArtifactRef { hash: Blake3::of(b"q"), size_bytes: 1 };
    assert_eq!(store.prove(0, &other, 60).unwrap(), Received::Known);
    assert_eq!(store.batch(0).unwrap().unwrap().proof, Some(proof));
    assert_eq!(numbers(&store.lease(VERSION, hold(&[0]), 9, at(10_000)).unwrap()), [1, 2, 3]);
    let elsewhere = ProtocolVersion { minor: 2, patch: 0 };
    assert_eq!(numbers(&store.lease(elsewhere, hold(&[]), 9, at(20_000)).unwrap()), [0u32; 0]);
    assert_eq!(store.last_proved().unwrap().unwrap().batch.number, 0);
}

#[test]
fn what_never_reached_a_gateway_is_handed_to_it_again_at_once() {
    let (_folder, store) = store();
    for number in 1..=3 {
        store.insert(&batch(number), 1).unwrap();
    }
    let asking = |name, holding| Asking { name: Some(name), holding };
    assert_eq!(numbers(&store.lease(VERSION, asking("a", &[]), 2, at(10)).unwrap()), [1, 2]);
    // Another gateway's are its own.
    assert_eq!(numbers(&store.lease(VERSION, asking("b", &[]), 9, at(11)).unwrap()), [3]);
    assert_eq!(numbers(&store.lease(VERSION, asking("a", &[2]), 9, at(12)).unwrap()), [1]);
    assert_eq!(numbers(&store.lease(VERSION, asking("a", &[1, 2]), 9, at(13)).unwrap()), [0u32; 0]);
}

#[test]
fn the_same_batch_is_known_and_another_under_its_number_changes_nothing() {
    let (folder, store) = store();
    assert_eq!(store.insert(&batch(7), 1).unwrap(), Received::New);
    assert_eq!(store.insert(&batch(7), 2).unwrap(), Received::Known);
    let other = NewBatch { inputs: batch(8).inputs, ..batch(7) };
    assert_eq!(store.insert(&other, 3).unwrap(), Received::Other);
    assert!(matches!(Store::open(&folder.path().join("batches.db")), Err(StoreError::InUse { .. })));
    drop(store);
    let store = Store::open(&folder.path().join("batches.db")).unwrap();
    let record = store.batch(7).unwrap().unwrap();
    assert_eq!((record.batch, record.received_at_ms), (batch(7), 1));
}

#[test]
fn inputs_of_proved_batches_go_when_their_time_has_come() {
    let (_folder, store) = store();
    store.insert(&batch(1), 1).unwrap();
    store.insert(&batch(2), 1).unwrap();
    store.prove(1, &ArtifactRef { hash: Blake3::of(b"p"), size_bytes: 1 }, 50).unwrap();
    let hashes = |names: &[ArtifactRef]| names.iter().map(|file| file.hash).collect::<BTreeSet<_>>();
    let proof = ArtifactRef { hash: Blake3::of(b"p"), size_bytes: 1 };
    assert_eq!(store.prune(50).unwrap(), 0);
    assert_eq!(store.live().unwrap(), hashes(&[batch(1).inputs, batch(2).inputs, proof]));
    assert_eq!(store.prune(51).unwrap(), 1);
    assert_eq!(store.prune(51).unwrap(), 0);
    assert_eq!(store.live().unwrap(), hashes(&[batch(2).inputs, proof]));
    assert!(store.batch(1).unwrap().unwrap().pruned);
    assert!(!store.batch(2).unwrap().unwrap().pruned);
}

#[test]
fn a_newer_schema_is_refused() {
    let (folder, store) = store();
    store.connection().pragma_update(None, "user_version", 9).unwrap();
    drop(store);
    let error = Store::open(&folder.path().join("batches.db")).unwrap_err();
    assert!(matches!(error, StoreError::Schema { found: 9, .. }), "{error}");
}
