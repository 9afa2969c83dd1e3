//! Poseidon2 over Goldilocks, state 12, rate 8, as a sponge that overwrites; many states at a time.
//!
//! Instance: 4 + 22 + 4 rounds, S-box x^7 (<https://eprint.iacr.org/2023/323>), matrices and constants of
//! `boojum::implementations::poseidon2`.

use crate::{
    constants::ROUND_CONSTANTS,
    dispatch,
    lanes::{Lanes, Scalar},
    scalar::canonical,
};

/// Elements of a state.
pub const WIDTH: usize = 12;
/// Elements absorbed by one permutation.
pub const RATE: usize = 8;
/// Elements of a digest.
pub const DIGEST: usize = 4;
/// Full rounds before and after the partial ones.
const HALF_FULL: usize = 4;
/// Partial rounds.
const PARTIAL: usize = 22;

/// x^7.
#[inline(always)]
fn sbox<L: Lanes>(x: L) -> L {
    let square = x.square();
    square.square().mul(square.mul(x))
}

/// M4 of the Poseidon2 paper on integer halves: entries sum to at most 16 a row.
#[inline(always)]
fn m4<L: Lanes>([x0, x1, x2, x3]: [L; 4]) -> [L; 4] {
    let t0 = x0.raw_add(x1);
    let t1 = x2.raw_add(x3);
    let t2 = x1.raw_shl::<1>().raw_add(t1);
    let t3 = x3.raw_shl::<1>().raw_add(t0);
    let t4 = t1.raw_shl::<2>().raw_add(t3);
    let t5 = t0.raw_shl::<2>().raw_add(t2);
    [t3.raw_add(t5), t5, t2.raw_add(t4), t4]
}

/// circ(2 M4, M4, M4) on integer halves: sums stay below 2^32 · 64.
#[inline(always)]
fn external_half<L: Lanes>(x: &[L; WIDTH]) -> [L; WIDTH] {
    let a = m4([x[0], x[1], x[2], x[3]]);
    let b = m4([x[4], x[5], x[6], x[7]]);
    let c = m4([x[8], x[9], x[10], x[11]]);
    let sum: [L; 4] = std::array::from_fn(|i| a[i].raw_add(b[i]).raw_add(c[i]));
    std::array::from_fn(|i| {
        let own = match i / 4 {
            0 => a[i % 4],
            1 => b[i % 4],
            _ => c[i % 4],
        };
        own.raw_add(sum[i % 4])
    })
}

#[inline(always)]
fn external<L: Lanes>(state: &mut [L; WIDTH]) {
    let halves = state.map(L::halves);
    let low = external_half(&halves.map(|h| h.0));
    let high = external_half(&halves.map(|h| h.1));
    for i in 0..WIDTH {
        state[i] = L::from_halves(low[i], high[i]);
    }
}

/// The matrix of all ones, plus powers of two on the diagonal.
#[inline(always)]
fn internal<L: Lanes>(state: &mut [L; WIDTH]) {
    let halves = state.map(L::halves);
    let sum = |part: [L; WIDTH]| {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = part;
        let x = a.raw_add(b).raw_add(c.raw_add(d));
        let y = e.raw_add(f).raw_add(g.raw_add(h));
        x.raw_add(y).raw_add(i.raw_add(j).raw_add(k.raw_add(l)))
    };
    let (low, high) = (sum(halves.map(|h| h.0)), sum(halves.map(|h| h.1)));
    macro_rules! each {
        ($($i:literal << $k:literal),*) => {
            $({
                let (own_low, own_high) = halves[$i];
                // 12 · 2^32 + 2^(32 + 14) < 2^47.
                state[$i] = L::from_halves(low.raw_add(own_low.raw_shl::<$k>()), high.raw_add(own_high.raw_shl::<$k>()));
            })*
        };
    }
    each!(0 << 4, 1 << 14, 2 << 11, 3 << 8, 5 << 5, 6 << 2, 7 << 9, 8 << 13, 9 << 6, 10 << 3, 11 << 12);
    let (own_low, own_high) = halves[4];
    state[4] = L::from_halves(low.raw_add(own_low), high.raw_add(own_high));
}

/// The permutation.
#[inline(always)]
pub fn permute<L: Lanes>(state: &mut [L; WIDTH]) {
    external(state);
    for round in 0..HALF_FULL {
        full_round(state, round);
    }
    for round in HALF_FULL..HALF_FULL + PARTIAL {
        state[0] = sbox(state[0].add_canonical(L::splat(ROUND_CONSTANTS[round * WIDTH])));
        internal(state);
    }
    for round in HALF_FULL + PARTIAL..2 * HALF_FULL + PARTIAL {
        full_round(state, round);
    }
}

