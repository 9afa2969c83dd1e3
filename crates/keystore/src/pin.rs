//! A file by name, size and hash.

use std::path::Path;

use ingot_artifacts::{read_verified, ArtifactError, Blake3};
use serde::{Deserialize, Serialize};

/// A file that is pinned: its name beside the manifest, its size and its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilePin {
    /// File name, without folders.
    pub file: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Hash of its contents.
    pub blake3: Blake3,
}

impl FilePin {
    /// The pin of `bytes` under `file`.
    pub fn of(file: String, bytes: &[u8]) -> Self {
        Self { file, size_bytes: bytes.len() as u64, blake3: Blake3::of(bytes) }
    }

    /// Compares `bytes`, which came from `path`, with the pin.
    ///
    /// # Errors
    /// [`ArtifactError::Corrupt`].
    pub fn verify(&self, path: &Path, bytes: &[u8]) -> Result<(), ArtifactError> {
        let (found, found_size) = (Blake3::of(bytes), bytes.len() as u64);
        if found == self.blake3 && found_size == self.size_bytes {
            return Ok(());
        }
        Err(ArtifactError::Corrupt {
            path: path.to_owned(),
            expected: self.blake3,
            expected_size: self.size_bytes,
            found,
            found_size,
        })
    }

    /// Reads the file from `dir` and verifies it. A file of the wrong size is never taken into memory.
    ///
    /// # Errors
    /// [`ArtifactError::Missing`], [`ArtifactError::Corrupt`], [`ArtifactError::Io`].
    pub fn read(&self, dir: &Path) -> Result<Vec<u8>, ArtifactError> {
        read_verified(&dir.join(&self.file), self.blake3, self.size_bytes)
    }
}
