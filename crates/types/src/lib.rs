//! The words every part of Ingot shares: ids, aggregation rounds, job keys, versions.
//!
//! **Invariant:** this crate does no I/O and knows neither a circuit nor a store.

mod job;
mod panic;
mod retry;
mod round;
mod version;

pub use job::{BatchId, BatchNumber, ChainId, JobKey, JobKind, ParseJobKeyError};
pub use panic::panic_text;
pub use retry::RetryClass;
pub use round::{AggregationRound, CircuitId, CircuitKey, UnknownRound};
pub use version::{ParseProtocolVersionError, ProtocolVersion};
