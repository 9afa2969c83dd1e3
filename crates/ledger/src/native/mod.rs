//! The ledger's state transition in plain code: the oracle that the circuits are checked against, and the source of
//! their witnesses. Nothing here is trusted by a verifier.

pub mod batch;
mod elements;
mod error;
pub mod executor;
pub mod hash;
pub mod header;
pub mod operation;
pub mod record;
pub mod sample;
pub mod signing;
pub mod trace;
pub mod tree;
pub mod wots;

pub use error::NativeError;
