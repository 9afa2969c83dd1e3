//! Making a house keeper's folder from a backup.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::Path,
};

use ingot_job_store::SqliteStore;

use super::{
    copy_file, error::context, is_vacant, manifest::Manifest, room, sync, BackupError, FileEntry, Staged,
    ARTIFACTS_FOLDER, DATABASE_FILE,
};
use crate::HouseKeeperConfig;

/// What was restored.
#[derive(Clone, Debug)]
pub struct Restored {
    /// The backup.
    pub manifest: Manifest,
}

/// Makes the folders that `config` names from the backup in `from`. Both must be absent or empty. Every file is compared with
/// the manifest as it is copied; the database takes its place last.
///
/// # Errors
/// [`BackupError`]; nothing is left in the house keeper's folder then.
pub fn restore(from: &Path, config: &HouseKeeperConfig) -> Result<Restored, BackupError> {
    let manifest = Manifest::read(from)?;
    let (home, artifacts) = (config.folder.as_path(), config.artifacts_folder());
    let inside = artifacts == home.join(ARTIFACTS_FOLDER);
    vacant(home, &config.database())?;
    if !inside {
        vacant(&artifacts, &config.database())?;
    }
    let staged = Staged::begin(home, ".restoring")?;
    let apart = if inside { None } else { Some(Staged::begin(&artifacts, ".restoring")?) };
    let folder = match &apart {
        Some(apart) => apart.path.clone(),
        None => staged.path.join(ARTIFACTS_FOLDER),
    };
    fs::create_dir_all(&folder).map_err(context("create", &folder))?;
    room(&folder, manifest.size_bytes())?;
    for file in &manifest.artifacts {
        let name = file.blake3.to_string();
        copy(&from.join(ARTIFACTS_FOLDER).join(&name), &folder.join(&name), file)?;
    }
    sync(&folder)?;
    let database = staged.path.join(DATABASE_FILE);
    copy(&from.join(DATABASE_FILE), &database, &manifest.database)?;
    SqliteStore::take_place(&database)?;
    sync(&database)?;
    if let Some(apart) = apart {
        apart.finish()?;
    }
    staged.finish()?;
    Ok(Restored { manifest })
}

/// Nobody's work is overwritten.
fn vacant(folder: &Path, database: &Path) -> Result<(), BackupError> {
    if is_vacant(folder)? {
        return Ok(());
    }
    let mut lock = database.as_os_str().to_owned();
    lock.push(".lock");
    let in_use = match OpenOptions::new().write(true).open(&lock) {
        Ok(file) => is_locked(&file),
        Err(_) => false,
    };
    let path = folder.to_owned();
    Err(if in_use { BackupError::InUse { path } } else { BackupError::NotEmpty { path } })
}

fn is_locked(file: &File) -> bool {
    matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock))
}

/// One file of the backup, compared with what the manifest says.
fn copy(from: &Path, to: &Path, file: &FileEntry) -> Result<(), BackupError> {
    let (found, found_size) = copy_file(from, to).map_err(|error| match error {
        BackupError::Io { source, path, .. } if source.kind() == io::ErrorKind::NotFound && path == from => {
            BackupError::Missing { path }
        }
        other => other,
    })?;
    let (expected, expected_size) = (file.blake3, file.size_bytes);
    if (found, found_size) == (expected, expected_size) {
        return Ok(());
    }
    let path = from.to_owned();
    Err(BackupError::Damaged { path, expected, expected_size, found, found_size })
}
