//! Why a job was not completed, and panics as one of the reasons.

use std::{
    any::Any,
    fmt,
    panic::{catch_unwind, AssertUnwindSafe},
};

use ingot_artifacts::ArtifactError;
use ingot_circuit_set::SetError;
use ingot_keystore::KeyError;
use ingot_prover::ProverError;
use ingot_types::{JobKey, RetryClass};

/// Why a job was not completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobFailure {
    /// A file it reads is damaged or gone: the job that made it has to run again.
    BadFile {
        /// The job that made it.
        maker: JobKey,
        /// What was found.
        reason: String,
    },
    /// The attempt failed.
    Failed {
        /// What another attempt would be worth.
        class: RetryClass,
        /// What happened.
        reason: String,
    },
}

impl JobFailure {
    /// A failure that every attempt would meet.
    pub fn deterministic(reason: impl ToString) -> Self {
        Self::Failed { class: RetryClass::Deterministic, reason: reason.to_string() }
    }

    /// A failure that another attempt may not meet.
    pub fn transient(reason: impl ToString) -> Self {
        Self::Failed { class: RetryClass::Transient, reason: reason.to_string() }
    }
}

impl fmt::Display for JobFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadFile { maker, reason } => write!(f, "a file of job {maker} is bad: {reason}"),
            Self::Failed { reason, .. } => f.write_str(reason),
        }
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
failure_from!(SetError, KeyError, ArtifactError);

impl From<ProverError> for JobFailure {
    fn from(error: ProverError) -> Self {
        let class = match &error {
            ProverError::Panicked { message, .. } => class_of_panic(message),
            _ => error.retry_class(),
        };
        Self::Failed { class, reason: error.to_string() }
    }
}

/// Turns a panic (of the proof library, or of a worker) into a failure of the job.
///
/// # Errors
/// What `work` says, or its panic.
pub fn guarded<T>(work: impl FnOnce() -> Result<T, JobFailure>) -> Result<T, JobFailure> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let message = panic_message(&*panic);
        Err(JobFailure::Failed { class: class_of_panic(&message), reason: format!("panic: {message}") })
    })
}

/// A panic over memory or threads that could not be had says nothing about the job; any other repeats itself.
fn class_of_panic(message: &str) -> RetryClass {
    let signs = ["out of memory", "memory allocation", "Cannot allocate memory", "failed to spawn thread"];
    match signs.iter().any(|sign| message.contains(sign)) || message.contains("ThreadPoolBuildError") {
        true => RetryClass::Resource,
        false => RetryClass::Deterministic,
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    ingot_types::panic_text(panic).unwrap_or_else(|| "no message".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_fails_the_attempt_with_its_message_and_a_fitting_class() {
        let class = |message: &'static str| match guarded::<()>(|| panic!("{message}")) {
            Err(JobFailure::Failed { class, reason }) => {
                assert_eq!(reason, format!("panic: {message}"));
                class
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(class("row 3 is unsatisfied"), RetryClass::Deterministic);
        assert_eq!(class("failed to spawn thread: Os { code: 11 }"), RetryClass::Resource);
        assert_eq!(class("memory allocation of 80 bytes failed"), RetryClass::Resource);
        assert_eq!(guarded(|| Ok(3)), Ok(3));
    }
}
