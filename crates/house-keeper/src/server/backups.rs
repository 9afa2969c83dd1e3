//! The house keeper's part in a backup: a copy of the database, and no file removed while it is in use.
//!
//! The copy is read through a connection of its own, on a thread of its own: the engine goes on meanwhile. It holds what
//! was committed last.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ingot_artifacts::{hash_file, ArtifactError, ArtifactRef, ArtifactStore};
use ingot_job_store::{SqliteStore, StoreError};
use ingot_types::RetryClass;

use crate::protocol::{Answer, BackupAnswer, BackupRequest, Denial};

/// How long files are kept for a backup that is not heard of.
const KEEP: Duration = Duration::from_secs(600);
/// Backups at once.
const MOST: usize = 4;
/// Pieces in which the copy is put into the store.
const PIECE_BYTES: usize = 1 << 20;

/// The backups under way.
#[derive(Clone, Debug)]
pub struct Backups(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    database: PathBuf,
    artifacts: ArtifactStore,
    keep: Duration,
    kept: Mutex<Kept>,
    /// Held while a copy is written or removed.
    copying: Mutex<()>,
}

#[derive(Debug, Default)]
struct Kept {
    last: u64,
    under_way: BTreeMap<u64, UnderWay>,
}

/// A backup that somebody makes.
#[derive(Debug)]
struct UnderWay {
    until: Instant,
    /// The copy that it works from.
    database: Option<ArtifactRef>,
}

impl Kept {
    fn expire(&mut self) {
        let now = Instant::now();
        self.under_way.retain(|_, backup| backup.until > now);
    }
}

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
enum CopyError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    #[error("cannot {action} {path}: {source}", path = path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
}

impl CopyError {
    fn retry_class(&self) -> RetryClass {
        match self {
            Self::Store(error) => error.retry_class(),
            Self::Artifact(error) => error.retry_class(),
            Self::Io { .. } => RetryClass::Transient,
        }
    }
}

impl Backups {
    /// Backups of this database and its artifacts.
    pub fn new(database: PathBuf, artifacts: ArtifactStore) -> Self {
        Self::keeping(database, artifacts, KEEP)
    }

    fn keeping(database: PathBuf, artifacts: ArtifactStore, keep: Duration) -> Self {
        let inner = Inner { database, artifacts, keep, kept: Mutex::default(), copying: Mutex::default() };
        Self(Arc::new(inner))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.expire();
        kept
    }

    /// Whether files must be kept that nothing may name any more.
    pub fn keep_files(&self) -> bool {
        !self.kept().under_way.is_empty()
    }

    /// Answers a request; may take as long as a copy of the database takes.
    pub fn answer(&self, request: BackupRequest) -> Result<Answer, Denial> {
        let answer = match request {
            BackupRequest::Begin => self.begin()?,
            BackupRequest::Renew { id } => {
                let until = Instant::now() + self.0.keep;
                match self.kept().under_way.get_mut(&id) {
                    Some(backup) => backup.until = until,
                    None => {
                        let why = format!("backup {id} is unknown: it took too long to be heard of, or the house keeper was started again");
                        return Err(Denial::Refused(why));
                    }
                }
                BackupAnswer::Kept
            }
            BackupRequest::End { id } => {
                self.end(id);
                BackupAnswer::Ended
            }
        };
        Ok(Answer::Backup(answer))
    }

    fn begin(&self) -> Result<BackupAnswer, Denial> {
        let id = {
            let mut kept = self.kept();
            if kept.under_way.len() >= MOST {
                return Err(Denial::Unavailable(format!("{MOST} backups are under way")));
            }
            kept.last += 1;
            let id = kept.last;
            // Before the copy is made: what it names must not go in between.
            kept.under_way.insert(id, UnderWay { until: Instant::now() + self.0.keep, database: None });
            id
        };
        // Until it is known who works from the copy: it may be the same as another's.
        let _one = self.0.copying.lock().unwrap_or_else(PoisonError::into_inner);
        match self.copy() {
            Ok(database) => {
                tracing::info!("backup {id} begins: a copy of the database, {} bytes", database.size_bytes);
                let keep_ms = u64::try_from(self.0.keep.as_millis()).unwrap_or(u64::MAX);
                if let Some(backup) = self.kept().under_way.get_mut(&id) {
                    *backup = UnderWay { until: Instant::now() + self.0.keep, database: Some(database) };
                }
                Ok(BackupAnswer::Snapshot { id, database, keep_ms })
            }
            Err(error) => {
                self.kept().under_way.remove(&id);
                tracing::warn!("no backup: {error}");
                Err(Denial::Store { reason: error.to_string(), retry: error.retry_class() })
            }
        }
    }

