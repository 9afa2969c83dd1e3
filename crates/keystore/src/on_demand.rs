//! Setup keys that are made when they are needed, and kept on disk as far as there is room: for circuit sets whose keys
//! together are larger than most disks.

use std::{
    fs,
    panic::{catch_unwind, AssertUnwindSafe},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Instant, SystemTime},
};

use ingot_artifacts::{remove_leftovers, write_atomically};
use ingot_circuit_set::{
    field::{FinalizationHint, Vk, Worker},
    CircuitSet, SetupKey, VkSource,
};
use ingot_types::CircuitKey;

use crate::{
    keygen::{message, same},
    FileRole, KeyEntry, KeyError,
};

/// A folder of setup keys, bounded in bytes, that drops what was used least recently.
///
/// Verification keys and finalization hints are not in it: they come with the executable.
#[derive(Debug)]
pub struct OnDemandKeys {
    dir: PathBuf,
    max_disk_bytes: u64,
    threads: usize,
    /// One key is made at a time: two would need twice the memory.
    making: Mutex<()>,
}

impl OnDemandKeys {
    /// Keys in `dir`, which is created, with at most `max_disk_bytes` of them kept; made with `threads` threads.
    ///
    /// # Errors
    /// [`KeyError::Io`] if the folder cannot be made.
    pub fn new(dir: &Path, max_disk_bytes: u64, threads: usize) -> Result<Self, KeyError> {
        fs::create_dir_all(dir).map_err(|e| KeyError::io("write", dir, e))?;
        remove_leftovers(dir)?;
        Ok(Self { dir: dir.to_owned(), max_disk_bytes, threads: threads.max(1), making: Mutex::new(()) })
    }

    /// Whether the setup key of `entry` is on disk, by its size.
    pub fn is_there(&self, entry: &KeyEntry) -> bool {
        let pin = entry.pin(FileRole::SetupKey);
        fs::metadata(self.dir.join(&pin.file)).is_ok_and(|metadata| metadata.len() == pin.size_bytes)
    }

    /// The setup key of `entry`: from its file, or made, compared with the pins and kept if there is room.
    ///
    /// # Errors
    /// [`KeyError::Pin`] if this build makes another; what making it meets. A damaged file is made again.
    pub fn setup_key(
        &self,
        set: &dyn CircuitSet,
        key: CircuitKey,
        entry: &KeyEntry,
        vks: &dyn VkSource,
        (vk, hint): (Vk, FinalizationHint),
    ) -> Result<SetupKey, KeyError> {
        let _one = lock(&self.making);
        let pin = entry.pin(FileRole::SetupKey);
        let path = self.dir.join(&pin.file);
        match pin.read(&self.dir) {
            Ok(bytes) => {
                touch(&path);
                return SetupKey::from_parts(vk, hint, &bytes)
                    .map_err(|source| KeyError::Contents { path, source });
            }
            Err(error) if path.exists() => {
                tracing::warn!("{error}; the key is made again");
                self.remove(&path);
            }
            Err(_) => {}
        }
        self.make(set, key, entry, vks)
    }

    fn make(
        &self,
        set: &dyn CircuitSet,
        key: CircuitKey,
        entry: &KeyEntry,
        vks: &dyn VkSource,
    ) -> Result<SetupKey, KeyError> {
        let Some(info) = set.circuits().iter().find(|info| info.key == key) else {
            return Err(KeyError::NoEntry { path: self.dir.clone(), key });
        };
        let (name, start) = (info.name, Instant::now());
        tracing::info!("making the setup key of {name} ({key})");
        let worker = Worker::new_with_num_threads(self.threads);
        let made = catch_unwind(AssertUnwindSafe(|| set.setup(key, vks, &worker)))
            .map_err(|panic| KeyError::Panicked { key, name, message: message(&*panic) })?
            .map_err(|source| KeyError::Set { key, name, source })?;
        let (found, [bytes, ..]) =
            KeyEntry::of(info, &made).map_err(|source| KeyError::Set { key, name, source })?;
        same(entry, &found)?;
        self.keep(entry, &bytes);
        tracing::info!("made the setup key of {name} ({key}) in {:.1} s", start.elapsed().as_secs_f64());
        Ok(made)
    }

    /// Writes the key, after making room. That it cannot be kept is no error: it will be made again.
    fn keep(&self, entry: &KeyEntry, bytes: &[u8]) {
        let pin = entry.pin(FileRole::SetupKey);
        if pin.size_bytes > self.max_disk_bytes {
            tracing::warn!(
                "{} is not kept: its {} bytes exceed the {} bytes that keys may take on disk",
                pin.file,
                pin.size_bytes,
                self.max_disk_bytes
            );
            return;
        }
        let mut kept = self.kept();
        while kept.iter().map(|(_, size, _)| size).sum::<u64>() + pin.size_bytes > self.max_disk_bytes {
            let Some(oldest) = (0..kept.len()).min_by_key(|i| kept[*i].0) else { break };
            let (_, size, path) = kept.swap_remove(oldest);
            tracing::info!("removing {} ({size} bytes), the key used least recently", path.display());
            self.remove(&path);
        }
        if let Err(error) = write_atomically(&self.dir.join(&pin.file), bytes) {
            tracing::warn!("{} is not kept: {error}", pin.file);
        }
    }

    /// The setup keys on disk: when they were last used, size, path.
    fn kept(&self) -> Vec<(SystemTime, u64, PathBuf)> {
        let Ok(entries) = fs::read_dir(&self.dir) else { return Vec::new() };
        entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|e| e == "setup"))
            .filter_map(|path| {
                let metadata = fs::metadata(&path).ok()?;
                Some((metadata.modified().ok()?, metadata.len(), path))
            })
            .collect()
    }

    fn remove(&self, path: &Path) {
        if let Err(error) = fs::remove_file(path) {
            tracing::warn!("cannot remove {}: {error}", path.display());
        }
    }
}

/// Notes that a file was used. If it cannot be noted, another file is dropped first.
fn touch(path: &Path) {
    let noted =
        fs::File::options().append(true).open(path).and_then(|file| file.set_modified(SystemTime::now()));
    if let Err(error) = noted {
        tracing::warn!("cannot note the use of {}: {error}", path.display());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
