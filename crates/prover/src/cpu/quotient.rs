//! The quotient: all constraints on each coset of its degree, combined with powers of α, divided by x^n − 1.

use ingot_field::{
    canonical, coset, dispatch, inverse, pow, sub, Columns, CosetTwiddles, Ext, ExtLanes, Lanes, Level,
    GENERATOR,
};
use rayon::prelude::*;

use super::{
    combination,
    inverse::invert,
    program::{Base, Register, BLOCK},
    setup::{CpuSetup, PlacedGate},
};
use crate::{device::Stage2Challenges, Layout, ProverError};

/// Rows handled by one task: enough to pay for filling a program's constants.
const TASK_ROWS: usize = 1024;

/// Vectors of rows whose products are made together: so many lines of each column are read at once.
const COPY_VECTORS: usize = 4;

/// Powers of α by what they weigh.
struct Weights<'a> {
    lookup: &'a [Ext],
    gates: &'a [Ext],
    first_row: Ext,
    products: &'a [Ext],
}

/// What all tasks of one coset share.
struct Coset<'a> {
    level: Level,
    setup: &'a CpuSetup,
    layout: &'a Layout,
    challenges: &'a Stage2Challenges,
    weights: &'a Weights<'a>,
    lookup_gammas: &'a [Ext],
    beta_cosets: &'a [Ext],
    /// Columns of each oracle on this coset.
    witness: Vec<&'a [u64]>,
    fixed: Vec<&'a [u64]>,
    stage2: Vec<&'a [u64]>,
    /// c in the coset's points c · ω^i.
    shift: u64,
    /// x^n − 1, the same for all points of the coset,
    vanishing: u64,
    /// and its inverse.
    vanishing_inverse: u64,
}

/// The chunks of the quotient as columns of coefficients.
#[allow(clippy::too_many_arguments)]
pub fn quotient(
    level: Level,
    setup: &CpuSetup,
    layout: &Layout,
    witness: &Columns,
    stage2: &Columns,
    challenges: &Stage2Challenges,
    alpha: Ext,
) -> Result<Columns, ProverError> {
    let (rows_log2, rows, degree) = (layout.rows_log2, layout.rows(), layout.quotient_degree);
    let powers = alpha.powers(layout.quotient_terms());
    let (lookup, rest) = powers.split_at(layout.lookup_terms());
    let (gates, rest) = rest.split_at(layout.gate_terms);
    let (first_row, products) = rest.split_at(1);
    let weights = Weights { lookup, gates, first_row: first_row[0], products };
    let lookup_gammas = challenges.lookup_gamma.powers(layout.lookup.as_ref().map_or(0, |l| l.table_columns));
    let beta_cosets: Vec<Ext> = setup.copy_cosets.iter().map(|&k| challenges.beta.scale(k)).collect();

    let mut values =
        [witness, &setup.columns, stage2].map(|oracle| Columns::zeros(rows_log2, oracle.count()));
    let degree_log2 = degree.trailing_zeros();
    let mut c0 = vec![0; rows * degree];
    let mut c1 = vec![0; rows * degree];
    for (index, (c0, c1)) in c0.chunks_exact_mut(rows).zip(c1.chunks_exact_mut(rows)).enumerate() {
        let shift = coset(rows_log2 + degree_log2, degree_log2, index);
        let twiddles = CosetTwiddles::new(rows_log2, shift);
        for (oracle, values) in [witness, &setup.columns, stage2].into_iter().zip(&mut values) {
            oracle.values_into(level, &twiddles, 0..oracle.count(), values, 0);
        }
        let [witness, fixed, stage2] = values.each_ref().map(|columns| columns.iter().collect());
        let vanishing = sub(pow(shift, rows as u64), 1);
        let shared = Coset {
            level,
            setup,
            layout,
            challenges,
            weights: &weights,
            lookup_gammas: &lookup_gammas,
            beta_cosets: &beta_cosets,
            witness,
            fixed,
            stage2,
            shift,
            vanishing,
            vanishing_inverse: inverse(vanishing),
        };
        c0.par_chunks_mut(TASK_ROWS).zip(c1.par_chunks_mut(TASK_ROWS)).enumerate().for_each(
            |(task, (c0, c1))| {
                rows_of_coset(level, &shared, task * TASK_ROWS, c0, c1);
            },
        );
    }
    drop(values);
    // Cosets in bit-reversed order are the larger domain in bit-reversed order.
    let twiddles = CosetTwiddles::new(rows_log2 + degree_log2, GENERATOR);
    rayon::join(|| twiddles.to_coefficients(level, &mut c0), || twiddles.to_coefficients(level, &mut c1));
    // A quotient of degree `degree` · rows − 1 or more means that the constraints do not vanish.
    if [&c0, &c1].iter().any(|c| c.last().is_none_or(|&x| canonical(x) != 0)) {
        return Err(ProverError::Unsatisfied { what: "the constraints do not vanish on all rows" });
    }
    let mut columns = Columns::zeros(rows_log2, 2 * degree);
    for ([to0, to1], (c0, c1)) in columns.pairs_mut().zip(c0.chunks_exact(rows).zip(c1.chunks_exact(rows))) {
        to0.copy_from_slice(c0);
        to1.copy_from_slice(c1);
    }
    Ok(columns)
}

