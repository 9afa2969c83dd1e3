//! [`JobStore`] over the database.

use std::collections::{BTreeMap, BTreeSet};

use ingot_types::{AggregationRound, BatchId, CircuitId, JobKey, RetryClass};

use super::{
    codes::{clamp, key, kind_of, state_of, unsigned_or_none},
    rows::artifact,
    SqliteStore,
};
use crate::{
    plan, ArtifactName, Command, CountKey, Effects, Filter, Job, JobSpec, JobState, JobStore, Lease, Refusal,
    Repair, Rows as _, StoreError, Token, Upstream,
};

impl SqliteStore {
    /// What time alone changes by `now_ms`.
    fn due(&self, now_ms: u64) -> Result<Vec<Command>, StoreError> {
        let keys = |sql: &str| -> Result<Vec<JobKey>, StoreError> {
            self.statement(sql, |statement| {
                statement.query_map([clamp(now_ms)], |row| key(row, 0))?.collect()
            })
        };
        let expired = keys(
            "SELECT chain, batch, kind, round, circuit, depth, sequence FROM jobs
             WHERE state = 2 AND expires_at_ms <= ?1 ORDER BY expires_at_ms, id",
        )?;
        let retries = keys(
            "SELECT chain, batch, kind, round, circuit, depth, sequence FROM jobs
             WHERE state = 3 AND retry_at_ms <= ?1 ORDER BY retry_at_ms, id",
        )?;
        let expired = expired.into_iter().map(|key| Command::Expire { key });
        Ok(expired.chain(retries.into_iter().map(|key| Command::RetryDue { key })).collect())
    }

    fn let_time_pass(&mut self, now_ms: u64) -> Result<(), StoreError> {
        let due = self.due(now_ms)?;
        let effects = self.execute(&due, now_ms)?;
        self.unseen.extend(effects);
        Ok(())
    }

    fn lease_of(&self, key: &JobKey) -> Result<Lease, StoreError> {
        let job = self.get(key)?.ok_or(Refusal::UnknownJob(*key))?;
        let JobState::Leased { token, expires_at_ms, .. } = job.status.state else {
            let found = job.status.state.name();
            return Err(Refusal::WrongState { key: *key, expected: "leased", found }.into());
        };
        let mut upstream = Vec::with_capacity(job.spec.depends_on.len());
        for key in &job.spec.depends_on {
            let outputs = self.get(key)?.map(|job| job.outputs().to_vec()).unwrap_or_default();
            upstream.push(Upstream { key: *key, outputs });
        }
        Ok(Lease { job, token, expires_at_ms, upstream })
    }
}

impl JobStore for SqliteStore {
    fn insert(&mut self, jobs: Vec<JobSpec>, now_ms: u64) -> Result<Effects, StoreError> {
        self.execute(&[Command::Insert { jobs }], now_ms)
    }

    fn lease(
        &mut self,
        filter: &Filter,
        worker: &str,
        ttl_ms: u64,
        now_ms: u64,
    ) -> Result<Option<Lease>, StoreError> {
        self.let_time_pass(now_ms)?;
        let Some(key) = self.first_queued(filter)? else { return Ok(None) };
        let expires_at_ms = now_ms.saturating_add(ttl_ms);
        self.execute(&[Command::Lease { key, worker: worker.to_owned(), expires_at_ms }], now_ms)?;
        self.lease_of(&key).map(Some)
    }

    fn heartbeat(&mut self, key: JobKey, token: Token, ttl_ms: u64, now_ms: u64) -> Result<u64, StoreError> {
        let command = Command::Heartbeat { key, token, expires_at_ms: now_ms.saturating_add(ttl_ms) };
        self.execute(&[command], now_ms)?;
        let deadline = self.get(&key)?.and_then(|job| job.status.state.deadline_ms());
        deadline.ok_or_else(|| Refusal::UnknownJob(key).into())
    }

    fn heartbeat_many(
        &mut self,
        leases: &[(JobKey, Token)],
        ttl_ms: u64,
        now_ms: u64,
    ) -> Result<Vec<Result<u64, Refusal>>, StoreError> {
        let beat =
            |store: &mut Self, key: JobKey, token: Token| match store.heartbeat(key, token, ttl_ms, now_ms) {
                Ok(expires_at_ms) => Ok(Ok(expires_at_ms)),
                Err(StoreError::Refused(refusal)) => Ok(Err(refusal)),
                Err(other) => Err(other),
            };
        // One commit for all.
        self.part(|store| leases.iter().map(|(key, token)| beat(store, *key, *token)).collect())
    }

    fn complete(
        &mut self,
        key: JobKey,
        token: Token,
        outputs: Vec<ArtifactName>,
        new_jobs: Vec<JobSpec>,
        now_ms: u64,
    ) -> Result<Effects, StoreError> {
        self.execute(&[Command::Complete { key, token, outputs, new_jobs }], now_ms)
    }

