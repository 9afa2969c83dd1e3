//! Goldilocks arithmetic for provers: many lanes at a time, the widest that the host has; columns of elements, their
//! transforms, and Merkle trees over them.
//!
//! The prime is p = 2^64 − 2^32 + 1, the extension F\[x\]/(x² − 7). Field elements are `u64` and **need not be
//! canonical** between operations; [`canonical`] makes them so.
//!
//! Every kernel is written once over [`Lanes`] and compiled for each level of [`Level`]; [`Level::detect`] picks one at
//! run time, and [`dispatch!`] calls it. `naive.rs` holds the same operations in the plainest form, as oracles.
#![feature(portable_simd)]
// Kernels index several arrays at one place, and method calls show what is inlined where operators would hide it.
#![allow(clippy::needless_range_loop, clippy::should_implement_trait)]

mod columns;
mod constants;
mod extension;
mod lanes;
mod level;
pub mod naive;
mod ntt;
pub mod poseidon2;
mod scalar;
mod tree;

pub use columns::Columns;
pub use extension::{Ext, ExtLanes};
pub use lanes::{Lanes, Scalar, Wide};
pub use level::Level;
pub use ntt::{bit_reverse, bit_reverse_in_place, coset, point, CosetTwiddles};
pub use scalar::{
    add, batch_inverse, canonical, inverse, mul, neg, pow, root_of_unity, sub, EPSILON, GENERATOR, P,
    TWO_ADICITY,
};
pub use tree::{Digest, Tree};
