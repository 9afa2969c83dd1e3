//! What the store refuses, and what can go wrong beneath it.

use std::{io, path::PathBuf, sync::Arc};

use ingot_types::{BatchId, JobKey, RetryClass};
use rusqlite::ErrorCode;

use crate::{StateName, Token};

/// A request that does not fit the store's state. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no such job.
    #[error("there is no job {0}")]
    UnknownJob(JobKey),
    /// There is no such batch.
    #[error("there is no batch {}/{}", .0.chain.0, .0.batch.0)]
    UnknownBatch(BatchId),
    /// Jobs of the batch are left.
    #[error("batch {}/{} is not proved yet", .0.chain.0, .0.batch.0)]
    BatchNotDone(BatchId),
    /// The lease has ended: it expired, was handed over, or the job was taken back.
    #[error("job {key} is {state}: token {} is stale{}", given.0, held.map(|t| format!(", {} holds it", t.0)).unwrap_or_default())]
    StaleToken {
        /// The job.
        key: JobKey,
        /// What the worker sent.
        given: Token,
        /// Who holds the job now.
        held: Option<Token>,
        /// Where the job stands.
        state: StateName,
    },
    /// It was completed under this very token: the answer to the first request must have been lost.
    #[error("job {key} was already completed under token {}", token.0)]
    AlreadyDone {
        /// The job.
        key: JobKey,
        /// The token.
        token: Token,
    },
    /// The job is in a state in which this cannot happen.
    #[error("job {key} is {found}: expected {expected}")]
    WrongState {
        /// The job.
        key: JobKey,
        /// Where it would have to be.
        expected: &'static str,
        /// Where it is.
        found: StateName,
    },
    /// A lease has not expired, or a retry is not due.
    #[error("job {key}: not before {due_at_ms} ms, it is {now_ms} ms")]
    NotYet {
        /// The job.
        key: JobKey,
        /// When it is due, in milliseconds since the Unix epoch.
        due_at_ms: u64,
        /// The time given, in the same unit.
        now_ms: u64,
    },
    /// A job of this name exists with other content.
    #[error("job {key} exists with another {what}")]
    Conflict {
        /// The job.
        key: JobKey,
        /// What differs.
        what: &'static str,
    },
    /// A job to insert that cannot be right.
    #[error("job {key} cannot be inserted: {reason}")]
    BadJob {
        /// The job.
        key: JobKey,
        /// What is wrong with it.
        reason: String,
    },
    /// A worker reported the output of a job that its own does not depend on.
    #[error("job {reporter} does not depend on job {key}")]
    NotADependency {
        /// The job that was reported.
        key: JobKey,
        /// The reporting worker's job.
        reporter: JobKey,
    },
}

/// An error of the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The request does not fit.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The operating system refused.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The journal.
        path: PathBuf,
        /// Why it was refused.
        source: io::Error,
    },
    /// The journal is damaged.
    #[error("{path} is corrupt at byte {offset}: {reason}", path = path.display())]
    Corrupt {
        /// The journal.
        path: PathBuf,
        /// Where the first bad record starts.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// Another process has the journal open.
    #[error("{path} is in use by another process", path = path.display())]
    InUse {
        /// The journal.
        path: PathBuf,
    },
    /// SQLite refused.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    Sqlite {
        /// What was tried.
        action: &'static str,
        /// The database.
        path: PathBuf,
        /// Why it was refused.
        source: rusqlite::Error,
    },
    /// Another operation of the same transaction failed: nothing of it happened.
    #[error("{path}: another change in the same transaction failed, and none was stored", path = path.display())]
    RolledBack {
        /// The database.
        path: PathBuf,
    },
    /// It was a rehearsal: what it would do was worked out, and nothing was stored.
    #[error("nothing was stored: it was a rehearsal")]
    Rehearsed,
    /// The transaction that this request was part of could not be stored: nothing of it happened.
    #[error("not stored: {source}")]
    Group {
        /// Why; the same for all requests of the transaction.
        source: Arc<StoreError>,
    },
    /// A request's own code panicked. Nothing of it was stored.
    #[error("a request to the store panicked: {reason}")]
    Panicked {
        /// What the panic said.
        reason: String,
    },
    /// Too many requests wait for the store.
    #[error("too many requests wait for the store")]
    Busy,
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
    /// The operating system refused a thread.
    #[error("cannot start the store's thread: {source}")]
    Thread {
        /// Why it was refused.
        source: io::Error,
    },
    /// A newer build made the database.
    #[error("{path} has schema {found}, and this build knows schemas up to {newest}: use the build that wrote it, or a newer one", path = path.display())]
    Schema {
        /// The database.
        path: PathBuf,
        /// The newest schema that this build knows.
        newest: u64,
        /// The schema found.
        found: u64,
    },
    /// The database is damaged, or could not be brought to the present schema.
    #[error("{path} cannot be used: {reason}", path = path.display())]
    Migration {
        /// The database.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The SQLite library has a known way to corrupt databases.
    #[error("{path}: expected SQLite {oldest} or newer, found {found}, which can corrupt a database", path = path.display())]
    OldLibrary {
        /// The database.
        path: PathBuf,
        /// The oldest library that is good.
        oldest: &'static str,
        /// The library found.
        found: String,
    },
    /// An earlier write failed in a way that leaves the journal's end unknown: it has to be opened again.
    #[error("{path}: an earlier write failed; open the store again", path = path.display())]
    Broken {
        /// The journal.
        path: PathBuf,
    },
}

impl StoreError {
    /// How a failed attempt with this error is to be treated.
    pub fn retry_class(&self) -> RetryClass {
        match self {
            Self::Refused(_)
            | Self::Corrupt { .. }
            | Self::Schema { .. }
            | Self::Migration { .. }
            | Self::OldLibrary { .. }
            | Self::Rehearsed
            | Self::Panicked { .. } => RetryClass::Deterministic,
            Self::InUse { .. }
            | Self::Broken { .. }
            | Self::RolledBack { .. }
            | Self::Busy
            | Self::Closed => RetryClass::Transient,
            Self::Thread { .. } => RetryClass::Resource,
            Self::Group { source } => source.retry_class(),
            Self::Sqlite { source, .. } => match source.sqlite_error_code() {
                Some(ErrorCode::DiskFull | ErrorCode::OutOfMemory | ErrorCode::TooBig) => {
                    RetryClass::Resource
                }
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::ReadOnly) => {
                    RetryClass::Deterministic
                }
                _ => RetryClass::Transient,
            },
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                    RetryClass::Resource
                }
                _ => RetryClass::Transient,
            },
        }
    }

    /// The refusal, if it is one.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }
}
