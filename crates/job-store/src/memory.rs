//! A home in memory, with or without a journal that it is rebuilt from after a crash.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use ingot_types::{AggregationRound, BatchId, CircuitId, JobKey, JobKind, RetryClass};

use crate::{
    journal::{Journal, Record},
    plan, ArtifactName, Backoff, Command, CountKey, Delta, Effects, Filter, Job, JobSpec, JobState, JobStore,
    Lease, QueuePlace, Refusal, Repair, Rows, StoreError, Token, Upstream,
};

/// The store of one process. See [`JobStore`] for what it does.
#[derive(Debug)]
pub struct MemoryStore {
    table: Table,
    backoff: Backoff,
    journal: Option<Journal>,
    /// Effects of time that [`JobStore::advance`] has yet to return.
    unseen: Effects,
}

/// What [`MemoryStore::open`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Records that were replayed.
    pub records: u64,
    /// Bytes at the end of the journal that a crash had left unfinished, and that were cut off.
    pub cut_off_bytes: u64,
    /// Jobs that were leased when the process died, and are queued again.
    pub handed_back: Vec<JobKey>,
}

impl MemoryStore {
    /// An empty store that ends with the process.
    pub fn new(backoff: Backoff) -> Self {
        Self { table: Table::default(), backoff, journal: None, unseen: Effects::new() }
    }

    /// The store that the journal at `path` describes; an empty one if there is no journal yet.
    ///
    /// Leases that were held when the last process ended are ended, and their tokens stale: the workers were threads of
    /// that process. It burns no attempt, or stopping and starting often enough would quarantine healthy jobs.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] names the offset of a bad record, [`StoreError::InUse`] says that another process has
    /// the journal; [`StoreError::Io`] if it cannot be read or created.
    pub fn open(path: &Path, backoff: Backoff, now_ms: u64) -> Result<(Self, Recovered), StoreError> {
        let mut table = Table::default();
        let mut recovered = Recovered::default();
        let (journal, cut_off_bytes) = Journal::open(path, |record| {
            let delta = plan(&table, &record.command, record.now_ms).map_err(|e| e.to_string())?;
            table.commit(delta);
            recovered.records += 1;
            Ok(())
        })?;
        recovered.cut_off_bytes = cut_off_bytes;
        let mut store = Self { table, backoff, journal: Some(journal), unseen: Effects::new() };
        let releases: Vec<Command> = store.table.held_leases();
        recovered.handed_back = releases
            .iter()
            .filter_map(|command| match command {
                Command::Release { key, .. } => Some(*key),
                _ => None,
            })
            .collect();
        store.execute(releases, now_ms)?;
        Ok((store, recovered))
    }

    /// Plans the commands, journals them in one write, then changes the rows. The commands touch different jobs.
    fn execute(&mut self, commands: Vec<Command>, now_ms: u64) -> Result<Effects, StoreError> {
        let mut deltas = Vec::with_capacity(commands.len());
        for command in &commands {
            deltas.push(plan(&self.table, command, now_ms)?);
        }
        if let Some(journal) = self.journal.as_mut().filter(|_| !commands.is_empty()) {
            journal.append(commands.into_iter().map(|command| Record { now_ms, command }))?;
        }
        let mut effects = Effects::new();
        for mut delta in deltas {
            effects.append(&mut delta.effects);
            self.table.commit(delta);
        }
        Ok(effects)
    }

    fn let_time_pass(&mut self, now_ms: u64) -> Result<(), StoreError> {
        let effects = self.execute(self.table.due(now_ms), now_ms)?;
        self.unseen.extend(effects);
        Ok(())
    }

    /// The lease that a job is under now.
    fn lease_of(&self, key: &JobKey) -> Result<Lease, StoreError> {
        let job = self.table.rows.get(key).cloned().ok_or(Refusal::UnknownJob(*key))?;
        let JobState::Leased { token, expires_at_ms, .. } = job.status.state else {
            let found = job.status.state.name();
            return Err(Refusal::WrongState { key: *key, expected: "leased", found }.into());
        };
        let upstream = job
            .spec
            .depends_on
            .iter()
            .map(|key| Upstream {
                key: *key,
                outputs: self.table.rows.get(key).map(|j| j.outputs().to_vec()).unwrap_or_default(),
            })
            .collect();
        Ok(Lease { job, token, expires_at_ms, upstream })
    }
}

impl JobStore for MemoryStore {
    fn insert(&mut self, jobs: Vec<JobSpec>, now_ms: u64) -> Result<Effects, StoreError> {
        self.execute(vec![Command::Insert { jobs }], now_ms)
    }

