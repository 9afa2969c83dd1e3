//! A circuit with its witness, and its bytes.

use std::fmt;

use circuit_definitions::circuit_definitions::{
    base_layer::ZkSyncBaseLayerCircuit,
    recursion_layer::{ZkSyncRecursionLayerStorageType, ZkSyncRecursiveLayerCircuit},
};
use ingot_circuit_set::{field::Digest, SetError};
use ingot_types::{AggregationRound, CircuitKey};
use serde::{Deserialize, Serialize};

/// A circuit with its witness.
///
/// Its bytes are those of ZKsync's prover job artifacts (`prover_jobs_fri`): bincode of an enumeration whose first variant
/// is a base circuit and whose second is a recursive one.
#[derive(Clone, Serialize, Deserialize)]
pub enum EraCircuit {
    /// Round 0.
    Base(Box<ZkSyncBaseLayerCircuit>),
    /// Rounds 1 to 4.
    Recursive(Box<ZkSyncRecursiveLayerCircuit>),
}

impl fmt::Debug for EraCircuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EraCircuit").field(&self.key()).finish()
    }
}

impl From<ZkSyncBaseLayerCircuit> for EraCircuit {
    fn from(circuit: ZkSyncBaseLayerCircuit) -> Self {
        Self::Base(Box::new(circuit))
    }
}

impl From<ZkSyncRecursiveLayerCircuit> for EraCircuit {
    fn from(circuit: ZkSyncRecursiveLayerCircuit) -> Self {
        Self::Recursive(Box::new(circuit))
    }
}

impl EraCircuit {
    /// Round and id, as ZKsync numbers them: a leaf has the id of its recursive circuit (3 to 22).
    pub fn key(&self) -> CircuitKey {
        const SCHEDULER: u8 = ZkSyncRecursionLayerStorageType::SchedulerCircuit as u8;
        const NODE: u8 = ZkSyncRecursionLayerStorageType::NodeLayerCircuit as u8;
        const TIP: u8 = ZkSyncRecursionLayerStorageType::RecursionTipCircuit as u8;
        match self {
            Self::Base(circuit) => CircuitKey::new(AggregationRound::Basic, circuit.numeric_circuit_type()),
            Self::Recursive(circuit) => {
                let id = circuit.numeric_circuit_type();
                let round = match id {
                    SCHEDULER => AggregationRound::Scheduler,
                    NODE => AggregationRound::Node,
                    TIP => AggregationRound::RecursionTip,
                    _ => AggregationRound::Leaf,
                };
                CircuitKey::new(round, id)
            }
        }
    }

    /// The public input that witness generation expects of it, if it is a base circuit with a witness.
    pub fn expected_public_input(&self) -> Option<Digest> {
        match self {
            Self::Base(circuit) => crate::dispatch::expected_public_input(circuit),
            Self::Recursive(_) => None,
        }
    }

    /// The circuit as bytes.
    ///
    /// # Errors
    /// [`SetError::Malformed`] if it cannot be encoded.
    pub fn to_bytes(&self) -> Result<Vec<u8>, SetError> {
        bincode::serialize(self)
            .map_err(|error| SetError::malformed(format!("circuit {}", self.key()), error))
    }

    /// Reads a circuit that should be `expected`.
    ///
    /// # Errors
    /// [`SetError::Malformed`] if the bytes hold none, more than one, or another.
    pub fn from_bytes(bytes: &[u8], expected: CircuitKey) -> Result<Self, SetError> {
        use bincode::Options as _;
        let what = || format!("input of circuit {expected} (round:id)");
        let circuit: Self = bincode::DefaultOptions::new()
            .with_fixint_encoding()
            .with_limit(bytes.len() as u64)
            .deserialize(bytes)
            .map_err(|error| SetError::malformed(what(), error))?;
        match circuit.key() {
            found if found == expected => Ok(circuit),
            found => Err(SetError::malformed(what(), format!("it is an input of circuit {found}"))),
        }
    }
}
