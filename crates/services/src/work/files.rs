//! Reading and writing the files that jobs hand on, and knowing whom to blame for a bad one.

use ingot_artifacts::{ArtifactError, ArtifactRef, Artifacts};
use ingot_job_store::{ArtifactName, Lease};
use ingot_types::JobKey;

use super::JobFailure;

/// Stores `bytes` and names them as a job's file.
///
/// # Errors
/// [`ArtifactError`].
pub fn put(artifacts: &dyn Artifacts, role: &str, bytes: &[u8]) -> Result<ArtifactName, ArtifactError> {
    let artifact = artifacts.put(bytes)?;
    Ok(ArtifactName {
        role: role.to_owned(),
        hash: artifact.hash.to_string(),
        size_bytes: artifact.size_bytes,
    })
}

/// Reads the file `name`, which `maker` made.
///
/// # Errors
/// [`JobFailure::BadFile`] if it is damaged or gone.
pub fn get(artifacts: &dyn Artifacts, name: &ArtifactName, maker: JobKey) -> Result<Vec<u8>, JobFailure> {
    let hash = name.hash.parse().map_err(JobFailure::deterministic)?;
    artifacts.get(&ArtifactRef { hash, size_bytes: name.size_bytes }).map_err(|error| {
        match error.is_bad_artifact() {
            true => JobFailure::BadFile { maker, reason: error.to_string() },
            false => error.into(),
        }
    })
}

/// The file with `role` among what `lease` may read, and the job that made it.
///
/// # Errors
/// [`JobFailure::Failed`] if there is none: the job was created wrong, and no attempt will help.
pub fn find<'a>(lease: &'a Lease, role: &str) -> Result<(&'a ArtifactName, JobKey), JobFailure> {
    let own =
        lease.job.spec.inputs.iter().map(|file| (file, lease.job.created_by.unwrap_or(lease.job.key())));
    let upstream = lease.upstream.iter().flat_map(|u| u.outputs.iter().map(|file| (file, u.key)));
    own.chain(upstream).find(|(file, _)| file.role == role).ok_or_else(|| {
        JobFailure::deterministic(format!("job {} has no file `{role}` to read", lease.job.key()))
    })
}