    fn lease(
        &mut self,
        filter: &Filter,
        worker: &str,
        ttl_ms: u64,
        now_ms: u64,
    ) -> Result<Option<Lease>, StoreError> {
        self.let_time_pass(now_ms)?;
        let Some(key) = self.table.first_queued(filter) else {
            return Ok(None);
        };
        let expires_at_ms = now_ms.saturating_add(ttl_ms);
        self.execute(vec![Command::Lease { key, worker: worker.to_owned(), expires_at_ms }], now_ms)?;
        self.lease_of(&key).map(Some)
    }

    fn heartbeat(&mut self, key: JobKey, token: Token, ttl_ms: u64, now_ms: u64) -> Result<u64, StoreError> {
        // Not journaled: opening the journal ends all leases anyway.
        let command = Command::Heartbeat { key, token, expires_at_ms: now_ms.saturating_add(ttl_ms) };
        let delta = plan(&self.table, &command, now_ms)?;
        self.table.commit(delta);
        Ok(self.lease_of(&key)?.expires_at_ms)
    }

    fn complete(
        &mut self,
        key: JobKey,
        token: Token,
        outputs: Vec<ArtifactName>,
        new_jobs: Vec<JobSpec>,
        now_ms: u64,
    ) -> Result<Effects, StoreError> {
        self.execute(vec![Command::Complete { key, token, outputs, new_jobs }], now_ms)
    }

    fn fail(
        &mut self,
        key: JobKey,
        token: Token,
        class: RetryClass,
        reason: &str,
        now_ms: u64,
    ) -> Result<Effects, StoreError> {
        let job = self.table.rows.get(&key).ok_or(Refusal::UnknownJob(key))?;
        let before = if class == RetryClass::Resource { job.status.deferrals } else { job.status.attempts };
        let delay_ms = self.backoff.delay_ms(key, class, before.saturating_add(1));
        let (retry_at_ms, reason) = (now_ms.saturating_add(delay_ms), reason.to_owned());
        self.execute(vec![Command::Fail { key, token, class, reason, retry_at_ms }], now_ms)
    }

    fn release(&mut self, key: JobKey, token: Token, now_ms: u64) -> Result<Effects, StoreError> {
        self.execute(vec![Command::Release { key, token }], now_ms)
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
        self.execute(
            vec![Command::HandOver { key, token, worker: worker.to_owned(), expires_at_ms }],
            now_ms,
        )?;
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
        self.execute(vec![Command::Reset { key, reporter }], now_ms)
    }

    fn requeue(&mut self, key: JobKey, now_ms: u64) -> Result<Effects, StoreError> {
        self.execute(vec![Command::Requeue { key }], now_ms)
    }

    fn remove_batch(&mut self, batch: BatchId, now_ms: u64) -> Result<Effects, StoreError> {
        self.execute(vec![Command::RemoveBatch { batch }], now_ms)
    }

    fn reconcile(&mut self, now_ms: u64) -> Result<Vec<Repair>, StoreError> {
        let repairs = plan(&self.table, &Command::Reconcile, now_ms)?.repairs;
        if !repairs.is_empty() {
            self.execute(vec![Command::Reconcile], now_ms)?;
        }
        Ok(repairs)
    }

    fn job(&self, key: &JobKey) -> Result<Option<Job>, StoreError> {
        Ok(self.table.rows.get(key).cloned())
    }

    fn batch_jobs(&self, batch: BatchId) -> Result<Vec<Job>, StoreError> {
        Ok(self.table.batch(batch).map(|(_, job)| job.clone()).collect())
    }

    fn counts(&self, batch: Option<BatchId>) -> Result<BTreeMap<CountKey, u64>, StoreError> {
        let mut counts = BTreeMap::new();
        for (key, job) in self.table.rows.iter().filter(|(key, _)| batch.is_none_or(|b| b == key.batch)) {
            let state = job.status.state.name();
            let count = CountKey { kind: key.kind, round: key.round, circuit_id: key.circuit_id, state };
            *counts.entry(count).or_default() += 1;
        }
        Ok(counts)
    }

    fn next_deadline_ms(&self) -> Result<Option<u64>, StoreError> {
        Ok(self.table.deadlines.first().map(|(at_ms, _)| *at_ms))
    }

    fn live_artifacts(&self) -> Result<BTreeSet<ArtifactName>, StoreError> {
        Ok(self
            .table
            .rows
            .values()
            .flat_map(|job| job.spec.inputs.iter().chain(job.outputs()))
            .cloned()
            .collect())
    }
}

