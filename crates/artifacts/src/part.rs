//! Artifacts that come piece by piece: a part is kept under a name of its own until it is whole, so that whoever sends it
//! can go on after an interruption.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use crate::{
    file::{context, hash_reader, sync_folder},
    ArtifactError, ArtifactRef, ArtifactStore, Blake3,
};

/// How the names of parts begin.
pub(crate) const PART_PREFIX: &str = ".part-";

/// Whether somebody is writing this part. Its age does not say: a clock may have jumped.
pub(crate) fn is_being_written(path: &Path) -> Result<bool, ArtifactError> {
    match File::open(path).map(|file| file.try_lock()) {
        Ok(Ok(())) => Ok(false),
        Ok(Err(TryLockError::WouldBlock)) => Ok(true),
        Ok(Err(TryLockError::Error(error))) => Err(context("lock", path)(error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(context("open", path)(error)),
    }
}

/// An artifact on its way into a store.
#[derive(Debug)]
pub struct ArtifactWriter {
    store: ArtifactStore,
    artifact: ArtifactRef,
    path: PathBuf,
    file: File,
    hasher: blake3::Hasher,
    offset: u64,
}

impl ArtifactStore {
    /// Begins to store an artifact piece by piece, or goes on where an interruption left it: see
    /// [`ArtifactWriter::offset`].
    ///
    /// # Errors
    /// [`ArtifactError::Busy`] if another writer is at it; [`ArtifactError::Io`].
    pub fn writer(&self, artifact: &ArtifactRef) -> Result<ArtifactWriter, ArtifactError> {
        let path = self.folder().join(format!("{PART_PREFIX}{}", artifact.hash));
        // Until the part is locked: the collector must not take it for nobody's.
        let collector = self.lock_file()?;
        collector.lock_shared().map_err(context("lock", self.folder()))?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(context("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ArtifactError::Busy { path }),
            Err(TryLockError::Error(error)) => return Err(context("lock", &path)(error)),
        }
        drop(collector);
        let mut hasher = blake3::Hasher::new();
        let mut offset = io::copy(&mut (&mut file).take(artifact.size_bytes), &mut hasher)
            .map_err(context("read", &path))?;
        if file.metadata().map_err(context("read the size of", &path))?.len() > artifact.size_bytes {
            // Longer than it may ever be: of no use.
            file.set_len(0).map_err(context("cut", &path))?;
            hasher.reset();
            offset = 0;
        }
        file.seek(SeekFrom::Start(offset)).map_err(context("write", &path))?;
        Ok(ArtifactWriter { store: self.clone(), artifact: *artifact, path, file, hasher, offset })
    }

    /// Opens an artifact to be read from byte `offset` on. Whoever gets the bytes verifies the whole.
    ///
    /// # Errors
    /// [`ArtifactError::Missing`]; [`ArtifactError::Corrupt`] if its size is wrong; [`ArtifactError::Io`].
    pub fn reader(&self, artifact: &ArtifactRef, offset: u64) -> Result<File, ArtifactError> {
        let path = self.path(artifact);
        let (expected, expected_size) = (artifact.hash, artifact.size_bytes);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(ArtifactError::Missing { path, expected, expected_size })
            }
            Err(e) => return Err(context("open", &path)(e)),
        };
        let found_size = file.metadata().map_err(context("read the size of", &path))?.len();
        if found_size != expected_size {
            let (found, found_size) = hash_reader(&mut file, &path)?;
            return Err(ArtifactError::Corrupt { path, expected, expected_size, found, found_size });
        }
        file.seek(SeekFrom::Start(offset.min(expected_size))).map_err(context("read", &path))?;
        Ok(file)
    }
}

impl ArtifactWriter {
    /// Bytes that are there: the next piece begins here.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes that are missing.
    pub fn missing(&self) -> u64 {
        self.artifact.size_bytes.saturating_sub(self.offset)
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// [`ArtifactError::Corrupt`] if it makes the artifact longer than its name says; [`ArtifactError::Io`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), ArtifactError> {
        if bytes.len() as u64 > self.missing() {
            return Err(self.corrupt(self.offset.saturating_add(bytes.len() as u64)));
        }
        self.file.write_all(bytes).map_err(context("write", &self.path))?;
        self.hasher.update(bytes);
        self.offset += bytes.len() as u64;
        Ok(())
    }

    /// Verifies the whole and gives it its name; when this returns, it survives a power cut.
    ///
    /// # Errors
    /// [`ArtifactError::Corrupt`] if it is not what its name says: then the part is gone. [`ArtifactError::Io`].
    pub fn finish(self) -> Result<(), ArtifactError> {
        if self.missing() > 0 || self.hash() != self.artifact.hash {
            let error = self.corrupt(self.offset);
            if self.missing() == 0 {
                fs::remove_file(&self.path).map_err(context("remove", &self.path))?;
            }
            return Err(error);
        }
        self.file.sync_all().map_err(context("sync", &self.path))?;
        // As in `put`: the collector must not see a state in between.
        let lock = self.store.lock_file()?;
        lock.lock_shared().map_err(context("lock", self.store.folder()))?;
        let path = self.store.path(&self.artifact);
        fs::rename(&self.path, &path).map_err(context("rename a part to", &path))?;
        sync_folder(self.store.folder())
    }

    fn hash(&self) -> Blake3 {
        Blake3::from_bytes(*self.hasher.finalize().as_bytes())
    }

    fn corrupt(&self, found_size: u64) -> ArtifactError {
        ArtifactError::Corrupt {
            path: self.path.clone(),
            expected: self.artifact.hash,
            expected_size: self.artifact.size_bytes,
            found: self.hash(),
            found_size,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use super::*;

    fn store() -> (tempfile::TempDir, ArtifactStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = ArtifactStore::open(folder.path().join("a")).unwrap();
        (folder, store)
    }

    fn name(bytes: &[u8]) -> ArtifactRef {
        ArtifactRef { hash: Blake3::of(bytes), size_bytes: bytes.len() as u64 }
    }

    #[test]
    fn pieces_become_an_artifact_across_interruptions() {
        let (_folder, store) = store();
        let bytes: Vec<u8> = (0..100_000u32).map(|n| (n * 7) as u8).collect();
        let artifact = name(&bytes);
        let mut at = 0;
        for piece in [1000, 1, 50_000, 48_999] {
            let mut writer = store.writer(&artifact).unwrap();
            assert_eq!(writer.offset(), at as u64);
            assert!(matches!(store.writer(&artifact), Err(ArtifactError::Busy { .. })));
            writer.write(&bytes[at..at + piece]).unwrap();
            at += piece;
            // Dropped: the connection broke.
        }
        assert!(!store.contains(&artifact).unwrap());
        store.writer(&artifact).unwrap().finish().unwrap();
        assert_eq!(store.get(&artifact).unwrap(), bytes);
        let mut read = Vec::new();
        store.reader(&artifact, 99_990).unwrap().read_to_end(&mut read).unwrap();
        assert_eq!(read, bytes[99_990..]);
        assert!(store
            .collect(&BTreeSet::from([artifact.hash]), Duration::ZERO)
            .unwrap()
            .leftovers
            .is_empty());
    }

    #[test]
    fn a_part_that_is_being_written_is_not_collected_however_old_it_looks() {
        let (_folder, store) = store();
        let artifact = name(b"whole");
        let mut writer = store.writer(&artifact).unwrap();
        writer.write(b"who").unwrap();
        // Age zero is what a clock that jumped makes of any.
        assert!(store.collect(&BTreeSet::new(), Duration::ZERO).unwrap().leftovers.is_empty());
        writer.write(b"le").unwrap();
        writer.finish().unwrap();
        assert_eq!(store.get(&artifact).unwrap(), b"whole");
        store.writer(&name(b"other")).unwrap().write(b"o").unwrap();
        assert_eq!(store.collect(&BTreeSet::new(), Duration::ZERO).unwrap().leftovers.len(), 1);
    }

    #[test]
    fn what_is_not_what_its_name_says_is_refused_and_leaves_nothing() {
        let (_folder, store) = store();
        let artifact = name(b"good");
        let mut writer = store.writer(&artifact).unwrap();
        assert!(matches!(writer.write(b"too long"), Err(ArtifactError::Corrupt { .. })));
        writer.write(b"evil").unwrap();
        assert!(matches!(writer.finish(), Err(ArtifactError::Corrupt { .. })));
        let mut writer = store.writer(&artifact).unwrap();
        assert_eq!(writer.offset(), 0, "nothing is left of it");
        writer.write(b"good").unwrap();
        writer.finish().unwrap();
        // One that is too short stays a part, and goes when it is old.
        let other = name(b"another");
        store.writer(&other).unwrap().write(b"ano").unwrap();
        assert!(matches!(store.writer(&other).unwrap().finish(), Err(ArtifactError::Corrupt { .. })));
        assert_eq!(store.writer(&other).unwrap().offset(), 3);
        store.collect(&BTreeSet::from([artifact.hash]), Duration::ZERO).unwrap();
        assert_eq!(store.writer(&other).unwrap().offset(), 0);
        assert!(matches!(store.reader(&name(b"none"), 0), Err(ArtifactError::Missing { .. })));
    }
}
