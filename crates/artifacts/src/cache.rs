//! Copies of another host's artifacts, within a bound.

use std::{
    fs,
    io::ErrorKind,
    path::PathBuf,
    sync::{
        atomic::{AtomicU64, Ordering},
        Arc,
    },
    time::SystemTime,
};

use crate::{
    file::{context, remove_if_there, touch},
    ArtifactError, ArtifactRef, ArtifactStore, Artifacts,
};

/// Artifacts of another home, of which the ones used last are kept in a folder of this host.
///
/// A copy is verified whenever it is read; one that is damaged is fetched again. Several processes may share the folder.
/// Trouble with the folder never fails a get or a put: it makes them slower.
pub struct CachedArtifacts {
    home: Arc<dyn Artifacts>,
    copies: ArtifactStore,
    limit_bytes: u64,
    /// Bytes in the folder, as far as this process knows.
    bytes: AtomicU64,
    /// Bytes that this process added since it last looked.
    added: AtomicU64,
}

impl std::fmt::Debug for CachedArtifacts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CachedArtifacts").field("copies", &self.copies).finish_non_exhaustive()
    }
}

impl CachedArtifacts {
    /// Keeps up to `limit_bytes` of what comes from `home` in `folder`, which is made if it is missing. What is there
    /// already is kept as well.
    ///
    /// # Errors
    /// [`ArtifactError::Io`] if the folder cannot be used.
    pub fn new(
        home: Arc<dyn Artifacts>,
        folder: impl Into<PathBuf>,
        limit_bytes: u64,
    ) -> Result<Self, ArtifactError> {
        let this = Self {
            home,
            copies: ArtifactStore::open(folder)?,
            limit_bytes,
            bytes: AtomicU64::new(0),
            added: AtomicU64::new(0),
        };
        this.trim(0)?;
        Ok(this)
    }

    /// Bytes in the folder, as far as this process knows.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::SeqCst)
    }

    /// Removes what was used longest ago until `coming` more bytes fit.
    fn trim(&self, coming: u64) -> Result<(), ArtifactError> {
        let folder = self.copies.folder();
        let mut files = Vec::new();
        for hash in self.copies.hashes()? {
            let path = folder.join(hash.to_string());
            match fs::metadata(&path) {
                Ok(meta) => files.push((meta.modified().unwrap_or(SystemTime::UNIX_EPOCH), meta.len(), path)),
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => return Err(context("look at", &path)(e)),
            }
        }
        files.sort();
        let mut total: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, bytes, path) in files {
            if total.saturating_add(coming) <= self.limit_bytes {
                break;
            }
            // Another process may have been faster.
            remove_if_there(&path)?;
            total -= bytes;
        }
        self.bytes.store(total, Ordering::SeqCst);
        self.added.store(0, Ordering::SeqCst);
        Ok(())
    }

    fn keep(&self, artifact: &ArtifactRef, bytes: &[u8]) {
        let size = artifact.size_bytes;
        if size > self.limit_bytes {
            return;
        }
        if self.copies.contains(artifact).unwrap_or(false) {
            return;
        }
        // What other processes add is seen by looking now and then: the bound is passed by an eighth for each of them.
        let unseen = self.added.load(Ordering::SeqCst).saturating_add(size) > self.limit_bytes / 8;
        let full = self.bytes().saturating_add(size) > self.limit_bytes;
        if (unseen || full) && self.trim(size).is_err() {
            return;
        }
        if self.copies.put(bytes).is_ok() {
            self.bytes.fetch_add(size, Ordering::SeqCst);
            self.added.fetch_add(size, Ordering::SeqCst);
        }
    }

    /// The copy, marked as used just now.
    fn copy(&self, artifact: &ArtifactRef) -> Option<Vec<u8>> {
        match self.copies.get(artifact) {
            Ok(bytes) => {
                // Its age is only a hint for what goes first.
                let _ = touch(&self.copies.path(artifact));
                Some(bytes)
            }
            Err(error) => {
                if matches!(error, ArtifactError::Corrupt { .. }) {
                    // Fetched again; if it cannot be removed, it is found damaged again.
                    let _ = self.copies.remove(artifact);
                }
                None
            }
        }
    }
}

impl Artifacts for CachedArtifacts {
    fn get(&self, artifact: &ArtifactRef) -> Result<Vec<u8>, ArtifactError> {
        if let Some(bytes) = self.copy(artifact) {
            return Ok(bytes);
        }
        let bytes = self.home.get(artifact)?;
        self.keep(artifact, &bytes);
        Ok(bytes)
    }

    fn put(&self, bytes: &[u8]) -> Result<ArtifactRef, ArtifactError> {
        let artifact = self.home.put(bytes)?;
        self.keep(&artifact, bytes);
        Ok(artifact)
    }

