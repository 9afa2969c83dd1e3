//! What can go wrong inside a circuit set.

use ingot_types::{CircuitKey, RetryClass};

/// An error of a circuit set. All of them depend on the input alone, except a missing key or proof.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetError {
    /// The circuit set has no such circuit.
    #[error("{set} has no circuit {key} (round:id); `ingot circuits` lists what it has")]
    UnknownCircuit {
        /// Name of the circuit set.
        set: &'static str,
        /// What was asked for.
        key: CircuitKey,
    },
    /// Bytes that should hold something do not.
    #[error("{what}: {reason}")]
    Malformed {
        /// What the bytes should be.
        what: String,
        /// What is wrong with them.
        reason: String,
    },
    /// Witness inputs that describe no valid batch.
    #[error("invalid batch: {0}")]
    InvalidBatch(String),
    /// Proofs or keys that do not fit together.
    #[error("{0}")]
    Inconsistent(String),
    /// Something the caller had to supply could not be supplied.
    #[error("{what}: {reason}")]
    Source {
        /// What was asked for.
        what: String,
        /// Why it is not there.
        reason: String,
        /// Whether it is worth asking again.
        retry: RetryClass,
    },
}

impl SetError {
    /// Shorthand for [`SetError::Malformed`].
    pub fn malformed(what: impl Into<String>, reason: impl ToString) -> Self {
        Self::Malformed { what: what.into(), reason: reason.to_string() }
    }

    /// How a failed attempt with this error is to be treated.
    pub fn retry_class(&self) -> RetryClass {
        match self {
            Self::Source { retry, .. } => *retry,
            _ => RetryClass::Deterministic,
        }
    }
}
