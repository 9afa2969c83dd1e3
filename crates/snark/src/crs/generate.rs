//! A CRS from a public seed: for trying things out, and marked so.

use std::path::Path;

use bellman::{
    bn256::{Fr, G1Affine, G2Affine, G1},
    CurveAffine as _, CurveProjective as _, Field as _, PrimeField as _,
};
use rayon::prelude::*;

use super::{points::CHUNK, write::CrsWriter, CrsError, CrsHeader, Origin};

const CONTEXT: &str = "ingot 2026 insecure common reference string of BN254";
/// Bits of a scalar.
const SCALAR_BITS: usize = 254;

/// The secret that everybody knows.
fn secret(seed: &str) -> Fr {
    let mut bytes = [0; 64];
    blake3::Hasher::new_derive_key(CONTEXT).update(seed.as_bytes()).finalize_xof().fill(&mut bytes);
    // 512 bits modulo r: as good as uniform.
    let mut secret = Fr::zero();
    for byte in bytes {
        for bit in (0..8).rev() {
            secret.double();
            if (byte >> bit) & 1 == 1 {
                secret.add_assign(&Fr::one());
            }
        }
    }
    secret
}

/// Multiples of the generator, by which a product takes an addition for each window of a scalar.
struct Windows {
    bits: usize,
    /// For each window, the multiples 1, 2, … of the generator shifted to it.
    multiples: Vec<Vec<G1Affine>>,
}

impl Windows {
    fn new(bits: usize) -> Self {
        let mut bases = Vec::new();
        let mut base = G1::one();
        for _ in 0..SCALAR_BITS.div_ceil(bits) {
            bases.push(base);
            (0..bits).for_each(|_| base.double());
        }
        let row = |base: G1| {
            let mut row = vec![base; (1 << bits) - 1];
            for i in 1..row.len() {
                let mut next = row[i - 1];
                next.add_assign(&base);
                row[i] = next;
            }
            G1::batch_normalization(&mut row);
            row.iter().map(|point| point.into_affine()).collect()
        };
        Self { bits, multiples: bases.into_par_iter().map(row).collect() }
    }

    fn multiple(&self, scalar: &Fr) -> G1 {
        let limbs = scalar.into_repr();
        let limbs = limbs.as_ref();
        let mut sum = G1::zero();
        for (window, row) in self.multiples.iter().enumerate() {
            let (limb, shift) = (window * self.bits / 64, window * self.bits % 64);
            let mut digit = limbs[limb] >> shift;
            if shift + self.bits > 64 && limb + 1 < limbs.len() {
                digit |= limbs[limb + 1] << (64 - shift);
            }
            let digit = digit as usize & ((1 << self.bits) - 1);
            if digit > 0 {
                sum.add_assign_mixed(&row[digit - 1]);
            }
        }
        sum
    }
}

/// Writes the CRS with 2^`degree_log2` powers of the secret that `seed` determines to `path`; the same bytes each time. Gives its
/// header and the BLAKE3 of the file. `progress` is told the powers made so far.
///
/// # Errors
/// [`CrsError::Request`], [`CrsError::Io`].
pub fn generate(
    path: &Path,
    degree_log2: u32,
    seed: &str,
    mut progress: impl FnMut(u64),
) -> Result<(CrsHeader, [u8; 32]), CrsError> {
    let origin = Origin::InsecureSeed(seed.to_owned());
    let mut writer = CrsWriter::create(path, degree_log2, origin)?;
    let secret = secret(seed);
    let windows = Windows::new(if degree_log2 < 16 { 8 } else { 13 });
    let total = 1usize << degree_log2;
    const PART: usize = 1 << 10;
    for start in (0..total).step_by(CHUNK) {
        let len = CHUNK.min(total - start);
        let part = |from: usize| {
            let mut power = secret.pow([(start + from) as u64]);
            let mut points = Vec::with_capacity(PART);
            for _ in from..len.min(from + PART) {
                points.push(windows.multiple(&power));
                power.mul_assign(&secret);
            }
            G1::batch_normalization(&mut points);
            points.iter().map(|point| point.into_affine()).collect::<Vec<_>>()
        };
        let points: Vec<Vec<G1Affine>> =
            (0..len.div_ceil(PART)).into_par_iter().map(|i| part(i * PART)).collect();
        writer.add(&points.concat())?;
        progress((start + len) as u64);
    }
    let one = G2Affine::one();
    writer.finish(&[one, one.mul(secret.into_repr()).into_affine()])
}
