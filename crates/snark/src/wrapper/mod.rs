//! The circuit over BN254's scalar field that verifies the last compression proof.
//!
//! The verifier is written anew. The published one (`snark_wrapper`) reduces after every operation, takes 750 rows for a
//! permutation of Poseidon2 and 2.5 million in all; and it cannot subtract two equal numbers, as every column that is
//! constant makes it do. Here numbers are reduced when they must be, a permutation takes 165 rows, and gates are evaluated
//! from their recorded programs: below a million rows.
//!
//! | file | what |
//! |---|---|
//! | `builder` | rows, sums, range checks |
//! | `goldilocks` | the proof's field in the circuit's |
//! | `permutation`, `sponge`, `transcript` | Poseidon2, trees, challenges |
//! | `proof` | the proof as variables |
//! | `quotient` | constraints at z |
//! | `fri` | queries |

mod builder;
mod circuit;
mod fri;
mod goldilocks;
mod permutation;
mod proof;
mod quotient;
mod sponge;
mod transcript;

#[cfg(test)]
mod tests;

pub use circuit::{public_input, WrapperCircuit};
