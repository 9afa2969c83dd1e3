//! The home that outlives processes: an SQLite database with one owner.
//!
//! **Invariant:** the database decides nothing. What changes is what [`plan`](crate::plan) says, stored in one transaction;
//! constraints of the schema only refuse what cannot be. Nothing is kept in memory that a failed commit could leave behind.

/// A job key as seven parameters.
macro_rules! key_params {
    ($key:expr) => {{
        let key = $key;
        (
            $crate::sqlite::codes::clamp(key.batch.chain.0),
            key.batch.batch.0,
            key.kind as u8,
            key.round as u8,
            key.circuit_id.0,
            key.depth,
            key.sequence,
        )
    }};
}

mod batches;
mod codes;
mod deliveries;
mod open;
mod operator;
mod queue;
mod rows;
mod snapshot;
mod store;
mod write;

use std::{
    cell::{Cell, RefCell},
    fs::File,
    panic::{catch_unwind, resume_unwind, AssertUnwindSafe},
    path::{Path, PathBuf},
};

use rusqlite::{CachedStatement, Connection, Params};

use crate::{plan, Backoff, Command, Delta, Effects, StoreError};
pub use open::SCHEMA_VERSION;
pub use snapshot::SnapshotContents;

/// Statements that are kept prepared: more than there are.
const STATEMENT_CACHE: usize = 96;

/// The store in a database file. See [`JobStore`](crate::JobStore) and [`Home`](crate::Home) for what it does.
pub struct SqliteStore {
    connection: Connection,
    path: PathBuf,
    backoff: Backoff,
    kept: RefCell<rows::Kept>,
    /// Effects of time that `advance` has yet to return.
    unseen: Effects,
    group: Cell<Group>,
    statements: Cell<u64>,
    /// Held as long as the store is open.
    _lock: Option<File>,
}

