//! The database: batches, their leases, their proofs.
//!
//! One connection behind a lock; every change is one transaction, durable when the method returns (`synchronous=FULL`).

use std::{
    collections::BTreeSet,
    fs::{File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ingot_artifacts::{ArtifactRef, Blake3};
use ingot_types::ProtocolVersion;
use rusqlite::{params, Connection, OptionalExtension as _, Row};
use rusqlite_migration::{Migrations, M};

use crate::StoreError;

/// The schema this build reads and writes.
const SCHEMA_VERSION: u64 = 1;
const SCRIPTS: [M<'static>; 1] = [M::up(include_str!("schema_1.sql"))];

/// A batch that came from the core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewBatch {
    /// Its number.
    pub number: u32,
    /// Whose circuits prove it.
    pub protocol_version: ProtocolVersion,
    /// When it was sealed, in milliseconds since the Unix epoch.
    pub sealed_at_ms: u64,
    /// Its witness inputs.
    pub inputs: ArtifactRef,
    /// What a proof of it says.
    pub public_input: Vec<u8>,
    /// Four digests that tie a proof to it.
    pub coordinates: [[u8; 32]; 4],
}

/// A batch in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchRecord {
    /// What came from the core.
    pub batch: NewBatch,
    /// When it came, in milliseconds since the Unix epoch.
    pub received_at_ms: u64,
    /// Its witness inputs are not kept any more.
    pub pruned: bool,
    /// Until when it is a gateway's, in milliseconds since the Unix epoch.
    pub leased_until_ms: u64,
    /// How often it was handed out.
    pub times_leased: u32,
    /// Its proof.
    pub proof: Option<ArtifactRef>,
    /// When that came, in milliseconds since the Unix epoch.
    pub proved_at_ms: Option<u64>,
    /// Proofs that were refused.
    pub refused: u32,
    /// Why the last of them was.
    pub refused_reason: Option<String>,
}

/// What became of something that was handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// It is new.
    New,
    /// It was there already.
    Known,
    /// Something else is there under its number.
    Other,
}

/// A gateway that asks for batches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asking<'a> {
    /// Its name, if it says one.
    pub name: Option<&'a str>,
    /// The batches that it has.
    pub holding: &'a [u32],
}

/// How long leases are, in milliseconds, and when they begin.
#[derive(Clone, Copy, Debug)]
pub struct LeaseTime {
    /// The present, in milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// Length, in milliseconds.
    pub length_ms: u64,
}

/// How many batches there are, and how they stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// To be handed out.
    pub waiting: u64,
    /// At a gateway.
    pub handed_out: u64,
    /// Proved.
    pub proved: u64,
    /// When the oldest came that is not proved, in milliseconds since the Unix epoch.
    pub oldest_unproved_ms: Option<u64>,
    /// How often a batch was handed out, all together.
    pub times_handed_out: u64,
    /// Proofs that were refused, all together.
    pub refused: u64,
}

/// The database.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    connection: Mutex<Connection>,
    _lock: File,
}

const COLUMNS: &str = "number, version_minor, version_patch, sealed_at_ms, inputs_hash, inputs_bytes, public_input,
    coordinates, received_at_ms, pruned, leased_until_ms, times_leased, proof_hash, proof_bytes, proved_at_ms, refused,
    refused_reason";

