//! What operators ask of the database: the audit, recorded versions, jobs by what they are.

use ingot_types::{JobKey, ProtocolVersion};
use rusqlite::Row;

use super::{
    codes::{clamp, key, state_code, unsigned},
    SqliteStore,
};
use crate::{operator::MOST_AUDIT_ENTRIES, AuditEntry, Job, JobQuery, Rows as _, StoreError, VersionRow};

impl SqliteStore {
    pub(super) fn note(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        let AuditEntry { at_ms, who, origin, action, target, result } = entry;
        self.write(|store| {
            store.run(
                "INSERT INTO audit (at_ms, who, origin, action, target, result) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                (clamp(*at_ms), who, origin, action, target, result),
            )?;
            let last = store.connection.last_insert_rowid();
            store.run("DELETE FROM audit WHERE id <= ?1", [last.saturating_sub(MOST_AUDIT_ENTRIES.into())])
        })
    }

    pub(super) fn noted(&self, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        self.statement(
            "SELECT at_ms, who, origin, action, target, result FROM audit ORDER BY id DESC LIMIT ?1",
            |statement| {
                let read = |row: &Row<'_>| {
                    Ok(AuditEntry {
                        at_ms: unsigned(row, 0)?,
                        who: row.get(1)?,
                        origin: row.get(2)?,
                        action: row.get(3)?,
                        target: row.get(4)?,
                        result: row.get(5)?,
                    })
                };
                statement.query_map([limit], read)?.collect()
            },
        )
    }

    pub(super) fn put_version(&self, row: &VersionRow) -> Result<(), StoreError> {
        let VersionRow { protocol_version: version, circuit_set, parameter_set, key_manifest, .. } = row;
        self.write(|store| {
            store.run(
                "INSERT OR REPLACE INTO versions
                 (minor, patch, circuit_set, parameter_set, key_manifest, recorded_at_ms, who)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                (
                    version.minor,
                    version.patch,
                    circuit_set,
                    parameter_set,
                    key_manifest,
                    clamp(row.recorded_at_ms),
                    &row.who,
                ),
            )
        })
    }

    pub(super) fn recorded_versions(&self) -> Result<Vec<VersionRow>, StoreError> {
        self.statement(
            "SELECT minor, patch, circuit_set, parameter_set, key_manifest, recorded_at_ms, who FROM versions
             ORDER BY minor, patch",
            |statement| {
                let read = |row: &Row<'_>| {
                    Ok(VersionRow {
                        protocol_version: ProtocolVersion { minor: row.get(0)?, patch: row.get(1)? },
                        circuit_set: row.get(2)?,
                        parameter_set: row.get(3)?,
                        key_manifest: row.get(4)?,
                        recorded_at_ms: unsigned(row, 5)?,
                        who: row.get(6)?,
                    })
                };
                statement.query_map([], read)?.collect()
            },
        )
    }

    pub(super) fn jobs_that_match(&self, query: &JobQuery) -> Result<Vec<Job>, StoreError> {
        let keys: Vec<JobKey> = self.statement(
            "SELECT chain, batch, kind, round, circuit, depth, sequence FROM jobs
             WHERE (?1 IS NULL OR batch_id = (SELECT id FROM batches WHERE chain = ?1 AND batch = ?2))
               AND (?3 IS NULL OR kind = ?3) AND (?4 IS NULL OR round = ?4)
               AND (?5 IS NULL OR circuit = ?5) AND (?6 IS NULL OR state = ?6) AND (?8 IS NULL OR chain = ?8)
             ORDER BY chain, batch, kind, round, circuit, depth, sequence LIMIT ?7",
            |statement| {
                let params = (
                    query.batch.map(|batch| clamp(batch.chain.0)),
                    query.batch.map(|batch| batch.batch.0),
                    query.kind.map(|kind| kind as u8),
                    query.round.map(|round| round as u8),
                    query.circuit_id.map(|circuit| circuit.0),
                    query.state.map(state_code),
                    query.limit,
                    query.chain.map(|chain| clamp(chain.0)),
                );
                statement.query_map(params, |row| key(row, 0))?.collect()
            },
        )?;
        let mut jobs = Vec::with_capacity(keys.len());
        for key in keys {
            jobs.extend(self.get(&key)?);
        }
        Ok(jobs)
    }
}