/// Whether several operations share a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    /// Each operation has its own.
    None,
    /// They share one.
    Open,
    /// They share one, and a write in it failed: it will be rolled back.
    Broken,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens or creates the database at `path`, and migrates it if it has an older schema.
    ///
    /// # Errors
    /// [`StoreError::InUse`] if another process has it, [`StoreError::Schema`] if a newer build made it,
    /// [`StoreError::OldLibrary`], [`StoreError::Migration`] if it is damaged; [`StoreError::Sqlite`].
    pub fn open(path: &Path, backoff: Backoff) -> Result<Self, StoreError> {
        let (connection, lock) = open::open(path)?;
        Ok(Self::with(connection, path, backoff, Some(lock)))
    }

    /// A database in memory, which ends with the value.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn in_memory(backoff: Backoff) -> Result<Self, StoreError> {
        Ok(Self::with(open::open_in_memory()?, Path::new(":memory:"), backoff, None))
    }

    fn with(connection: Connection, path: &Path, backoff: Backoff, lock: Option<File>) -> Self {
        Self {
            connection,
            path: path.to_owned(),
            backoff,
            kept: RefCell::default(),
            unseen: Effects::new(),
            group: Cell::new(Group::None),
            statements: Cell::new(0),
            _lock: lock,
        }
    }

    /// SQL statements run so far: stands still while nothing happens.
    pub fn statements(&self) -> u64 {
        self.statements.get()
    }

    /// Bounds the file's size, in pages of 4 KiB: so that tests can fill a disk.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    #[cfg(any(test, feature = "testing"))]
    pub fn limit_pages(&self, pages: u32) -> Result<(), StoreError> {
        self.connection
            .pragma_update_and_check(None, "max_page_count", pages, |row| row.get::<_, i64>(0))
            .map(drop)
            .map_err(failed("bound", &self.path))
    }

    /// Runs several operations in one transaction, which is committed once, at the end. An operation that is refused
    /// changes nothing, and the others stand.
    ///
    /// # Errors
    /// If a write or the commit failed. Then nothing of the group happened, whatever its operations had returned.
    pub fn group<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> Result<T, StoreError> {
        if self.group.get() != Group::None {
            return Ok(work(self));
        }
        self.begin()?;
        let unseen = self.unseen.clone();
        self.group.set(Group::Open);
        let result = catch_unwind(AssertUnwindSafe(|| work(self)));
        let ended = match (self.group.replace(Group::None), &result) {
            (Group::Broken, _) | (_, Err(_)) => Err(self.rolled_back()),
            _ => self.commit(),
        };
        if ended.is_err() {
            self.roll_back();
            self.unseen = unseen;
        }
        match result {
            Ok(result) => ended.map(|()| result),
            // Half a change must not stay; the panic is the caller's to deal with.
            Err(panic) => resume_unwind(panic),
        }
    }

    /// Runs several operations that stand or fall together. Within a group, the rest of the group is not touched.
    ///
    /// # Errors
    /// What `work` returned, or that it could not be stored; nothing of it stays then.
    pub fn part<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match self.group.get() {
            Group::Broken => Err(self.rolled_back()),
            Group::Open => {
                let unseen = self.unseen.clone();
                self.run("SAVEPOINT part", ())?;
                let result = work(self).and_then(|value| self.run("RELEASE part", ()).map(|()| value));
                if result.is_err() {
                    self.undo("ROLLBACK TO part", "RELEASE part");
                    self.unseen = unseen;
                }
                result
            }
            Group::None => {
                let mut failure = None;
                let done =
                    self.group(|store| store.part(work).map_err(|error| failure = Some(error)).ok())?;
                done.ok_or_else(|| failure.unwrap_or_else(|| self.rolled_back()))
            }
        }
    }

    /// Undoes the last savepoint. If SQLite has given up the whole transaction, or this fails, then so is the group.
    fn undo(&self, roll_back: &str, release: &str) {
        self.kept.borrow_mut().clear();
        let undone = !self.connection.is_autocommit()
            && self.run(roll_back, ()).and_then(|()| self.run(release, ())).is_ok();
        if !undone {
            self.group.set(Group::Broken);
        }
    }

    fn rolled_back(&self) -> StoreError {
        StoreError::RolledBack { path: self.path.clone() }
    }

    fn begin(&self) -> Result<(), StoreError> {
        if !self.connection.is_autocommit() {
            // A change that a panic cut short.
            self.roll_back();
        }
        self.count();
        self.connection.execute_batch("BEGIN IMMEDIATE").map_err(failed("begin a change of", &self.path))
    }

    fn commit(&self) -> Result<(), StoreError> {
        self.count();
        self.connection.execute_batch("COMMIT").map_err(failed("commit to", &self.path))
    }

    /// Back to what is on disk.
    fn roll_back(&self) {
        self.kept.borrow_mut().clear();
        if !self.connection.is_autocommit() {
            // If even that fails, the next `BEGIN` says so.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
    }

    /// Plans commands that touch different jobs, and stores what they change.
    fn execute(&mut self, commands: &[Command], now_ms: u64) -> Result<Effects, StoreError> {
        let deltas =
            commands.iter().map(|command| plan(self, command, now_ms)).collect::<Result<Vec<_>, _>>()?;
        if deltas.is_empty() {
            return Ok(Effects::new());
        }
        self.write(|store| deltas.iter().try_for_each(|delta| store.store(delta, now_ms)))?;
        Ok(deltas.into_iter().flat_map(|delta: Delta| delta.effects).collect())
    }

    /// Runs writes, in a transaction of their own or in the group's.
    fn write<T>(&self, work: impl FnOnce(&Self) -> Result<T, StoreError>) -> Result<T, StoreError> {
        match self.group.get() {
            Group::Broken => Err(self.rolled_back()),
            Group::Open => {
                self.run("SAVEPOINT change", ())?;
                let result = work(self).and_then(|value| self.run("RELEASE change", ()).map(|()| value));
                if result.is_err() {
                    self.undo("ROLLBACK TO change", "RELEASE change");
                }
                result
            }
            Group::None => {
                self.begin()?;
                let result = work(self).and_then(|value| self.commit().map(|()| value));
                if result.is_err() {
                    self.roll_back();
                }
                result
            }
        }
    }

    fn count(&self) {
        self.statements.set(self.statements.get() + 1);
    }

    fn statement<T>(
        &self,
        sql: &str,
        work: impl FnOnce(&mut CachedStatement<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        self.count();
        let mut statement = self.connection.prepare_cached(sql).map_err(failed("read", &self.path))?;
        work(&mut statement).map_err(failed("read", &self.path))
    }

    fn run(&self, sql: &str, params: impl Params) -> Result<(), StoreError> {
        self.count();
        let mut statement = self.connection.prepare_cached(sql).map_err(failed("write", &self.path))?;
        statement.execute(params).map(drop).map_err(failed("write", &self.path))
    }
}

/// Attaches what was tried with which database.
fn failed<'a>(action: &'static str, path: &'a Path) -> impl Fn(rusqlite::Error) -> StoreError + 'a {
    move |source| StoreError::Sqlite { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
