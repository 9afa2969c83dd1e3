//! Stage 2: the grand product of the copy permutation, its partial products, and the lookup argument's fractions.
//!
//! With k_i the coset of column i and σ its permutation polynomial, row x contributes Π (w_i + β k_i x + γ) / (w_i + β σ_i +
//! γ); z is the running product over rows, and the partial products cut each step into pieces of the quotient's degree.

use ingot_field::{bit_reverse_in_place, dispatch, mul, Columns, CosetTwiddles, Ext, ExtLanes, Lanes, Level};
use rayon::prelude::*;

use super::{combination, inverse::invert, setup::CpuSetup};
use crate::{device::Stage2Challenges, Layout, ProverError};

/// Rows handled by one task.
const TASK_ROWS: usize = 2048;

/// Row by row, the products over columns of w + β k x + γ and of w + β σ + γ.
#[inline(always)]
fn fraction_with<L: Lanes>(
    variables: &[&[u64]],
    sigmas: &[&[u64]],
    x: &[u64],
    beta_cosets: &[Ext],
    beta: Ext,
    gamma: Ext,
    numerator: [&mut [u64]; 2],
    denominator: [&mut [u64]; 2],
) {
    let ([n0, n1], [d0, d1]) = (numerator, denominator);
    let (beta, gamma) = (ExtLanes::<L>::splat(beta), ExtLanes::<L>::splat(gamma));
    for start in (0..x.len()).step_by(L::N) {
        let x = L::load(&x[start..]);
        let mut top = ExtLanes::<L>::splat(Ext::ONE);
        let mut bottom = top;
        for i in 0..variables.len() {
            let w = L::load(&variables[i][start..]);
            let w_gamma = ExtLanes(w.add(gamma.0), gamma.1);
            top = top.mul(w_gamma.add_scaled(x, ExtLanes::splat(beta_cosets[i])));
            bottom = bottom.mul(w_gamma.add_scaled(L::load(&sigmas[i][start..]), beta));
        }
        top.0.store(&mut n0[start..]);
        top.1.store(&mut n1[start..]);
        bottom.0.store(&mut d0[start..]);
        bottom.1.store(&mut d1[start..]);
    }
}

dispatch! {
    fn fraction = fraction_with where (
        variables: &[&[u64]], sigmas: &[&[u64]], x: &[u64], beta_cosets: &[Ext], beta: Ext, gamma: Ext,
        numerator: [&mut [u64]; 2], denominator: [&mut [u64]; 2],
    )
}

/// (a0, a1) ← (a0, a1) · (b0, b1), row by row.
#[inline(always)]
fn multiply_with<L: Lanes>(a: [&mut [u64]; 2], b: [&[u64]; 2]) {
    let [a0, a1] = a;
    for start in (0..a0.len()).step_by(L::N) {
        let x = ExtLanes(L::load(&a0[start..]), L::load(&a1[start..]));
        let y = ExtLanes(L::load(&b[0][start..]), L::load(&b[1][start..]));
        let product = x.mul(y);
        product.0.store(&mut a0[start..]);
        product.1.store(&mut a1[start..]);
    }
}

dispatch! {
    fn multiply = multiply_with where (a: [&mut [u64]; 2], b: [&[u64]; 2])
}

/// [`multiply`] on all threads.
fn multiply_columns(level: Level, [a0, a1]: [&mut [u64]; 2], [b0, b1]: [&[u64]; 2]) {
    a0.par_chunks_mut(TASK_ROWS)
        .zip(a1.par_chunks_mut(TASK_ROWS))
        .zip(b0.par_chunks(TASK_ROWS).zip(b1.par_chunks(TASK_ROWS)))
        .for_each(|((a0, a1), (b0, b1))| multiply(level, [a0, a1], [b0, b1]));
}

/// β + Σ γ^i column_i, row by row.
#[inline(always)]
fn combine_with<L: Lanes>(columns: &[&[u64]], gammas: &[Ext], beta: Ext, out: [&mut [u64]; 2]) {
    let [c0, c1] = out;
    for start in (0..c0.len()).step_by(L::N) {
        let sum = combination(ExtLanes::<L>::splat(beta), columns, gammas, start);
        sum.0.store(&mut c0[start..]);
        sum.1.store(&mut c1[start..]);
    }
}

