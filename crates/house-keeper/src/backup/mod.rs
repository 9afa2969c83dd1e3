//! Backups of a house keeper: the database and every artifact that it names, in a folder that is whole or absent.
//!
//! ```text
//! jobs.db            a copy of the database
//! artifacts/HASH     every artifact that it names
//! manifest.json      size and BLAKE3 of each
//! manifest.blake3    BLAKE3 of the manifest
//! ```
//!
//! [`back_up`] works beside a house keeper that runs, from its host or another; [`restore`] needs none. A backup holds no
//! keys, which can be made again, no configuration and no token.

mod error;
mod make;
mod manifest;
mod restore;

pub use error::BackupError;
pub use make::{back_up, BackupOptions};
pub use manifest::{FileEntry, LeftOut, Manifest};
pub use restore::{restore, Restored};

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use ingot_artifacts::{hash_file, Blake3};

use crate::retention::free_bytes;
use error::context;

/// The copy of the database.
const DATABASE_FILE: &str = "jobs.db";
/// The artifacts' folder.
const ARTIFACTS_FOLDER: &str = "artifacts";

/// `path` with `suffix` after its name: on the same file system, so that a rename takes its place.
fn beside(path: &Path, suffix: &str) -> Result<PathBuf, BackupError> {
    let name = path.file_name().ok_or_else(|| BackupError::NoName { path: path.to_owned() })?;
    let mut name: OsString = name.to_owned();
    name.push(suffix);
    Ok(path.with_file_name(name))
}

/// The folder that holds `path`.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Whether there is nothing, or an empty folder.
fn is_vacant(path: &Path) -> Result<bool, BackupError> {
    match fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(false),
        Err(error) => Err(context("list", path)(error)),
    }
}

fn sync(path: &Path) -> Result<(), BackupError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(context("sync", path))
}

/// A folder that is filled under a name of its own, and takes its place when it is whole. Dropped before that, it goes.
#[derive(Debug)]
struct Staged {
    path: PathBuf,
    place: PathBuf,
    /// Held as long as it is filled.
    lock: Option<File>,
}

/// Within a folder that is being filled.
const LOCK_FILE: &str = ".filling";

impl Staged {
    /// Begins to fill the folder that will be at `place`. What an interrupted attempt left is removed.
    fn begin(place: &Path, suffix: &str) -> Result<Self, BackupError> {
        let path = beside(place, suffix)?;
        fs::create_dir_all(folder_of(place)).map_err(context("create", folder_of(place)))?;
        fs::create_dir_all(&path).map_err(context("create", &path))?;
        let lock_path = path.join(LOCK_FILE);
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(context("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(BackupError::Busy { path }),
            Err(fs::TryLockError::Error(error)) => return Err(context("lock", &lock_path)(error)),
        }
        for entry in fs::read_dir(&path).map_err(context("list", &path))? {
            let old = entry.map_err(context("list", &path))?.path();
            if old == lock_path {
                continue;
            }
            let removed = if old.is_dir() { fs::remove_dir_all(&old) } else { fs::remove_file(&old) };
            removed.map_err(context("remove", &old))?;
        }
        Ok(Self { path, place: place.to_owned(), lock: Some(lock) })
    }

    /// It is whole: it takes its place, and survives a power cut.
    fn finish(mut self) -> Result<(), BackupError> {
        let lock_path = self.path.join(LOCK_FILE);
        fs::remove_file(&lock_path).map_err(context("remove", &lock_path))?;
        sync(&self.path)?;
        // An empty folder at the place is replaced; one that is not is refused by the kernel.
        fs::rename(&self.path, &self.place).map_err(context("rename a new folder to", &self.place))?;
        self.lock = None;
        sync(folder_of(&self.place))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if self.lock.is_some() {
            // What stays is removed by the next attempt.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Refuses what does not fit: a disk that is filled to the brim stops a house keeper that has its files on it.
fn room(path: &Path, needed: u64) -> Result<(), BackupError> {
    let free = free_bytes(path).map_err(|error| context("look at", path)(error.into()))?;
    match needed <= free {
        true => Ok(()),
        false => Err(BackupError::NoRoom { path: path.to_owned(), free, needed }),
    }
}

/// Copies `from` to the new file `to`, durably; returns hash and size of what was copied.
fn copy_file(from: &Path, to: &Path) -> Result<(Blake3, u64), BackupError> {
    let mut source = File::open(from).map_err(context("open", from))?;
    let mut target =
        OpenOptions::new().write(true).create_new(true).open(to).map_err(context("create", to))?;
    io::copy(&mut source, &mut target).map_err(context("copy", from))?;
    target.sync_all().map_err(context("sync", to))?;
    // What was written counts, not what was read.
    Ok(hash_file(to)?)
}

/// Writes a new file, durably.
fn write_new(path: &Path, bytes: &[u8]) -> Result<(), BackupError> {
    let mut file =
        OpenOptions::new().write(true).create_new(true).open(path).map_err(context("create", path))?;
    file.write_all(bytes).map_err(context("write", path))?;
    file.sync_all().map_err(context("sync", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_filled_by_one_and_takes_its_place_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let (place, part) = (folder.path().join("deep/place"), folder.path().join("deep/place.part"));
        // What a process that was killed left.
        fs::create_dir_all(part.join("artifacts")).unwrap();
        fs::write(part.join("artifacts/old"), "old").unwrap();
        let staged = Staged::begin(&place, ".part").unwrap();
        assert!(!part.join("artifacts").exists());
        let second = Staged::begin(&place, ".part").unwrap_err();
        assert!(matches!(second, BackupError::Busy { .. }), "{second}");
        write_new(&staged.path.join("file"), b"new").unwrap();
        drop(staged);
        assert!(!part.exists() && !place.exists(), "given up: nothing is left");

        let staged = Staged::begin(&place, ".part").unwrap();
        write_new(&staged.path.join("file"), b"new").unwrap();
        // Somebody else was quicker.
        fs::create_dir(&place).unwrap();
        fs::write(place.join("other"), "kept").unwrap();
        staged.finish().unwrap_err();
        assert_eq!(fs::read(place.join("other")).unwrap(), b"kept");
        fs::remove_file(place.join("other")).unwrap();

        let staged = Staged::begin(&place, ".part").unwrap();
        write_new(&staged.path.join("file"), b"new").unwrap();
        staged.finish().unwrap();
        let names: Vec<_> = fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["file"]);
        assert!(!part.exists());
        for no_name in ["/", "..", "a/.."] {
            assert!(matches!(Staged::begin(Path::new(no_name), ".part"), Err(BackupError::NoName { .. })));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_both_figures() {
        let folder = tempfile::tempdir().unwrap();
        room(folder.path(), 0).unwrap();
        let error = room(folder.path(), u64::MAX).unwrap_err();
        assert_eq!(error.retry_class(), ingot_types::RetryClass::Resource);
        assert!(error.to_string().contains(&u64::MAX.to_string()), "{error}");
    }
}
