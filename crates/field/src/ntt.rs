//! Number-theoretic transforms: coefficients in natural order to values in bit-reversed order on a coset, and back.
//!
//! With bit-reversed values every block of a layer has one twiddle, so the coset's shift lies in the twiddles and costs
//! nothing, and no permutation is needed before or after.

use std::sync::OnceLock;

use crate::{
    dispatch,
    lanes::Lanes,
    scalar::{self, inverse, mul, pow, root_of_unity, GENERATOR},
    Level,
};

/// Twiddles of transforms of one size on one coset.
///
/// `forward[h + k]`, for each power of two h and k < h, is the twiddle of block k in the layer of h blocks:
/// (coset)^(n / 2h) · ω^bitrev(k).
#[derive(Clone, Debug)]
pub struct CosetTwiddles {
    forward: Vec<u64>,
    /// The last layers' twiddles in the order in which tiles of 8 × 8 and of 4 × 4 elements take them.
    tiles: [OnceLock<Vec<u64>>; 2],
    /// Inverses of the forward ones, made when they are first wanted.
    backward: OnceLock<Vec<u64>>,
    inverse_size: u64,
}

impl CosetTwiddles {
    /// For transforms of 2^`log2` elements on `coset` · ⟨ω⟩.
    ///
    /// # Panics
    /// If `log2` is above [`scalar::TWO_ADICITY`].
    pub fn new(log2: u32, coset: u64) -> Self {
        let size = 1usize << log2;
        let mut forward = vec![1; size.max(2)];
        let mut shift = coset;
        let mut shifts = Vec::new();
        for _ in 0..log2 {
            shifts.push(shift);
            shift = mul(shift, shift);
        }
        for (layer, &shift) in (0..log2).zip(shifts.iter().rev()) {
            // A layer of h blocks of n / h elements: block k holds residues modulo x^(n/h) − c^(n/h) ω_h^rev(k), whose
            // square root is c^(n/2h) · ω_2h^rev(k).
            let blocks = 1usize << layer;
            let root = root_of_unity(layer + 1);
            forward[blocks] = shift;
            let mut step = root;
            // bitrev(k) over `layer` bits, by doubling: entry k + 2^j differs from k by 2^(layer − 1 − j).
            let mut powers = Vec::new();
            for _ in 0..layer {
                powers.push(step);
                step = mul(step, step);
            }
            for (j, &power) in powers.iter().rev().enumerate() {
                let half = 1usize << j;
                for k in 0..half {
                    forward[blocks + half + k] = mul(forward[blocks + k], power);
                }
            }
        }
        let tiles = [OnceLock::new(), OnceLock::new()];
        Self { forward, tiles, backward: OnceLock::new(), inverse_size: inverse(size as u64) }
    }

    /// Coefficients in natural order become values in bit-reversed order.
    pub fn to_values(&self, level: Level, data: &mut [u64]) {
        let lanes = level.lanes();
        let tiles = self.tiles[usize::from(lanes == 4)].get_or_init(|| self.tiled(lanes));
        forward(level, data, &self.forward, tiles);
    }

    /// Values in bit-reversed order become coefficients in natural order.
    pub fn to_coefficients(&self, level: Level, data: &mut [u64]) {
        let backward_twiddles = self.backward.get_or_init(|| {
            let mut inverses = self.forward.clone();
            let size = inverses.len();
            scalar::batch_inverse(&mut inverses[1..size]);
            inverses
        });
        backward(level, data, backward_twiddles, self.inverse_size);
    }

    /// For each tile of `lanes` blocks of `lanes` elements: for each group of each of its layers, one twiddle a block.
    fn tiled(&self, lanes: usize) -> Vec<u64> {
        let blocks = self.forward.len() / lanes;
        let mut out = Vec::with_capacity(self.forward.len());
        for first in (0..blocks / lanes * lanes).step_by(lanes) {
            let mut groups = 1;
            while groups < lanes {
                for group in 0..groups {
                    out.extend((0..lanes).map(|lane| self.forward[(blocks + first + lane) * groups + group]));
                }
                groups *= 2;
            }
        }
        out
    }
}

