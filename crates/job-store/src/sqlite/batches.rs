//! [`Home`] over the database: batches as a whole, what is kept of them, and who changed what by hand.

use ingot_types::{BatchId, JobKey, ProtocolVersion};
use rusqlite::{OptionalExtension as _, Row};

use super::{
    codes::{batch, clamp, key, unsigned, unsigned_or_none},
    rows::artifact,
    SqliteStore,
};
use crate::{
    ArchivedBatch, ArtifactName, AuditEntry, BatchRow, Delivery, DeliveryOutcome, Failure, Home, Job,
    JobQuery, JobStore as _, Refusal, StoreError, Token, VersionRow,
};

const BATCH: &str =
    "SELECT chain, batch, version_minor, version_patch, priority, sealed_at_ms, submitted_at_ms, done_at_ms
 FROM batches";

fn batch_row(row: &Row<'_>) -> rusqlite::Result<BatchRow> {
    Ok(BatchRow {
        batch: batch(row, 0)?,
        protocol_version: ProtocolVersion { minor: row.get(2)?, patch: row.get(3)? },
        priority: row.get(4)?,
        sealed_at_ms: unsigned(row, 5)?,
        submitted_at_ms: unsigned(row, 6)?,
        done_at_ms: unsigned_or_none(row, 7)?,
    })
}

impl SqliteStore {
    /// Of `candidates`, those that nothing names any more.
    fn unnamed(&self, candidates: Vec<ArtifactName>) -> Result<Vec<ArtifactName>, StoreError> {
        let mut unnamed = Vec::new();
        for file in candidates {
            let named: bool = self.statement(
                "SELECT EXISTS (SELECT 1 FROM files WHERE hash = ?1)
                 OR EXISTS (SELECT 1 FROM archive_files WHERE hash = ?1)",
                |statement| statement.query_row([&file.hash], |row| row.get(0)),
            )?;
            if !named {
                unnamed.push(file);
            }
        }
        Ok(unnamed)
    }

    fn batch_files(&self, id: BatchId) -> Result<Vec<ArtifactName>, StoreError> {
        self.statement(
            "SELECT DISTINCT role, hash, size_bytes FROM files JOIN jobs ON jobs.id = files.job
             WHERE jobs.batch_id = (SELECT id FROM batches WHERE chain = ?1 AND batch = ?2)",
            |statement| {
                statement.query_map((clamp(id.chain.0), id.batch.0), |row| artifact(row, 0))?.collect()
            },
        )
    }

    fn archive_rows(&self, id: BatchId, jobs: u64, done_at_ms: u64, now_ms: u64) -> Result<(), StoreError> {
        let batch = (clamp(id.chain.0), id.batch.0);
        self.run("DELETE FROM archive WHERE chain = ?1 AND batch = ?2", batch)?;
        self.run(
            "INSERT INTO archive (chain, batch, version_minor, version_patch, priority, sealed_at_ms, submitted_at_ms,
             done_at_ms, archived_at_ms, jobs)
             SELECT chain, batch, version_minor, version_patch, priority, sealed_at_ms, submitted_at_ms, ?3, ?4, ?5
             FROM batches WHERE chain = ?1 AND batch = ?2",
            (batch.0, batch.1, clamp(done_at_ms), clamp(now_ms), clamp(jobs)),
        )?;
        let archive = self.connection.last_insert_rowid();
        // What came in with the batch, and what nothing else in it reads: its final proof.
        self.run(
            "INSERT INTO archive_files (archive, made, position, role, hash, size_bytes)
             SELECT ?3, made, row_number() OVER (ORDER BY made, jobs.id, position), role, hash, size_bytes
             FROM files JOIN jobs ON jobs.id = files.job WHERE jobs.chain = ?1 AND jobs.batch = ?2 AND (
               (made = 0 AND jobs.created_by IS NULL)
               OR (made = 1 AND NOT EXISTS (SELECT 1 FROM dependencies WHERE dependency = jobs.id)))",
            (batch.0, batch.1, archive),
        )?;
        self.run("DELETE FROM batches WHERE chain = ?1 AND batch = ?2", batch)
    }

    fn archived_files(&self, archive: i64, made: bool) -> Result<Vec<ArtifactName>, StoreError> {
        self.statement(
            "SELECT role, hash, size_bytes FROM archive_files WHERE archive = ?1 AND made = ?2 ORDER BY position",
            |statement| statement.query_map((archive, made), |row| artifact(row, 0))?.collect(),
        )
    }
}

