//! What can go wrong with a file.

use std::{io, path::PathBuf};

use ingot_types::RetryClass;

use crate::Blake3;

/// An error of a file operation; each names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArtifactError {
    /// The operating system refused.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why it was refused.
        source: io::Error,
    },
    /// There is no such file.
    #[error("{path} is missing: expected {expected_size} bytes with BLAKE3 {expected}", path = path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The hash it should have.
        expected: Blake3,
        /// The size it should have, in bytes.
        expected_size: u64,
    },
    /// The file holds something else. Whatever made it has to make it again.
    #[error(
        "{path} is corrupt: expected {expected_size} bytes with BLAKE3 {expected}, found {found_size} bytes with \
         BLAKE3 {found}", path = path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The hash it should have.
        expected: Blake3,
        /// The size it should have, in bytes.
        expected_size: u64,
        /// The hash of its content.
        found: Blake3,
        /// Its size, in bytes.
        found_size: u64,
    },
    /// The store of another host has something else under this name.
    #[error("{what} is corrupt: {reason}")]
    Damaged {
        /// Which artifact, and where.
        what: String,
        /// What was found.
        reason: String,
    },
    /// Another writer is storing the same artifact.
    #[error("{path} is being written by another", path = path.display())]
    Busy {
        /// The part.
        path: PathBuf,
    },
    /// The store of another host, or the way there.
    #[error("{what}: {reason}")]
    Remote {
        /// What was tried.
        what: String,
        /// What happened.
        reason: String,
        /// What another attempt would be worth.
        retry: RetryClass,
    },
}

impl ArtifactError {
    /// How a failed attempt with this error is to be treated.
    ///
    /// A missing or corrupt file is `Transient`: the reader succeeds once the job that made the file has run again (see
    /// [`Self::is_bad_artifact`]), and the limit on attempts ends it where that does not help.
    pub fn retry_class(&self) -> RetryClass {
        match self {
            Self::Missing { .. } | Self::Corrupt { .. } | Self::Damaged { .. } | Self::Busy { .. } => {
                RetryClass::Transient
            }
            Self::Remote { retry, .. } => *retry,
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull
                | io::ErrorKind::QuotaExceeded
                | io::ErrorKind::FileTooLarge
                | io::ErrorKind::OutOfMemory => RetryClass::Resource,
                // No stable `ErrorKind` names these two: too many open files, in the process and in the system.
                _ if matches!(source.raw_os_error(), Some(EMFILE | ENFILE)) => RetryClass::Resource,
                _ => RetryClass::Transient,
            },
        }
    }

    /// Whether the job that made the file has to run again.
    pub fn is_bad_artifact(&self) -> bool {
        matches!(self, Self::Missing { .. } | Self::Corrupt { .. } | Self::Damaged { .. })
    }
}

const ENFILE: i32 = 23;
const EMFILE: i32 = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_class_that_helps() {
        let class = |source: io::Error| {
            ArtifactError::Io { action: "write", path: PathBuf::from("x"), source }.retry_class()
        };
        assert_eq!(class(io::ErrorKind::StorageFull.into()), RetryClass::Resource);
        assert_eq!(class(io::Error::from_raw_os_error(28)), RetryClass::Resource, "ENOSPC");
        assert_eq!(class(io::Error::from_raw_os_error(122)), RetryClass::Resource, "EDQUOT");
        assert_eq!(class(io::Error::from_raw_os_error(EMFILE)), RetryClass::Resource);
        assert_eq!(class(io::Error::from_raw_os_error(ENFILE)), RetryClass::Resource);
        assert_eq!(class(io::Error::from_raw_os_error(5)), RetryClass::Transient, "EIO");
        let missing =
            ArtifactError::Missing { path: PathBuf::from("x"), expected: Blake3::of(b""), expected_size: 0 };
        assert_eq!(missing.retry_class(), RetryClass::Transient);
        assert!(missing.is_bad_artifact());
    }
}
