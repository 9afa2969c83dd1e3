//! Whether points are the powers of one secret: e(P[i+1], [1]₂) = e(P[i], [τ]₂) for all i, in one random linear combination.

use std::path::Path;

use bellman::{
    bn256::{Bn256, Fq12, Fr, G1Affine, G2Affine, G1},
    kate_commitment::{commit_using_monomials, Crs},
    plonk::polynomials::Polynomial,
    rand::{thread_rng, RngCore as _},
    worker::Worker,
    CurveAffine as _, CurveProjective as _, Engine as _, Field as _, PrimeField, SynthesisError,
};

use super::CrsError;

/// Takes the points in order, a part at a time.
pub(super) struct PowersCheck {
    worker: Worker,
    last: Option<G1Affine>,
    /// Σ rᵢ·P[i] and Σ rᵢ·P[i+1].
    sums: [G1; 2],
}

impl PowersCheck {
    pub fn new() -> Self {
        Self { worker: Worker::new(), last: None, sums: [G1::zero(); 2] }
    }

    /// The next points.
    pub fn add(&mut self, points: &[G1Affine]) -> Result<(), CrsError> {
        let mut all = Vec::with_capacity(points.len() + 1);
        all.extend(self.last);
        all.extend_from_slice(points);
        self.last = all.last().copied();
        let pairs = all.len().saturating_sub(1);
        if pairs == 0 {
            return Ok(());
        }
        // 128 bits that nobody knew when the file was made: wrong powers pass with probability 2^-128.
        let mut rng = thread_rng();
        let mut factor = || {
            let mut repr = <Fr as PrimeField>::Repr::default();
            repr.as_mut()[0] = rng.next_u64();
            repr.as_mut()[1] = rng.next_u64();
            repr
        };
        let mut factors = Vec::with_capacity(pairs);
        let stopped = |error: SynthesisError| CrsError::Request(format!("cannot add up its points: {error}"));
        for _ in 0..pairs {
            factors.push(Fr::from_repr(factor()).map_err(|error| CrsError::Request(error.to_string()))?);
        }
        // The library adds up a power of two of products.
        let padded = pairs.next_power_of_two();
        factors.resize(padded, Fr::zero());
        let factors = Polynomial::from_coeffs(factors).map_err(stopped)?;
        for (sum, points) in self.sums.iter_mut().zip([&all[..pairs], &all[1..]]) {
            let mut points = points.to_vec();
            points.resize(padded, G1Affine::one());
            let part =
                commit_using_monomials(&factors, &Crs::<Bn256, _>::new(points, Vec::new()), &self.worker);
            sum.add_assign_mixed(&part.map_err(stopped)?);
        }
        Ok(())
    }

    /// Whether all that came are the powers of the secret in `g2`, [1]₂ and [τ]₂.
    pub fn finish(self, path: &Path, g2: &[G2Affine; 2]) -> Result<(), CrsError> {
        let [mut at, next] = self.sums.map(|sum| sum.into_affine());
        at.negate();
        let product =
            Bn256::miller_loop(&[(&next.prepare(), &g2[0].prepare()), (&at.prepare(), &g2[1].prepare())]);
        match Bn256::final_exponentiation(&product) {
            Some(one) if one == Fq12::one() => Ok(()),
            _ => Err(CrsError::Inconsistent { path: path.to_owned() }),
        }
    }
}