impl Home for SqliteStore {
    fn batches(&self) -> Result<Vec<BatchRow>, StoreError> {
        self.statement(&format!("{BATCH} ORDER BY chain, batch"), |statement| {
            statement.query_map([], batch_row)?.collect()
        })
    }

    fn batch(&self, id: BatchId) -> Result<Option<BatchRow>, StoreError> {
        self.statement(&format!("{BATCH} WHERE chain = ?1 AND batch = ?2"), |statement| {
            statement.query_row((clamp(id.chain.0), id.batch.0), batch_row).optional()
        })
    }

    fn first_quarantined(&self, id: BatchId) -> Result<Option<(JobKey, String)>, StoreError> {
        self.statement(
            "SELECT chain, batch, kind, round, circuit, depth, sequence, coalesce(error_reason, '') FROM jobs
             WHERE batch_id = (SELECT id FROM batches WHERE chain = ?1 AND batch = ?2) AND state = 5
             ORDER BY error_at_ms, id LIMIT 1",
            |statement| {
                statement
                    .query_row((clamp(id.chain.0), id.batch.0), |row| Ok((key(row, 0)?, row.get(7)?)))
                    .optional()
            },
        )
    }

    fn outputs(&self, id: BatchId) -> Result<Vec<ArtifactName>, StoreError> {
        self.statement(
            "SELECT role, hash, size_bytes FROM files JOIN jobs ON jobs.id = files.job
             WHERE jobs.batch_id = (SELECT id FROM batches WHERE chain = ?1 AND batch = ?2) AND made = 1
               AND NOT EXISTS (SELECT 1 FROM dependencies WHERE dependency = jobs.id) ORDER BY jobs.id, position",
            |statement| statement.query_map((clamp(id.chain.0), id.batch.0), |row| artifact(row, 0))?.collect(),
        )
    }

    fn set_priority(&mut self, id: BatchId, priority: i32, _now_ms: u64) -> Result<(), StoreError> {
        if self.batch(id)?.is_none() {
            return Err(Refusal::UnknownBatch(id).into());
        }
        self.write(|store| {
            let params = (clamp(id.chain.0), id.batch.0, priority);
            store.run("UPDATE batches SET priority = ?3 WHERE chain = ?1 AND batch = ?2", params)?;
            store.run("UPDATE jobs SET priority = ?3 WHERE chain = ?1 AND batch = ?2", params)
        })?;
        self.kept.borrow_mut().clear();
        Ok(())
    }

    fn restart_clock(&mut self, ttl_ms: u64, now_ms: u64) -> Result<(), StoreError> {
        let longest_wait = clamp(now_ms.saturating_add(self.backoff.cap_ms));
        self.write(|store| {
            store.run(
                "UPDATE jobs SET expires_at_ms = ?1 WHERE state = 2",
                (clamp(now_ms.saturating_add(ttl_ms)),),
            )?;
            store
                .run("UPDATE jobs SET retry_at_ms = ?1 WHERE state = 3 AND retry_at_ms > ?1", (longest_wait,))
        })
    }

    fn leases(&self) -> Result<Vec<(JobKey, Token, String)>, StoreError> {
        self.statement(
            "SELECT chain, batch, kind, round, circuit, depth, sequence, token, worker FROM jobs WHERE state = 2 ORDER BY id",
            |statement| {
                let lease = |row: &Row<'_>| Ok((key(row, 0)?, Token(unsigned(row, 7)?), row.get(8)?));
                statement.query_map([], lease)?.collect()
            },
        )
    }

