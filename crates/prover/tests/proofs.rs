//! Proving and verifying real (tiny) circuits; every change to a proof is refused without a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, OnceLock},
};

use boojum::cs::implementations::pow::NoPow;
use ingot_circuit_set::{
    encode,
    field::{Proof, Transcript, TreeHasher, Vk, Worker, F},
    CircuitSet, SetError, SetupKey, VkSource,
};
use ingot_prover::{
    decode_witness_vector, encode_witness_vector, verify, ContainerError, Prepared, ProofHeader, ProverError,
    Rejection, StoredProof,
};
use ingot_test_set::{Chain, TestSet};
use ingot_types::{AggregationRound, BatchId, BatchNumber, ChainId, CircuitKey};
use serde_json::Value;

const KEY: CircuitKey = CircuitKey::new(AggregationRound::Basic, 1);
const OTHER: CircuitKey = CircuitKey::new(AggregationRound::Basic, 2);

struct Vks(BTreeMap<CircuitKey, Arc<Vk>>);

impl VkSource for Vks {
    fn vk(&self, key: CircuitKey) -> Result<Arc<Vk>, SetError> {
        Ok(self.0[&key].clone())
    }
}

struct Fixture {
    set: TestSet,
    setup: SetupKey,
    other: SetupKey,
    vks: Vks,
    proof: Proof,
    input: [F; 4],
}

fn fixture() -> &'static Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let set = TestSet::new(9);
        let worker = Worker::new_with_num_threads(2);
        let vks = Vks(BTreeMap::new());
        let [setup, other] = [KEY, OTHER].map(|key| set.setup(key, &vks, &worker).unwrap());
        let input = [3, 5, 7, 11].map(F::from_nonreduced_u64);
        let proof = prove_input(&set, &setup, input).unwrap();
        Fixture { set, setup, other, vks, proof, input }
    })
}

fn prove_input(set: &TestSet, setup: &SetupKey, input: [F; 4]) -> Result<Proof, ProverError> {
    let vks = Vks(BTreeMap::new());
    let witness = set.synthesize(KEY, &encode("input", &input).unwrap(), &setup.hint, &vks).unwrap();
    // Through its file form, as between processes.
    let witness = decode_witness_vector(&encode_witness_vector(&witness).unwrap()).unwrap();
    Prepared::new(set, KEY, setup)?.prove(set, &witness)
}

fn verdict(proof: &Proof) -> Result<(), Rejection> {
    let f = fixture();
    verify(&f.set, KEY, &f.setup.vk, proof).unwrap()
}

fn changed(change: impl FnOnce(&mut Proof)) -> Result<(), Rejection> {
    let mut proof = fixture().proof.clone();
    change(&mut proof);
    verdict(&proof)
}

fn part(result: Result<(), Rejection>) -> String {
    match result {
        Err(Rejection::Shape { part, .. }) => part,
        other => panic!("expected a rejection by shape, found {other:?}"),
    }
}

#[test]
fn a_proof_verifies_with_the_public_input_computed_natively() {
    let f = fixture();
    assert_eq!(verdict(&f.proof), Ok(()));
    let native = Chain { tweak: 1, input: f.input, rows_log2: 9 }.output();
    assert_eq!(f.proof.public_inputs, native);
    assert!(matches!(
        f.set.verifier(CircuitKey::new(AggregationRound::Basic, 9)),
        Err(SetError::UnknownCircuit { .. })
    ));
}

#[test]
fn proving_is_deterministic_and_does_not_depend_on_threads() {
    let f = fixture();
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let witness = f.set.synthesize(KEY, &encode("input", &f.input).unwrap(), &f.setup.hint, &f.vks).unwrap();
    let prepared = Prepared::new(&f.set, KEY, &f.setup).unwrap();
    let again = one.install(|| prepared.prove(&f.set, &witness)).unwrap();
    assert_eq!(encode("proof", &again).unwrap(), encode("proof", &f.proof).unwrap());
}

#[test]
fn another_key_refuses_the_proof() {
    let f = fixture();
    assert_eq!(verify(&f.set, OTHER, &f.other.vk, &f.proof).unwrap(), Err(Rejection::Invalid));
    let mut vk = f.setup.vk.clone();
    vk.fixed_parameters.fri_lde_factor = 4;
    assert!(matches!(verify(&f.set, KEY, &vk, &f.proof).unwrap(), Err(Rejection::Key(_))));
}

