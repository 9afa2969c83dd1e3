//! How long a job waits for files.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use ingot_artifacts::{ArtifactError, ArtifactRef, Artifacts};

/// Artifacts that add up the time that reading and writing them takes, over all threads that do.
pub struct Timed<'a> {
    inner: &'a dyn Artifacts,
    reading_ns: AtomicU64,
    writing_ns: AtomicU64,
}

impl std::fmt::Debug for Timed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Timed").field("reading", &self.reading()).field("writing", &self.writing()).finish()
    }
}

impl<'a> Timed<'a> {
    /// Nothing has been read or written yet.
    pub fn new(inner: &'a dyn Artifacts) -> Self {
        Self { inner, reading_ns: AtomicU64::new(0), writing_ns: AtomicU64::new(0) }
    }

    /// Time that reads took.
    pub fn reading(&self) -> Duration {
        Duration::from_nanos(self.reading_ns.load(Ordering::Relaxed))
    }

    /// Time that writes took.
    pub fn writing(&self) -> Duration {
        Duration::from_nanos(self.writing_ns.load(Ordering::Relaxed))
    }
}

fn timed<T>(total_ns: &AtomicU64, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    let took = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
    total_ns.fetch_add(took, Ordering::Relaxed);
    result
}

impl Artifacts for Timed<'_> {
    fn get(&self, artifact: &ArtifactRef) -> Result<Vec<u8>, ArtifactError> {
        timed(&self.reading_ns, || self.inner.get(artifact))
    }

    fn put(&self, bytes: &[u8]) -> Result<ArtifactRef, ArtifactError> {
        timed(&self.writing_ns, || self.inner.put(bytes))
    }

    fn contains(&self, artifact: &ArtifactRef) -> Result<bool, ArtifactError> {
        self.inner.contains(artifact)
    }
}