dispatch! {
    fn combine = combine_with where (columns: &[&[u64]], gammas: &[Ext], beta: Ext, out: [&mut [u64]; 2])
}

/// The columns of stage 2, interpolated.
pub fn stage2(
    level: Level,
    setup: &CpuSetup,
    layout: &Layout,
    witness: &Columns,
    challenges: &Stage2Challenges,
) -> Result<Columns, ProverError> {
    let base = CosetTwiddles::new(layout.rows_log2, 1);
    let mut out = copy_permutation(level, setup, layout, witness, challenges, &base)?;
    if layout.lookup.is_some() {
        out.append(lookups(level, setup, layout, witness, challenges, &base));
    }
    debug_assert_eq!(out.count(), layout.stage2_columns());
    out.interpolate(level, &base);
    Ok(out)
}

fn copy_permutation(
    level: Level,
    setup: &CpuSetup,
    layout: &Layout,
    witness: &Columns,
    challenges: &Stage2Challenges,
    base: &CosetTwiddles,
) -> Result<Columns, ProverError> {
    let (rows_log2, rows, width) = (layout.rows_log2, layout.rows(), layout.quotient_degree);
    let chunks = layout.partial_products + 1;
    // Columns 2 j, 2 j + 1 first hold the fraction of chunk j, in the end z and the partial products.
    let mut out = Columns::zeros(rows_log2, 2 * chunks);
    let mut values = Columns::zeros(rows_log2, 2 * width);
    let mut denominators = [vec![0; rows], vec![0; rows]];
    for (chunk, [n0, n1]) in out.pairs_mut().enumerate() {
        let columns = chunk * width..((chunk + 1) * width).min(layout.variables);
        let count = columns.len();
        witness.values_into(level, base, columns.clone(), &mut values, 0);
        setup.columns.values_into(level, base, columns.clone(), &mut values, count);
        let [d0, d1] = &mut denominators;
        let beta_cosets: Vec<Ext> =
            setup.copy_cosets[columns].iter().map(|&k| challenges.beta.scale(k)).collect();
        let values = &values;
        n0.par_chunks_mut(TASK_ROWS)
            .zip(n1.par_chunks_mut(TASK_ROWS))
            .zip(d0.par_chunks_mut(TASK_ROWS).zip(d1.par_chunks_mut(TASK_ROWS)))
            .enumerate()
            .for_each(|(task, ((n0, n1), (d0, d1)))| {
                let start = task * TASK_ROWS;
                let part: Vec<&[u64]> =
                    values.iter().take(2 * count).map(|c| &c[start..start + n0.len()]).collect();
                let (variables, sigmas) = part.split_at(count);
                let x = &setup.domain[start..start + n0.len()];
                let (beta, gamma) = (challenges.beta, challenges.gamma);
                fraction(level, variables, sigmas, x, &beta_cosets, beta, gamma, [n0, n1], [d0, d1]);
                invert(level, d0, d1);
                multiply(level, [n0, n1], [d0, d1]);
            });
    }
    // Fractions become running products: partial product j is z times fractions 0 to j, and the last fraction goes.
    let mut product = running_product(level, &out, chunks)?;
    let mut fraction = [vec![0; rows], vec![0; rows]];
    for pair in out.pairs_mut() {
        for ((column, product), fraction) in pair.into_iter().zip(&product).zip(&mut fraction) {
            fraction.copy_from_slice(column);
            column.copy_from_slice(product);
        }
        let [p0, p1] = &mut product;
        multiply_columns(level, [p0, p1], fraction.each_ref().map(Vec::as_slice));
    }
    Ok(out)
}

