//! FRI: extension, folding and the final coefficients.
//!
//! A codeword lies in bit-reversed order, so f(x) and f(−x) are neighbours, and one step makes f(x) + f(−x) + c (f(x) −
//! f(−x)) / x of each two. A fold by 2^k takes k steps with c, c², c⁴, …

use ingot_field::{
    bit_reverse, canonical, coset, inverse, mul, root_of_unity, CosetTwiddles, Ext, Level, GENERATOR,
};
use rayon::prelude::*;

use crate::ProverError;

/// Places handled by one task.
const TASK_PLACES: usize = 2048;

/// Values of an extension polynomial on `shift` · ⟨ω⟩ in bit-reversed order.
#[derive(Clone, Debug)]
pub struct Codeword {
    /// Both coefficients.
    pub values: [Vec<u64>; 2],
    shift: u64,
}

impl Codeword {
    /// Extends a polynomial's coefficients by 2^`lde_log2`.
    pub fn extend(level: Level, coefficients: &[Vec<u64>; 2], lde_log2: u32) -> Self {
        let rows = coefficients[0].len();
        let rows_log2 = rows.trailing_zeros();
        let mut values = [vec![0; rows << lde_log2], vec![0; rows << lde_log2]];
        let [v0, v1] = &mut values;
        v0.par_chunks_exact_mut(rows).zip(v1.par_chunks_exact_mut(rows)).enumerate().for_each(
            |(index, (v0, v1))| {
                let twiddles = CosetTwiddles::new(rows_log2, coset(rows_log2 + lde_log2, lde_log2, index));
                for (values, coefficients) in [v0, v1].into_iter().zip(coefficients) {
                    values.copy_from_slice(coefficients);
                    twiddles.to_values(level, values);
                }
            },
        );
        Self { values, shift: GENERATOR }
    }

    /// Folds by 2^`fold_log2`.
    pub fn fold(&self, fold_log2: u32, challenge: Ext) -> Self {
        let mut folded = self.fold_once(challenge);
        let mut challenge = challenge;
        for _ in 1..fold_log2 {
            challenge = challenge.mul(challenge);
            folded = folded.fold_once(challenge);
        }
        folded
    }

    fn fold_once(&self, challenge: Ext) -> Self {
        let [f0, f1] = &self.values;
        let half = f0.len() / 2;
        let domain_log2 = f0.len().trailing_zeros();
        let inverse_root = inverse(root_of_unity(domain_log2));
        let inverse_shift = inverse(self.shift);
        // 1 / x at place i is this table's entry bitrev(i): blocks of powers, so that no exponentiation is needed a place.
        let mut inverse_x = vec![0; half];
        let mut power = inverse_shift;
        for i in 0..half {
            inverse_x[bit_reverse(i, domain_log2 - 1)] = power;
            power = mul(power, inverse_root);
        }
        let mut values = [vec![0; half], vec![0; half]];
        let [g0, g1] = &mut values;
        g0.par_chunks_mut(TASK_PLACES).zip(g1.par_chunks_mut(TASK_PLACES)).enumerate().for_each(
            |(task, (g0, g1))| {
                let start = task * TASK_PLACES;
                for (i, (g0, g1)) in g0.iter_mut().zip(g1).enumerate() {
                    let place = start + i;
                    let at = |place: usize| Ext([f0[place], f1[place]]);
                    let (plus, minus) = (at(2 * place), at(2 * place + 1));
                    let odd = plus.sub(minus).scale(inverse_x[place]).mul(challenge);
                    [*g0, *g1] = plus.add(minus).add(odd).0;
                }
            },
        );
        Self { values, shift: mul(self.shift, self.shift) }
    }

    /// Coefficients, of which the first `degree` may be nonzero.
    ///
    /// # Errors
    /// [`ProverError::Unsatisfied`] if others are.
    pub fn coefficients(&self, level: Level, degree: usize) -> Result<[Vec<u64>; 2], ProverError> {
        let twiddles = CosetTwiddles::new(self.values[0].len().trailing_zeros(), self.shift);
        let mut out = self.values.clone();
        for column in &mut out {
            twiddles.to_coefficients(level, column);
            for x in column.iter_mut() {
                *x = canonical(*x);
            }
            if column.iter().skip(degree).any(|&x| x != 0) {
                return Err(ProverError::Unsatisfied { what: "the folded polynomial's degree is too high" });
            }
            column.truncate(degree);
        }
        Ok(out)
    }
}
