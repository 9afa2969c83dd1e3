//! Writing what a command changed.

use std::collections::BTreeMap;

use ingot_types::{BatchId, JobKey};
use rusqlite::OptionalExtension as _;

use super::{
    codes::{clamp, signed, state_code, state_columns},
    rows::Given,
    SqliteStore,
};
use crate::{ArtifactName, Delta, Job, StateName, StoreError};

/// Failed attempts that are remembered of each job.
const MOST_FAILURES: i64 = 20;

impl SqliteStore {
    /// Stores a delta. Within a transaction: on an error it has to be rolled back.
    pub(super) fn store(&self, delta: &Delta, now_ms: u64) -> Result<(), StoreError> {
        if !delta.removed.is_empty() {
            self.remove(&delta.removed)?;
        }
        let mut fresh: Vec<&Job> = Vec::new();
        let mut batches: BTreeMap<BatchId, ()> = BTreeMap::new();
        for (key, job) in &delta.changed {
            match self.given(key)? {
                Some(given) => self.update(&given, job)?,
                None => fresh.push(job),
            }
            batches.insert(key.batch, ());
        }
        self.insert_rows(&fresh, now_ms)?;
        if let Some(token) = delta.token {
            self.run("UPDATE tokens SET last = ?1", (clamp(token.0),))?;
        }
        for batch in batches.into_keys() {
            self.note_whether_done(batch, now_ms)?;
        }
        Ok(())
    }

    fn update(&self, given: &Given, job: &Job) -> Result<(), StoreError> {
        let old: (i64, Option<i64>, Option<String>) = self
            .statement("SELECT state, error_at_ms, worker FROM jobs WHERE id = ?1", |statement| {
                statement.query_row([given.id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            })?;
        let (old_state, old_error, old_worker) = old;
        let columns = state_columns(&job.status.state);
        let error = job.status.last_error.as_ref();
        let error_at_ms = error.map(|error| clamp(error.at_ms));
        self.run(
            "UPDATE jobs SET state = ?2, missing = ?3, token = ?4, worker = ?5, expires_at_ms = ?6, retry_at_ms = ?7,
             attempts = ?8, deferrals = ?9, resets = ?10, error_at_ms = ?11, error_reason = ?12 WHERE id = ?1",
            (
                given.id,
                columns.code,
                columns.missing,
                columns.token,
                columns.worker,
                columns.expires_at_ms,
                columns.retry_at_ms,
                job.status.attempts,
                job.status.deferrals,
                job.status.resets,
                error_at_ms,
                error.map(|error| error.reason.as_str()),
            ),
        )?;
        let done = state_code(StateName::Done);
        if old_state == done || columns.code == done {
            self.run("DELETE FROM files WHERE job = ?1 AND made = 1", (given.id,))?;
            self.insert_files(given.id, true, job.outputs())?;
        }
        if job.spec.inputs != given.spec.inputs {
            self.run("DELETE FROM files WHERE job = ?1 AND made = 0", (given.id,))?;
            self.insert_files(given.id, false, &job.spec.inputs)?;
            self.kept.borrow_mut().remove(&job.spec.key);
        }
        if let Some(error) =
            error.filter(|_| error_at_ms != old_error || old_state == state_code(StateName::Leased))
        {
            if columns.code != done && old_state != columns.code {
                self.run(
                    "INSERT INTO failures (job, at_ms, worker, reason) VALUES (?1, ?2, ?3, ?4)",
                    (given.id, clamp(error.at_ms), old_worker.unwrap_or_default(), &error.reason),
                )?;
                self.run(
                    "DELETE FROM failures WHERE job = ?1 AND id NOT IN
                     (SELECT id FROM failures WHERE job = ?1 ORDER BY id DESC LIMIT ?2)",
                    (given.id, MOST_FAILURES),
                )?;
            }
        }
        Ok(())
    }

    fn insert_rows(&self, jobs: &[&Job], now_ms: u64) -> Result<(), StoreError> {
        let mut batches: BTreeMap<BatchId, i64> = BTreeMap::new();
        let mut ids: BTreeMap<JobKey, i64> = BTreeMap::new();
        for job in jobs {
            let key = job.key();
            let batch_id = match batches.get(&key.batch) {
                Some(id) => *id,
                None => {
                    let id = self.batch_row(job, now_ms)?;
                    batches.insert(key.batch, id);
                    id
                }
            };
            let spec = &job.spec;
            let columns = state_columns(&job.status.state);
            let creator = match &job.created_by {
                Some(creator) => self.given(creator)?.map(|given| given.id),
                None => None,
            };
            self.run(
                "INSERT INTO jobs (batch_id, chain, batch, kind, round, circuit, depth, sequence, version_minor,
                 version_patch, priority, sealed_at_ms, max_attempts, prover_group, zone, created_by, state, missing, attempts,
                 deferrals, resets) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18,
                 0, 0, 0)",
                rusqlite::params![
                    batch_id,
                    signed(key, "chain id", key.batch.chain.0)?,
                    key.batch.batch.0,
                    key.kind as u8,
                    key.round as u8,
                    key.circuit_id.0,
                    key.depth,
                    key.sequence,
                    spec.protocol_version.minor,
                    spec.protocol_version.patch,
                    spec.priority,
                    signed(key, "sealed time", spec.sealed_at_ms)?,
                    spec.max_attempts,
                    spec.group,
                    spec.zone,
                    creator,
                    columns.code,
                    columns.missing,
                ],
            )?;
            let id = self.connection.last_insert_rowid();
            ids.insert(key, id);
            self.insert_files(id, false, &spec.inputs)?;
        }
        for job in jobs {
            let Some(id) = ids.get(&job.key()) else { continue };
            for (position, dependency) in job.spec.depends_on.iter().enumerate() {
                let dependency = match ids.get(dependency) {
                    Some(id) => Some(*id),
                    None => self.given(dependency)?.map(|given| given.id),
                };
                self.run(
                    "INSERT INTO dependencies (job, position, dependency) VALUES (?1, ?2, ?3)",
                    (id, clamp(position as u64), dependency),
                )?;
            }
        }
        Ok(())
    }

