//! The verification keys and finalization hints that ZKsync ships inside its published crate.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use ingot_circuit_set::{
    field::{FinalizationHint, Vk},
    SetError, VkSource,
};
use ingot_types::{AggregationRound, CircuitId, CircuitKey};
use serde::de::DeserializeOwned;

include!(concat!(env!("OUT_DIR"), "/official.rs"));

/// What is shipped for one circuit.
#[derive(Debug)]
pub struct Official {
    /// The verification key.
    pub vk: Arc<Vk>,
    /// The finalization hint.
    pub hint: FinalizationHint,
}

/// The shipped keys, by circuit.
#[derive(Debug)]
pub struct OfficialKeys(BTreeMap<CircuitKey, Official>);

impl OfficialKeys {
    /// Reads them, once in a process.
    ///
    /// # Errors
    /// [`SetError::Malformed`] if the executable was built from something else.
    pub fn get() -> Result<&'static Self, SetError> {
        static KEYS: OnceLock<OfficialKeys> = OnceLock::new();
        if let Some(keys) = KEYS.get() {
            return Ok(keys);
        }
        let mut keys = BTreeMap::new();
        for (round, id, vk, hint) in OFFICIAL_JSON {
            let round = AggregationRound::try_from(*round)
                .map_err(|error| SetError::malformed("official keys", error))?;
            let key = CircuitKey { round, circuit_id: CircuitId(*id) };
            let vk = Arc::new(inner(&format!("official verification key of {key}"), vk)?);
            let hint = inner(&format!("official finalization hint of {key}"), hint)?;
            keys.insert(key, Official { vk, hint });
        }
        Ok(KEYS.get_or_init(|| Self(keys)))
    }

    /// What is shipped for `key`.
    pub fn of(&self, key: CircuitKey) -> Option<&Official> {
        self.0.get(&key)
    }

    /// All of it.
    pub fn iter(&self) -> impl Iterator<Item = (CircuitKey, &Official)> {
        self.0.iter().map(|(key, official)| (*key, official))
    }
}

impl VkSource for OfficialKeys {
    fn vk(&self, key: CircuitKey) -> Result<Arc<Vk>, SetError> {
        let official = self.of(key).ok_or(SetError::UnknownCircuit { set: crate::NAME, key })?;
        Ok(official.vk.clone())
    }
}

/// The JSON is an object with one field, named for the circuit.
fn inner<T: DeserializeOwned>(what: &str, json: &str) -> Result<T, SetError> {
    let mut object: BTreeMap<String, T> =
        serde_json::from_str(json).map_err(|error| SetError::malformed(what, error))?;
    match object.pop_first() {
        Some((_, value)) if object.is_empty() => Ok(value),
        _ => Err(SetError::malformed(what, "expected an object with one field")),
    }
}
