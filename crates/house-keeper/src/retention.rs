//! What is kept, and for how long: jobs of proved batches, proofs of archived ones, files that something names.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{channel, Receiver, RecvTimeoutError},
        Arc, Mutex, PoisonError,
    },
    thread::{Builder, JoinHandle},
    time::{Duration, Instant},
};

use ingot_artifacts::{ArtifactStore, Blake3};
use ingot_job_store::{ArtifactName, DeliveryState, Home, StoreError};
use ingot_types::BatchId;
use nix::sys::statvfs::statvfs;

use crate::{config::HouseKeeperConfig, engine::EngineHandle, server::Backups};

/// How often the disk is looked at. It costs one system call and no statement.
const DISK_EVERY: Duration = Duration::from_secs(5);
/// How often batches are looked at, in looks at the disk: every five minutes.
const BATCHES_EVERY: u32 = 60;
/// How often files that nothing names are collected, in looks at batches: daily.
const ORPHANS_EVERY: u32 = 288;

/// The thread that keeps house.
#[derive(Debug)]
pub(crate) struct Retention {
    stop: std::sync::mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl Retention {
    pub fn start(
        config: &HouseKeeperConfig,
        engine: EngineHandle,
        artifacts: ArtifactStore,
        backups: Backups,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let keeper = Keeper {
            config: config.clone(),
            engine,
            artifacts,
            backups,
            low: false,
            orphans: Arc::default(),
        };
        let thread = Builder::new().name("retention".into()).spawn(move || keeper.run(&stopped))?;
        Ok(Self { stop, thread })
    }

    pub fn stop(self) {
        drop(self.stop);
        // It has nothing to say.
        let _ = self.thread.join();
    }
}

struct Keeper {
    config: HouseKeeperConfig,
    engine: EngineHandle,
    artifacts: ArtifactStore,
    backups: Backups,
    low: bool,
    orphans: Arc<Mutex<Orphans>>,
}

/// Files that nothing names. A file is stored before the job that names it, and how old it is cannot be told by a clock
/// that may have jumped: one goes only if it was an orphan a good while ago by this process's own time as well, or if
/// it is known what used to name it.
#[derive(Debug, Default)]
struct Orphans {
    seen: BTreeMap<Blake3, Instant>,
    forgotten: BTreeSet<Blake3>,
}

impl Orphans {
    /// What may not go: `live` ones, and those `there` that have been orphans for too short a time.
    fn kept_ones(
        &mut self,
        there: &BTreeSet<Blake3>,
        live: &BTreeSet<Blake3>,
        age: Duration,
    ) -> BTreeSet<Blake3> {
        let orphans: BTreeSet<Blake3> = there.difference(live).copied().collect();
        self.seen.retain(|hash, _| orphans.contains(hash));
        self.forgotten.retain(|hash| orphans.contains(hash));
        let now = Instant::now();
        let is_new = |hash: &Blake3| {
            let first = *self.seen.entry(*hash).or_insert(now);
            !self.forgotten.contains(hash) && now.duration_since(first) < age
        };
        orphans.into_iter().filter(is_new).chain(live.iter().copied()).collect()
    }
}

impl Keeper {
    fn run(mut self, stopped: &Receiver<()>) {
        let mut looks: u32 = 0;
        let changed = Arc::new(AtomicBool::new(false));
        loop {
            self.look_at_disk();
            // Not at the very start: that is when everything else comes up.
            if looks % BATCHES_EVERY == 1 {
                self.look_at_batches(&changed);
            }
            if changed.swap(false, Ordering::SeqCst) || looks % (BATCHES_EVERY * ORPHANS_EVERY) == 2 {
                match self.backups.keep_files() {
                    false => self.collect_orphans(),
                    // The copy of the database that a backup works from may name them.
                    true => changed.store(true, Ordering::SeqCst),
                }
            }
            looks = looks.wrapping_add(1);
            if !matches!(stopped.recv_timeout(DISK_EVERY), Err(RecvTimeoutError::Timeout)) {
                return;
            }
        }
    }

    fn look_at_disk(&mut self) {
        // They may be on two file systems; a full one under the database stops everything.
        let folders = [self.artifacts.folder().to_owned(), self.config.folder.clone()];
        let Some((free, folder)) = least_free(&folders) else { return };
        let (low, high) = (self.config.disk_low_bytes, self.config.disk_high_bytes);
        let was = self.low;
        self.low = if self.low { free < high } else { free < low };
        if self.low != was {
            self.engine.set_intake(match self.low {
                true => Err(format!(
                    "{} has {free} bytes free: batches are taken again above {high} (disk-low-bytes = {low})",
                    folder.display()
                )),
                false => Ok(()),
            });
        }
    }

