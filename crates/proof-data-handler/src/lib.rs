//! The core's side of proving: hands batches out to gateways, takes proofs back, and accepts only those that verify.
//!
//! It has its own database and its own artifacts. A batch comes from the core (`PUT /batches/{n}`), is leased to a gateway
//! (`POST /proof_generation_data`), and its proof comes back (`POST /submit_proof/{n}`). The external API, on a door of its
//! own, gives witness inputs to whoever wants to prove a batch, and verifies proofs.
//!
//! **Invariants:** a proof is stored only if it verifies for the public input that was computed here from the batch's own
//! witness inputs; a batch whose lease has run out is handed out again, and one that is proved never is; nothing from a
//! peer ends the process.

mod checker;
mod config;
mod core_side;
mod error;
mod external;
mod handler;
mod metrics;
mod range;
mod store;

pub use checker::{BatchFacts, Checker, CircuitChecker, ProofFault};
pub use config::ProofDataHandlerConfig;
pub use error::{HandlerError, StoreError};
pub use handler::{Handler, ProofDataHandler};
pub use store::{Asking, BatchRecord, Figures, LeaseTime, NewBatch, Received, Store};
