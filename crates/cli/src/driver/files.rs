//! Reading and writing the files that jobs hand on, and knowing whom to blame for a bad one.

use std::time::{SystemTime, UNIX_EPOCH};

use ingot_artifacts::{ArtifactError, ArtifactRef, ArtifactStore};
use ingot_circuit_set::SetError;
use ingot_job_store::{ArtifactName, Lease, StoreError};
use ingot_keystore::KeyError;
use ingot_prover::ProverError;
use ingot_types::{JobKey, RetryClass};

/// Why a job was not completed.
#[derive(Debug)]
pub(crate) enum JobFailure {
    /// A file it reads is damaged or gone: the job that made it has to run again.
    BadFile { maker: JobKey, reason: String },
    /// The attempt failed.
    Failed { class: RetryClass, reason: String },
}

impl JobFailure {
    pub fn deterministic(reason: impl ToString) -> Self {
        Self::Failed { class: RetryClass::Deterministic, reason: reason.to_string() }
    }
}

macro_rules! failure_from {
    ($($error:ty),*) => {$(
        impl From<$error> for JobFailure {
            fn from(error: $error) -> Self {
                Self::Failed { class: error.retry_class(), reason: error.to_string() }
            }
        }
    )*};
}
failure_from!(SetError, KeyError, ProverError, StoreError, ArtifactError);

/// Stores `bytes` and names them as a job's file.
pub(crate) fn put(store: &ArtifactStore, role: &str, bytes: &[u8]) -> Result<ArtifactName, ArtifactError> {
    let artifact = store.put(bytes)?;
    Ok(ArtifactName {
        role: role.to_owned(),
        hash: artifact.hash.to_string(),
        size_bytes: artifact.size_bytes,
    })
}

/// Reads the file `name`, which `maker` made.
pub(crate) fn get(store: &ArtifactStore, name: &ArtifactName, maker: JobKey) -> Result<Vec<u8>, JobFailure> {
    let hash = name.hash.parse().map_err(JobFailure::deterministic)?;
    store.get(&ArtifactRef { hash, size_bytes: name.size_bytes }).map_err(|error| {
        match error.is_bad_artifact() {
            true => JobFailure::BadFile { maker, reason: error.to_string() },
            false => error.into(),
        }
    })
}

/// The file with `role` among what `lease` may read, and the job that made it.
pub(crate) fn find<'a>(lease: &'a Lease, role: &str) -> Result<(&'a ArtifactName, JobKey), JobFailure> {
    let own =
        lease.job.spec.inputs.iter().map(|file| (file, lease.job.created_by.unwrap_or(lease.job.key())));
    let upstream = lease.upstream.iter().flat_map(|u| u.outputs.iter().map(|file| (file, u.key)));
    own.chain(upstream).find(|(file, _)| file.role == role).ok_or_else(|| {
        JobFailure::deterministic(format!("job {} has no file `{role}` to read", lease.job.key()))
    })
}

/// The present, as the job store counts it.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
