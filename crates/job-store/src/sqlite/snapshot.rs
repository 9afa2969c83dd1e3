//! Copies of a database that is in use, and what has to change in a copy before it takes the original's place.

use std::{collections::BTreeSet, fs::File, io, path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags};

use super::{failed, open::SCHEMA_VERSION, SqliteStore};
use crate::{ArtifactName, Backoff, BatchRow, Home as _, JobStore as _, StoreError};

/// Tokens that are passed over in a copy: more than any store grants between a copy and its use. What was leased meanwhile
/// is then known for stale, whoever comes with it.
const TOKENS_PASSED_OVER: i64 = 1 << 32;

/// What is in a copy.
#[derive(Clone, Debug)]
pub struct SnapshotContents {
    /// Every file that a job or an archived batch names.
    pub artifacts: BTreeSet<ArtifactName>,
    /// The batches whose jobs are there.
    pub batches: Vec<BatchRow>,
    /// How many batches are archived.
    pub archived: u64,
    /// The schema.
    pub schema: u64,
}

impl SqliteStore {
    /// Writes a copy of the last committed state of the database at `path` to `copy`, where nothing may be. The process
    /// that owns the database may call this from any thread while it goes on writing; the copy survives a power cut.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`], [`StoreError::Io`].
    pub fn snapshot(path: &Path, copy: &Path) -> Result<(), StoreError> {
        let io = |action| move |source| StoreError::Io { action, path: copy.to_owned(), source };
        let to = copy.to_str().ok_or_else(|| {
            io("name a copy")(io::Error::new(io::ErrorKind::InvalidInput, "its path is no UTF-8"))
        })?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(failed("open", path))?;
        connection.busy_timeout(Duration::from_secs(5)).map_err(failed("open", path))?;
        connection.execute("VACUUM INTO ?1", [to]).map_err(failed("copy", path))?;
        File::open(copy).and_then(|file| file.sync_all()).map_err(io("sync"))
    }

    /// Looks into a copy without changing it.
    ///
    /// # Errors
    /// [`StoreError::Schema`] if a newer build made it; [`StoreError::Migration`] if it is damaged;
    /// [`StoreError::Sqlite`].
    pub fn snapshot_contents(copy: &Path) -> Result<SnapshotContents, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(copy, flags).map_err(failed("open", copy))?;
        let schema = connection
            .pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))
            .map_err(failed("read", copy))?;
        let schema = u64::try_from(schema).unwrap_or(u64::MAX);
        if schema > SCHEMA_VERSION {
            return Err(StoreError::Schema { path: copy.to_owned(), newest: SCHEMA_VERSION, found: schema });
        }
        let verdict: String = connection
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
            .map_err(failed("check", copy))?;
        if verdict != "ok" {
            return Err(StoreError::Migration { path: copy.to_owned(), reason: verdict });
        }
        let store = Self::with(connection, copy, Backoff::default(), None);
        Ok(SnapshotContents {
            artifacts: store.live_artifacts()?,
            batches: store.batches()?,
            archived: store.archived_count()?,
            schema,
        })
    }

    /// Prepares a copy to take the place of a store that lived on after the copy was made: leases that were granted since
    /// have tokens that the copy does not know, and must not grant again.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub fn take_place(copy: &Path) -> Result<(), StoreError> {
        let store = Self::open(copy, Backoff::default())?;
        store.write(|store| store.run("UPDATE tokens SET last = last + ?1", [TOKENS_PASSED_OVER]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Filter, JobSpec};

    fn spec(key: &str) -> JobSpec {
        JobSpec {
            key: key.parse().unwrap(),
            protocol_version: ingot_types::ProtocolVersion { minor: 1, patch: 0 },
            priority: 0,
            sealed_at_ms: 0,
            max_attempts: 3,
            group: None,
            zone: None,
            depends_on: vec![],
            inputs: vec![ArtifactName { role: "x".into(), hash: key.into(), size_bytes: 1 }],
        }
    }

    #[test]
    fn a_copy_has_what_was_committed_and_never_grants_a_token_again() {
        let folder = tempfile::tempdir().unwrap();
        let (path, copy) = (folder.path().join("jobs.db"), folder.path().join("copy.db"));
        let mut store = SqliteStore::open(&path, Backoff::default()).unwrap();
        store.insert(vec![spec("1/1/prove/0/1/0/0")], 5).unwrap();
        // In the middle of a group that is not committed: a copy is made by another thread of the same process.
        store
            .group(|store| {
                store.insert(vec![spec("1/2/prove/0/1/0/0")], 6).unwrap();
                let (path, copy) = (path.clone(), copy.clone());
                std::thread::spawn(move || SqliteStore::snapshot(&path, &copy)).join().unwrap().unwrap();
            })
            .unwrap();
        let before = std::fs::read(&copy).unwrap();
        let contents = SqliteStore::snapshot_contents(&copy).unwrap();
        assert_eq!(contents.batches.len(), 1, "what was not committed is not there");
        assert_eq!(contents.artifacts.first().unwrap().hash, "1/1/prove/0/1/0/0");
        assert_eq!(std::fs::read(&copy).unwrap(), before, "looking changes nothing");
        // The store lives on, and grants.
        let last = store.lease(&Filter::default(), "w", 1000, 7).unwrap().unwrap().token;
        SqliteStore::take_place(&copy).unwrap();
        let mut restored = SqliteStore::open(&copy, Backoff::default()).unwrap();
        let next = restored.lease(&Filter::default(), "v", 1000, 8).unwrap().unwrap();
        assert!(next.token > last, "{next:?}");
        let stale = restored.complete(next.job.key(), last, vec![], vec![], 9);
        assert!(matches!(stale, Err(StoreError::Refused(crate::Refusal::StaleToken { .. }))), "{stale:?}");
    }

    #[test]
    fn a_copy_never_replaces_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let (path, copy) = (folder.path().join("jobs.db"), folder.path().join("copy.db"));
        let _store = SqliteStore::open(&path, Backoff::default()).unwrap();
        std::fs::write(&copy, "something").unwrap();
        SqliteStore::snapshot(&path, &copy).unwrap_err();
        assert_eq!(std::fs::read(&copy).unwrap(), b"something");
        SqliteStore::snapshot_contents(&copy).unwrap_err();
    }
}
