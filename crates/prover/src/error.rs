//! What can go wrong with proofs.

use std::path::PathBuf;

use ingot_circuit_set::SetError;
use ingot_types::{CircuitKey, RetryClass};

/// Why a proof is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// A part of the proof has another size than the verification key and the parameters demand.
    #[error("{part}: expected {expected}, found {found}")]
    Shape {
        /// The part.
        part: String,
        /// Length by the verification key and the circuit set's parameters.
        expected: usize,
        /// Length in the proof.
        found: usize,
    },
    /// The proof claims other security parameters than the circuit set's.
    #[error("proof parameters: expected {expected}, found {found}")]
    Parameters {
        /// The circuit set's.
        expected: String,
        /// The proof's.
        found: String,
    },
    /// The verification key does not belong to the circuit set's parameters.
    #[error("the verification key does not fit the circuit set: {0}")]
    Key(String),
    /// The proof is well formed and wrong.
    #[error("the proof does not satisfy the verification equations")]
    Invalid,
    /// The proof library's verifier panicked, which no valid proof makes it do.
    #[error("the verifier panicked: {0}")]
    Panicked(String),
}

/// Why a proof could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProverError {
    /// The circuit set failed.
    #[error(transparent)]
    Set(#[from] SetError),
    /// The witness vector does not belong to the setup key.
    #[error("witness vector of circuit {key} (round:id): {part}: expected {expected}, found {found}")]
    Witness {
        /// The circuit.
        key: CircuitKey,
        /// What differs.
        part: &'static str,
        /// By the setup key.
        expected: usize,
        /// In the witness vector.
        found: usize,
    },
    /// The setup key does not fit its circuit.
    #[error("setup key: {part}: expected {expected}, found {found}")]
    Setup {
        /// What differs.
        part: &'static str,
        /// By the circuit.
        expected: usize,
        /// In the key.
        found: usize,
    },
    /// The circuit or its parameters ask for what the protocol does not have.
    #[error("not provable: {what}")]
    Unsupported {
        /// What.
        what: String,
    },
    /// The witness vector does not satisfy the circuit.
    #[error("the witness does not satisfy the circuit: {what}")]
    Unsatisfied {
        /// Where it showed.
        what: &'static str,
    },
    /// The proof library panicked while proving: unsatisfied constraints, or too little memory.
    #[error("proving circuit {key} (round:id) panicked: {message}")]
    Panicked {
        /// The circuit.
        key: CircuitKey,
        /// The panic's message.
        message: String,
    },
    /// The proof just made is not valid: the witness vector does not satisfy the circuit.
    #[error("the proof just made for circuit {key} (round:id) is not valid: {reason}")]
    SelfCheck {
        /// The circuit.
        key: CircuitKey,
        /// What the verifier says.
        reason: Rejection,
    },
}

impl ProverError {
    /// How a failed attempt with this error is to be treated.
    pub fn retry_class(&self) -> RetryClass {
        match self {
            Self::Set(error) => error.retry_class(),
            _ => RetryClass::Deterministic,
        }
    }
}

/// Why a proof file cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContainerError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is no proof file.
    #[error("{path} is no proof file: expected it to begin with {expected}, found {found}", path = path.display())]
    Magic {
        /// The file.
        path: PathBuf,
        /// The magic.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The file has a format this build does not know.
    #[error("{path}: proof file format {found} is unknown, this build reads format {expected}", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The format this build reads.
        expected: u32,
        /// The format of the file.
        found: u32,
    },
    /// The file is cut off or has bytes too many.
    #[error("{path}: expected {expected} bytes, found {found}", path = path.display())]
    Size {
        /// The file.
        path: PathBuf,
        /// By its own lengths.
        expected: u64,
        /// On disk.
        found: u64,
    },
    /// The file is damaged.
    #[error("{path} is damaged: expected BLAKE3 {expected}, found {found}", path = path.display())]
    Hash {
        /// The file.
        path: PathBuf,
        /// Hash in the file's trailer.
        expected: String,
        /// Hash of its contents.
        found: String,
    },
    /// The file is whole and its contents are not what they should be.
    #[error("{path}: {source}", path = path.display())]
    Contents {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: SetError,
    },
}

impl ContainerError {
    /// How a failed attempt with this error is to be treated.
    pub fn retry_class(&self) -> RetryClass {
        match self {
            Self::Io { .. } => RetryClass::Transient,
            _ => RetryClass::Deterministic,
        }
    }
}

/// The text of a panic.
pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    ingot_types::panic_text(panic).unwrap_or_else(|| "no message".into())
}