/// The lowest `bits` bits of `index`, reversed.
#[inline(always)]
pub const fn bit_reverse(index: usize, bits: u32) -> usize {
    if bits == 0 {
        0
    } else {
        index.reverse_bits() >> (usize::BITS - bits)
    }
}

/// Permutes `data`, 2^k elements, so that element i comes to place bitrev(i).
pub fn bit_reverse_in_place<T>(data: &mut [T]) {
    let bits = data.len().trailing_zeros();
    for i in 0..data.len() {
        let j = bit_reverse(i, bits);
        if i < j {
            data.swap(i, j);
        }
    }
}

/// The x-coordinate of place `index` among the 2^`log2` points of `coset` · ⟨ω⟩ in bit-reversed order.
pub fn point(coset: u64, log2: u32, index: usize) -> u64 {
    mul(coset, pow(root_of_unity(log2), bit_reverse(index, log2) as u64))
}

/// The shift of coset `index`, in bit-reversed order, of 2^`lde_log2` that make up a domain of 2^`domain_log2` points:
/// 7 · ω^bitrev(index).
pub fn coset(domain_log2: u32, lde_log2: u32, index: usize) -> u64 {
    mul(GENERATOR, pow(root_of_unity(domain_log2), bit_reverse(index, lde_log2) as u64))
}

/// Elements per pass that stays in cache: transforms above it go layer by layer only down to blocks of this size.
const CACHED: usize = 1 << 13;

#[inline(always)]
fn forward_with<L: Lanes>(data: &mut [u64], twiddles: &[u64], tiles: &[u64]) {
    forward_block::<L>(data, twiddles, tiles);
}

/// Large layers breadth first, down to blocks that stay in the cache.
#[inline(always)]
fn forward_block<L: Lanes>(data: &mut [u64], twiddles: &[u64], tiles: &[u64]) {
    let size = data.len();
    let mut layer = 1;
    while size / layer > CACHED {
        for (k, block) in data.chunks_exact_mut(size / layer).enumerate() {
            butterflies::<L>(block, twiddles[layer + k]);
        }
        layer *= 2;
    }
    for (k, block) in data.chunks_exact_mut(size / layer).enumerate() {
        forward_cached::<L>(block, twiddles, tiles, layer, k);
    }
}

#[inline(always)]
fn butterflies<L: Lanes>(block: &mut [u64], twiddle: u64) {
    let (low, high) = block.split_at_mut(block.len() / 2);
    if low.len() < L::N {
        for (a, b) in low.iter_mut().zip(high) {
            let t = mul(*b, twiddle);
            (*a, *b) = (scalar::add(*a, t), scalar::sub(*a, t));
        }
        return;
    }
    let w = L::splat(twiddle);
    for (a, b) in low.chunks_exact_mut(L::N).zip(high.chunks_exact_mut(L::N)) {
        let (x, t) = (L::load(a), L::load(b).mul(w));
        x.add(t).store(a);
        x.sub(t).store(b);
    }
}

/// Two layers in one pass over a block.
#[inline(always)]
fn butterflies_twice<L: Lanes>(block: &mut [u64], outer: u64, inner: [u64; 2]) {
    let (outer, [even, odd]) = (L::splat(outer), inner.map(L::splat));
    let (low, high) = block.split_at_mut(block.len() / 2);
    let (a, b) = low.split_at_mut(low.len() / 2);
    let (c, d) = high.split_at_mut(high.len() / 2);
    let a = a.chunks_exact_mut(L::N).zip(b.chunks_exact_mut(L::N));
    let c = c.chunks_exact_mut(L::N).zip(d.chunks_exact_mut(L::N));
    for ((a, b), (c, d)) in a.zip(c) {
        let (tc, td) = (L::load(c).mul(outer), L::load(d).mul(outer));
        let (xa, xb) = (L::load(a), L::load(b));
        let (tb, td) = (xb.add(td).mul(even), xb.sub(td).mul(odd));
        let (xa, xc) = (xa.add(tc), xa.sub(tc));
        xa.add(tb).store(a);
        xa.sub(tb).store(b);
        xc.add(td).store(c);
        xc.sub(td).store(d);
    }
}

