//! Where artifacts are, to those who only get and put them.

use crate::{ArtifactError, ArtifactRef, ArtifactStore};

/// Artifacts by hash. Blocking, and safe to use from several threads at once.
///
/// [`ArtifactStore`] is one on this host; another reaches the store of another host. A bucket would be a third: an object
/// named by the hash, put with a condition that it is not there yet, its content verified on every get; the `object_store`
/// crate has what it takes.
pub trait Artifacts: Send + Sync {
    /// Reads an artifact; what is returned is what its name says.
    ///
    /// # Errors
    /// [`ArtifactError`]; see [`ArtifactError::is_bad_artifact`].
    fn get(&self, artifact: &ArtifactRef) -> Result<Vec<u8>, ArtifactError>;

    /// Stores bytes; when this returns, they survive a power cut.
    ///
    /// # Errors
    /// [`ArtifactError`].
    fn put(&self, bytes: &[u8]) -> Result<ArtifactRef, ArtifactError>;

    /// Whether an artifact is there. Its content is not verified.
    ///
    /// # Errors
    /// [`ArtifactError`].
    fn contains(&self, artifact: &ArtifactRef) -> Result<bool, ArtifactError>;
}

impl Artifacts for ArtifactStore {
    fn get(&self, artifact: &ArtifactRef) -> Result<Vec<u8>, ArtifactError> {
        Self::get(self, artifact)
    }

    fn put(&self, bytes: &[u8]) -> Result<ArtifactRef, ArtifactError> {
        Self::put(self, bytes)
    }

    fn contains(&self, artifact: &ArtifactRef) -> Result<bool, ArtifactError> {
        Self::contains(self, artifact)
    }
}
