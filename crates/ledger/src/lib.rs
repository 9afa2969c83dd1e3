//! The ledger circuit set: a small but complete validity rollup, provable on two cores.
#![feature(allocator_api)]
#![feature(generic_const_exprs)]

pub mod basic;
mod catalog;
mod describe;
pub mod gadgets;
pub mod native;
pub mod queue;
pub mod recursion;
pub mod security;
mod set;
#[cfg(feature = "testing")]
pub mod testing;

pub use catalog::{openings, PROTOCOL_VERSION};
pub use describe::describe;
pub use set::LedgerSet;
