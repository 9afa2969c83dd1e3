//! The job store: which work there is, who has it, and what may start.
//!
//! The state machine ([`transition`]) and the graph ([`plan`]) are pure functions: rows and a command in, changed rows
//! and effects out. A home ([`JobStore`]) stores what they say; [`MemoryStore`] is one, optionally with a journal that
//! it is rebuilt from.
//!
//! **Invariant:** the store knows neither a circuit nor a file, and it never reads a clock.
//!
//! # A batch in one process
//!
//! One witness job starts a batch. Its completion adds, in the same step, a prove job for each basic circuit and, for
//! each aggregation proof, a witness job that depends on the proofs it merges and a prove job that depends on that.
//! Here: two basic circuits and one proof that merges theirs.
//!
//! ```
//! use ingot_job_store::{ArtifactName, Backoff, Filter, JobSpec, JobStore, MemoryStore};
//! use ingot_types::{JobKey, JobKind, ProtocolVersion, RetryClass};
//!
//! fn job(key: &str, depends_on: &[&str], inputs: Vec<ArtifactName>) -> JobSpec {
//!     JobSpec {
//!         key: key.parse().unwrap(),
//!         protocol_version: ProtocolVersion { minor: 1, patch: 0 },
//!         priority: 0,
//!         sealed_at_ms: 0,
//!         max_attempts: 3,
//!         group: None,
//!         zone: None,
//!         depends_on: depends_on.iter().map(|key| key.parse().unwrap()).collect(),
//!         inputs,
//!     }
//! }
//! fn file(role: &str, hash: &str) -> ArtifactName {
//!     ArtifactName { role: role.into(), hash: hash.into(), size_bytes: 100 }
//! }
//!
//! let folder = tempfile::tempdir()?;
//! let journal = folder.path().join("batch.journal");
//! let (mut store, recovered) = MemoryStore::open(&journal, Backoff::default(), 0)?;
//! assert_eq!(recovered.records, 0);
//!
//! // Keys read chain/batch/kind/round/circuit/depth/sequence. Inserting again after a restart changes nothing.
//! let witness: JobKey = "1/7/witness/0/0/0/0".parse()?;
//! let batch = witness.batch;
//! store.insert(vec![job("1/7/witness/0/0/0/0", &[], vec![file("batch", "b0")])], 0)?;
//!
//! // Round 0: the worker streams each circuit's input into a file, stores the files, then completes.
//! let lease = store.lease(&Filter::default(), "worker-1", 30_000, 1)?.unwrap();
//! assert_eq!(lease.job.key(), witness);
//! let new_jobs = vec![
//!     job("1/7/prove/0/1/0/0", &[], vec![file("circuit", "c0")]),
//!     job("1/7/prove/0/1/0/1", &[], vec![file("circuit", "c1")]),
//!     job("1/7/witness/1/1/0/0", &["1/7/prove/0/1/0/0", "1/7/prove/0/1/0/1"], vec![]),
//!     job("1/7/prove/1/1/0/0", &["1/7/witness/1/1/0/0"], vec![]),
//! ];
//! store.complete(witness, lease.token, vec![file("queues", "q")], new_jobs, 2)?;
//!
//! // Workers say what they take. A failed attempt comes back after a while.
//! let provers = Filter { kinds: Some([JobKind::Prove].into()), ..Filter::default() };
//! let first = store.lease(&provers, "worker-1", 30_000, 3)?.unwrap();
//! let second = store.lease(&provers, "worker-2", 30_000, 3)?.unwrap();
//! store.complete(first.job.key(), first.token, vec![file("proof", "p0")], vec![], 4)?;
//! store.fail(second.job.key(), second.token, RetryClass::Transient, "device busy", 4)?;
//! assert!(store.lease(&Filter::default(), "worker-1", 30_000, 5)?.is_none());
//!
//! // The process dies here, and starts again: nothing that was completed is done again.
//! drop(store);
//! let (mut store, recovered) = MemoryStore::open(&journal, Backoff::default(), 6)?;
//! assert!(recovered.handed_back.is_empty());
//! let due = store.next_deadline_ms()?.unwrap();
//! store.advance(due)?;
//! let second = store.lease(&provers, "worker-1", 30_000, due)?.unwrap();
//! store.complete(second.job.key(), second.token, vec![file("proof", "p1")], vec![], due)?;
//!
//! // The aggregation's witness job is ready now. What its dependencies made comes with the lease, in the order in
//! // which the job names them; the job that created it comes last.
//! let merge = store.lease(&Filter::default(), "worker-1", 30_000, due)?.unwrap();
//! let made: Vec<&str> = merge.upstream.iter().map(|u| u.outputs[0].hash.as_str()).collect();
//! assert_eq!(made, ["p0", "p1", "q"]);
//!
//! // One of the files turns out damaged: the job that made it runs again, and this one waits for it.
//! let damaged = merge.upstream[1].key;
//! store.reset(damaged, Some((merge.job.key(), merge.token)), due)?;
//! while let Some(lease) = store.lease(&Filter::default(), "worker-1", 30_000, due)? {
//!     store.complete(lease.job.key(), lease.token, vec![file("made", "m")], vec![], due)?;
//! }
//! assert!(store.progress(batch)?.is_done());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod backoff;
mod batch;
mod command;
#[cfg(any(test, feature = "testing"))]
pub mod conformance;
mod delivery;
mod error;
mod graph;
mod home;
mod insert;
mod job;
mod journal;
mod memory;
mod operator;
mod order;
mod sqlite;
mod state;
mod writer;

pub use backoff::Backoff;
pub use batch::{ArchivedBatch, BatchRow, Failure, Home};
pub use command::{Command, Delta, Effects, Repair, Rows};
pub use delivery::{Delivery, DeliveryOutcome, DeliveryState};
pub use error::{Refusal, StoreError};
pub use graph::plan;
pub use home::{CountKey, Filter, JobStore, Lease, Progress, Upstream};
pub use job::{ArtifactName, Job, JobError, JobSpec, Status, Token};
pub use memory::{MemoryStore, Recovered};
pub use operator::{AuditEntry, JobQuery, VersionRow, MOST_AUDIT_ENTRIES};
pub use order::QueuePlace;
pub use sqlite::{SnapshotContents, SqliteStore, SCHEMA_VERSION};
pub use state::{transition, Effect, Event, JobState, StateName};
pub use writer::{Writer, WriterHandle};
