//! The store: one folder of files, each named by the hash of its content.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::ErrorKind,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use crate::{
    file::{
        context, folder_of, hash_file, is_temporary, read_verified, remove_if_there, sync_folder, touch,
        write_atomically,
    },
    part::{is_being_written, PART_PREFIX},
    ArtifactError, Blake3,
};

/// What names an artifact: enough to find it and to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ArtifactRef {
    /// Hash of the content.
    pub hash: Blake3,
    /// Size of the content, in bytes.
    pub size_bytes: u64,
}

/// What [`ArtifactStore::collect`] removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Artifacts that nothing named.
    pub orphans: Vec<ArtifactRef>,
    /// Parts of files that interrupted writes had left.
    pub leftovers: Vec<PathBuf>,
}

/// A folder of artifacts. Any number of threads and processes on one host may share it.
#[derive(Clone, Debug)]
pub struct ArtifactStore {
    folder: PathBuf,
}

/// Writers share it, the collector takes it alone: so a temporary file that the collector sees is nobody's, and content
/// that a writer found present is not removed before the writer has returned.
const LOCK_FILE: &str = ".lock";

impl ArtifactStore {
    /// Opens the store in `folder`, creating it if need be.
    ///
    /// # Errors
    /// [`ArtifactError::Io`] if the folder cannot be created or written.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, ArtifactError> {
        let folder = folder.into();
        create_folder(&folder)?;
        let store = Self { folder };
        store.lock_file()?;
        sync_folder(&store.folder)?;
        Ok(store)
    }

    /// The store's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where an artifact is, or would be.
    pub fn path(&self, artifact: &ArtifactRef) -> PathBuf {
        self.folder.join(artifact.hash.to_string())
    }

    /// Stores `bytes`; when this returns, they survive a power cut.
    ///
    /// Content that is there already is verified, and written again if it turns out bad.
    ///
    /// # Errors
    /// [`ArtifactError::Io`]; a full disk has the class `Resource`.
    pub fn put(&self, bytes: &[u8]) -> Result<ArtifactRef, ArtifactError> {
        let artifact = ArtifactRef { hash: Blake3::of(bytes), size_bytes: bytes.len() as u64 };
        let path = self.path(&artifact);
        let lock = self.lock_file()?;
        lock.lock_shared().map_err(context("lock", &self.folder))?;
        if self.present(&artifact)? {
            // It may have been an orphan about to be collected, or its writer may not have synced the folder yet.
            OpenOptions::new()
                .append(true)
                .open(&path)
                .and_then(|file| file.set_modified(SystemTime::now()))
                .map_err(context("touch", &path))?;
            sync_folder(&self.folder)?;
        } else {
            write_atomically(&path, bytes)?;
        }
        Ok(artifact)
    }

    /// If the artifact is there and good, makes it as young as one that was put just now, and durable; `false` if it is
    /// missing or damaged. It is read in pieces.
    ///
    /// # Errors
    /// [`ArtifactError::Io`].
    pub fn renew(&self, artifact: &ArtifactRef) -> Result<bool, ArtifactError> {
        let path = self.path(artifact);
        let lock = self.lock_file()?;
        lock.lock_shared().map_err(context("lock", &self.folder))?;
        if !self.contains(artifact)? || hash_file(&path)? != (artifact.hash, artifact.size_bytes) {
            return Ok(false);
        }
        touch(&path)?;
        sync_folder(&self.folder)?;
        Ok(true)
    }

    /// Reads an artifact and verifies hash and size.
    ///
    /// # Errors
    /// [`ArtifactError::Missing`], [`ArtifactError::Corrupt`] or [`ArtifactError::Io`], naming the file.
    pub fn get(&self, artifact: &ArtifactRef) -> Result<Vec<u8>, ArtifactError> {
        read_verified(&self.path(artifact), artifact.hash, artifact.size_bytes)
    }

    /// Whether a file with the artifact's name and size is there. Its content is not read: [`Self::get`] does that.
    ///
    /// # Errors
    /// [`ArtifactError::Io`] if the file system does not say.
    pub fn contains(&self, artifact: &ArtifactRef) -> Result<bool, ArtifactError> {
        let path = self.path(artifact);
        match fs::metadata(&path) {
            Ok(metadata) => Ok(metadata.is_file() && metadata.len() == artifact.size_bytes),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
            Err(e) => Err(context("look at", &path)(e)),
        }
    }

    /// Removes an artifact; `false` if there was none.
    ///
    /// # Errors
    /// [`ArtifactError::Io`] if it cannot be removed.
    pub fn remove(&self, artifact: &ArtifactRef) -> Result<bool, ArtifactError> {
        remove_if_there(&self.path(artifact))
    }

    /// The artifacts that are there, by their names alone.
    ///
    /// # Errors
    /// [`ArtifactError::Io`] if the folder cannot be read.
    pub fn hashes(&self) -> Result<BTreeSet<Blake3>, ArtifactError> {
        let mut hashes = BTreeSet::new();
        for entry in fs::read_dir(&self.folder).map_err(context("list", &self.folder))? {
            hashes.extend(hash_of(&entry.map_err(context("list", &self.folder))?.path()));
        }
        Ok(hashes)
    }

    /// Removes every artifact that is not `live` and was not written or put again within `min_age`, and everything that
    /// interrupted writes left behind.
    ///
    /// An artifact is stored before the job that names it: `min_age` must exceed the time between the two. Zero is for
    /// a caller that knows that no job is running.
    ///
    /// Files with other names are left alone.
    ///
    /// # Errors
    /// [`ArtifactError::Io`]; what was removed before stays removed.
    pub fn collect(&self, live: &BTreeSet<Blake3>, min_age: Duration) -> Result<Collected, ArtifactError> {
        let mut collected = Collected::default();
        let lock = self.lock_file()?;
        for entry in fs::read_dir(&self.folder).map_err(context("list", &self.folder))? {
            let path = entry.map_err(context("list", &self.folder))?.path();
            let hash = hash_of(&path);
            let temporary = is_temporary(&path) || is_old_part(&path, min_age)?;
            if !temporary && hash.is_none_or(|hash| live.contains(&hash)) {
                continue;
            }
            // Taken for each file anew, so that writers wait for one removal at most.
            lock.lock().map_err(context("lock", &self.folder))?;
            if temporary {
                let nobodys = is_temporary(&path) || !is_being_written(&path)?;
                if nobodys && remove_if_there(&path)? {
                    collected.leftovers.push(path);
                }
            } else if let (Some(hash), Some(size_bytes)) = (hash, size_if_older(&path, min_age)?) {
                if remove_if_there(&path)? {
                    collected.orphans.push(ArtifactRef { hash, size_bytes });
                }
            }
            lock.unlock().map_err(context("unlock", &self.folder))?;
        }
        sync_folder(&self.folder)?;
        Ok(collected)
    }

    fn present(&self, artifact: &ArtifactRef) -> Result<bool, ArtifactError> {
        match self.get(artifact) {
            Ok(_) => Ok(true),
            Err(e) if e.is_bad_artifact() => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// A handle of its own for each user: the lock belongs to the handle, so threads exclude each other as well.
    pub(crate) fn lock_file(&self) -> Result<File, ArtifactError> {
        let path = self.folder.join(LOCK_FILE);
        OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(context("open", &path))
    }
}

/// Creates a folder with all above it, and makes the new names durable: a file is no safer than the path to it.
fn create_folder(folder: &Path) -> Result<(), ArtifactError> {
    let new: Vec<&Path> =
        folder.ancestors().take_while(|f| !f.as_os_str().is_empty() && !f.exists()).collect();
    fs::create_dir_all(folder).map_err(context("create", folder))?;
    new.into_iter().map(folder_of).try_for_each(sync_folder)
}

/// The artifact that a file of this name holds, if it is one's.
fn hash_of(path: &Path) -> Option<Blake3> {
    path.file_name()?.to_str()?.parse().ok()
}

/// Whether this is a part of an artifact that nobody has gone on with for `min_age`.
fn is_old_part(path: &Path, min_age: Duration) -> Result<bool, ArtifactError> {
    let name = path.file_name().map(OsStr::as_encoded_bytes).unwrap_or_default();
    Ok(name.starts_with(PART_PREFIX.as_bytes()) && size_if_older(path, min_age)?.is_some())
}

/// The file's size if it was modified at least `min_age` ago; `None` if it is younger or gone.
fn size_if_older(path: &Path, min_age: Duration) -> Result<Option<u64>, ArtifactError> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(context("look at", path)(e)),
    };
    let modified = metadata.modified().map_err(context("read the time of", path))?;
    // A time in the future (the clock was set back) counts as now.
    let age = SystemTime::now().duration_since(modified).unwrap_or_default();
    Ok((age >= min_age).then_some(metadata.len()))
}
