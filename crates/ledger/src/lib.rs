//! The ledger circuit set: a small but complete validity rollup, provable on two cores.
#![feature(allocator_api)]
#![feature(generic_const_exprs)]

pub mod basic;
pub mod gadgets;
pub mod native;
pub mod queue;
pub mod security;
#[cfg(feature = "testing")]
pub mod testing;
