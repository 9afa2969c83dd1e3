//! Several elements at a time: [`Lanes`], one lane ([`Scalar`]) and SIMD ([`Wide`]).

use std::fmt::Debug;
use std::simd::{
    cmp::{SimdOrd, SimdPartialOrd},
    Select, Simd,
};

use crate::scalar::{self, EPSILON, P};

/// Some number of field elements that are computed with together. Elements need not be canonical.
pub trait Lanes: Copy + Debug + Send + Sync + 'static {
    /// How many.
    const N: usize;
    /// The first [`Self::N`] of `from`.
    fn load(from: &[u64]) -> Self;
    /// Writes to the first [`Self::N`] of `to`.
    fn store(self, to: &mut [u64]);
    /// All lanes `x`.
    fn splat(x: u64) -> Self;
    /// a + b.
    fn add(self, b: Self) -> Self;
    /// a + b for canonical b.
    fn add_canonical(self, b: Self) -> Self;
    /// a − b.
    fn sub(self, b: Self) -> Self;
    /// a · b.
    fn mul(self, b: Self) -> Self;
    /// a · 2^`K`, 0 < K < 32.
    fn shl<const K: u32>(self) -> Self;
    /// Representatives below p.
    fn canonical(self) -> Self;
    /// low + 2^32 · high, both below 2^48.
    fn from_halves(low: Self, high: Self) -> Self;
    /// Low and high 32 bits.
    fn halves(self) -> (Self, Self);
    /// Integer sum of what [`Self::halves`] gave: no reduction.
    fn raw_add(self, b: Self) -> Self;
    /// Integer shift of what [`Self::halves`] gave.
    fn raw_shl<const K: u32>(self) -> Self;

    /// a².
    #[inline(always)]
    fn square(self) -> Self {
        self.mul(self)
    }

    /// Transposes N × N elements, `block[i]` being row i.
    fn transpose(block: &mut [Self]);
}

/// One lane.
#[derive(Clone, Copy, Debug)]
pub struct Scalar(pub u64);

impl Lanes for Scalar {
    const N: usize = 1;

    #[inline(always)]
    fn load(from: &[u64]) -> Self {
        Self(from[0])
    }

    #[inline(always)]
    fn store(self, to: &mut [u64]) {
        to[0] = self.0;
    }

    #[inline(always)]
    fn splat(x: u64) -> Self {
        Self(x)
    }

    #[inline(always)]
    fn add(self, b: Self) -> Self {
        Self(scalar::add(self.0, b.0))
    }

    #[inline(always)]
    fn add_canonical(self, b: Self) -> Self {
        let (sum, over) = self.0.overflowing_add(b.0);
        Self(sum.wrapping_add(if over { EPSILON } else { 0 }))
    }

    #[inline(always)]
    fn sub(self, b: Self) -> Self {
        Self(scalar::sub(self.0, b.0))
    }

    #[inline(always)]
    fn mul(self, b: Self) -> Self {
        Self(scalar::mul(self.0, b.0))
    }

    #[inline(always)]
    fn shl<const K: u32>(self) -> Self {
        // high < 2^K, so high · (2^32 − 1) fits.
        let (low, high) = (self.0 << K, self.0 >> (64 - K));
        let (sum, over) = low.overflowing_add((high << 32) - high);
        Self(sum.wrapping_add(if over { EPSILON } else { 0 }))
    }

    #[inline(always)]
    fn canonical(self) -> Self {
        Self(scalar::canonical(self.0))
    }

    #[inline(always)]
    fn from_halves(low: Self, high: Self) -> Self {
        let carry = high.0 >> 32;
        // low + carry · (2^32 − 1) < 2^49: no overflow.
        let small = low.0 + (carry << 32) - carry;
        let (sum, over) = (high.0 << 32).overflowing_add(small);
        Self(sum.wrapping_add(if over { EPSILON } else { 0 }))
    }

    #[inline(always)]
    fn halves(self) -> (Self, Self) {
        (Self(self.0 & EPSILON), Self(self.0 >> 32))
    }

    #[inline(always)]
    fn raw_add(self, b: Self) -> Self {
        Self(self.0 + b.0)
    }

    #[inline(always)]
    fn raw_shl<const K: u32>(self) -> Self {
        Self(self.0 << K)
    }

    #[inline(always)]
    fn transpose(_: &mut [Self]) {}
}

/// `N` lanes of SIMD.
#[derive(Clone, Copy, Debug)]
pub struct Wide<const N: usize>(Simd<u64, N>);

impl<const N: usize> Wide<N> {
    #[inline(always)]
    fn c(x: u64) -> Simd<u64, N> {
        Simd::splat(x)
    }

