//! The common reference string: powers of a secret in G1, from 1 to 2^degree − 1, and 1 and the secret in G2.
//!
//! Whoever knows the secret can prove anything. A ceremony's is known to nobody if one of its participants forgot their part;
//! one made from a public seed is known to everybody, and is marked so: [`Origin::InsecureSeed`].
//!
//! File: header of 256 bytes (`INGOTCRS` | format u32 | curve u32 | degree u32 | origin u32 | length of its text u32 | text, padded
//! with zeros | BLAKE3 of the body), then the body: 2^degree points of G1 (64 bytes each: x, y, big-endian), two of G2 (128 bytes
//! each: x's second coefficient, its first, y's likewise). Header integers are little-endian. What is pinned is the BLAKE3 of
//! the whole file, so that the origin cannot be changed either.

mod check;
mod error;
mod generate;
mod header;
mod import;
mod points;
mod read;
mod write;

#[cfg(test)]
mod tests;

pub use error::CrsError;
pub use generate::generate;
pub use header::{CrsHeader, Origin, CRS_FORMAT, CRS_MAGIC, MAX_DEGREE_LOG2};
pub use import::import_key;
pub use read::{Expected, LoadedCrs};
