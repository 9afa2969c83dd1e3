//! Keys, circuit inputs and proofs in memory: what a circuit set reads from and writes to.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use ingot_circuit_set::{
    field::{Proof, Vk},
    CircuitSink, ProofSlot, ProofSource, SetError, VkSource,
};
use ingot_types::{CircuitId, CircuitKey, RetryClass};

/// Verification keys, as they are made.
#[derive(Debug, Default)]
pub struct Keys(Mutex<HashMap<CircuitKey, Arc<Vk>>>);

impl Keys {
    /// Keeps the key of a circuit.
    pub fn insert(&self, key: CircuitKey, vk: Vk) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::new(vk));
    }
}

impl VkSource for Keys {
    fn vk(&self, key: CircuitKey) -> Result<Arc<Vk>, SetError> {
        let keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.get(&key).cloned().ok_or(SetError::Source {
            what: format!("key {key}"),
            reason: "not made yet".into(),
            retry: RetryClass::Deterministic,
        })
    }
}

/// Basic circuits in the order they come: id, sequence, input.
#[derive(Debug, Default)]
pub struct Sink(pub Vec<(CircuitId, u32, Vec<u8>)>);

impl CircuitSink for Sink {
    fn basic_circuit(&mut self, id: CircuitId, sequence: u32, circuit: &[u8]) -> Result<(), SetError> {
        self.0.push((id, sequence, circuit.to_vec()));
        Ok(())
    }
}

/// Proofs by their slots.
#[derive(Default)]
pub struct Proofs(pub HashMap<ProofSlot, Proof>);

impl std::fmt::Debug for Proofs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl ProofSource for Proofs {
    /// # Panics
    /// If there is none: the test asked before it was made.
    fn proof(&mut self, slot: ProofSlot) -> Result<Proof, SetError> {
        Ok(self.0[&slot].clone())
    }
}
