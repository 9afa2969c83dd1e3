//! Proving and verifying one circuit, and the file a proof is handed over in.
//!
//! **Invariant:** what a proof must look like comes from the circuit set and the pinned verification key, never from the
//! proof. The proof library's verifier takes its security parameters from the proof and does not insist on the number
//! of queries; [`verify`] checks all of that first.
#![feature(allocator_api)]
#![feature(generic_const_exprs)]

pub mod bench;
mod container;
pub mod cpu;
pub mod device;
mod error;
mod judge;
mod layout;
mod library;
mod protocol;
mod prove;
mod shape;
mod verify;
mod witness;

pub use container::{ProofHeader, StoredProof, PROOF_FORMAT, PROOF_MAGIC};
pub use error::{ContainerError, ProverError, Rejection};
pub use judge::{judge, Judgement};
pub use layout::{Layout, LookupLayout};
pub use library::prove_with_library;
pub use protocol::{prove_on, PowSeed, Schedule};
pub use prove::Prepared;
pub use verify::verify;
pub use witness::{decode_witness_vector, encode_witness_vector};
