//! A whole batch through all five rounds, with the circuit set alone: keys, circuits, proofs. Every proof is verified by
//! the proof library's own verifier, and the last one's public input is what the native executor says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking
#![feature(allocator_api)]
#![feature(generic_const_exprs)]

use std::{
    collections::{BTreeMap, HashMap},
    sync::Mutex,
    time::Instant,
};

use boojum::{cs::implementations::pow::NoPow, field::Field};
use ingot_circuit_set::{
    encode,
    field::{Proof, Transcript, TreeHasher, Worker, F},
    AggregationJob, CircuitSet, ProofSlot, SetupKey,
};
use ingot_ledger::{
    native::sample,
    openings,
    security::{self, ParameterSet, LEGACY100, PROVEN80},
    LedgerSet,
};
use ingot_prover::{prove_with_library, Prepared};
use ingot_test_set::{Keys, Proofs, Sink};
use ingot_types::{AggregationRound, CircuitKey};

struct Run {
    set: LedgerSet,
    keys: Keys,
    setup: HashMap<CircuitKey, SetupKey>,
    worker: Worker,
    openings: Mutex<BTreeMap<CircuitKey, usize>>,
}

impl Run {
    fn new(parameters: &'static ParameterSet) -> Self {
        let mut run = Self {
            set: LedgerSet::new(parameters),
            keys: Keys::default(),
            setup: HashMap::new(),
            worker: Worker::new(),
            openings: Mutex::default(),
        };
        for circuit in run.set.circuits() {
            let start = Instant::now();
            let made = run.set.setup(circuit.key, &run.keys, &run.worker).unwrap();
            println!("key {} {}: {:?}", circuit.key, circuit.name, start.elapsed());
            assert_eq!(made.hint.final_trace_len, 1 << circuit.trace_len_log2);
            run.keys.insert(circuit.key, made.vk.clone());
            run.setup.insert(circuit.key, made);
        }
        run
    }

    fn prove(&self, key: CircuitKey, circuit: &[u8]) -> Proof {
        let setup = &self.setup[&key];
        let start = Instant::now();
        let witness = self.set.synthesize(key, circuit, &setup.hint, &self.keys).unwrap();
        let synthesized = start.elapsed();
        let lde = setup.lde(&self.worker);
        let library = Instant::now();
        let proof =
            prove_with_library(&self.set, key, &witness, setup, &lde, &self.keys, &self.worker).unwrap();
        let library = library.elapsed();
        drop(lde);
        // The same bytes from our own prover.
        let prepared = Prepared::new(&self.set, key, setup).unwrap();
        let own = Instant::now();
        let ours = prepared.prove_unchecked(&witness).unwrap();
        let own = own.elapsed();
        println!("proof {key}: library {library:?}, own {own:?}");
        assert_eq!(encode("proof", &ours).unwrap(), encode("proof", &proof).unwrap(), "proof of {key}");
        assert!(self.verify(key, &proof), "proof of {key}");
        let found = security::batched_openings(&proof);
        println!("proof {key}: synthesis {synthesized:?}, all {:?}, {found} openings", start.elapsed());
        self.openings.lock().unwrap().insert(key, found);
        proof
    }

    fn verify(&self, key: CircuitKey, proof: &Proof) -> bool {
        self.set.verifier(key).unwrap().verify::<TreeHasher, Transcript, NoPow>(
            (),
            &self.setup[&key].vk,
            proof,
        )
    }

    /// Proves the batch; returns the scheduler's proof and the number of proofs.
    fn batch(&self, inputs: &[u8]) -> (Proof, usize) {
        let mut sink = Sink::default();
        let aggregation = self.set.basic_circuits(inputs, &self.keys, &mut sink).unwrap();
        let mut proofs = Proofs::default();
        let mut counts = BTreeMap::new();
        for (circuit_id, sequence, circuit) in sink.0 {
            let key = CircuitKey { round: AggregationRound::Basic, circuit_id };
            *counts.entry(circuit_id).or_insert(0) += 1;
            let slot = ProofSlot { round: AggregationRound::Basic, circuit_id, depth: 0, sequence };
            proofs.0.insert(slot, self.prove(key, &circuit));
        }
        let mut last = None;
        for planned in self.set.plan(&counts).proofs {
            let job = AggregationJob { slot: planned.slot, children: planned.children };
            let circuit = self.set.aggregation_circuit(&job, &aggregation, &self.keys, &mut proofs).unwrap();
            let key = self.set.circuit_of(job.slot.round, job.slot.circuit_id);
            proofs.0.insert(job.slot, self.prove(key, &circuit));
            last = Some(job.slot);
        }
        let count = proofs.0.len();
        (proofs.0.remove(&last.unwrap()).unwrap(), count)
    }
}

fn whole_batch(parameters: &'static ParameterSet, operations: &[usize]) {
    let run = Run::new(parameters);
    let scheduler = CircuitKey::new(AggregationRound::Scheduler, 1);
    for &operations in operations {
        let inputs = sample::sample_batch(40, operations).to_bytes("sample").unwrap();
        let start = Instant::now();
        let (proof, count) = run.batch(&inputs);
        println!("{operations} operations: {count} proofs, {:?}", start.elapsed());
        let expected = run.set.batch_public_input(&inputs, &run.keys).unwrap();
        assert_eq!(proof.public_inputs, expected);
        for limb in 0..4 {
            let mut forged = proof.clone();
            forged.public_inputs[limb].add_assign(&F::ONE);
            assert!(!run.verify(scheduler, &forged), "limb {limb}");
        }
    }
    // What the security figures are computed from.
    for (key, found) in run.openings.lock().unwrap().iter() {
        assert_eq!(Some(*found), openings(*key), "openings of {key}");
    }
}

/// A batch of one operation.
#[test]
fn whole_batches_with_test_parameters() {
    whole_batch(&LEGACY100, &[1]);
}

#[test]
#[ignore = "minutes: run by .ci/long"]
fn whole_batches_with_default_parameters() {
    whole_batch(&PROVEN80, &[40, 200]);
}
