//! One module per command.

mod circuits;
mod demo;
mod keygen;
mod keys;
mod prove;
mod sample_batch;
mod summary;
mod verify;

pub(crate) use circuits::{circuits, job_name, parse_circuit};
pub(crate) use demo::demo;
pub(crate) use keygen::keygen;
pub(crate) use keys::{ready, trusted_vks, warn_if_insecure, Resources};
pub(crate) use prove::{limbs, prove};
pub(crate) use sample_batch::sample_batch;
pub use summary::Summary;
pub(crate) use verify::{verify, verify_files};