    /// Archives proved batches and forgets archived ones, whose time has come.
    fn look_at_batches(&self, changed: &Arc<AtomicBool>) {
        let proved_ms = self.config.keep_proved_s.saturating_mul(1000);
        let archived_ms = self.config.keep_archived_s.saturating_mul(1000);
        let (changed, orphans) = (changed.clone(), self.orphans.clone());
        self.engine.with_store(move |home, now_ms| match expired(home, now_ms, proved_ms, archived_ms) {
            Ok((any, files)) => {
                let files = files.iter().filter_map(|file| file.hash.parse::<Blake3>().ok());
                orphans.lock().unwrap_or_else(PoisonError::into_inner).forgotten.extend(files);
                changed.store(any, Ordering::SeqCst);
            }
            Err(error) => tracing::warn!("batches cannot be archived: {error}"),
        });
    }

    /// Removes files that nothing names. What names them is read anew: whatever was forgotten is committed by then.
    fn collect_orphans(&self) {
        let (artifacts, age) = (self.artifacts.clone(), Duration::from_secs(self.config.orphan_age_s));
        let orphans = self.orphans.clone();
        self.engine.with_store(move |home, _| match home.live_artifacts() {
            Err(error) => tracing::warn!("the files that jobs name cannot be listed: {error}"),
            Ok(named) => {
                let live: BTreeSet<Blake3> = named.iter().filter_map(|file| file.hash.parse().ok()).collect();
                let spawned = Builder::new().name("collect".into()).spawn(move || {
                    let keep = artifacts.hashes().map(|there| {
                        orphans.lock().unwrap_or_else(PoisonError::into_inner).kept_ones(&there, &live, age)
                    });
                    match keep.and_then(|keep| artifacts.collect(&keep, age)) {
                        Ok(collected) => {
                            tracing::info!("{} files that nothing named are gone", collected.orphans.len())
                        }
                        Err(error) => tracing::warn!("{error}"),
                    }
                });
                if let Err(error) = spawned {
                    tracing::warn!("orphans are not collected: {error}");
                }
            }
        });
    }
}

/// Does what is due; whether anything was, and the files that nothing names any more.
fn expired(
    home: &mut dyn Home,
    now_ms: u64,
    proved_ms: u64,
    archived_ms: u64,
) -> Result<(bool, Vec<ArtifactName>), StoreError> {
    let (mut any, mut files) = (false, Vec::new());
    for row in home.batches()? {
        if row.done_at_ms.is_some_and(|done| done.saturating_add(proved_ms) <= now_ms) {
            files.extend(home.archive_batch(row.batch, now_ms)?);
            tracing::info!(BATCH = row.batch.batch.0, "archived");
            any = true;
        }
    }
    // A proof that nobody has acknowledged is kept, however old.
    let unsent: BTreeSet<BatchId> = home
        .deliveries(None)?
        .into_iter()
        .filter(|delivery| delivery.state != DeliveryState::Sent)
        .map(|delivery| delivery.batch)
        .collect();
    for old in home.archived()? {
        if unsent.contains(&old.row.batch) {
            continue;
        }
        if old.archived_at_ms.saturating_add(archived_ms) <= now_ms {
            files.extend(home.forget_archived(old.row.batch)?);
            any = true;
        }
    }
    Ok((any, files))
}

/// Which of the folders has least free, and how many bytes; `None` if none of them can be asked.
pub(crate) fn least_free(folders: &[PathBuf]) -> Option<(u64, &PathBuf)> {
    let asked = folders.iter().filter_map(|folder| match free_bytes(folder) {
        Ok(free) => Some((free, folder)),
        Err(error) => {
            tracing::warn!("cannot tell how much of {} is free: {error}", folder.display());
            None
        }
    });
    asked.min_by_key(|(free, _)| *free)
}

/// Bytes of the disk under `folder` that this user may still write.
pub(crate) fn free_bytes(folder: &Path) -> Result<u64, nix::Error> {
    let stat = statvfs(folder)?;
    Ok(stat.blocks_available().saturating_mul(stat.fragment_size()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fuller_file_system_counts() {
        // `/proc` has no free bytes, whatever the disk has.
        let folder = tempfile::tempdir().unwrap();
        let (roomy, full) = (folder.path().to_owned(), PathBuf::from("/proc"));
        assert!(free_bytes(&roomy).unwrap() > 0);
        for folders in [[roomy.clone(), full.clone()], [full.clone(), roomy.clone()]] {
            assert_eq!(least_free(&folders), Some((0, &full)));
        }
        let gone = folder.path().join("gone");
        assert_eq!(least_free(&[gone.clone(), full.clone()]), Some((0, &full)));
        assert_eq!(least_free(&[gone]), None);
    }
}
