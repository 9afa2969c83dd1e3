//! Constraint gadgets that the basic circuits and the recursion share.
//!
//! None of them asserts natively on a witness value: a false witness yields an unsatisfied constraint, never a panic,
//! which is what the soundness tests measure.

pub mod geometry;
pub mod hash;
pub mod logic;
pub mod queue;
pub mod uint;
