//! A circuit set for tests of everything that is generic over circuit sets: the key store, the prover, the driver.
//!
//! Its circuits and proofs are real and take milliseconds. Its aggregation circuits do **not** verify their children
//! in-circuit (they are verified while the circuit input is made), so a scheduler proof proves nothing about a batch.
//! It is a development dependency only: no executable knows it, and [`TestSet`] calls itself insecure.
#![feature(allocator_api)]
#![feature(generic_const_exprs)]

mod circuit;
mod memory;
mod set;

pub use circuit::Chain;
pub use memory::{Keys, Proofs, Sink};
pub use set::{TestBatch, TestSet};
