//! What every home of the store offers. Time is always given, in milliseconds since the Unix epoch, and never read.

use std::collections::{BTreeMap, BTreeSet};

use ingot_types::{
    AggregationRound, BatchId, CircuitId, CircuitKey, JobKey, JobKind, ProtocolVersion, RetryClass,
};
use serde::{Deserialize, Serialize};

use crate::{ArtifactName, Effects, Job, JobSpec, Refusal, Repair, StateName, StoreError, Token};

/// Which jobs a worker takes; `None` means any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Of these kinds.
    pub kinds: Option<BTreeSet<JobKind>>,
    /// Of these rounds.
    pub rounds: Option<BTreeSet<AggregationRound>>,
    /// Of these pairs of round and circuit id.
    pub circuits: Option<BTreeSet<CircuitKey>>,
    /// Of this protocol version.
    pub protocol_version: Option<ProtocolVersion>,
    /// Of this batch.
    pub batch: Option<BatchId>,
    /// Reserved for this group, or for none.
    pub group: Option<String>,
    /// Reserved for this zone, or for none.
    pub zone: Option<String>,
}

impl Filter {
    /// Whether a worker with this filter takes the job.
    pub fn matches(&self, spec: &JobSpec) -> bool {
        let key = &spec.key;
        let circuit = CircuitKey { round: key.round, circuit_id: key.circuit_id };
        let reserved = |own: &Option<String>, wanted: &Option<String>| match (own, wanted) {
            (Some(own), Some(wanted)) => own == wanted,
            _ => true,
        };
        self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&key.kind))
            && self.rounds.as_ref().is_none_or(|rounds| rounds.contains(&key.round))
            && self.circuits.as_ref().is_none_or(|circuits| circuits.contains(&circuit))
            && self.protocol_version.is_none_or(|version| version == spec.protocol_version)
            && self.batch.is_none_or(|batch| batch == key.batch)
            && reserved(&spec.group, &self.group)
            && reserved(&spec.zone, &self.zone)
    }
}

/// A job in a worker's hands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The job.
    pub job: Job,
    /// Proves the worker's right to it.
    pub token: Token,
    /// When it counts as lost unless the worker is heard of, in milliseconds since the Unix epoch.
    pub expires_at_ms: u64,
    /// The jobs it depends on and what they made, in the order of [`JobSpec::depends_on`].
    pub upstream: Vec<Upstream>,
}

/// What a dependency made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstream {
    /// The dependency: the job to [`reset`](JobStore::reset) if one of these files is bad.
    pub key: JobKey,
    /// Its outputs.
    pub outputs: Vec<ArtifactName>,
}

/// How far a batch is, in numbers of jobs. What is in none of the others waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// All jobs inserted so far; a completion may add more.
    pub jobs: u64,
    /// Done.
    pub done: u64,
    /// Queued, leased, or failed and to be tried again.
    pub active: u64,
    /// Given up until an operator requeues them.
    pub quarantined: u64,
}

impl Progress {
    /// Every job is done, and there is at least one.
    pub const fn is_done(&self) -> bool {
        self.jobs > 0 && self.done == self.jobs
    }

    /// Nothing happens any more, although jobs are left: those that wait, wait for quarantined ones.
    pub const fn is_stuck(&self) -> bool {
        self.active == 0 && self.done < self.jobs
    }
}

/// What jobs are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CountKey {
    /// What they do.
    pub kind: JobKind,
    /// Aggregation round.
    pub round: AggregationRound,
    /// Circuit id, or branch.
    pub circuit_id: CircuitId,
    /// Where they stand.
    pub state: StateName,
}

/// A home of the job store. Each change happens in full or not at all, and is durable when the method returns (where
/// the home is).
///
/// All methods fail with [`StoreError`]; a request that does not fit is [`StoreError::Refused`] and changes nothing.
#[allow(clippy::missing_errors_doc)] // said once, above
pub trait JobStore {
    /// Adds jobs. Inserting the same jobs again changes nothing, so a request may be repeated when its answer was lost.
    fn insert(&mut self, jobs: Vec<JobSpec>, now_ms: u64) -> Result<Effects, StoreError>;

    /// Gives the first job in queue order that matches to `worker`, for `ttl_ms` milliseconds.
    ///
    /// Does [`advance`](Self::advance) first, whose effects the next call of `advance` returns.
    fn lease(
        &mut self,
        filter: &Filter,
        worker: &str,
        ttl_ms: u64,
        now_ms: u64,
    ) -> Result<Option<Lease>, StoreError>;

    /// Prolongs a lease to `ttl_ms` from now at least; returns when it expires.
    fn heartbeat(&mut self, key: JobKey, token: Token, ttl_ms: u64, now_ms: u64) -> Result<u64, StoreError>;