/// z: the product of the rows before each row, in bit-reversed order. Its product over all rows must be 1.
fn running_product(level: Level, fractions: &Columns, chunks: usize) -> Result<[Vec<u64>; 2], ProverError> {
    let mut c0 = fractions.column(0).to_vec();
    let mut c1 = fractions.column(1).to_vec();
    for chunk in 1..chunks {
        let fraction = [fractions.column(2 * chunk), fractions.column(2 * chunk + 1)];
        multiply_columns(level, [&mut c0, &mut c1], fraction);
    }
    bit_reverse_in_place(&mut c0);
    bit_reverse_in_place(&mut c1);
    // Products within tasks, then the products of the tasks before each.
    let mut totals: Vec<Ext> = c0
        .par_chunks_mut(TASK_ROWS)
        .zip(c1.par_chunks_mut(TASK_ROWS))
        .map(|(c0, c1)| {
            let mut product = Ext::ONE;
            for (c0, c1) in c0.iter_mut().zip(c1) {
                let factor = Ext([*c0, *c1]);
                [*c0, *c1] = product.0;
                product = product.mul(factor);
            }
            product
        })
        .collect();
    let mut product = Ext::ONE;
    for total in &mut totals {
        let factor = *total;
        *total = product;
        product = product.mul(factor);
    }
    if product.canonical() != Ext::ONE {
        return Err(ProverError::Unsatisfied { what: "the copy permutation's grand product is not 1" });
    }
    c0.par_chunks_mut(TASK_ROWS).zip(c1.par_chunks_mut(TASK_ROWS)).zip(&totals).for_each(
        |((c0, c1), &before)| {
            for (c0, c1) in c0.iter_mut().zip(c1) {
                [*c0, *c1] = Ext([*c0, *c1]).mul(before).0;
            }
        },
    );
    bit_reverse_in_place(&mut c0);
    bit_reverse_in_place(&mut c1);
    Ok([c0, c1])
}

/// A_i = 1 / (β + Σ γ^j w_j) for each subargument, and B = multiplicity / (β + Σ γ^j t_j).
fn lookups(
    level: Level,
    setup: &CpuSetup,
    layout: &Layout,
    witness: &Columns,
    challenges: &Stage2Challenges,
    base: &CosetTwiddles,
) -> Columns {
    let Some(lookup) = &layout.lookup else { return Columns::zeros(layout.rows_log2, 0) };
    let rows_log2 = layout.rows_log2;
    let gammas = challenges.lookup_gamma.powers(lookup.table_columns);
    let mut out = Columns::zeros(rows_log2, 2 * layout.lookup_terms());
    let width = lookup.columns.max(lookup.table_columns);
    let mut values = Columns::zeros(rows_log2, width + 1);
    for (term, [c0, c1]) in out.pairs_mut().enumerate() {
        let count = if term < lookup.subarguments {
            let first = lookup.first_variable + term * lookup.columns;
            witness.values_into(level, base, first..first + lookup.columns, &mut values, 0);
            if let Some(id) = lookup.table_id {
                let id = layout.variables + id;
                setup.columns.values_into(level, base, id..id + 1, &mut values, lookup.columns);
            }
            lookup.columns + usize::from(lookup.table_id.is_some())
        } else {
            let first = layout.variables + layout.constants;
            setup.columns.values_into(level, base, first..first + lookup.table_columns, &mut values, 0);
            lookup.table_columns
        };
        let values = &values;
        c0.par_chunks_mut(TASK_ROWS).zip(c1.par_chunks_mut(TASK_ROWS)).enumerate().for_each(
            |(task, (c0, c1))| {
                let start = task * TASK_ROWS;
                let part: Vec<&[u64]> =
                    values.iter().take(count).map(|c| &c[start..start + c0.len()]).collect();
                combine(level, &part, &gammas, challenges.lookup_beta, [c0, c1]);
                invert(level, c0, c1);
            },
        );
        if term == lookup.subarguments {
            let multiplicity = layout.variables + layout.witnesses;
            let mut values = Columns::zeros(rows_log2, 1);
            witness.values_into(level, base, multiplicity..multiplicity + 1, &mut values, 0);
            for column in [c0, c1] {
                for (x, &m) in column.iter_mut().zip(values.column(0)) {
                    *x = mul(*x, m);
                }
            }
        }
    }
    out
}
