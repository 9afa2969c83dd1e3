//! The gateway between a core and a house keeper, with real proofs made beforehand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![feature(allocator_api)]
#![feature(generic_const_exprs)]

#[path = "../../../proof-data-handler/tests/support/mod.rs"]
mod core_side;
mod pull;
mod push;
mod support;
