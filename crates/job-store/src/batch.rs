//! Batches as a whole: what a home that outlives processes offers beside the jobs.

use ingot_types::{BatchId, JobKey, ProtocolVersion};
use serde::{Deserialize, Serialize};

use crate::{
    ArtifactName, AuditEntry, Delivery, DeliveryOutcome, Job, JobQuery, JobStore, StoreError, Token,
    VersionRow,
};

/// A batch whose jobs are in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchRow {
    /// The batch.
    pub batch: BatchId,
    /// Whose circuits prove it.
    pub protocol_version: ProtocolVersion,
    /// Higher goes first.
    pub priority: i32,
    /// When it was sealed, in milliseconds since the Unix epoch.
    pub sealed_at_ms: u64,
    /// When its first job was inserted, in milliseconds since the Unix epoch.
    pub submitted_at_ms: u64,
    /// When its last job was done, in milliseconds since the Unix epoch; `None` while jobs are left.
    pub done_at_ms: Option<u64>,
}

/// What is kept of a batch whose jobs are forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchivedBatch {
    /// What it was.
    pub row: BatchRow,
    /// When its jobs were forgotten, in milliseconds since the Unix epoch.
    pub archived_at_ms: u64,
    /// How many jobs it had.
    pub jobs: u64,
    /// The files of its first jobs: its witness inputs.
    pub inputs: Vec<ArtifactName>,
    /// What its last jobs made: its final proof.
    pub outputs: Vec<ArtifactName>,
}

/// A failed attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Who had the job.
    pub worker: String,
    /// What happened, in words.
    pub reason: String,
}

/// A home that outlives processes. As in [`JobStore`], each change happens in full or not at all.
#[allow(clippy::missing_errors_doc)] // as in JobStore
pub trait Home: JobStore + Send {
    /// The batches whose jobs are in the store.
    fn batches(&self) -> Result<Vec<BatchRow>, StoreError>;

    /// One of them.
    fn batch(&self, batch: BatchId) -> Result<Option<BatchRow>, StoreError>;

    /// The job of a batch that was given up first, and why.
    fn first_quarantined(&self, batch: BatchId) -> Result<Option<(JobKey, String)>, StoreError>;

    /// What those jobs of a batch made on which no other depends: the final proof, once it is there.
    fn outputs(&self, batch: BatchId) -> Result<Vec<ArtifactName>, StoreError>;

    /// Changes the priority of a batch and of all its jobs.
    fn set_priority(&mut self, batch: BatchId, priority: i32, now_ms: u64) -> Result<(), StoreError>;

    /// To be called when the store was opened by a new process. Leases go on: their holders live elsewhere, and have
    /// `ttl_ms` from now to be heard of. The clock may have jumped meanwhile: retries are due within the longest backoff.
    fn restart_clock(&mut self, ttl_ms: u64, now_ms: u64) -> Result<(), StoreError>;

    /// Every lease: the job, its token, its holder.
    fn leases(&self) -> Result<Vec<(JobKey, Token, String)>, StoreError>;

    /// The failed attempts of a job, latest first. Few are kept.
    fn failures(&self, key: &JobKey) -> Result<Vec<Failure>, StoreError>;

    /// Forgets the jobs of a batch that is done, and keeps what [`ArchivedBatch`] says. Returns the files that nothing
    /// names any more.
    fn archive_batch(&mut self, batch: BatchId, now_ms: u64) -> Result<Vec<ArtifactName>, StoreError>;

    /// The batches whose jobs are forgotten.
    fn archived(&self) -> Result<Vec<ArchivedBatch>, StoreError>;

    /// How many there are.
    fn archived_count(&self) -> Result<u64, StoreError> {
        Ok(self.archived()?.len() as u64)
    }

    /// Forgets one of them altogether. Returns the files that nothing names any more.
    fn forget_archived(&mut self, batch: BatchId) -> Result<Vec<ArtifactName>, StoreError>;

    /// Notes that `destination` waits for the proof of a batch. Said again, it changes nothing; but for a proof that was
    /// acknowledged: then it is to be sent once more, since whoever asks again has lost it.
    fn expect_delivery(&mut self, batch: BatchId, destination: &str, now_ms: u64) -> Result<(), StoreError>;

    /// The deliveries pending for one destination, or all that are known, by chain and batch number.
    fn deliveries(&self, pending_for: Option<&str>) -> Result<Vec<Delivery>, StoreError>;

    /// What an attempt to deliver came to.
    fn delivered(&mut self, batch: BatchId, outcome: &DeliveryOutcome, now_ms: u64)
        -> Result<(), StoreError>;

    /// Begins anew with a delivery, whatever became of it.
    fn retry_delivery(&mut self, batch: BatchId, now_ms: u64) -> Result<(), StoreError>;

    /// Notes a change that a person made, or that was refused. The latest
    /// [`MOST_AUDIT_ENTRIES`](crate::MOST_AUDIT_ENTRIES) are kept.
    fn audit(&mut self, entry: &AuditEntry) -> Result<(), StoreError>;

    /// The last changes that people made, latest first.
    fn audit_log(&self, limit: u32) -> Result<Vec<AuditEntry>, StoreError>;

    /// Records the keys of a protocol version, in place of those recorded before.
    fn record_version(&mut self, version: &VersionRow) -> Result<(), StoreError>;

    /// The protocol versions that were recorded.
    fn versions(&self) -> Result<Vec<VersionRow>, StoreError>;

    /// The jobs that match, by key.
    fn find_jobs(&self, query: &JobQuery) -> Result<Vec<Job>, StoreError>;

    /// Runs several operations in one transaction: those that are refused change nothing, and the others stand or fall
    /// together.
    fn group(&mut self, work: &mut dyn FnMut(&mut dyn Home)) -> Result<(), StoreError>;

    /// Runs several operations that stand or fall together: if `work` fails, nothing that it did stays. Within a group,
    /// the rest of the group is not touched.
    fn part(
        &mut self,
        work: &mut dyn FnMut(&mut dyn Home) -> Result<(), StoreError>,
    ) -> Result<(), StoreError>;

    /// Statements run so far: stands still while nothing happens.
    fn statements(&self) -> u64;
}
