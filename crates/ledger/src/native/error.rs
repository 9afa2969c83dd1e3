//! Everything that can be wrong with a batch.

use ingot_types::RetryClass;

use super::{batch::FormatError, executor::ExecutionError, tree::TreeError};

/// What is wrong with a batch. All of it depends on the batch alone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NativeError {
    /// Bytes that are no batch file.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// A touched leaf that is not part of the old state.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// An operation that breaks a rule.
    #[error(transparent)]
    Execution(#[from] ExecutionError),
}

impl NativeError {
    /// How a failed attempt with this error is to be treated.
    pub fn retry_class(&self) -> RetryClass {
        RetryClass::Deterministic
    }
}
