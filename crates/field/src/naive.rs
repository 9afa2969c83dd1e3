//! The plainest form of what the kernels do: oracles for tests.

use crate::scalar::{add, canonical, mul, pow, root_of_unity, P};

/// a · b by 128-bit division.
pub fn product(a: u64, b: u64) -> u64 {
    (u128::from(a) * u128::from(b) % u128::from(P)) as u64
}

/// The polynomial with `coefficients` at `x`, by Horner's rule; canonical.
pub fn evaluate(coefficients: &[u64], x: u64) -> u64 {
    canonical(coefficients.iter().rev().fold(0, |acc, &c| add(mul(acc, x), c)))
}

/// Values of the polynomial on `coset` · ⟨ω⟩ in natural order, point by point.
pub fn values(coefficients: &[u64], coset: u64) -> Vec<u64> {
    let log2 = coefficients.len().trailing_zeros();
    let root = root_of_unity(log2);
    (0..coefficients.len() as u64).map(|i| evaluate(coefficients, mul(coset, pow(root, i)))).collect()
}