/// The proof library's own verifier accepts a proof with too few queries, or none: it takes the number of queries from
/// the proof. That is why `verify` compares with the circuit set's parameters first.
#[test]
fn fewer_queries_and_weaker_parameters_are_refused() {
    assert_eq!(part(changed(|p| drop(p.queries_per_fri_repetition.pop()))), "queries");
    assert_eq!(part(changed(|p| p.queries_per_fri_repetition.clear())), "queries");
    let weaker = changed(|p| {
        p.proof_config.security_level = 3;
        p.queries_per_fri_repetition.truncate(1);
    });
    assert!(matches!(weaker, Err(Rejection::Parameters { .. })), "{weaker:?}");
    for change in [
        |p: &mut Proof| p.proof_config.pow_bits = 1,
        |p: &mut Proof| p.proof_config.fri_folding_schedule = Some(vec![3, 3, 3]),
        |p: &mut Proof| p.proof_config.fri_lde_factor = 2,
        |p: &mut Proof| p.proof_config.merkle_tree_cap_size = 8,
        |p: &mut Proof| p.pow_challenge = 1,
    ] {
        assert!(matches!(changed(change), Err(Rejection::Parameters { .. })));
    }
}

/// Why the shape is checked at all. If this fails, the library has become stricter, and the check is still right.
#[test]
fn the_library_alone_accepts_a_proof_without_queries() {
    let f = fixture();
    let mut proof = f.proof.clone();
    proof.queries_per_fri_repetition.clear();
    let library = f.set.verifier(KEY).unwrap();
    assert!(library.verify::<TreeHasher, Transcript, NoPow>((), &f.setup.vk, &proof));
}

#[test]
fn leaves_too_short_for_the_library_are_refused_by_shape() {
    assert_eq!(
        part(changed(|p| p.queries_per_fri_repetition[0].fri_queries[0].leaf_elements.clear())),
        "FRI query: leaf elements"
    );
    assert_eq!(
        part(changed(|p| {
            let _ = p.queries_per_fri_repetition[0].witness_query.proof.pop();
        })),
        "query: Merkle path"
    );
    assert_eq!(part(changed(|p| p.values_at_0.push(p.values_at_z[0]))), "values at 0");
}

/// Walks the proof as JSON. At every number: another number. At every list: one item less, one more.
#[test]
fn every_field_of_a_proof_matters() {
    let f = fixture();
    let whole = serde_json::to_value(&f.proof).unwrap();
    let mut paths = Vec::new();
    collect(&whole, &mut Vec::new(), &mut paths);
    let mut refused = 0;
    for path in &paths {
        let mut variants = vec![];
        let node = path.iter().fold(&whole, |v, step| step.of(v));
        match node {
            Value::Number(n) => variants.push(Value::from(n.as_u64().unwrap() ^ 1)),
            Value::Array(items) => {
                if let Some((last, rest)) = items.split_last() {
                    variants.push(Value::from(rest.to_vec()));
                    variants.push(Value::from([items.as_slice(), std::slice::from_ref(last)].concat()));
                }
            }
            _ => {}
        }
        for variant in variants {
            let mut tree = whole.clone();
            *path.iter().fold(&mut tree, |v, step| step.of_mut(v)) = variant;
            // A fixed-size part that cannot be read is refused by the reader.
            if let Ok(proof) = serde_json::from_value::<Proof>(tree) {
                let verdict = verdict(&proof);
                assert!(verdict.is_err(), "{path:?} does not matter");
                assert!(!matches!(verdict, Err(Rejection::Panicked(_))), "{path:?} panics");
                refused += 1;
            }
        }
    }
    assert!(refused > 200, "only {refused} of {} places could be tried", paths.len());
}

#[derive(Clone, Debug)]
enum Step {
    Field(String),
    Item(usize),
}

impl Step {
    fn of<'v>(&self, value: &'v Value) -> &'v Value {
        match self {
            Self::Field(name) => &value[name],
            Self::Item(at) => &value[at],
        }
    }
    fn of_mut<'v>(&self, value: &'v mut Value) -> &'v mut Value {
        match self {
            Self::Field(name) => &mut value[name],
            Self::Item(at) => &mut value[at],
        }
    }
}

/// Every place in the tree; of lists the first, middle and last item, which stand for the others.
fn collect(value: &Value, at: &mut Vec<Step>, out: &mut Vec<Vec<Step>>) {
    out.push(at.clone());
    let steps: Vec<Step> = match value {
        Value::Object(map) => map.keys().cloned().map(Step::Field).collect(),
        Value::Array(items) if !items.is_empty() => {
            let picked = std::collections::BTreeSet::from([0, items.len() / 2, items.len() - 1]);
            picked.into_iter().map(Step::Item).collect()
        }
        _ => vec![],
    };
    for step in steps {
        let child = step.of(value);
        at.push(step.clone());
        collect(child, at, out);
        at.pop();
    }
}