impl Store {
    /// Opens the database at `path`, creating or migrating it; one process at a time.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let lock = lock(path)?;
        let failed = |action| move |source| StoreError::Database { action, path: path.to_owned(), source };
        let mut connection = Connection::open(path).map_err(failed("open"))?;
        let found: i64 =
            connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed("read"))?;
        let found = u64::try_from(found).unwrap_or(u64::MAX);
        if found > SCHEMA_VERSION {
            return Err(StoreError::Schema { path: path.to_owned(), newest: SCHEMA_VERSION, found });
        }
        connection.busy_timeout(Duration::from_secs(5)).map_err(failed("configure"))?;
        connection
            .pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0))
            .map_err(failed("configure"))?;
        connection.pragma_update(None, "synchronous", "full").map_err(failed("configure"))?;
        Migrations::from_slice(&SCRIPTS)
            .to_latest(&mut connection)
            .map_err(|e| StoreError::Migration { path: path.to_owned(), reason: e.to_string() })?;
        Ok(Self { path: path.to_owned(), connection: Mutex::new(connection), _lock: lock })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, action: &'static str) -> impl FnOnce(rusqlite::Error) -> StoreError + '_ {
        move |source| StoreError::Database { action, path: self.path.clone(), source }
    }

    /// Takes a batch from the core. The same batch again is known; another one under its number changes nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn insert(&self, batch: &NewBatch, now_ms: u64) -> Result<Received, StoreError> {
        let connection = self.connection();
        let added = connection
            .execute(
                "INSERT INTO batches (number, version_minor, version_patch, sealed_at_ms, received_at_ms, inputs_hash,
                 inputs_bytes, public_input, coordinates) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
                 ON CONFLICT (number) DO NOTHING",
                params![
                    batch.number,
                    batch.protocol_version.minor,
                    batch.protocol_version.patch,
                    clamp(batch.sealed_at_ms),
                    clamp(now_ms),
                    batch.inputs.hash.to_string(),
                    clamp(batch.inputs.size_bytes),
                    batch.public_input,
                    batch.coordinates.concat(),
                ],
            )
            .map_err(self.failed("write"))?;
        if added == 1 {
            return Ok(Received::New);
        }
        let same: bool = connection
            .query_row(
                "SELECT inputs_hash = ?2 AND version_minor = ?3 AND version_patch = ?4 FROM batches WHERE number = ?1",
                params![
                    batch.number,
                    batch.inputs.hash.to_string(),
                    batch.protocol_version.minor,
                    batch.protocol_version.patch
                ],
                |row| row.get(0),
            )
            .map_err(self.failed("read"))?;
        Ok(if same { Received::Known } else { Received::Other })
    }

    /// Hands out the first batches that are neither proved nor anybody's, `most` of them. Those that the asking gateway
    /// holds are its own for another lease; those that were handed to it by name and that it does not hold never reached it,
    /// and are nobody's again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn lease(
        &self,
        version: ProtocolVersion,
        asking: Asking<'_>,
        most: u32,
        time: LeaseTime,
    ) -> Result<Vec<BatchRecord>, StoreError> {
        let mut connection = self.connection();
        let until = clamp(time.now_ms.saturating_add(time.length_ms));
        let leased = (|| {
            let transaction = connection.transaction()?;
            {
                let mut renew = transaction.prepare_cached(
                    "UPDATE batches SET leased_until_ms = max(leased_until_ms, ?2)
                     WHERE number = ?1 AND proof_hash IS NULL",
                )?;
                for number in asking.holding {
                    renew.execute(params![number, until])?;
                }
            }
            if let Some(name) = asking.name {
                let lost: Vec<u32> = transaction
                    .prepare_cached("SELECT number FROM batches WHERE holder = ?1 AND proof_hash IS NULL")?
                    .query_map([name], |row| row.get(0))?
                    .collect::<Result<_, _>>()?;
                for number in lost.iter().filter(|number| !asking.holding.contains(number)) {
                    transaction.execute(
                        "UPDATE batches SET leased_until_ms = 0, holder = NULL WHERE number = ?1",
                        [number],
                    )?;
                }
            }
            let records: Vec<BatchRecord> = {
                let mut free = transaction.prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM batches WHERE proof_hash IS NULL AND pruned = 0 AND leased_until_ms <= ?1
                     AND version_minor = ?3 AND version_patch = ?4 ORDER BY number LIMIT ?2"
                ))?;
                let rows =
                    free.query_map(params![clamp(time.now_ms), most, version.minor, version.patch], record)?;
                rows.collect::<Result<_, _>>()?
            };
            for record in &records {
                transaction.execute(
                    "UPDATE batches SET leased_until_ms = ?2, holder = ?3, times_leased = times_leased + 1
                     WHERE number = ?1",
                    params![record.batch.number, until, asking.name],
                )?;
            }
            transaction.commit()?;
            Ok(records)
        })();
        leased.map_err(self.failed("lease batches in"))
    }

    /// Takes a lease back: the batch could not be handed over after all.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn release(&self, number: u32) -> Result<(), StoreError> {
        self.connection()
            .execute("UPDATE batches SET leased_until_ms = 0 WHERE number = ?1", [number])
            .map(drop)
            .map_err(self.failed("write"))
    }

    /// Notes the proof of a batch; it was verified, and is stored. The first one stays.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn prove(&self, number: u32, proof: &ArtifactRef, now_ms: u64) -> Result<Received, StoreError> {
        let changed = self
            .connection()
            .execute(
                "UPDATE batches SET proof_hash = ?2, proof_bytes = ?3, proved_at_ms = ?4
                 WHERE number = ?1 AND proof_hash IS NULL",
                params![number, proof.hash.to_string(), clamp(proof.size_bytes), clamp(now_ms)],
            )
            .map_err(self.failed("write"))?;
        Ok(if changed == 1 { Received::New } else { Received::Known })
    }

    /// Notes that a proof was refused.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn refuse(&self, number: u32, reason: &str) -> Result<(), StoreError> {
        self.connection()
            .execute(
                "UPDATE batches SET refused = refused + 1, refused_reason = ?2 WHERE number = ?1",
                params![number, reason],
            )
            .map(drop)
            .map_err(self.failed("write"))
    }

    /// One batch.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn batch(&self, number: u32) -> Result<Option<BatchRecord>, StoreError> {
        self.connection()
            .query_row(&format!("SELECT {COLUMNS} FROM batches WHERE number = ?1"), [number], record)
            .optional()
            .map_err(self.failed("read"))
    }

    /// Batches from a number on, in order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn batches(&self, from: u32, most: u32) -> Result<Vec<BatchRecord>, StoreError> {
        let connection = self.connection();
        let read = || {
            let query = format!("SELECT {COLUMNS} FROM batches WHERE number >= ?1 ORDER BY number LIMIT ?2");
            connection.prepare_cached(&query)?.query_map([from, most], record)?.collect::<Result<Vec<_>, _>>()
        };
        read().map_err(self.failed("read"))
    }

    /// The last batch that is proved.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn last_proved(&self) -> Result<Option<BatchRecord>, StoreError> {
        let query = format!(
            "SELECT {COLUMNS} FROM batches WHERE proof_hash IS NOT NULL ORDER BY number DESC LIMIT 1"
        );
        self.connection().query_row(&query, [], record).optional().map_err(self.failed("read"))
    }

    /// How many batches there are, and how they stand at `now_ms`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn figures(&self, now_ms: u64) -> Result<Figures, StoreError> {
        let read = |row: &Row<'_>| {
            Ok(Figures {
                waiting: unsigned(row, 0)?,
                handed_out: unsigned(row, 1)?,
                proved: unsigned(row, 2)?,
                oldest_unproved_ms: row.get::<_, Option<i64>>(3)?.and_then(|ms| u64::try_from(ms).ok()),
                times_handed_out: unsigned(row, 4)?,
                refused: unsigned(row, 5)?,
            })
        };
        let query = "SELECT count(*) FILTER (WHERE proof_hash IS NULL AND leased_until_ms <= ?1),
             count(*) FILTER (WHERE proof_hash IS NULL AND leased_until_ms > ?1),
             count(proof_hash),
             min(received_at_ms) FILTER (WHERE proof_hash IS NULL),
             coalesce(sum(times_leased), 0), coalesce(sum(refused), 0) FROM batches";
        self.connection().query_row(query, [clamp(now_ms)], read).map_err(self.failed("read"))
    }

    /// Forgets the witness inputs of batches proved before `before_ms`; returns how many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn prune(&self, before_ms: u64) -> Result<usize, StoreError> {
        self.connection()
            .execute(
                "UPDATE batches SET pruned = 1 WHERE pruned = 0 AND proved_at_ms < ?1",
                [clamp(before_ms)],
            )
            .map_err(self.failed("write"))
    }

    /// The files that batches name: witness inputs that are kept, and proofs.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn live(&self) -> Result<BTreeSet<Blake3>, StoreError> {
        let connection = self.connection();
        let read = || {
            connection
                .prepare_cached(
                    "SELECT inputs_hash, inputs_bytes FROM batches WHERE pruned = 0
                     UNION SELECT proof_hash, proof_bytes FROM batches WHERE proof_hash IS NOT NULL",
                )?
                .query_map([], |row| artifact(row, 0).map(|artifact| artifact.hash))?
                .collect::<Result<BTreeSet<_>, _>>()
        };
        read().map_err(self.failed("read"))
    }
}

