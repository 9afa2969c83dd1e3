//! What can go wrong with keys.

use std::path::{Path, PathBuf};

use ingot_artifacts::{ArtifactError, Blake3};
use ingot_circuit_set::SetError;
use ingot_prover::ProverError;
use ingot_types::{CircuitKey, RetryClass};

/// An error of the key store. Files are named; a mismatch says what was expected and what was found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A folder or thread that is needed cannot be had.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file cannot be read or written, is missing, or is not what the manifest pins.
    #[error(transparent)]
    File(#[from] ArtifactError),
    /// A key that was just made differs from the manifest's pin.
    #[error("{file}, as this build makes it, does not match the key manifest: expected BLAKE3 {expected}, found {found}")]
    Pin {
        /// Name of the file.
        file: String,
        /// Hash by the manifest.
        expected: Blake3,
        /// Hash of what was made.
        found: Blake3,
    },
    /// A file whose hash is right and whose contents are not: the manifest was made by an incompatible build.
    #[error("{path}: {source}", path = path.display())]
    Contents {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: SetError,
    },
    /// A setup key that its circuit cannot be proved with.
    #[error("{path}: {source}", path = path.display())]
    Prepare {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: ProverError,
    },
    /// A manifest that cannot be used.
    #[error("{path}, line {line}: {reason}", path = path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// Line, counted from 1.
        line: usize,
        /// What is wrong there.
        reason: String,
    },
    /// A manifest of another circuit set, version or parameter set.
    #[error("{path}: {field} is `{found}`, expected `{expected}`", path = path.display())]
    OtherSet {
        /// The manifest.
        path: PathBuf,
        /// The field that differs.
        field: &'static str,
        /// What this circuit set has.
        expected: String,
        /// What the manifest has.
        found: String,
    },
    /// A circuit that the manifest does not know.
    #[error("{path} has no entry for circuit {key} (round:id)", path = path.display())]
    NoEntry {
        /// The manifest.
        path: PathBuf,
        /// The circuit.
        key: CircuitKey,
    },
    /// A circuit needs more memory than it may have.
    #[error("making the key of {name} ({key}) needs about {needed} bytes of memory, more than the {allowed} allowed")]
    Memory {
        /// The circuit.
        key: CircuitKey,
        /// Its name.
        name: &'static str,
        /// Its estimate.
        needed: u64,
        /// The budget.
        allowed: u64,
    },
    /// Key dependencies that can never be met.
    #[error("the key of {key} (round:id) waits for keys that are never made")]
    Cycle {
        /// The circuit.
        key: CircuitKey,
    },
    /// The circuit set failed.
    #[error("making the key of {name} ({key}): {source}")]
    Set {
        /// The circuit.
        key: CircuitKey,
        /// Its name.
        name: &'static str,
        /// What it says.
        source: SetError,
    },
    /// The proof library panicked.
    #[error("making the key of {name} ({key}) panicked: {message}")]
    Panicked {
        /// The circuit.
        key: CircuitKey,
        /// Its name.
        name: &'static str,
        /// The panic's message.
        message: String,
    },
    /// Asked to stop.
    #[error("stopped; run the same command again to go on")]
    Stopped,
}

impl KeyError {
    pub(crate) fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }

    /// Whether the file is damaged or gone, so that making it again helps.
    pub fn is_damaged_file(&self) -> bool {
        match self {
            Self::File(error) => error.is_bad_artifact(),
            other => matches!(other, Self::Contents { .. }),
        }
    }

    /// How a failed attempt with this error is to be treated.
    pub fn retry_class(&self) -> RetryClass {
        match self {
            Self::File(error) => error.retry_class(),
            Self::Io { .. } | Self::Stopped => RetryClass::Transient,
            Self::Memory { .. } => RetryClass::Resource,
            Self::Set { source, .. } => source.retry_class(),
            Self::Prepare { source, .. } => source.retry_class(),
            _ => RetryClass::Deterministic,
        }
    }
}
