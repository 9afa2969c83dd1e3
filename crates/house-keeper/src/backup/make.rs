//! Making a backup beside a house keeper that runs.

use std::{
    collections::BTreeSet,
    fs, io,
    path::Path,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use ingot_artifacts::{hash_file, ArtifactError, ArtifactRef, ArtifactStore, Artifacts, Blake3};
use ingot_job_store::SqliteStore;

use super::{
    copy_file,
    error::context,
    manifest::{FileEntry, LeftOut, Manifest},
    room, sync, write_new, BackupError, Staged, ARTIFACTS_FOLDER, DATABASE_FILE,
};
use crate::{
    client::{Client, ClientError},
    protocol::{Answer, BackupAnswer, BackupRequest, Request},
};

/// How long the house keeper may take to copy its database.
const COPY: Duration = Duration::from_secs(600);
/// How long it may take to answer.
const ANSWER: Duration = Duration::from_secs(60);

/// Where a backup comes from.
#[derive(Clone, Copy)]
pub struct BackupOptions<'a> {
    /// The house keeper.
    pub client: &'a Client,
    /// Its artifacts.
    pub artifacts: &'a dyn Artifacts,
    /// Its artifacts' folder, where it is on this host.
    pub local: Option<&'a ArtifactStore>,
    /// Whether files are linked rather than copied where they are on the same file system. Artifacts never change, so a
    /// link stays what it is; but it is the same place on the same disk.
    pub link: bool,
}

impl std::fmt::Debug for BackupOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BackupOptions").field("link", &self.link).finish_non_exhaustive()
    }
}

/// Writes a backup to `out`, which is whole or absent afterwards. `go_on` is told how many files of how many are there,
/// and says whether to go on.
///
/// # Errors
/// [`BackupError`]; nothing is left at `out` then.
pub fn back_up(
    options: BackupOptions<'_>,
    out: &Path,
    mut go_on: impl FnMut(usize, usize) -> bool,
) -> Result<Manifest, BackupError> {
    if !super::is_vacant(out)? {
        return Err(BackupError::NotEmpty { path: out.to_owned() });
    }
    let staged = Staged::begin(out, ".part")?;
    let begin = Request::Backup(BackupRequest::Begin);
    let (id, database, keep_ms) = match options.client.call_within(begin, COPY)? {
        Answer::Backup(BackupAnswer::Snapshot { id, database, keep_ms }) => (id, database, keep_ms),
        other => return Err(ClientError::Unexpected { found: format!("{other:?}") }.into()),
    };
    let mut keeping = Keeping {
        client: options.client,
        id,
        every: Duration::from_millis(keep_ms / 4),
        last: Instant::now(),
    };
    let path = staged.path.join(DATABASE_FILE);
    write_new(&path, &options.artifacts.get(&database)?)?;
    let contents = SqliteStore::snapshot_contents(&path)?;
    let folder = staged.path.join(ARTIFACTS_FOLDER);
    fs::create_dir(&folder).map_err(context("create", &folder))?;

    let mut manifest = Manifest::new(now_ms(), database.into());
    manifest.schema = contents.schema;
    manifest.batches = contents.batches.len() as u64;
    manifest.unproved = contents.batches.iter().filter(|batch| batch.done_at_ms.is_none()).count() as u64;
    manifest.archived = contents.archived;
    // One file may have several roles.
    let mut named = BTreeSet::new();
    for file in &contents.artifacts {
        match file.hash.parse::<Blake3>() {
            Ok(hash) => {
                named.insert(ArtifactRef { hash, size_bytes: file.size_bytes });
            }
            Err(error) => {
                return Err(BackupError::Manifest {
                    path,
                    reason: format!("a job names no artifact: {error}"),
                })
            }
        }
    }
    if !(options.link && options.local.is_some()) {
        let sizes = named.iter().map(|artifact| artifact.size_bytes);
        room(&staged.path, sizes.fold(0, u64::saturating_add))?;
    }
    for (number, artifact) in named.iter().enumerate() {
        if !go_on(number, named.len()) {
            return Err(BackupError::Interrupted);
        }
        keeping.renew()?;
        match take(options, artifact, &folder.join(artifact.hash.to_string())) {
            Ok(()) => manifest.artifacts.push(FileEntry::from(*artifact)),
            Err(BackupError::Artifact(error)) if error.is_bad_artifact() => {
                manifest.left_out.push(LeftOut { blake3: artifact.hash, reason: error.to_string() });
            }
            Err(error) => return Err(error),
        }
    }
    sync(&folder)?;
    manifest.write(&staged.path)?;
    staged.finish()?;
    Ok(manifest)
}

/// One artifact, verified.
fn take(options: BackupOptions<'_>, artifact: &ArtifactRef, to: &Path) -> Result<(), BackupError> {
    let Some(store) = options.local else {
        return write_new(to, &options.artifacts.get(artifact)?);
    };
    let from = store.path(artifact);
    if options.link && fs::hard_link(&from, to).is_ok() {
        let (found, found_size) = hash_file(to)?;
        return check(artifact, to, found, found_size);
    }
    match copy_file(&from, to) {
        Ok((found, found_size)) => check(artifact, to, found, found_size),
        Err(BackupError::Io { source, path, .. })
            if source.kind() == io::ErrorKind::NotFound && path == from =>
        {
            let (expected, expected_size) = (artifact.hash, artifact.size_bytes);
            Err(ArtifactError::Missing { path, expected, expected_size }.into())
        }
        Err(error) => Err(error),
    }
}

/// A file that is not what its name says goes.
fn check(artifact: &ArtifactRef, path: &Path, found: Blake3, found_size: u64) -> Result<(), BackupError> {
    let (expected, expected_size) = (artifact.hash, artifact.size_bytes);
    if (found, found_size) == (expected, expected_size) {
        return Ok(());
    }
    fs::remove_file(path).map_err(context("remove", path))?;
    let path = path.to_owned();
    Err(ArtifactError::Corrupt { path, expected, expected_size, found, found_size }.into())
}

/// The house keeper keeps every file as long as this is heard of.
struct Keeping<'a> {
    client: &'a Client,
    id: u64,
    every: Duration,
    last: Instant,
}

impl Keeping<'_> {
    fn renew(&mut self) -> Result<(), BackupError> {
        if self.last.elapsed() < self.every {
            return Ok(());
        }
        self.client.call_within(Request::Backup(BackupRequest::Renew { id: self.id }), ANSWER)?;
        self.last = Instant::now();
        Ok(())
    }
}

impl Drop for Keeping<'_> {
    fn drop(&mut self) {
        // If it is not heard, files are kept for a while longer.
        self.client.tell(Request::Backup(BackupRequest::End { id: self.id }));
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