fn record(row: &Row<'_>) -> rusqlite::Result<BatchRecord> {
    let coordinates: Vec<u8> = row.get(7)?;
    let mut digests = [[0; 32]; 4];
    for (digest, bytes) in digests.iter_mut().zip(coordinates.chunks_exact(32)) {
        digest.copy_from_slice(bytes);
    }
    Ok(BatchRecord {
        batch: NewBatch {
            number: row.get(0)?,
            protocol_version: ProtocolVersion { minor: row.get(1)?, patch: row.get(2)? },
            sealed_at_ms: unsigned(row, 3)?,
            inputs: artifact(row, 4)?,
            public_input: row.get(6)?,
            coordinates: digests,
        },
        received_at_ms: unsigned(row, 8)?,
        pruned: row.get(9)?,
        leased_until_ms: unsigned(row, 10)?,
        times_leased: row.get(11)?,
        proof: match row.get::<_, Option<String>>(12)? {
            Some(_) => Some(artifact(row, 12)?),
            None => None,
        },
        proved_at_ms: row.get::<_, Option<i64>>(14)?.and_then(|ms| u64::try_from(ms).ok()),
        refused: row.get(15)?,
        refused_reason: row.get(16)?,
    })
}

fn artifact(row: &Row<'_>, at: usize) -> rusqlite::Result<ArtifactRef> {
    let text: String = row.get(at)?;
    let hash: Blake3 = text.parse().map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, Box::new(error))
    })?;
    Ok(ArtifactRef { hash, size_bytes: unsigned(row, at + 1)? })
}

fn unsigned(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(at)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(at, value))
}

/// A number as SQLite can hold it.
fn clamp(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    let lock_path = path.with_file_name(name);
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

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