    fn fail(
        &mut self,
        key: JobKey,
        token: Token,
        class: RetryClass,
        reason: &str,
        now_ms: u64,
    ) -> Result<Effects, StoreError> {
        let job = self.get(&key)?.ok_or(Refusal::UnknownJob(key))?;
        let before = if class == RetryClass::Resource { job.status.deferrals } else { job.status.attempts };
        let delay_ms = self.backoff.delay_ms(key, class, before.saturating_add(1));
        let (retry_at_ms, reason) = (now_ms.saturating_add(delay_ms), reason.to_owned());
        self.execute(&[Command::Fail { key, token, class, reason, retry_at_ms }], now_ms)
    }

    fn release(&mut self, key: JobKey, token: Token, now_ms: u64) -> Result<Effects, StoreError> {
        self.execute(&[Command::Release { key, token }], now_ms)
    }

    fn hand_over(
        &mut self,
        key: JobKey,
        token: Token,
        worker: &str,
        ttl_ms: u64,
        now_ms: u64,
    ) -> Result<Lease, StoreError> {
        let expires_at_ms = now_ms.saturating_add(ttl_ms);
        self.execute(&[Command::HandOver { key, token, worker: worker.to_owned(), expires_at_ms }], now_ms)?;
        self.lease_of(&key)
    }

    fn advance(&mut self, now_ms: u64) -> Result<Effects, StoreError> {
        self.let_time_pass(now_ms)?;
        Ok(std::mem::take(&mut self.unseen))
    }

    fn reset(
        &mut self,
        key: JobKey,
        reporter: Option<(JobKey, Token)>,
        now_ms: u64,
    ) -> Result<Effects, StoreError> {
        self.execute(&[Command::Reset { key, reporter }], now_ms)
    }

    fn requeue(&mut self, key: JobKey, now_ms: u64) -> Result<Effects, StoreError> {
        self.execute(&[Command::Requeue { key }], now_ms)
    }

    fn remove_batch(&mut self, batch: BatchId, now_ms: u64) -> Result<Effects, StoreError> {
        self.part(|store| {
            store.write(|store| store.forget_delivery(batch))?;
            store.execute(&[Command::RemoveBatch { batch }], now_ms)
        })
    }

    fn reconcile(&mut self, now_ms: u64) -> Result<Vec<Repair>, StoreError> {
        let delta = plan(self, &Command::Reconcile, now_ms)?;
        if !delta.repairs.is_empty() {
            self.write(|store| store.store(&delta, now_ms))?;
        }
        Ok(delta.repairs)
    }

    fn job(&self, key: &JobKey) -> Result<Option<Job>, StoreError> {
        self.get(key)
    }

    fn batch_jobs(&self, batch: BatchId) -> Result<Vec<Job>, StoreError> {
        let mut jobs = Vec::new();
        for key in self.keys(Some(batch))? {
            jobs.extend(self.get(&key)?);
        }
        Ok(jobs)
    }

    fn counts(&self, batch: Option<BatchId>) -> Result<BTreeMap<CountKey, u64>, StoreError> {
        let read = |row: &rusqlite::Row<'_>| {
            let (kind, round, state): (i64, u8, i64) = (row.get(0)?, row.get(1)?, row.get(3)?);
            let bad = |column, value| rusqlite::Error::IntegralValueOutOfRange(column, value);
            let key = CountKey {
                kind: kind_of(kind).ok_or_else(|| bad(0, kind))?,
                round: AggregationRound::try_from(round).map_err(|_| bad(1, i64::from(round)))?,
                circuit_id: CircuitId(row.get(2)?),
                state: state_of(state).ok_or_else(|| bad(3, state))?,
            };
            Ok((key, row.get::<_, i64>(4)?.unsigned_abs()))
        };
        match batch {
            Some(batch) => self.statement(
                "SELECT kind, round, circuit, state, count(*) FROM jobs
                 WHERE batch_id = (SELECT id FROM batches WHERE chain = ?1 AND batch = ?2)
                 GROUP BY state, kind, round, circuit",
                |statement| statement.query_map((clamp(batch.chain.0), batch.batch.0), read)?.collect(),
            ),
            None => self.statement(
                "SELECT kind, round, circuit, state, count(*) FROM jobs GROUP BY kind, round, circuit, state",
                |statement| statement.query_map([], read)?.collect(),
            ),
        }
    }

    fn next_deadline_ms(&self) -> Result<Option<u64>, StoreError> {
        let first = |sql: &str| {
            self.statement(sql, |statement| statement.query_row([], |row| unsigned_or_none(row, 0)))
        };
        let expiry = first("SELECT min(expires_at_ms) FROM jobs WHERE state = 2")?;
        let retry = first("SELECT min(retry_at_ms) FROM jobs WHERE state = 3")?;
        Ok([expiry, retry].into_iter().flatten().min())
    }

    fn live_artifacts(&self) -> Result<BTreeSet<ArtifactName>, StoreError> {
        self.statement(
            "SELECT role, hash, size_bytes FROM files UNION SELECT role, hash, size_bytes FROM archive_files",
            |statement| statement.query_map([], |row| artifact(row, 0))?.collect(),
        )
    }
}
