//! Reading rows: what [`plan`](crate::plan) needs.

use std::{collections::HashMap, sync::Arc};

use ingot_types::{BatchId, JobKey, ProtocolVersion};
use rusqlite::{OptionalExtension as _, Row};

use super::{
    codes::{clamp, key, state_of, unsigned, unsigned_or_none},
    SqliteStore,
};
use crate::{ArtifactName, Job, JobError, JobSpec, JobState, Rows, StateName, Status, StoreError, Token};

/// The part of a row that does not change: kept, so that a job that waits for a hundred others is not read a hundred
/// times in full.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub id: i64,
    pub spec: Arc<JobSpec>,
    pub created_by: Option<JobKey>,
}

/// Rows kept at most.
const MOST_KEPT: usize = 50_000;

pub(super) type Kept = HashMap<JobKey, Given>;

impl SqliteStore {
    /// The part of a job that does not change.
    pub(super) fn given(&self, wanted: &JobKey) -> Result<Option<Given>, StoreError> {
        if let Some(given) = self.kept.borrow().get(wanted) {
            return Ok(Some(given.clone()));
        }
        let read = |row: &Row<'_>| {
            let creator: Option<i64> = row.get(8)?;
            let spec = JobSpec {
                key: *wanted,
                protocol_version: ProtocolVersion { minor: row.get(1)?, patch: row.get(2)? },
                priority: row.get(3)?,
                sealed_at_ms: unsigned(row, 4)?,
                max_attempts: row.get(5)?,
                group: row.get(6)?,
                zone: row.get(7)?,
                depends_on: Vec::new(),
                inputs: Vec::new(),
            };
            Ok((row.get::<_, i64>(0)?, spec, creator))
        };
        let found = self.statement(
            "SELECT id, version_minor, version_patch, priority, sealed_at_ms, max_attempts, prover_group, zone, created_by
             FROM jobs WHERE chain = ?1 AND batch = ?2 AND kind = ?3 AND round = ?4 AND circuit = ?5 AND depth = ?6 AND sequence = ?7",
            |statement| statement.query_row(key_params!(wanted), read).optional(),
        )?;
        let Some((id, mut spec, creator)) = found else { return Ok(None) };
        spec.depends_on = self.statement(
            "SELECT d.chain, d.batch, d.kind, d.round, d.circuit, d.depth, d.sequence
             FROM dependencies JOIN jobs d ON d.id = dependency WHERE job = ?1 ORDER BY position",
            |statement| statement.query_map([id], |row| key(row, 0))?.collect(),
        )?;
        spec.inputs = self.files(id, false)?;
        let created_by = match creator {
            Some(creator) => self.key_of(creator)?,
            None => None,
        };
        let given = Given { id, spec: Arc::new(spec), created_by };
        let mut kept = self.kept.borrow_mut();
        if kept.len() >= MOST_KEPT {
            kept.clear();
        }
        kept.insert(*wanted, given.clone());
        Ok(Some(given))
    }

    fn key_of(&self, id: i64) -> Result<Option<JobKey>, StoreError> {
        self.statement(
            "SELECT chain, batch, kind, round, circuit, depth, sequence FROM jobs WHERE id = ?1",
            |statement| statement.query_row([id], |row| key(row, 0)).optional(),
        )
    }

    /// The files that a job reads, or made.
    fn files(&self, id: i64, made: bool) -> Result<Vec<ArtifactName>, StoreError> {
        self.statement(
            "SELECT role, hash, size_bytes FROM files WHERE job = ?1 AND made = ?2 ORDER BY position",
            |statement| statement.query_map((id, made), |row| artifact(row, 0))?.collect(),
        )
    }

    /// The part of a job that changes.
    fn status(&self, id: i64) -> Result<Status, StoreError> {
        let read = |row: &Row<'_>| {
            let code: i64 = row.get(0)?;
            let bad = |column| rusqlite::Error::IntegralValueOutOfRange(column, code);
            let time =
                |column| unsigned_or_none(row, column).and_then(|time| time.ok_or_else(|| bad(column)));
            let state = match state_of(code).ok_or_else(|| bad(0))? {
                StateName::Waiting => JobState::Waiting { missing: row.get(1)? },
                StateName::Queued => JobState::Queued,
                StateName::Leased => {
                    JobState::Leased { token: Token(time(2)?), worker: row.get(3)?, expires_at_ms: time(4)? }
                }
                StateName::Failed => JobState::Failed { retry_at_ms: time(5)? },
                // The outputs are read below.
                StateName::Done => JobState::Done { token: Token(time(2)?), outputs: Vec::new() },
                StateName::Quarantined => JobState::Quarantined,
            };
            let last_error = match unsigned_or_none(row, 9)? {
                Some(at_ms) => Some(JobError { at_ms, reason: row.get(10)? }),
                None => None,
            };
            Ok(Status {
                state,
                attempts: row.get(6)?,
                deferrals: row.get(7)?,
                resets: row.get(8)?,
                last_error,
            })
        };
        let mut status = self.statement(
            "SELECT state, missing, token, worker, expires_at_ms, retry_at_ms, attempts, deferrals, resets, error_at_ms,
             error_reason FROM jobs WHERE id = ?1",
            |statement| statement.query_row([id], read),
        )?;
        if let JobState::Done { outputs, .. } = &mut status.state {
            *outputs = self.files(id, true)?;
        }
        Ok(status)
    }
}

/// A file in three columns that begin with column `at`.
pub(super) fn artifact(row: &Row<'_>, at: usize) -> rusqlite::Result<ArtifactName> {
    Ok(ArtifactName { role: row.get(at)?, hash: row.get(at + 1)?, size_bytes: unsigned(row, at + 2)? })
}

impl Rows for SqliteStore {
    type Error = StoreError;

    fn get(&self, key: &JobKey) -> Result<Option<Job>, StoreError> {
        let Some(given) = self.given(key)? else { return Ok(None) };
        let status = self.status(given.id)?;
        Ok(Some(Job { spec: given.spec, created_by: given.created_by, status }))
    }

    fn dependents(&self, wanted: &JobKey) -> Result<Vec<JobKey>, StoreError> {
        let Some(given) = self.given(wanted)? else { return Ok(Vec::new()) };
        self.statement(
            "SELECT j.chain, j.batch, j.kind, j.round, j.circuit, j.depth, j.sequence
             FROM dependencies JOIN jobs j ON j.id = job WHERE dependency = ?1 ORDER BY job",
            |statement| statement.query_map([given.id], |row| key(row, 0))?.collect(),
        )
    }

    fn keys(&self, batch: Option<BatchId>) -> Result<Vec<JobKey>, StoreError> {
        const ORDER: &str = "ORDER BY chain, batch, kind, round, circuit, depth, sequence";
        const COLUMNS: &str = "SELECT chain, batch, kind, round, circuit, depth, sequence FROM jobs";
        match batch {
            Some(batch) => {
                self.statement(&format!("{COLUMNS} WHERE chain = ?1 AND batch = ?2 {ORDER}"), |statement| {
                    let batch = (clamp(batch.chain.0), batch.batch.0);
                    statement.query_map(batch, |row| key(row, 0))?.collect()
                })
            }
            None => self.statement(&format!("{COLUMNS} {ORDER}"), |statement| {
                statement.query_map([], |row| key(row, 0))?.collect()
            }),
        }
    }

    fn last_token(&self) -> Result<Token, StoreError> {
        self.statement("SELECT last FROM tokens", |statement| {
            statement.query_row([], |row| unsigned(row, 0)).map(Token)
        })
    }
}
