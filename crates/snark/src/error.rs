//! What can go wrong on the way to a SNARK.

use ingot_circuit_set::SetError;
use ingot_prover::ProverError;
use ingot_types::RetryClass;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnarkError {
    /// A circuit, its key or a proof that it verifies.
    #[error(transparent)]
    Set(#[from] SetError),
    /// A layout or a device.
    #[error(transparent)]
    Prover(#[from] ProverError),
    /// The proof library stopped.
    #[error("{step}: the proof library stopped: {message}")]
    Panicked {
        /// Which step.
        step: &'static str,
        /// Its words.
        message: String,
    },
    /// A proof that was just made does not verify.
    #[error("{step}: the proof does not verify")]
    Invalid {
        /// Which step.
        step: &'static str,
    },
    /// A part of a SNARK is not what its key demands.
    #[error("SNARK: {part}: expected {expected}, found {found}")]
    Shape {
        /// Which part.
        part: &'static str,
        /// By the key.
        expected: String,
        /// In the proof.
        found: String,
    },
}

impl SnarkError {
    /// What another attempt would be worth.
    pub fn retry_class(&self) -> RetryClass {
        match self {
            Self::Set(error) => error.retry_class(),
            Self::Prover(error) => error.retry_class(),
            Self::Panicked { .. } | Self::Invalid { .. } | Self::Shape { .. } => RetryClass::Deterministic,
        }
    }
}
