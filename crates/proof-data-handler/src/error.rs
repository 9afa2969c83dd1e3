//! What can go wrong.

use std::{io, path::PathBuf};

use ingot_artifacts::ArtifactError;
use ingot_core_api::ServerError;
use ingot_types::RetryClass;

/// The database failed, or is not to be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The library.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    Database {
        /// What was tried, as a verb.
        action: &'static str,
        /// The database.
        path: PathBuf,
        /// What happened.
        source: rusqlite::Error,
    },
    /// Another process has it.
    #[error("{path} is in use by another process", path = path.display())]
    InUse {
        /// The database.
        path: PathBuf,
    },
    /// A newer build wrote it.
    #[error("{path} has schema {found}: expected {newest} at most; use the build that wrote it", path = path.display())]
    Schema {
        /// The database.
        path: PathBuf,
        /// The newest that this build knows.
        newest: u64,
        /// What is there.
        found: u64,
    },
    /// A file beside it.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// Migration.
    #[error("cannot migrate {path}: {reason}", path = path.display())]
    Migration {
        /// The database.
        path: PathBuf,
        /// What happened.
        reason: String,
    },
}

impl StoreError {
    /// What another attempt would be worth.
    pub fn retry_class(&self) -> RetryClass {
        match self {
            Self::Schema { .. } | Self::Migration { .. } => RetryClass::Deterministic,
            Self::Database { source, .. }
                if source.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull) =>
            {
                RetryClass::Resource
            }
            _ => RetryClass::Transient,
        }
    }
}

/// Why the proof data handler cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandlerError {
    /// Its database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its artifacts.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// Its doors.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// Its token file.
    #[error("the token file: {0}")]
    Token(String),
}

impl HandlerError {
    /// Whether starting again may help, as it is.
    pub fn retry_class(&self) -> RetryClass {
        match self {
            Self::Store(error) => error.retry_class(),
            Self::Artifact(error) => error.retry_class(),
            Self::Server(ServerError::Open { .. }) | Self::Token(_) => RetryClass::Deterministic,
            Self::Server(_) => RetryClass::Transient,
        }
    }
}