#[test]
fn a_witness_that_does_not_satisfy_the_circuit_gives_no_proof() {
    let f = fixture();
    let prepared = Prepared::new(&f.set, KEY, &f.setup).unwrap();
    let mut witness =
        f.set.synthesize(KEY, &encode("input", &f.input).unwrap(), &f.setup.hint, &f.vks).unwrap();
    witness.all_values[100].0 ^= 1;
    let error = prepared.prove(&f.set, &witness).unwrap_err();
    assert!(matches!(error, ProverError::Unsatisfied { .. }), "{error}");
    witness.all_values.truncate(50);
    let error = prepared.prove(&f.set, &witness).unwrap_err();
    assert!(matches!(error, ProverError::Witness { part: "values", found: 50, .. }), "{error}");
    witness.public_inputs_locations.pop();
    let error = prepared.prove(&f.set, &witness).unwrap_err();
    assert!(matches!(error, ProverError::Witness { part: "public input locations", .. }), "{error}");
}

#[test]
fn damaged_witness_vectors_are_refused() {
    let f = fixture();
    let witness = f.set.synthesize(KEY, &encode("input", &f.input).unwrap(), &f.setup.hint, &f.vks).unwrap();
    let bytes = encode_witness_vector(&witness).unwrap();
    for cut in [0, 7, 8, 40, bytes.len() - 1] {
        assert!(decode_witness_vector(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    let mut long = bytes.clone();
    long.push(0);
    assert!(decode_witness_vector(&long).is_err());
    let mut huge = bytes.clone();
    huge[..8].fill(0xff);
    assert!(decode_witness_vector(&huge).is_err(), "a count that overflows");
    let mut not_canonical = bytes;
    let first_value = 8 + witness.public_inputs_locations.len() * 16 + 8;
    not_canonical[first_value..first_value + 8].fill(0xff);
    assert!(decode_witness_vector(&not_canonical).is_err());
}

fn stored() -> StoredProof {
    let f = fixture();
    let batch = BatchId { chain: ChainId(270), batch: BatchNumber(7) };
    StoredProof { header: ProofHeader::new(&f.set, KEY, batch), proof: f.proof.clone() }
}

#[test]
fn a_proof_file_survives_the_round_trip() {
    let bytes = stored().to_bytes().unwrap();
    let read = StoredProof::from_bytes(Path::new("p"), &bytes).unwrap();
    assert_eq!(read.header, stored().header);
    assert_eq!(verdict(&read.proof), Ok(()));
    assert_eq!(read.to_bytes().unwrap(), bytes);
    assert!(read.header.insecure.is_some(), "test parameters say so");
}

#[test]
fn every_flipped_byte_of_a_proof_file_is_reported_by_name() {
    let bytes = stored().to_bytes().unwrap();
    let step = (bytes.len() / 500).max(1);
    for at in (0..64).chain((64..bytes.len()).step_by(step)).chain(bytes.len() - 40..bytes.len()) {
        let mut bad = bytes.clone();
        bad[at] ^= 0x10;
        let error = StoredProof::from_bytes(Path::new("some/proof.bin"), &bad).unwrap_err();
        assert!(error.to_string().contains("some/proof.bin"), "{error}");
        let named = matches!(
            error,
            ContainerError::Magic { .. }
                | ContainerError::Format { .. }
                | ContainerError::Size { .. }
                | ContainerError::Hash { .. }
        );
        assert!(named, "byte {at}: {error}");
    }
    for cut in [0, 4, 8, 11, 20, 30, bytes.len() / 2, bytes.len() - 1] {
        assert!(StoredProof::from_bytes(Path::new("p"), &bytes[..cut]).is_err(), "cut at {cut}");
    }
}

/// Changes contents and puts the hash right again: what a hostile file would do.
#[test]
fn a_second_encoding_of_the_same_proof_is_refused() {
    let mut bytes = stored().to_bytes().unwrap();
    // The proof's last byte is its proof of work, 0; as a varint 0x80 0x00 is 0 too.
    let end = bytes.len() - 32;
    assert_eq!(bytes[end - 1], 0);
    bytes.truncate(end - 1);
    bytes.extend([0x80, 0x00]);
    let length = u64::from_le_bytes(bytes[16..24].try_into().unwrap()) + 1;
    bytes[16..24].copy_from_slice(&length.to_le_bytes());
    let hash = *blake3::hash(&bytes).as_bytes();
    bytes.extend(hash);
    let error = StoredProof::from_bytes(Path::new("p"), &bytes).unwrap_err();
    assert!(matches!(error, ContainerError::Contents { .. }), "{error}");
}