dispatch! {
    fn rows_of_coset = rows_of_coset_with where (coset: &Coset<'_>, start: usize, c0: &mut [u64], c1: &mut [u64])
}

#[inline(always)]
fn rows_of_coset_with<L: Lanes>(coset: &Coset<'_>, start: usize, c0: &mut [u64], c1: &mut [u64]) {
    c0.fill(0);
    c1.fill(0);
    lookup_terms::<L>(coset, start, c0, c1);
    gate_terms::<L>(coset, start, c0, c1);
    copy_terms::<L>(coset, start, c0, c1);
    let factor = L::splat(coset.vanishing_inverse);
    for column in [c0, c1] {
        for at in (0..column.len()).step_by(L::N) {
            L::load(&column[at..]).mul(factor).store(&mut column[at..]);
        }
    }
}

#[inline(always)]
fn load<L: Lanes>(pair: [&[u64]; 2], at: usize) -> ExtLanes<L> {
    ExtLanes(L::load(&pair[0][at..]), L::load(&pair[1][at..]))
}

#[inline(always)]
fn accumulate<L: Lanes>(c0: &mut [u64], c1: &mut [u64], at: usize, term: ExtLanes<L>) {
    L::load(&c0[at..]).add(term.0).store(&mut c0[at..]);
    L::load(&c1[at..]).add(term.1).store(&mut c1[at..]);
}

/// A (β + Σ γ^j w_j) − 1 for each subargument and B (β + Σ γ^j t_j) − multiplicity.
#[inline(always)]
fn lookup_terms<L: Lanes>(coset: &Coset<'_>, start: usize, c0: &mut [u64], c1: &mut [u64]) {
    let Some(lookup) = &coset.layout.lookup else { return };
    let layout = coset.layout;
    let first = 2 * (1 + layout.partial_products);
    let mut columns: Vec<&[u64]> = Vec::with_capacity(lookup.table_columns);
    for term in 0..=lookup.subarguments {
        columns.clear();
        let subtrahend = if term < lookup.subarguments {
            let variable = lookup.first_variable + term * lookup.columns;
            columns.extend(&coset.witness[variable..variable + lookup.columns]);
            columns.extend(lookup.table_id.map(|id| coset.fixed[layout.variables + id]));
            None
        } else {
            columns.extend(&coset.fixed[layout.variables + layout.constants..]);
            Some(coset.witness[layout.variables + layout.witnesses])
        };
        let fraction = [coset.stage2[first + 2 * term], coset.stage2[first + 2 * term + 1]];
        let weight = ExtLanes::<L>::splat(coset.weights.lookup[term]);
        for at in (0..c0.len()).step_by(L::N) {
            let beta = ExtLanes::<L>::splat(coset.challenges.lookup_beta);
            let sum = combination(beta, &columns, coset.lookup_gammas, start + at);
            let mut value = sum.mul(load(fraction, start + at));
            value.0 = value.0.sub(subtrahend.map_or(L::splat(1), |m| L::load(&m[start + at..])));
            accumulate(c0, c1, at, value.mul(weight));
        }
    }
}

#[inline(always)]
fn gate_terms<L: Lanes>(coset: &Coset<'_>, start: usize, c0: &mut [u64], c1: &mut [u64]) {
    let layout = coset.layout;
    let (variables, rest) = coset.witness.split_at(layout.variables);
    let witnesses = &rest[..layout.witnesses];
    let constants = &coset.fixed[layout.variables..layout.variables + layout.constants];
    let mut registers: Vec<Register> = Vec::new();
    let mut weights = coset.weights.gates;
    for PlacedGate { program, start: [v, w, c], selector } in &coset.setup.gates {
        program.prepare(&mut registers);
        let base =
            Base { variables: &variables[*v..], witnesses: &witnesses[*w..], constants: &constants[*c..] };
        for at in (0..c0.len()).step_by(BLOCK) {
            let (mut sum0, mut sum1) = ([0; BLOCK], [0; BLOCK]);
            program.run::<L>(&base, start + at, weights, &mut registers, [&mut sum0, &mut sum1]);
            for i in (0..BLOCK).step_by(L::N) {
                let mut sum = load::<L>([&sum0, &sum1], i);
                for (column, &one) in constants.iter().zip(selector) {
                    let constant = L::load(&column[start + at + i..]);
                    sum = sum.scale(if one { constant } else { L::splat(1).sub(constant) });
                }
                accumulate(c0, c1, at + i, sum);
            }
        }
        weights = &weights[program.terms * program.repetitions..];
    }
}

/// (z − 1) L_1 without L_1's factor 1 / n, and each step of the grand product.
#[inline(always)]
fn copy_terms<L: Lanes>(coset: &Coset<'_>, start: usize, c0: &mut [u64], c1: &mut [u64]) {
    let Coset { setup, layout, challenges, .. } = coset;
    let rows = c0.len();
    let mut x = vec![0; rows];
    let (mut below, mut zeros) = (vec![0; rows], vec![0; rows]);
    for at in (0..rows).step_by(L::N) {
        let point = L::load(&setup.domain[start + at..]).mul(L::splat(coset.shift));
        point.store(&mut x[at..]);
        point.sub(L::splat(1)).store(&mut below[at..]);
    }
    invert(coset.level, &mut below, &mut zeros);
    let z = [coset.stage2[0], coset.stage2[1]];
    let z_next: [Vec<u64>; 2] =
        z.map(|z| setup.next[start..start + rows].iter().map(|&next| z[next as usize]).collect());
    let vanishing = L::splat(coset.vanishing);
    let (first_row, one) = (ExtLanes::<L>::splat(coset.weights.first_row), ExtLanes::<L>::splat(Ext::ONE));
    let (beta, gamma) = (ExtLanes::<L>::splat(challenges.beta), ExtLanes::<L>::splat(challenges.gamma));
    for at in (0..rows).step_by(L::N) {
        let l1 = L::load(&below[at..]).mul(vanishing);
        accumulate(c0, c1, at, load::<L>(z, start + at).sub(one).scale(l1).mul(first_row));
    }
    let width = layout.quotient_degree;
    let zero = ExtLanes::<L>::splat(Ext::ZERO);
    for block in (0..rows).step_by(COPY_VECTORS * L::N) {
        for (step, &weight) in coset.weights.products.iter().enumerate() {
            let right_start = [coset.stage2[2 * step], coset.stage2[2 * step + 1]];
            let last = step == layout.partial_products;
            let (mut left, mut right) = ([zero; COPY_VECTORS], [zero; COPY_VECTORS]);
            for i in 0..COPY_VECTORS {
                let at = block + i * L::N;
                right[i] = load::<L>(right_start, start + at);
                left[i] = match last {
                    true => load::<L>([&z_next[0], &z_next[1]], at),
                    false => load::<L>([coset.stage2[2 * step + 2], coset.stage2[2 * step + 3]], start + at),
                };
            }
            for column in step * width..((step + 1) * width).min(layout.variables) {
                let (variable, sigma) = (coset.witness[column], coset.fixed[column]);
                let beta_coset = ExtLanes::<L>::splat(coset.beta_cosets[column]);
                for i in 0..COPY_VECTORS {
                    let at = block + i * L::N;
                    let w_gamma = ExtLanes(L::load(&variable[start + at..]).add(gamma.0), gamma.1);
                    left[i] = left[i].mul(w_gamma.add_scaled(L::load(&sigma[start + at..]), beta));
                    right[i] = right[i].mul(w_gamma.add_scaled(L::load(&x[at..]), beta_coset));
                }
            }
            for i in 0..COPY_VECTORS {
                let term = left[i].sub(right[i]).mul(ExtLanes::splat(weight));
                accumulate(c0, c1, block + i * L::N, term);
            }
        }
    }
}