    fn contains(&self, artifact: &ArtifactRef) -> Result<bool, ArtifactError> {
        self.home.contains(artifact)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{fs::OpenOptions, sync::atomic::AtomicUsize};

    use super::*;

    /// A home that counts how often it is asked.
    struct Counted(ArtifactStore, AtomicUsize);

    impl Artifacts for Counted {
        fn get(&self, artifact: &ArtifactRef) -> Result<Vec<u8>, ArtifactError> {
            self.1.fetch_add(1, Ordering::SeqCst);
            self.0.get(artifact)
        }

        fn put(&self, bytes: &[u8]) -> Result<ArtifactRef, ArtifactError> {
            self.0.put(bytes)
        }

        fn contains(&self, artifact: &ArtifactRef) -> Result<bool, ArtifactError> {
            self.0.contains(artifact)
        }
    }

    fn set_up(limit: u64) -> (tempfile::TempDir, Arc<Counted>, CachedArtifacts) {
        let dir = tempfile::tempdir().unwrap();
        let store = ArtifactStore::open(dir.path().join("home")).unwrap();
        let home = Arc::new(Counted(store, AtomicUsize::new(0)));
        let cache = CachedArtifacts::new(home.clone(), dir.path().join("copies"), limit).unwrap();
        (dir, home, cache)
    }

    fn asked(home: &Counted) -> usize {
        home.1.load(Ordering::SeqCst)
    }

    #[test]
    fn a_file_comes_over_once() {
        let (dir, home, cache) = set_up(1000);
        let artifact = home.0.put(b"from elsewhere").unwrap();
        for _ in 0..3 {
            assert_eq!(cache.get(&artifact).unwrap(), b"from elsewhere");
        }
        assert_eq!(asked(&home), 1);
        // What this host made need not come back to it, in this process or the next.
        let own = cache.put(b"from here").unwrap();
        assert!(home.0.contains(&own).unwrap());
        let next = CachedArtifacts::new(home.clone(), dir.path().join("copies"), 1000).unwrap();
        assert_eq!(next.get(&own).unwrap(), b"from here");
        assert_eq!((asked(&home), next.bytes()), (1, 23));
    }

    #[test]
    fn a_damaged_copy_is_fetched_again_and_never_handed_out() {
        let (_dir, home, cache) = set_up(1000);
        let artifact = cache.put(b"good bytes").unwrap();
        fs::write(cache.copies.path(&artifact), b"bad  bytes").unwrap();
        assert_eq!(cache.get(&artifact).unwrap(), b"good bytes");
        assert_eq!(cache.get(&artifact).unwrap(), b"good bytes");
        assert_eq!(asked(&home), 1);
    }

    #[test]
    fn what_was_used_longest_ago_goes_first_and_the_bound_holds() {
        let (_dir, home, cache) = set_up(300);
        let files: Vec<ArtifactRef> = (0..3).map(|i| cache.put(&[i; 100]).unwrap()).collect();
        let now = SystemTime::now();
        for (age_s, file) in [30, 20, 10].into_iter().zip(&files) {
            let file = OpenOptions::new().append(true).open(cache.copies.path(file)).unwrap();
            file.set_modified(now - std::time::Duration::from_secs(age_s)).unwrap();
        }
        cache.get(&files[0]).unwrap();
        cache.put(&[9; 100]).unwrap();
        assert_eq!(cache.bytes(), 300);
        assert!(!cache.copies.contains(&files[1]).unwrap(), "the oldest after the first was used");
        cache.get(&files[0]).unwrap();
        cache.get(&files[2]).unwrap();
        assert_eq!(asked(&home), 0);
        // Larger than everything together: handed through.
        let large = cache.put(&[1; 301]).unwrap();
        assert_eq!(cache.get(&large).unwrap().len(), 301);
        assert_eq!((asked(&home), cache.bytes()), (1, 300));
    }

    #[test]
    fn processes_that_share_the_folder_share_the_bound() {
        let (dir, home, one) = set_up(800);
        let other = CachedArtifacts::new(home.clone(), dir.path().join("copies"), 800).unwrap();
        for i in 0..40 {
            one.put(&[i; 50]).unwrap();
            other.put(&[100 + i; 50]).unwrap();
            // The same again is no more.
            other.put(&[100 + i; 50]).unwrap();
        }
        let files = one.copies.hashes().unwrap().len();
        assert!((10..=18).contains(&files), "{files} files of 50 bytes");
    }

    #[test]
    fn without_its_folder_everything_goes_on() {
        let (dir, home, cache) = set_up(1000);
        let artifact = cache.put(b"here").unwrap();
        fs::remove_dir_all(dir.path().join("copies")).unwrap();
        assert_eq!(cache.get(&artifact).unwrap(), b"here");
        cache.put(b"and there").unwrap();
        assert_eq!(asked(&home), 1);
    }
}
