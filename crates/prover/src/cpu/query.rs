//! Leaves of an oracle, recomputed from coefficients: no extension is kept for them.

use ingot_field::{canonical, coset, dispatch, point, Columns, CosetTwiddles, Lanes, Level, Tree, GENERATOR};
use rayon::prelude::*;

use crate::device::Leaf;

/// Points evaluated together by Horner's rule, one a lane; several vectors of them hide the products' latency.
const VECTORS: usize = 6;

/// Values of one column at `points`, whose number is a multiple of the lanes.
#[inline(always)]
fn horner_with<L: Lanes>(column: &[u64], points: &[u64], values: &mut [u64]) {
    for (points, values) in points.chunks(VECTORS * L::N).zip(values.chunks_mut(VECTORS * L::N)) {
        let count = points.len() / L::N;
        let mut x = [L::splat(0); VECTORS];
        for (i, x) in x.iter_mut().take(count).enumerate() {
            *x = L::load(&points[i * L::N..]);
        }
        let mut sums = [L::splat(0); VECTORS];
        for &coefficient in column.iter().rev() {
            let coefficient = L::splat(coefficient);
            for i in 0..VECTORS {
                sums[i] = sums[i].mul(x[i]).add(coefficient);
            }
        }
        for (i, sum) in sums.iter().take(count).enumerate() {
            sum.canonical().store(&mut values[i * L::N..]);
        }
    }
}

dispatch! {
    fn horner = horner_with where (column: &[u64], points: &[u64], values: &mut [u64])
}

/// Leaves `indices` with their paths.
pub fn query(level: Level, columns: &Columns, tree: &Tree, lde_log2: u32, indices: &[usize]) -> Vec<Leaf> {
    // A transform takes log2(rows) / 2 products a value and coset, Horner's rule one a coefficient and query.
    let by_transform = (columns.rows_log2() as usize) << lde_log2 < 2 * indices.len();
    let by_column: Vec<Vec<u64>> = match by_transform {
        true => transformed(level, columns, lde_log2, indices),
        false => {
            let domain_log2 = columns.rows_log2() + lde_log2;
            let mut points: Vec<u64> = indices.iter().map(|&i| point(GENERATOR, domain_log2, i)).collect();
            points.resize(indices.len().next_multiple_of(8), 0);
            (0..columns.count())
                .into_par_iter()
                .map(|column| {
                    let mut values = vec![0; points.len()];
                    horner(level, columns.column(column), &points, &mut values);
                    values
                })
                .collect()
        }
    };
    indices
        .iter()
        .enumerate()
        .map(|(query, &index)| Leaf {
            elements: by_column.iter().map(|values| values[query]).collect(),
            path: tree.path(index),
        })
        .collect()
}

/// Values at `indices` of every column, each coset that has one being transformed once.
fn transformed(level: Level, columns: &Columns, lde_log2: u32, indices: &[usize]) -> Vec<Vec<u64>> {
    let (rows_log2, rows) = (columns.rows_log2(), columns.rows());
    let cosets: Vec<(usize, CosetTwiddles)> = (0..1usize << lde_log2)
        .filter(|c| indices.iter().any(|i| i >> rows_log2 == *c))
        .map(|c| (c, CosetTwiddles::new(rows_log2, coset(rows_log2 + lde_log2, lde_log2, c))))
        .collect();
    (0..columns.count())
        .into_par_iter()
        .map(|column| {
            let mut out = vec![0; indices.len()];
            let mut values = vec![0; rows];
            for (coset, twiddles) in &cosets {
                values.copy_from_slice(columns.column(column));
                twiddles.to_values(level, &mut values);
                for (out, &index) in out.iter_mut().zip(indices) {
                    if index >> rows_log2 == *coset {
                        *out = canonical(values[index & (rows - 1)]);
                    }
                }
            }
            out
        })
        .collect()
}