    /// low + 2^64 · high, with 2^64 = 2^32 − 1 and 2^96 = −1.
    #[inline(always)]
    fn reduce(low: Simd<u64, N>, high: Simd<u64, N>) -> Self {
        let high_high = high >> Self::c(32);
        let difference = low - high_high;
        let t = low.simd_lt(high_high).select(difference + Self::c(P), difference);
        let product = (high & Self::c(EPSILON)) * Self::c(EPSILON);
        Self(Self::carry(t + product, product))
    }

    /// x + 2^64 where `sum` overflowed from `x`.
    #[inline(always)]
    fn carry(sum: Simd<u64, N>, x: Simd<u64, N>) -> Simd<u64, N> {
        // On overflow the sum is below either operand. Subtracting p adds 2^32 − 1 modulo 2^64.
        sum.simd_lt(x).select(sum - Self::c(P), sum)
    }
}

impl<const N: usize> Lanes for Wide<N> {
    const N: usize = N;

    #[inline(always)]
    fn load(from: &[u64]) -> Self {
        Self(Simd::from_slice(from))
    }

    #[inline(always)]
    fn store(self, to: &mut [u64]) {
        self.0.copy_to_slice(to);
    }

    #[inline(always)]
    fn splat(x: u64) -> Self {
        Self(Simd::splat(x))
    }

    #[inline(always)]
    fn add(self, b: Self) -> Self {
        self.add_canonical(b.canonical())
    }

    #[inline(always)]
    fn add_canonical(self, b: Self) -> Self {
        Self(Self::carry(self.0 + b.0, b.0))
    }

    #[inline(always)]
    fn sub(self, b: Self) -> Self {
        let b = b.canonical().0;
        let difference = self.0 - b;
        Self(self.0.simd_lt(b).select(difference + Self::c(P), difference))
    }

    #[inline(always)]
    fn mul(self, b: Self) -> Self {
        let mask = Self::c(EPSILON);
        let (x0, x1) = (self.0 & mask, self.0 >> Self::c(32));
        let (y0, y1) = (b.0 & mask, b.0 >> Self::c(32));
        let (ll, lh, hl, hh) = (x0 * y0, x0 * y1, x1 * y0, x1 * y1);
        // Neither of these sums of 32 × 32 products and 32-bit halves overflows.
        let middle = hl + (ll >> Self::c(32));
        let carry = lh + (middle & mask);
        let high = hh + (middle >> Self::c(32)) + (carry >> Self::c(32));
        let low = (carry << Self::c(32)) | (ll & mask);
        Self::reduce(low, high)
    }

    #[inline(always)]
    fn square(self) -> Self {
        let mask = Self::c(EPSILON);
        let (x0, x1) = (self.0 & mask, self.0 >> Self::c(32));
        let (ll, lh, hh) = (x0 * x0, x0 * x1, x1 * x1);
        // x0² + 2^33 x0 x1 + 2^64 x1²
        let low = ll + (lh << Self::c(33));
        let high = hh + (lh >> Self::c(31));
        let high = low.simd_lt(ll).select(high + Self::c(1), high);
        Self::reduce(low, high)
    }

    #[inline(always)]
    fn shl<const K: u32>(self) -> Self {
        let low = self.0 << Self::c(u64::from(K));
        let high = self.0 >> Self::c(u64::from(64 - K));
        let product = (high << Self::c(32)) - high;
        let sum = low + product;
        Self(Self::carry(sum, product))
    }

    #[inline(always)]
    fn canonical(self) -> Self {
        Self(self.0.simd_min(self.0 - Self::c(P)))
    }

    #[inline(always)]
    fn from_halves(low: Self, high: Self) -> Self {
        let carry = high.0 >> Self::c(32);
        let small = low.0 + (carry << Self::c(32)) - carry;
        let sum = (high.0 << Self::c(32)) + small;
        Self(Self::carry(sum, small))
    }

    #[inline(always)]
    fn halves(self) -> (Self, Self) {
        (Self(self.0 & Self::c(EPSILON)), Self(self.0 >> Self::c(32)))
    }

    #[inline(always)]
    fn raw_add(self, b: Self) -> Self {
        Self(self.0 + b.0)
    }

    #[inline(always)]
    fn raw_shl<const K: u32>(self) -> Self {
        Self(self.0 << Self::c(u64::from(K)))
    }

    #[inline(always)]
    fn transpose(block: &mut [Self]) {
        // log2(N) perfect shuffles of the whole block.
        let mut steps = N;
        while steps > 1 {
            let mut out = [Self(Simd::splat(0)); N];
            for i in 0..N / 2 {
                let (a, b) = block[i].0.interleave(block[i + N / 2].0);
                out[2 * i] = Self(a);
                out[2 * i + 1] = Self(b);
            }
            block[..N].copy_from_slice(&out);
            steps /= 2;
        }
    }
}
