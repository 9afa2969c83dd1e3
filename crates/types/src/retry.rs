//! What to do with an error: part of its type, so no caller has to guess.

use serde::{Deserialize, Serialize};

/// How a failed attempt is treated by the job store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RetryClass {
    /// May succeed if tried again as it is (a lost connection, a busy device). Burns an attempt.
    Transient,
    /// Ran out of memory, disk or a device: try again with less concurrency. Burns no attempt.
    Resource,
    /// Fails every time with this input and this build: quarantined at once.
    Deterministic,
}