    /// The row of a job's batch; it takes version, priority and time from the first job.
    fn batch_row(&self, job: &Job, now_ms: u64) -> Result<i64, StoreError> {
        let (key, spec) = (job.key(), &job.spec);
        let chain = signed(key, "chain id", key.batch.chain.0)?;
        let found = self
            .statement("SELECT id FROM batches WHERE chain = ?1 AND batch = ?2", |statement| {
                statement.query_row((chain, key.batch.batch.0), |row| row.get(0)).optional()
            })?;
        if let Some(id) = found {
            return Ok(id);
        }
        self.run(
            "INSERT INTO batches (chain, batch, version_minor, version_patch, priority, sealed_at_ms, submitted_at_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            (
                chain,
                key.batch.batch.0,
                spec.protocol_version.minor,
                spec.protocol_version.patch,
                spec.priority,
                signed(key, "sealed time", spec.sealed_at_ms)?,
                clamp(now_ms),
            ),
        )?;
        Ok(self.connection.last_insert_rowid())
    }

    fn insert_files(&self, job: i64, made: bool, files: &[ArtifactName]) -> Result<(), StoreError> {
        for (position, file) in files.iter().enumerate() {
            self.run(
                "INSERT INTO files (job, made, position, role, hash, size_bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                (job, made, clamp(position as u64), &file.role, &file.hash, clamp(file.size_bytes)),
            )?;
        }
        Ok(())
    }

    /// Jobs are removed by the batch.
    fn remove(&self, removed: &[JobKey]) -> Result<(), StoreError> {
        let mut batches: Vec<BatchId> = removed.iter().map(|key| key.batch).collect();
        batches.dedup();
        for batch in batches {
            self.run(
                "DELETE FROM batches WHERE chain = ?1 AND batch = ?2",
                (clamp(batch.chain.0), batch.batch.0),
            )?;
        }
        self.kept.borrow_mut().clear();
        Ok(())
    }

    /// Keeps the time at which the last job of a batch was done.
    fn note_whether_done(&self, batch: BatchId, now_ms: u64) -> Result<(), StoreError> {
        self.run(
            "UPDATE batches SET done_at_ms = CASE
               WHEN EXISTS (SELECT 1 FROM jobs WHERE batch_id = batches.id AND state < 4)
                 OR EXISTS (SELECT 1 FROM jobs WHERE batch_id = batches.id AND state = 5) THEN NULL
               ELSE coalesce(done_at_ms, ?3) END
             WHERE chain = ?1 AND batch = ?2 AND (done_at_ms IS NOT NULL
               OR NOT EXISTS (SELECT 1 FROM jobs WHERE batch_id = batches.id AND state < 4))",
            (clamp(batch.chain.0), batch.batch.0, clamp(now_ms)),
        )
    }
}
