//! The last stage: from the scheduler's proof to a SNARK that an EVM verifies.
//!
//! The scheduler's proof is compressed twice, each time by a circuit that verifies the one before: first with few queries,
//! then over a tree and transcript of Poseidon2 over BN254's scalar field. A circuit over that field verifies the last of
//! them, and is proved with PLONK. All of them pass on the batch's public input, four limbs of 56 bits, and each has the key
//! below it as a constant: the last key stands for the whole chain.
#![feature(allocator_api)]
#![feature(generic_const_exprs)]

pub mod compression;
pub mod crs;
mod error;
pub mod plonk;
pub mod wrapper;

pub use error::SnarkError;
