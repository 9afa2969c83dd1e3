//! ZKsync Era's circuits, from the published crates, as Ingot synthesizes, captures and verifies them.
//!
//! The crates come ported (see `crates/era/port`). Everything here is monomorphised for 24 circuit types twice over, which
//! takes the compiler minutes: that is why it is a crate of its own.
#![feature(allocator_api)]
#![feature(generic_const_exprs)]

mod circuit;
mod dispatch;
mod wrap;

pub use circuit::EraCircuit;
pub use dispatch::{empty_base_circuit, gates, native_verifier, BASE_IDS};

/// Rows of every Era circuit.
pub const TRACE_LEN: usize = 1 << 20;
/// An upper bound on the variables of a base circuit.
pub const MAX_VARIABLES: usize = 1 << 26;
