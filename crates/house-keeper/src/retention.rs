//! What is kept, and for how long: jobs of proved batches, proofs of archived ones, files that something names.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{channel, Receiver, RecvTimeoutError},
        Arc,
    },
    thread::{Builder, JoinHandle},
    time::Duration,
};

use ingot_artifacts::{ArtifactStore, Blake3};
use ingot_job_store::{Home, StoreError};
use nix::sys::statvfs::statvfs;

use crate::{config::HouseKeeperConfig, engine::EngineHandle};

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
    ) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let keeper = Keeper { config: config.clone(), engine, artifacts, low: false };
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
    low: bool,
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
                self.collect_orphans();
            }
            looks = looks.wrapping_add(1);
            if !matches!(stopped.recv_timeout(DISK_EVERY), Err(RecvTimeoutError::Timeout)) {
                return;
            }
        }
    }

    fn look_at_disk(&mut self) {
        let folder = self.artifacts.folder().to_owned();
        let free = match free_bytes(&folder) {
            Ok(free) => free,
            Err(error) => {
                tracing::warn!("cannot tell how much of {} is free: {error}", folder.display());
                return;
            }
        };
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
        let changed = changed.clone();
        self.engine.with_store(move |home, now_ms| match expired(home, now_ms, proved_ms, archived_ms) {
            Ok(any) => changed.store(any, Ordering::SeqCst),
            Err(error) => tracing::warn!("batches cannot be archived: {error}"),
        });
    }

    /// Removes files that nothing names. What names them is read anew: whatever was forgotten is committed by then.
    fn collect_orphans(&self) {
        let (artifacts, age) = (self.artifacts.clone(), Duration::from_secs(self.config.orphan_age_s));
        self.engine.with_store(move |home, _| match home.live_artifacts() {
            Err(error) => tracing::warn!("the files that jobs name cannot be listed: {error}"),
            Ok(named) => {
                let live: BTreeSet<Blake3> = named.iter().filter_map(|file| file.hash.parse().ok()).collect();
                let spawned = Builder::new().name("collect".into()).spawn(move || {
                    match artifacts.collect(&live, age) {
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

/// Does what is due; whether anything was.
fn expired(home: &mut dyn Home, now_ms: u64, proved_ms: u64, archived_ms: u64) -> Result<bool, StoreError> {
    let mut any = false;
    for row in home.batches()? {
        if row.done_at_ms.is_some_and(|done| done.saturating_add(proved_ms) <= now_ms) {
            home.archive_batch(row.batch, now_ms)?;
            tracing::info!(BATCH = row.batch.batch.0, "archived");
            any = true;
        }
    }
    for old in home.archived()? {
        if old.archived_at_ms.saturating_add(archived_ms) <= now_ms {
            home.forget_archived(old.row.batch)?;
            any = true;
        }
    }
    Ok(any)
}

/// Bytes of the disk under `folder` that this user may still write.
pub(crate) fn free_bytes(folder: &PathBuf) -> Result<u64, nix::Error> {
    let stat = statvfs(folder)?;
    Ok(stat.blocks_available().saturating_mul(stat.fragment_size()))
}
