//! What a protocol version brings: its circuits, its witness generation, its recursion.
//!
//! [`CircuitSet`] is the one trait everything outside a circuit set is written against: the store, the services, the
//! prover, the CLI. It is object safe, because one process may serve several protocol versions.
//!
//! **Invariant:** a circuit set never knows the job store, and nothing here names a concrete circuit.
#![feature(allocator_api)]
#![feature(generic_const_exprs)]

mod codec;
mod error;
pub mod field;
mod gates;
mod keys;
mod plan;
pub mod security;
mod set;
mod synthesis;

pub use codec::{decode, encode};
pub use error::SetError;
pub use gates::{gate_set, Gate, GateSet, Offsets, Op, Operand, SpecializedGate, Tape};
pub use keys::SetupKey;
pub use plan::{AggregationPlan, Arity, PlannedProof, ProofSlot};
pub use set::{AggregationJob, CircuitInfo, CircuitSet, CircuitSink, ProofSource, SecurityBits, VkSource};
pub use synthesis::{
    empty_assembly, setup_columns, setup_key, setup_polynomials, synthesize_with, verifier, witness_vector,
    SetCircuit,
};
