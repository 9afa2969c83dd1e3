//! What the tests share.
#![allow(dead_code)] // each test uses its part

use std::path::Path;

use ingot_job_store::{ArtifactName, JobSpec, JobState, JobStore, Status};
use ingot_types::{
    AggregationRound, BatchId, BatchNumber, ChainId, CircuitId, JobKey, JobKind, ProtocolVersion,
};

pub fn batch(number: u32) -> BatchId {
    BatchId { chain: ChainId(270), batch: BatchNumber(number) }
}

pub fn key(batch: BatchId, kind: JobKind, round: u8, circuit: u8, depth: u16, sequence: u32) -> JobKey {
    let round = AggregationRound::try_from(round).unwrap();
    JobKey { batch, kind, round, circuit_id: CircuitId(circuit), depth, sequence }
}

pub fn spec(key: JobKey, depends_on: Vec<JobKey>) -> JobSpec {
    JobSpec {
        key,
        protocol_version: ProtocolVersion { minor: 1, patch: 0 },
        priority: 0,
        sealed_at_ms: u64::from(key.batch.batch.0),
        max_attempts: 4,
        group: None,
        zone: None,
        depends_on,
        inputs: vec![],
    }
}

pub fn file(hash: impl ToString) -> ArtifactName {
    ArtifactName { role: "made".into(), hash: hash.to_string(), size_bytes: 1 }
}

/// Every job of the batches, as a store opened after a crash should have it: leases ended.
pub fn after_a_crash(store: &dyn JobStore, batches: &[BatchId]) -> Vec<(JobSpec, Status)> {
    let jobs = batches.iter().flat_map(|batch| store.batch_jobs(*batch).unwrap());
    jobs.map(|mut job| {
        if matches!(job.status.state, JobState::Leased { .. }) {
            job.status.state = JobState::Queued;
        }
        (JobSpec::clone(&job.spec), job.status)
    })
    .collect()
}

/// A folder in memory where there is one: these tests write thousands of records, and what a sync does is not at issue.
pub fn fast_folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir()).unwrap()
}
