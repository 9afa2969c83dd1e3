//! The Era circuit set, as far as minutes allow: keys' commitments, gates, inputs, witness generation.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod inputs;
mod keys;
mod witness;
