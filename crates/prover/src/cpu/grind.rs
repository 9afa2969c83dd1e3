//! Proof of work: Blake2s over the seed and a nonce.

use blake2::{Blake2s256, Digest};
use rayon::prelude::*;

use crate::protocol::PowSeed;

/// Nonces tried between looks at whether a lower one was found.
const BATCH: usize = 1 << 14;

/// Whether Blake2s(`seed`, `nonce`) as a little-endian number of 64 bits ends in `bits` zeros.
fn fits(seed: &PowSeed, nonce: u64, bits: u32) -> bool {
    let hash = Blake2s256::new().chain_update(seed).chain_update(nonce.to_le_bytes()).finalize();
    let low = hash.first_chunk::<8>().map_or(u64::MAX, |bytes| u64::from_le_bytes(*bytes));
    low.trailing_zeros() >= bits
}

/// The lowest nonce that fits: the same on every device, where "the first found" would not be.
pub fn lowest_nonce(seed: &PowSeed, bits: u32) -> u64 {
    (0..usize::MAX / BATCH)
        .into_par_iter()
        .by_exponential_blocks()
        .find_map_first(|batch| {
            (batch * BATCH..(batch + 1) * BATCH)
                .map(|nonce| nonce as u64)
                .find(|&nonce| fits(seed, nonce, bits))
        })
        .unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nonce_is_the_lowest() {
        for byte in 0..4 {
            let seed = [byte; 32];
            let nonce = lowest_nonce(&seed, 10);
            assert!(fits(&seed, nonce, 10));
            assert!((0..nonce).all(|lower| !fits(&seed, lower, 10)));
        }
    }
}