#[inline(always)]
fn full_round<L: Lanes>(state: &mut [L; WIDTH], round: usize) {
    // Constants are canonical, which saves a step of the sum; four at a time fill the multiplier without spills.
    for i in 0..3 {
        let at =
            |j: usize| state[4 * i + j].add_canonical(L::splat(ROUND_CONSTANTS[round * WIDTH + 4 * i + j]));
        let x: [L; 4] = [at(0), at(1), at(2), at(3)];
        let square = x.map(L::square);
        let fourth = square.map(L::square);
        for j in 0..4 {
            state[4 * i + j] = fourth[j].mul(square[j].mul(x[j]));
        }
    }
    external(state);
}

/// Hashes rows of a matrix: leaf i is element i of every column, in order. `leaves` gets one digest a row.
#[inline(always)]
fn hash_rows_with<L: Lanes>(columns: &[&[u64]], leaves: &mut [[u64; DIGEST]]) {
    let several = |row: usize, i: usize| L::load(&columns[i][row..]);
    hash_each(columns.len(), leaves, several, |row, i| columns[i][row]);
}

/// Hashes leaves of FRI: leaf i is elements i·2^k .. (i+1)·2^k of each column in turn.
#[inline(always)]
fn hash_chunks_with<L: Lanes>(columns: &[&[u64]], chunk: usize, leaves: &mut [[u64; DIGEST]]) {
    let one = |leaf: usize, i: usize| columns[i / chunk][leaf * chunk + i % chunk];
    hash_each(columns.len() * chunk, leaves, |leaf, i| gathered::<L>(|lane| one(leaf + lane, i)), one);
}

/// Hashes pairs of digests into `parents`.
#[inline(always)]
fn hash_pairs_with<L: Lanes>(children: &[[u64; DIGEST]], parents: &mut [[u64; DIGEST]]) {
    let flat = children.as_flattened();
    let one = |node: usize, i: usize| flat[node * 2 * DIGEST + i];
    hash_each(2 * DIGEST, parents, |node, i| gathered::<L>(|lane| one(node + lane, i)), one);
}

/// Hashes `width` elements into each of `digests`: `several` gives element i of as many in a row as there are lanes, `one`
/// that of one of them.
#[inline(always)]
fn hash_each<L: Lanes>(
    width: usize,
    digests: &mut [[u64; DIGEST]],
    several: impl Fn(usize, usize) -> L,
    one: impl Fn(usize, usize) -> u64,
) {
    let whole = digests.len() / L::N * L::N;
    for start in (0..whole).step_by(L::N) {
        let digest = sponge::<L>(width, |i| several(start, i));
        store_digests(&digest, &mut digests[start..start + L::N]);
    }
    for index in whole..digests.len() {
        let digest = sponge::<Scalar>(width, |i| Scalar(one(index, i)));
        digests[index] = digest.map(|x| canonical(x.0));
    }
}

/// One element a lane.
#[inline(always)]
fn gathered<L: Lanes>(element: impl Fn(usize) -> u64) -> L {
    let mut lanes = [0; 8];
    for lane in 0..L::N {
        lanes[lane] = element(lane);
    }
    L::load(&lanes)
}

/// Absorbs `count` elements, overwriting the rate; the last block is padded with zeros.
#[inline(always)]
fn sponge<L: Lanes>(count: usize, mut element: impl FnMut(usize) -> L) -> [L; DIGEST] {
    let mut state = [L::splat(0); WIDTH];
    let mut next = 0;
    while next < count {
        for slot in 0..RATE {
            state[slot] = if next + slot < count { element(next + slot) } else { L::splat(0) };
        }
        permute(&mut state);
        next += RATE;
    }
    std::array::from_fn(|i| state[i])
}

#[inline(always)]
fn store_digests<L: Lanes>(digest: &[L; DIGEST], to: &mut [[u64; DIGEST]]) {
    let mut lane = [0; 64];
    for i in 0..DIGEST {
        digest[i].canonical().store(&mut lane);
        for (to, &x) in to.iter_mut().zip(&lane) {
            to[i] = x;
        }
    }
}

dispatch! {
    /// Hashes the rows of `columns` into `leaves`. Every column is at least as long as `leaves`; digests are canonical.
    pub fn hash_rows = hash_rows_with where (columns: &[&[u64]], leaves: &mut [[u64; DIGEST]])
}
dispatch! {
    /// Hashes `chunk` consecutive elements of each of `columns` in turn into each of `leaves`.
    pub fn hash_chunks = hash_chunks_with where (columns: &[&[u64]], chunk: usize, leaves: &mut [[u64; DIGEST]])
}
dispatch! {
    /// Hashes each two of `children` into one of `parents`, which are half as many.
    pub fn hash_pairs = hash_pairs_with where (children: &[[u64; DIGEST]], parents: &mut [[u64; DIGEST]])
}
