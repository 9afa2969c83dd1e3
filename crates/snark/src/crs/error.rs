//! Why a common reference string is not accepted.

use std::{io, path::PathBuf};

use ingot_types::RetryClass;

/// What is wrong with a file of powers, or why one could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CrsError {
    /// The file cannot be read or written.
    #[error("CRS: cannot {action} {path}: {source}", path = path.display())]
    Io {
        /// Read, write, and so on.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The header is not one that this build reads.
    #[error("CRS {path}: {part}: expected {expected}, found {found}", path = path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// Which field.
        part: &'static str,
        /// What would be accepted.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The file is cut off or has bytes too many.
    #[error("CRS {path}: expected {expected} bytes, found {found}", path = path.display())]
    Size {
        /// The file.
        path: PathBuf,
        /// By its header.
        expected: u64,
        /// On disk.
        found: u64,
    },
    /// The file holds fewer powers than are needed.
    #[error("CRS {path} is too small: expected 2^{expected} powers or more, found 2^{found}", path = path.display())]
    TooSmall {
        /// The file.
        path: PathBuf,
        /// log2 of the number of powers needed.
        expected: u32,
        /// log2 of the number of powers in the file.
        found: u32,
    },
    /// The contents are not those that the header or the configuration names.
    #[error("CRS {path}: {what}: expected BLAKE3 {expected}, found {found}", path = path.display())]
    Hash {
        /// The file.
        path: PathBuf,
        /// The body, or the whole file.
        what: &'static str,
        /// Named or pinned.
        expected: String,
        /// Of what is there.
        found: String,
    },
    /// A point that cannot be part of a CRS.
    #[error("CRS {path}: point {index} of {group}: {reason}", path = path.display())]
    Point {
        /// The file.
        path: PathBuf,
        /// G1 or G2.
        group: &'static str,
        /// Which.
        index: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The points are no powers of one secret.
    #[error("CRS {path}: the points of G1 are not the powers of the secret in G2", path = path.display())]
    Inconsistent {
        /// The file.
        path: PathBuf,
    },
    /// Not what can be asked for.
    #[error("CRS: {0}")]
    Request(String),
}

impl CrsError {
    /// What another attempt would be worth.
    pub fn retry_class(&self) -> RetryClass {
        match self {
            Self::Io { .. } => RetryClass::Transient,
            _ => RetryClass::Deterministic,
        }
    }
}
