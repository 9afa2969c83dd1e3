//! Why a backup, or what was made of one, is not there.

use std::{
    io,
    path::{Path, PathBuf},
};

use ingot_artifacts::{ArtifactError, Blake3};
use ingot_job_store::StoreError;
use ingot_types::RetryClass;

use crate::client::ClientError;

/// An error of a backup.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// Something is in the way.
    #[error("{path} is not empty: expected nothing there, or an empty folder", path = path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// A house keeper works there.
    #[error("{path} is in use: a house keeper runs on it", path = path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// Another process fills the same folder.
    #[error("{path} is being filled by another process", path = path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// A path that ends in no name.
    #[error("`{path}` names no folder", path = path.display())]
    NoName {
        /// The path.
        path: PathBuf,
    },
    /// This is no backup, or a newer build made it.
    #[error("{path}: {reason}", path = path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file of the backup is gone.
    #[error("{path} is missing: the backup is not whole", path = path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A file of the backup is not what it was.
    #[error(
        "{path} is damaged: expected {expected_size} bytes with BLAKE3 {expected}, found {found_size} bytes with BLAKE3 \
         {found}", path = path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The hash it had.
        expected: Blake3,
        /// The size it had, in bytes.
        expected_size: u64,
        /// The hash it has.
        found: Blake3,
        /// The size it has, in bytes.
        found_size: u64,
    },
    /// It would not fit. Nothing was written.
    #[error("{path} has {free} bytes free, and {needed} are needed", path = path.display())]
    NoRoom {
        /// The folder.
        path: PathBuf,
        /// Bytes that this user may write there.
        free: u64,
        /// Bytes of all files.
        needed: u64,
    },
    /// The operating system refused.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why it was refused.
        source: io::Error,
    },
    /// An artifact cannot be had.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The copy of the database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The house keeper.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Whoever asked for it wants it no more.
    #[error("interrupted: nothing was left behind")]
    Interrupted,
}

impl BackupError {
    /// How a failed attempt with this error is to be treated.
    pub fn retry_class(&self) -> RetryClass {
        match self {
            Self::NotEmpty { .. }
            | Self::NoName { .. }
            | Self::Manifest { .. }
            | Self::Missing { .. }
            | Self::Damaged { .. } => RetryClass::Deterministic,
            Self::NoRoom { .. } => RetryClass::Resource,
            Self::InUse { .. } | Self::Busy { .. } | Self::Interrupted => RetryClass::Transient,
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => RetryClass::Resource,
                _ => RetryClass::Transient,
            },
            Self::Artifact(error) => error.retry_class(),
            Self::Store(error) => error.retry_class(),
            Self::Client(error) => error.retry_class(),
        }
    }
}

/// Attaches what was tried on which file.
pub(super) fn context<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> BackupError + 'a {
    move |source| BackupError::Io { action, path: path.to_owned(), source }
}
