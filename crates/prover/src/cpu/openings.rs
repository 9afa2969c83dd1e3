//! Values of polynomials at a point, and the DEEP combination, both from coefficients: no coset is needed for either.

use ingot_field::{add, dispatch, Columns, Ext, ExtLanes, Lanes, Level};
use rayon::prelude::*;

use crate::{
    device::{Opening, Part},
    Layout, ProverError,
};

/// Coefficients handled by one task.
const TASK_COEFFICIENTS: usize = 2048;
/// Columns summed before their sum is stored.
const COLUMNS: usize = 8;

/// Σ column_i · power_i over base-field columns.
#[inline(always)]
fn dot_with<L: Lanes>(column: &[u64], powers: &[Vec<u64>; 2]) -> Ext {
    let mut sum = ExtLanes::<L>::splat(Ext::ZERO);
    for at in (0..column.len()).step_by(L::N) {
        let power = ExtLanes(L::load(&powers[0][at..]), L::load(&powers[1][at..]));
        sum = sum.add_scaled(L::load(&column[at..]), power);
    }
    let (mut c0, mut c1) = ([0; 8], [0; 8]);
    sum.0.store(&mut c0);
    sum.1.store(&mut c1);
    (0..L::N).fold(Ext::ZERO, |sum, lane| sum.add(Ext([c0[lane], c1[lane]])))
}

dispatch! {
    fn dot = dot_with where (column: &[u64], powers: &[Vec<u64>; 2]) -> Ext
}

/// 1, z, z², … as two columns.
fn powers(at: Ext, count: usize) -> [Vec<u64>; 2] {
    let mut out = [vec![0; count], vec![0; count]];
    let [p0, p1] = &mut out;
    p0.par_chunks_mut(TASK_COEFFICIENTS).zip(p1.par_chunks_mut(TASK_COEFFICIENTS)).enumerate().for_each(
        |(task, (p0, p1))| {
            let mut power = at.pow((task * TASK_COEFFICIENTS) as u64);
            for (p0, p1) in p0.iter_mut().zip(p1) {
                [*p0, *p1] = power.0;
                power = power.mul(at);
            }
        },
    );
    out
}

/// The columns of `parts` with the factor that each has in its polynomial: 1, or x for the second of a pair.
fn flat<'a>(parts: &'a [Part<'a, Columns>]) -> impl Iterator<Item = (&'a [u64], usize, bool)> + 'a {
    let mut polynomial = 0;
    parts.iter().flat_map(|part| part.range.clone().map(move |column| (part, column))).map(
        move |(part, column)| {
            let second = part.pairs && (column - part.range.start) % 2 == 1;
            polynomial += usize::from(!second);
            (part.columns.column(column), polynomial - 1, second)
        },
    )
}

/// Values of the polynomials of `parts` at `at`.
pub fn evaluate(level: Level, parts: &[Part<'_, Columns>], at: Ext) -> Vec<Ext> {
    let Some(first) = parts.first() else { return Vec::new() };
    let powers = powers(at, first.columns.rows());
    let columns: Vec<_> = flat(parts).collect();
    let values: Vec<Ext> = columns.par_iter().map(|(column, ..)| dot(level, column, &powers)).collect();
    let mut out = vec![Ext::ZERO; parts.iter().map(Part::polynomials).sum()];
    for ((_, polynomial, second), value) in columns.into_iter().zip(values) {
        let value = if second { value.mul(Ext([0, 1])) } else { value };
        out[polynomial] = out[polynomial].add(value);
    }
    out
}

/// Adds Σ c_i column_i to (c0, c1).
#[inline(always)]
fn combine_with<L: Lanes>(columns: &[(&[u64], Ext)], start: usize, c0: &mut [u64], c1: &mut [u64]) {
    for group in columns.chunks(COLUMNS) {
        for at in (0..c0.len()).step_by(L::N) {
            let mut sum = ExtLanes(L::load(&c0[at..]), L::load(&c1[at..]));
            for (column, challenge) in group {
                sum = sum.add_scaled(L::load(&column[start + at..]), ExtLanes::splat(*challenge));
            }
            sum.0.store(&mut c0[at..]);
            sum.1.store(&mut c1[at..]);
        }
    }
}

dispatch! {
    fn combine = combine_with where (columns: &[(&[u64], Ext)], start: usize, c0: &mut [u64], c1: &mut [u64])
}

/// Coefficients of Σ c (f − v) / (x − z) over all openings.
pub fn deep(
    level: Level,
    layout: &Layout,
    openings: &[Opening<'_, Columns>],
) -> Result<[Vec<u64>; 2], ProverError> {
    let rows = layout.rows();
    let mut total = [vec![0; rows], vec![0; rows]];
    for opening in openings {
        let columns: Vec<(&[u64], Ext)> = flat(&opening.parts)
            .map(|(column, polynomial, second)| {
                let challenge = opening.challenges[polynomial];
                (column, if second { challenge.mul(Ext([0, 1])) } else { challenge })
            })
            .collect();
        let mut sum = [vec![0; rows], vec![0; rows]];
        let [c0, c1] = &mut sum;
        c0.par_chunks_mut(TASK_COEFFICIENTS)
            .zip(c1.par_chunks_mut(TASK_COEFFICIENTS))
            .enumerate()
            .for_each(|(task, (c0, c1))| combine(level, &columns, task * TASK_COEFFICIENTS, c0, c1));
        let claimed = opening
            .values
            .iter()
            .zip(&opening.challenges)
            .fold(Ext::ZERO, |sum, (value, challenge)| sum.add(value.mul(*challenge)));
        // Synthetic division: the remainder is the combination's value at the point.
        let mut carry = Ext::ZERO;
        for row in (0..rows).rev() {
            let coefficient = Ext([sum[0][row], sum[1][row]]);
            total[0][row] = add(total[0][row], carry.0[0]);
            total[1][row] = add(total[1][row], carry.0[1]);
            carry = coefficient.add(opening.at.mul(carry));
        }
        if carry.canonical() != claimed.canonical() {
            return Err(ProverError::Unsatisfied { what: "an opened value is not its polynomial's" });
        }
    }
    Ok(total)
}