    /// Files need not be kept for it any longer, and its copy goes, unless another backup works from the same.
    fn end(&self, id: u64) {
        let _one = self.0.copying.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept = self.kept();
        let Some(database) = kept.under_way.remove(&id).and_then(|backup| backup.database) else { return };
        if kept.under_way.values().any(|other| other.database == Some(database)) {
            return;
        }
        drop(kept);
        match self.0.artifacts.remove(&database) {
            Ok(_) => tracing::info!("backup {id} has ended"),
            // It goes with other files that nothing names.
            Err(error) => tracing::warn!("backup {id} has ended: {error}"),
        }
    }

    /// A copy of the database, in the artifact store. No job names it: if its backup is not heard of any more, it goes with
    /// other orphans.
    fn copy(&self) -> Result<ArtifactRef, CopyError> {
        let copy = sibling(&self.0.database);
        // Left by a process that was killed.
        remove(&copy)?;
        let stored = SqliteStore::snapshot(&self.0.database, &copy)
            .map_err(Into::into)
            .and_then(|()| self.store(&copy));
        let removed = remove(&copy);
        let artifact = stored?;
        removed?;
        Ok(artifact)
    }

    fn store(&self, copy: &Path) -> Result<ArtifactRef, CopyError> {
        let (hash, size_bytes) = hash_file(copy)?;
        let artifact = ArtifactRef { hash, size_bytes };
        // The same state was copied before.
        if self.0.artifacts.renew(&artifact)? {
            return Ok(artifact);
        }
        let io = |source| CopyError::Io { action: "read", path: copy.to_owned(), source };
        let mut file = fs::File::open(copy).map_err(io)?;
        let mut writer = self.0.artifacts.writer(&artifact)?;
        io::Seek::seek(&mut file, io::SeekFrom::Start(writer.offset())).map_err(io)?;
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            match io::Read::read(&mut file, &mut piece).map_err(io)? {
                0 => break,
                length => writer.write(piece.get(..length).unwrap_or_default())?,
            }
        }
        writer.finish()?;
        Ok(artifact)
    }
}

/// Where a copy is written before it is stored.
fn sibling(database: &Path) -> PathBuf {
    let mut name = database.file_name().unwrap_or_default().to_owned();
    name.push(".copy");
    database.with_file_name(name)
}

fn remove(path: &Path) -> Result<(), CopyError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(CopyError::Io { action: "remove", path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use ingot_job_store::Backoff;

    use super::*;

    fn backups(folder: &Path, keep: Duration) -> Backups {
        let artifacts = ArtifactStore::open(folder.join("artifacts")).unwrap();
        Backups::keeping(folder.join("jobs.db"), artifacts, keep)
    }

    fn begin(backups: &Backups) -> (u64, ArtifactRef) {
        match backups.answer(BackupRequest::Begin).unwrap() {
            Answer::Backup(BackupAnswer::Snapshot { id, database, .. }) => (id, database),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn files_are_kept_while_a_backup_is_heard_of() {
        let folder = tempfile::tempdir().unwrap();
        let _store = SqliteStore::open(&folder.path().join("jobs.db"), Backoff::default()).unwrap();
        fs::write(folder.path().join("jobs.db.copy"), "of a process that was killed").unwrap();
        let backups = backups(folder.path(), Duration::from_secs(60));
        assert!(!backups.keep_files());
        let (first, database) = begin(&backups);
        let (second, again) = begin(&backups);
        assert!(first != second && database == again, "the same state is the same file");
        assert!(backups.0.artifacts.get(&database).unwrap().starts_with(b"SQLite format 3"));
        assert!(!folder.path().join("jobs.db.copy").exists());
        backups.answer(BackupRequest::End { id: first }).unwrap();
        assert!(backups.keep_files() && backups.0.artifacts.contains(&database).unwrap());
        backups.answer(BackupRequest::Renew { id: second }).unwrap();
        backups.answer(BackupRequest::End { id: second }).unwrap();
        assert!(!backups.keep_files() && !backups.0.artifacts.contains(&database).unwrap());
        backups.answer(BackupRequest::Renew { id: second }).unwrap_err();
    }

    #[test]
    fn one_that_is_not_heard_of_keeps_nothing_and_too_many_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let _store = SqliteStore::open(&folder.path().join("jobs.db"), Backoff::default()).unwrap();
        let silent = backups(folder.path(), Duration::ZERO);
        let (id, _) = begin(&silent);
        assert!(!silent.keep_files());
        let refused = silent.answer(BackupRequest::Renew { id }).unwrap_err().to_string();
        assert!(refused.contains("took too long"), "{refused}");
        let backups = backups(folder.path(), Duration::from_secs(60));
        for _ in 0..MOST {
            begin(&backups);
        }
        assert!(matches!(backups.answer(BackupRequest::Begin), Err(Denial::Unavailable(_))));
    }

    #[test]
    fn without_a_database_there_is_no_backup_and_nothing_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let backups = backups(folder.path(), Duration::from_secs(60));
        backups.answer(BackupRequest::Begin).unwrap_err();
        assert!(!backups.keep_files());
    }
}