    /// [`heartbeat`](Self::heartbeat) for many leases at once. Returns for each when it expires, or why it was refused.
    #[allow(clippy::type_complexity)]
    fn heartbeat_many(
        &mut self,
        leases: &[(JobKey, Token)],
        ttl_ms: u64,
        now_ms: u64,
    ) -> Result<Vec<Result<u64, Refusal>>, StoreError> {
        let beat = |(key, token): &(JobKey, Token)| match self.heartbeat(*key, *token, ttl_ms, now_ms) {
            Ok(expires_at_ms) => Ok(Ok(expires_at_ms)),
            Err(StoreError::Refused(refusal)) => Ok(Err(refusal)),
            Err(other) => Err(other),
        };
        leases.iter().map(beat).collect()
    }

    /// Completes a job whose outputs are stored, and adds the jobs that it created.
    ///
    /// Each of `new_jobs` depends on `key`, named among its dependencies or not (then it comes last): if an output of
    /// `key` or an input of theirs turns out bad, `key` runs again and they wait for it.
    fn complete(
        &mut self,
        key: JobKey,
        token: Token,
        outputs: Vec<ArtifactName>,
        new_jobs: Vec<JobSpec>,
        now_ms: u64,
    ) -> Result<Effects, StoreError>;

    /// Reports a failed attempt; `class` decides whether and when there is another.
    fn fail(
        &mut self,
        key: JobKey,
        token: Token,
        class: RetryClass,
        reason: &str,
        now_ms: u64,
    ) -> Result<Effects, StoreError>;

    /// Hands a job back untouched; burns no attempt.
    fn release(&mut self, key: JobKey, token: Token, now_ms: u64) -> Result<Effects, StoreError>;

    /// Swaps a lease for one of `worker`, with a new token; the old token is stale from then on.
    fn hand_over(
        &mut self,
        key: JobKey,
        token: Token,
        worker: &str,
        ttl_ms: u64,
        now_ms: u64,
    ) -> Result<Lease, StoreError>;

    /// Ends the leases that ran out and queues the failed jobs that are due. Whoever watches effects calls it when
    /// [`next_deadline_ms`](Self::next_deadline_ms) has come.
    fn advance(&mut self, now_ms: u64) -> Result<Effects, StoreError>;

    /// Makes a done job run again because an output of it is missing or damaged. Whatever depends on it and is not done
    /// goes back to waiting; leases among that are lost.
    ///
    /// `reporter` is the worker that found out: the job it leases, which must depend on `key`, and its token. For a bad
    /// file among a job's own inputs, `key` is [`Job::created_by`].
    fn reset(
        &mut self,
        key: JobKey,
        reporter: Option<(JobKey, Token)>,
        now_ms: u64,
    ) -> Result<Effects, StoreError>;

    /// Gives a failed or quarantined job all its attempts again.
    fn requeue(&mut self, key: JobKey, now_ms: u64) -> Result<Effects, StoreError>;

    /// Forgets a batch with all its jobs; leases among them are lost.
    fn remove_batch(&mut self, batch: BatchId, now_ms: u64) -> Result<Effects, StoreError>;

    /// Compares every job with its dependencies and repairs what does not agree; returns what it repaired.
    fn reconcile(&mut self, now_ms: u64) -> Result<Vec<Repair>, StoreError>;

    /// One job.
    fn job(&self, key: &JobKey) -> Result<Option<Job>, StoreError>;

    /// The jobs of a batch, by key.
    fn batch_jobs(&self, batch: BatchId) -> Result<Vec<Job>, StoreError>;

    /// How many jobs there are, in all batches or in one.
    fn counts(&self, batch: Option<BatchId>) -> Result<BTreeMap<CountKey, u64>, StoreError>;

    /// How far a batch is.
    fn progress(&self, batch: BatchId) -> Result<Progress, StoreError> {
        let mut progress = Progress::default();
        for (key, count) in self.counts(Some(batch))? {
            progress.jobs += count;
            match key.state {
                StateName::Done => progress.done += count,
                StateName::Queued | StateName::Leased | StateName::Failed => progress.active += count,
                StateName::Quarantined => progress.quarantined += count,
                StateName::Waiting => {}
            }
        }
        Ok(progress)
    }

    /// When [`advance`](Self::advance) next has something to do, in milliseconds since the Unix epoch.
    fn next_deadline_ms(&self) -> Result<Option<u64>, StoreError>;

    /// Every file that some job names: the rest are orphans, once jobs in progress have had time to name theirs.
    fn live_artifacts(&self) -> Result<BTreeSet<ArtifactName>, StoreError>;
}
