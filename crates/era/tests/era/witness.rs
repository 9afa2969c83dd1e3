//! Witness generation of the sample batch.

use std::collections::BTreeMap;

use circuit_definitions::circuit_definitions::recursion_layer::ZkSyncRecursionLayerProof;
use ingot_circuit_set::{AggregationJob, CircuitSet as _, CircuitSink, ProofSlot, ProofSource, SetError};
use ingot_era::{catalog::SCHEDULER, EraSet, OfficialKeys};
use ingot_types::{AggregationRound, CircuitId, RetryClass};

use crate::inputs::sample;

#[derive(Default)]
struct Counts {
    circuits: BTreeMap<u8, u32>,
    largest: usize,
    fail_after: Option<u32>,
}

impl CircuitSink for Counts {
    fn basic_circuit(&mut self, id: CircuitId, sequence: u32, circuit: &[u8]) -> Result<(), SetError> {
        let count = self.circuits.entry(id.0).or_default();
        assert_eq!(*count, sequence, "instances of a circuit come in order");
        *count += 1;
        self.largest = self.largest.max(circuit.len());
        let made: u32 = self.circuits.values().sum();
        match self.fail_after {
            Some(limit) if made > limit => Err(SetError::Source {
                what: "a circuit".into(),
                reason: "the disk is full".into(),
                retry: RetryClass::Resource,
            }),
            _ => Ok(()),
        }
    }
}

struct NoProofs;

impl ProofSource for NoProofs {
    fn proof(&mut self, slot: ProofSlot) -> Result<ingot_circuit_set::field::Proof, SetError> {
        panic!("{slot:?} was asked for")
    }
}

#[test]
fn the_sample_batch_has_28_circuits_of_18_types_and_66_proofs() {
    let set = EraSet;
    let official = OfficialKeys::get().unwrap();
    let inputs = sample().to_cbor().unwrap();
    let mut sink = Counts::default();
    let aggregation = set.basic_circuits(&inputs, official, &mut sink).unwrap();
    let several = [(1, 3), (10, 2), (15, 3), (19, 6)];
    let absent = [12, 13];
    for id in (1..=19).chain([255]) {
        let expected = match several.iter().find(|(several, _)| *several == id) {
            Some((_, count)) => *count,
            None if absent.contains(&id) => 0,
            None => 1,
        };
        assert_eq!(sink.circuits.get(&id).copied().unwrap_or(0), expected, "circuit {id}");
    }
    assert_eq!(sink.circuits.values().sum::<u32>(), 28);
    let basic = sink.circuits.iter().map(|(id, count)| (CircuitId(*id), *count)).collect();
    let plan = set.plan(&basic);
    assert_eq!(plan.proofs.len() + 28, 66);

    // Who asks for what the batch does not have is told.
    let job = |round, circuit_id| AggregationJob {
        slot: ProofSlot { round, circuit_id: CircuitId(circuit_id), depth: 0, sequence: 0 },
        children: vec![],
    };
    for (round, id, expected) in [
        (AggregationRound::Leaf, 14, "the batch has no base circuit 12"),
        (AggregationRound::Leaf, 3, "verifies 3 proofs, not 0"),
        (AggregationRound::Leaf, 99, "there is no leaf circuit 99"),
        (AggregationRound::RecursionTip, 255, "verifies 18 proofs, not 0"),
        (AggregationRound::Scheduler, 1, "verifies one proof, not 0"),
    ] {
        let error = set.aggregation_circuit(&job(round, id), &aggregation, official, &mut NoProofs);
        let error = error.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let bad =
        set.aggregation_circuit(&job(AggregationRound::Leaf, 3), &aggregation[..99], official, &mut NoProofs);
    assert!(bad.unwrap_err().to_string().contains("aggregation inputs"));

    let public_input = set.batch_public_input(&inputs, official).unwrap();
    assert_eq!(public_input.len(), 4);
}

/// Stands for every proof that is asked for.
struct EmptyProof;

impl ProofSource for EmptyProof {
    fn proof(&mut self, _slot: ProofSlot) -> Result<ingot_circuit_set::field::Proof, SetError> {
        let bytes: &[u8] = include_bytes!(
            "../../ported/zkevm_test_harness/src/tests/complex_tests/test_artifacts/empty_proof.bin"
        );
        let proof: ZkSyncRecursionLayerProof = bincode::deserialize(bytes).unwrap();
        Ok(proof.into_inner())
    }
}

#[test]
fn the_scheduler_circuit_computes_the_public_input_that_is_computed_natively() {
    let set = EraSet;
    let official = OfficialKeys::get().unwrap();
    let inputs = sample().to_cbor().unwrap();
    let aggregation = set.basic_circuits(&inputs, official, &mut Counts::default()).unwrap();
    let slot =
        |round, circuit_id| ProofSlot { round, circuit_id: CircuitId(circuit_id), depth: 0, sequence: 0 };
    let job = AggregationJob {
        slot: slot(AggregationRound::Scheduler, 1),
        children: vec![slot(AggregationRound::RecursionTip, 255)],
    };
    // Synthesis follows a proof that proves nothing as well: only its constraints would not hold.
    let circuit = set.aggregation_circuit(&job, &aggregation, official, &mut EmptyProof).unwrap();
    let hint = &official.of(SCHEDULER).unwrap().hint;
    let witness = set.synthesize(SCHEDULER, &circuit, hint, official).unwrap();
    // Four elements of 56 bits each are not among a few million values by chance.
    let expected = set.batch_public_input(&inputs, official).unwrap();
    assert_eq!(expected.len(), 4);
    for element in expected {
        assert!(witness.all_values.contains(&element), "{element:?}");
    }
}

#[test]
fn a_sink_that_fails_ends_the_run_with_its_own_error() {
    let inputs = sample().to_cbor().unwrap();
    let mut sink = Counts { fail_after: Some(3), ..Counts::default() };
    let error = EraSet.basic_circuits(&inputs, OfficialKeys::get().unwrap(), &mut sink).unwrap_err();
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert_eq!(error.retry_class(), RetryClass::Resource);
}

#[test]
fn a_batch_that_does_not_run_is_refused_with_the_reason() {
    let official = OfficialKeys::get().unwrap();
    let run = |inputs: ingot_era::inputs::WitnessInputs| {
        let bytes = inputs.to_cbor().unwrap();
        EraSet.basic_circuits(&bytes, official, &mut Counts::default()).unwrap_err().to_string()
    };
    let error = run(sample().clone().with_fewer_refunds(1));
    assert!(error.contains("storage_refunds"), "{error}");
    let error = run(sample().clone().with_fewer_logs(1));
    assert!(error.contains("merkle_paths has no more logs"), "{error}");
}
