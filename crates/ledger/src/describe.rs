//! What a file without a magic might be, for people: the set's circuit inputs and aggregation inputs.

use ingot_circuit_set::{decode, encode};
use serde::{de::DeserializeOwned, Serialize};

use crate::{
    basic::instances::Instance,
    recursion::{LeafWitness, NodeWitness, SchedulerWitness, TipWitness},
    set::AggregationInputs,
};

/// Whether all of `bytes` is the one encoding of a `T`.
fn is<T: DeserializeOwned + Serialize>(bytes: &[u8]) -> bool {
    decode::<T>("a file", bytes).is_ok_and(|value| encode("a file", &value).is_ok_and(|again| again == bytes))
}

/// What `bytes` can be decoded as, in words; `None` if they are nothing of this set. Safe on any bytes.
pub fn describe(bytes: &[u8]) -> Option<String> {
    if let Ok(instance) = decode::<Instance>("a file", bytes) {
        if encode("a file", &instance).is_ok_and(|again| again == bytes) {
            let circuit = match instance {
                Instance::Executor(_) => "0:1 (TransactionExecutor)",
                Instance::Signature(_) => "0:2 (SignatureVerifier)",
                Instance::Hasher(_) => "0:3 (PubdataHasher)",
            };
            return Some(format!("circuit input of circuit {circuit}"));
        }
    }
    // Some of these hold the same things in the same order.
    let kinds: Vec<&str> = [
        (is::<AggregationInputs>(bytes), "aggregation inputs, which rounds 1 to 4 read"),
        (is::<LeafWitness>(bytes), "circuit input of a leaf (round 1)"),
        (is::<NodeWitness>(bytes), "circuit input of a node (round 2)"),
        (is::<TipWitness>(bytes), "circuit input of the recursion tip (round 3)"),
        (is::<SchedulerWitness>(bytes), "circuit input of the scheduler (round 4)"),
    ]
    .into_iter()
    .filter_map(|(is, kind)| is.then_some(kind))
    .collect();
    (!kinds.is_empty()).then(|| kinds.join(", or "))
}