#[inline(always)]
fn forward_cached<L: Lanes>(data: &mut [u64], twiddles: &[u64], tiles: &[u64], blocks: usize, index: usize) {
    let size = data.len();
    let mut layer = 1;
    // Down to blocks of N elements; then N of those at a time, transposed.
    let last = if size >= L::N * L::N { L::N } else { 1 };
    while size / layer > last {
        let length = size / layer;
        let first = (blocks + index) * layer;
        if length / 4 >= last.max(L::N) {
            for (k, block) in data.chunks_exact_mut(length).enumerate() {
                let k = first + k;
                butterflies_twice::<L>(block, twiddles[k], [twiddles[2 * k], twiddles[2 * k + 1]]);
            }
            layer *= 4;
        } else {
            for (k, block) in data.chunks_exact_mut(length).enumerate() {
                butterflies::<L>(block, twiddles[first + k]);
            }
            layer *= 2;
        }
    }
    if last == 1 {
        return;
    }
    let per_tile = (L::N - 1) * L::N;
    let tiles = &tiles[index * (size / (L::N * L::N)) * per_tile..];
    for (square, tile) in data.chunks_exact_mut(L::N * L::N).zip(tiles.chunks_exact(per_tile)) {
        let mut tile = tile.chunks_exact(L::N);
        let mut rows = [L::splat(0); 8];
        for i in 0..L::N {
            rows[i] = L::load(&square[i * L::N..]);
        }
        L::transpose(&mut rows);
        // Now rows[i], lane j: element i of block j of this tile.
        let mut half = L::N / 2;
        let mut groups = 1;
        while half > 0 {
            for (group, w) in (0..groups).zip(&mut tile) {
                let w = L::load(w);
                for i in group * 2 * half..group * 2 * half + half {
                    let t = rows[i + half].mul(w);
                    let x = rows[i];
                    rows[i] = x.add(t);
                    rows[i + half] = x.sub(t);
                }
            }
            half /= 2;
            groups *= 2;
        }
        L::transpose(&mut rows);
        for i in 0..L::N {
            rows[i].store(&mut square[i * L::N..]);
        }
    }
}

#[inline(always)]
fn backward_with<L: Lanes>(data: &mut [u64], twiddles: &[u64], inverse_size: u64) {
    let size = data.len();
    let mut length = 2;
    while length <= size {
        let blocks = size / length;
        for (k, block) in data.chunks_exact_mut(length).enumerate() {
            let (low, high) = block.split_at_mut(length / 2);
            let twiddle = twiddles[blocks + k];
            if low.len() < L::N {
                for (a, b) in low.iter_mut().zip(high) {
                    (*a, *b) = (scalar::add(*a, *b), mul(scalar::sub(*a, *b), twiddle));
                }
                continue;
            }
            let w = L::splat(twiddle);
            for (a, b) in low.chunks_exact_mut(L::N).zip(high.chunks_exact_mut(L::N)) {
                let (x, y) = (L::load(a), L::load(b));
                x.add(y).store(a);
                x.sub(y).mul(w).store(b);
            }
        }
        length *= 2;
    }
    let factor = L::splat(inverse_size);
    let mut chunks = data.chunks_exact_mut(L::N);
    for chunk in &mut chunks {
        L::load(chunk).mul(factor).store(chunk);
    }
    for x in chunks.into_remainder() {
        *x = mul(*x, inverse_size);
    }
}

dispatch! {
    fn forward = forward_with where (data: &mut [u64], twiddles: &[u64], tiles: &[u64])
}
dispatch! {
    fn backward = backward_with where (data: &mut [u64], twiddles: &[u64], inverse_size: u64)
}