/// The rows, and what is looked up by.
#[derive(Debug, Default)]
struct Table {
    rows: BTreeMap<JobKey, Job>,
    dependents: BTreeMap<JobKey, Vec<JobKey>>,
    /// By kind and round, so that a worker does not look through what it never takes.
    queues: BTreeMap<(JobKind, AggregationRound), BTreeSet<QueuePlace>>,
    deadlines: BTreeSet<(u64, JobKey)>,
    last_token: Token,
}

impl Rows for Table {
    type Error = Refusal;

    fn get(&self, key: &JobKey) -> Result<Option<Job>, Refusal> {
        Ok(self.rows.get(key).cloned())
    }

    fn dependents(&self, key: &JobKey) -> Result<Vec<JobKey>, Refusal> {
        Ok(self.dependents.get(key).cloned().unwrap_or_default())
    }

    fn keys(&self, batch: Option<BatchId>) -> Result<Vec<JobKey>, Refusal> {
        Ok(match batch {
            Some(batch) => self.batch(batch).map(|(key, _)| *key).collect(),
            None => self.rows.keys().copied().collect(),
        })
    }

    fn last_token(&self) -> Result<Token, Refusal> {
        Ok(self.last_token)
    }
}

impl Table {
    fn commit(&mut self, delta: Delta) {
        for key in delta.removed {
            self.remove(&key);
        }
        for (key, job) in delta.changed {
            match self.rows.get(&key) {
                Some(old) => {
                    remove_from(&mut self.queues, &mut self.deadlines, old);
                }
                None => {
                    for dependency in &job.spec.depends_on {
                        self.dependents.entry(*dependency).or_default().push(key);
                    }
                }
            }
            if job.status.state == JobState::Queued {
                self.queues.entry((key.kind, key.round)).or_default().insert(QueuePlace::of(&job.spec));
            }
            if let Some(at_ms) = job.status.state.deadline_ms() {
                self.deadlines.insert((at_ms, key));
            }
            self.rows.insert(key, job);
        }
        if let Some(token) = delta.token {
            self.last_token = token;
        }
    }

    /// Removes a row. Jobs depend on jobs of their own batch only, and batches go as a whole: no list is left behind.
    fn remove(&mut self, key: &JobKey) {
        if let Some(old) = self.rows.remove(key) {
            remove_from(&mut self.queues, &mut self.deadlines, &old);
        }
        self.dependents.remove(key);
    }

    /// The first job in queue order that the filter takes.
    fn first_queued(&self, filter: &Filter) -> Option<JobKey> {
        let queues = self.queues.iter().filter(|((kind, round), _)| {
            filter.kinds.as_ref().is_none_or(|kinds| kinds.contains(kind))
                && filter.rounds.as_ref().is_none_or(|rounds| rounds.contains(round))
        });
        let matches =
            |place: &&QueuePlace| self.rows.get(&place.key()).is_some_and(|job| filter.matches(&job.spec));
        let first = queues.filter_map(|(_, queue)| queue.iter().find(matches)).min();
        first.map(QueuePlace::key)
    }

    fn batch(&self, batch: BatchId) -> impl Iterator<Item = (&JobKey, &Job)> {
        // The batch is a key's first field, so a batch is one range.
        let first = JobKey {
            batch,
            kind: JobKind::Witness,
            round: AggregationRound::Basic,
            circuit_id: CircuitId(0),
            depth: 0,
            sequence: 0,
        };
        self.rows.range(first..).take_while(move |(key, _)| key.batch == batch)
    }

    /// What time alone changes by `now_ms`.
    fn due(&self, now_ms: u64) -> Vec<Command> {
        let due = self.deadlines.iter().take_while(|(at_ms, _)| *at_ms <= now_ms);
        due.filter_map(|(_, key)| match self.rows.get(key)?.status.state {
            JobState::Leased { .. } => Some(Command::Expire { key: *key }),
            JobState::Failed { .. } => Some(Command::RetryDue { key: *key }),
            _ => None,
        })
        .collect()
    }

    fn held_leases(&self) -> Vec<Command> {
        let release = |(key, job): (&JobKey, &Job)| match job.status.state {
            JobState::Leased { token, .. } => Some(Command::Release { key: *key, token }),
            _ => None,
        };
        self.rows.iter().filter_map(release).collect()
    }
}

/// Takes an old row out of what it is looked up by.
fn remove_from(
    queues: &mut BTreeMap<(JobKind, AggregationRound), BTreeSet<QueuePlace>>,
    deadlines: &mut BTreeSet<(u64, JobKey)>,
    old: &Job,
) {
    let key = old.key();
    if let Some(queue) = queues.get_mut(&(key.kind, key.round)) {
        queue.remove(&QueuePlace::of(&old.spec));
    }
    if let Some(at_ms) = old.status.state.deadline_ms() {
        deadlines.remove(&(at_ms, key));
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
