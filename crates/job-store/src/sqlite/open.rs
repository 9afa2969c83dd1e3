//! Opening the database: settings, schema, and the checks that come before any use.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::Connection;
use rusqlite_migration::{Migrations, M};

use super::{failed, STATEMENT_CACHE};
use crate::StoreError;

/// The schema this build reads and writes.
pub const SCHEMA_VERSION: u64 = SCRIPTS.len() as u64;

/// Before 3.51.3, SQLite could corrupt a database in WAL mode when its log was reset.
const OLDEST_LIBRARY: i32 = 3_051_003;

/// One script for each version, in order. Those that were released never change.
const SCRIPTS: &[M<'static>] = &[
    M::up(include_str!("schema_1.sql")),
    M::up(include_str!("schema_2.sql")),
    // What operators ask for and may be asked about.
    M::up(include_str!("schema_3.sql")),
];

/// Opens the database at `path` with its lock, creating or migrating it.
pub(super) fn open(path: &Path) -> Result<(Connection, File), StoreError> {
    check_library(path)?;
    let lock = lock(path)?;
    let mut connection = Connection::open(path).map_err(failed("open", path))?;
    let existing = connection
        .pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))
        .map_err(failed("read", path))?;
    let found = u64::try_from(existing).unwrap_or(u64::MAX);
    if found > SCHEMA_VERSION {
        return Err(StoreError::Schema { path: path.to_owned(), newest: SCHEMA_VERSION, found });
    }
    if (1..SCHEMA_VERSION).contains(&found) {
        back_up(&connection, path, found)?;
    }
    settings(&connection).map_err(failed("configure", path))?;
    Migrations::from_slice(SCRIPTS).to_latest(&mut connection).map_err(|source| match source {
        rusqlite_migration::Error::RusqliteError { err, .. } => failed("migrate", path)(err),
        other => StoreError::Migration { path: path.to_owned(), reason: other.to_string() },
    })?;
    let verdict: String =
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed("check", path))?;
    if verdict != "ok" {
        return Err(StoreError::Migration { path: path.to_owned(), reason: verdict });
    }
    Ok((connection, lock))
}

/// A database in memory, for tests and models: nothing of it survives.
pub(super) fn open_in_memory() -> Result<Connection, StoreError> {
    let path = Path::new(":memory:");
    check_library(path)?;
    let mut connection = Connection::open_in_memory().map_err(failed("open", path))?;
    settings(&connection).map_err(failed("configure", path))?;
    Migrations::from_slice(SCRIPTS)
        .to_latest(&mut connection)
        .map_err(|e| StoreError::Migration { path: path.to_owned(), reason: e.to_string() })?;
    Ok(connection)
}

fn check_library(path: &Path) -> Result<(), StoreError> {
    let found = rusqlite::version_number();
    match found >= OLDEST_LIBRARY {
        true => Ok(()),
        false => Err(StoreError::OldLibrary {
            path: path.to_owned(),
            oldest: "3.51.3",
            found: rusqlite::version().to_owned(),
        }),
    }
}

fn settings(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    connection.busy_timeout(Duration::from_secs(5))?;
    // A database in memory answers `memory`.
    connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0))?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    Ok(())
}

/// One process at a time. SQLite would let several in, which is what makes queues in SQLite slow and, with some of its
/// versions, corrupt.
fn lock(path: &Path) -> Result<File, StoreError> {
    let lock_path = sibling(path, "lock");
    let io = |action| {
        let path = lock_path.clone();
        move |source| StoreError::Io { action, path, source }
    };
    let file =
        OpenOptions::new().write(true).create(true).truncate(false).open(&lock_path).map_err(io("open"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(io("lock")(source)),
    }
}

/// A copy of the database as it is before a migration, beside it.
fn back_up(connection: &Connection, path: &Path, version: u64) -> Result<(), StoreError> {
    let copy = sibling(path, &format!("schema-{version}.backup"));
    if copy.exists() {
        // Of an earlier attempt at this migration, which was undone: what is there is whole, since it was made first.
        return Ok(());
    }
    let partial = sibling(path, &format!("schema-{version}.backup.part"));
    // A backup that was interrupted.
    let _ = std::fs::remove_file(&partial);
    connection.execute("VACUUM INTO ?1", [partial.to_string_lossy()]).map_err(failed("back up", path))?;
    let io = |action| {
        let path = copy.clone();
        move |source| StoreError::Io { action, path, source }
    };
    File::open(&partial).and_then(|file| file.sync_all()).map_err(io("sync"))?;
    std::fs::rename(&partial, &copy).map_err(io("rename the backup to"))
}

fn sibling(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(extension);
    path.with_file_name(name)
}
