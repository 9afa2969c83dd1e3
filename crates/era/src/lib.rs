//! The Era circuit set: ZKsync Era's circuits, its witness generation and its recursion, with the official verification keys.
//!
//! The circuits come from published crates that `crates/era/port` makes build here. Everything that knows about Era is in
//! this crate and in `ingot-era-circuits`; the store, the services, the prover and the commands are those of `ingot`.
#![feature(generic_const_exprs)]

pub mod catalog;
mod edition;
pub mod inputs;
mod official;
mod placeholder;
mod recursion;
mod sample;
mod set;
mod witness;

pub use edition::Era;
pub use official::{Official, OfficialKeys};
pub use recursion::Commitments;
pub use sample::{sample_batch, SAMPLE_BATCH, SAMPLE_CHAIN};
pub use set::EraSet;

/// Name of the set.
pub const NAME: &str = "era";