    fn failures(&self, wanted: &JobKey) -> Result<Vec<Failure>, StoreError> {
        let Some(given) = self.given(wanted)? else { return Ok(Vec::new()) };
        self.statement(
            "SELECT at_ms, worker, reason FROM failures WHERE job = ?1 ORDER BY id DESC",
            |statement| {
                let read = |row: &Row<'_>| {
                    Ok(Failure { at_ms: unsigned(row, 0)?, worker: row.get(1)?, reason: row.get(2)? })
                };
                statement.query_map([given.id], read)?.collect()
            },
        )
    }

    fn archive_batch(&mut self, id: BatchId, now_ms: u64) -> Result<Vec<ArtifactName>, StoreError> {
        let row = self.batch(id)?.ok_or(Refusal::UnknownBatch(id))?;
        let progress = self.progress(id)?;
        let (true, Some(done_at_ms)) = (progress.is_done(), row.done_at_ms) else {
            return Err(Refusal::BatchNotDone(id).into());
        };
        self.write(|store| {
            let files = store.batch_files(id)?;
            store.archive_rows(id, progress.jobs, done_at_ms, now_ms)?;
            store.kept.borrow_mut().clear();
            store.unnamed(files)
        })
    }

    fn archived(&self) -> Result<Vec<ArchivedBatch>, StoreError> {
        let rows: Vec<(i64, BatchRow, u64, u64)> = self.statement(
            "SELECT chain, batch, version_minor, version_patch, priority, sealed_at_ms, submitted_at_ms, done_at_ms, id,
             archived_at_ms, jobs FROM archive ORDER BY chain, batch",
            |statement| {
                let read = |row: &Row<'_>| Ok((row.get(8)?, batch_row(row)?, unsigned(row, 9)?, unsigned(row, 10)?));
                statement.query_map([], read)?.collect()
            },
        )?;
        let mut archived = Vec::with_capacity(rows.len());
        for (id, row, archived_at_ms, jobs) in rows {
            let (inputs, outputs) = (self.archived_files(id, false)?, self.archived_files(id, true)?);
            archived.push(ArchivedBatch { row, archived_at_ms, jobs, inputs, outputs });
        }
        Ok(archived)
    }

    fn archived_count(&self) -> Result<u64, StoreError> {
        self.statement("SELECT count(*) FROM archive", |statement| {
            statement.query_row([], |row| unsigned(row, 0))
        })
    }

    fn forget_archived(&mut self, id: BatchId) -> Result<Vec<ArtifactName>, StoreError> {
        let batch = (clamp(id.chain.0), id.batch.0);
        self.write(|store| {
            let files = store.statement(
                "SELECT DISTINCT role, hash, size_bytes FROM archive_files
                 WHERE archive = (SELECT id FROM archive WHERE chain = ?1 AND batch = ?2)",
                |statement| statement.query_map(batch, |row| artifact(row, 0))?.collect(),
            )?;
            store.run("DELETE FROM archive WHERE chain = ?1 AND batch = ?2", batch)?;
            store.forget_delivery(id)?;
            store.unnamed(files)
        })
    }

    fn expect_delivery(&mut self, id: BatchId, destination: &str, now_ms: u64) -> Result<(), StoreError> {
        self.write(|store| store.begin_delivery(id, destination, now_ms))
    }

    fn deliveries(&self, pending_for: Option<&str>) -> Result<Vec<Delivery>, StoreError> {
        self.read_deliveries(pending_for)
    }

    fn delivered(&mut self, id: BatchId, outcome: &DeliveryOutcome, now_ms: u64) -> Result<(), StoreError> {
        self.write(|store| store.end_delivery(id, outcome, now_ms))
    }

    fn retry_delivery(&mut self, id: BatchId, now_ms: u64) -> Result<(), StoreError> {
        self.write(|store| store.retry_delivery_row(id, now_ms))
    }

    fn audit(&mut self, entry: &AuditEntry) -> Result<(), StoreError> {
        self.note(entry)
    }

    fn audit_log(&self, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        self.noted(limit)
    }

    fn record_version(&mut self, version: &VersionRow) -> Result<(), StoreError> {
        self.put_version(version)
    }

    fn versions(&self) -> Result<Vec<VersionRow>, StoreError> {
        self.recorded_versions()
    }

    fn find_jobs(&self, query: &JobQuery) -> Result<Vec<Job>, StoreError> {
        self.jobs_that_match(query)
    }

    fn group(&mut self, work: &mut dyn FnMut(&mut dyn Home)) -> Result<(), StoreError> {
        SqliteStore::group(self, |store| work(store))
    }

    fn part(
        &mut self,
        work: &mut dyn FnMut(&mut dyn Home) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        SqliteStore::part(self, |store| work(store))
    }

    fn statements(&self) -> u64 {
        SqliteStore::statements(self)
    }
}
