//! The data folder: keys, batches in progress, and the lock that keeps a second process out.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
};

use anyhow::{bail, Context as _};
use ingot_circuit_set::CircuitSet;
use ingot_types::BatchId;

/// The data folder of one process. Dropping it lets another process in; so does dying.
#[derive(Debug)]
pub(crate) struct Home {
    dir: PathBuf,
    _lock: File,
}

impl Home {
    /// Opens the data folder, creating it if need be.
    pub fn open(dir: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(dir)
            .with_context(|| format!("cannot create the data folder {}", dir.display()))?;
        let path = dir.join("lock");
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut owner = String::new();
                let _ = lock.read_to_string(&mut owner);
                let owner = owner.trim();
                let owner = if owner.is_empty() { String::new() } else { format!(" (process {owner})") };
                bail!(
                    "another ingot{owner} is using the data folder {}; wait for it, or give this one another --dir",
                    dir.display()
                );
            }
            Err(TryLockError::Error(e)) => return Err(e).context(format!("cannot lock {}", path.display())),
        }
        // For the message above only: the lock is what counts.
        let _ = lock
            .set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| write!(lock, "{}", std::process::id()));
        Ok(Self { dir: dir.to_owned(), _lock: lock })
    }

    /// A file or folder in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Where the keys of `set` are.
    pub fn keys(&self, set: &dyn CircuitSet) -> PathBuf {
        keys_folder(&self.dir, set)
    }

    /// Where the work on a batch is kept. `fingerprint` names everything the work depends on: after another input or
    /// other keys, work begins anew beside the old.
    pub fn batch(&self, batch: BatchId, fingerprint: &str) -> PathBuf {
        self.dir.join("batches").join(format!("{}-{}", batch.chain.0, batch.batch.0)).join(fingerprint)
    }
}

/// Where the keys of `set` are in the data folder `dir`.
pub(crate) fn keys_folder(dir: &Path, set: &dyn CircuitSet) -> PathBuf {
    dir.join("keys").join(format!("{}-{}-{}", set.name(), set.protocol_version(), set.parameter_set()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_process_is_kept_out_and_let_in_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let first = Home::open(dir.path()).unwrap();
        let error = Home::open(dir.path()).unwrap_err().to_string();
        assert!(
            error.contains("another ingot") && error.contains(&std::process::id().to_string()),
            "{error}"
        );
        drop(first);
        Home::open(dir.path()).unwrap();
    }
}
