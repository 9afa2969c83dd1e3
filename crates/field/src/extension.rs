//! The quadratic extension F\[x\]/(x² − 7).

use crate::{
    lanes::Lanes,
    scalar::{add, canonical, inverse, mul, sub},
};

/// x² in the extension.
const NON_RESIDUE: u64 = 7;

/// One element, c0 + c1 · x.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Ext(pub [u64; 2]);

impl Ext {
    /// 0.
    pub const ZERO: Self = Self([0, 0]);
    /// 1.
    pub const ONE: Self = Self([1, 0]);

    /// An element of the base field.
    pub const fn base(c0: u64) -> Self {
        Self([c0, 0])
    }

    /// a + b.
    #[inline(always)]
    pub fn add(self, b: Self) -> Self {
        Self([add(self.0[0], b.0[0]), add(self.0[1], b.0[1])])
    }

    /// a − b.
    #[inline(always)]
    pub fn sub(self, b: Self) -> Self {
        Self([sub(self.0[0], b.0[0]), sub(self.0[1], b.0[1])])
    }

    /// a · b.
    #[inline(always)]
    pub fn mul(self, b: Self) -> Self {
        let ([a0, a1], [b0, b1]) = (self.0, b.0);
        let c0 = add(mul(a0, b0), mul(mul(a1, b1), NON_RESIDUE));
        let c1 = add(mul(a0, b1), mul(a1, b0));
        Self([c0, c1])
    }

    /// a · b, b of the base field.
    #[inline(always)]
    pub fn scale(self, b: u64) -> Self {
        Self([mul(self.0[0], b), mul(self.0[1], b)])
    }

    /// 1 / a, and 0 for 0.
    pub fn inverse(self) -> Self {
        let [a0, a1] = self.0;
        let norm = sub(mul(a0, a0), mul(mul(a1, a1), NON_RESIDUE));
        let inverse = inverse(norm);
        Self([mul(a0, inverse), mul(sub(0, a1), inverse)])
    }

    /// `self` to `exponent`.
    pub fn pow(self, exponent: u64) -> Self {
        let (mut result, mut square, mut left) = (Self::ONE, self, exponent);
        while left > 0 {
            if left & 1 == 1 {
                result = result.mul(square);
            }
            square = square.mul(square);
            left >>= 1;
        }
        result
    }

    /// 1, a, a², …: `count` powers.
    pub fn powers(self, count: usize) -> Vec<Self> {
        let mut next = Self::ONE;
        (0..count)
            .map(|_| {
                let this = next;
                next = next.mul(self);
                this
            })
            .collect()
    }

    /// Both coefficients below p.
    pub fn canonical(self) -> Self {
        Self(self.0.map(canonical))
    }
}

/// Lanes of extension elements.
#[derive(Clone, Copy, Debug)]
pub struct ExtLanes<L>(pub L, pub L);

impl<L: Lanes> ExtLanes<L> {
    /// All lanes `x`.
    #[inline(always)]
    pub fn splat(x: Ext) -> Self {
        Self(L::splat(x.0[0]), L::splat(x.0[1]))
    }

    /// a + b.
    #[inline(always)]
    pub fn add(self, b: Self) -> Self {
        Self(self.0.add(b.0), self.1.add(b.1))
    }

    /// a − b.
    #[inline(always)]
    pub fn sub(self, b: Self) -> Self {
        Self(self.0.sub(b.0), self.1.sub(b.1))
    }

    /// a · b.
    #[inline(always)]
    pub fn mul(self, b: Self) -> Self {
        // 7 x = 8 x − x.
        let high = self.1.mul(b.1);
        let c0 = self.0.mul(b.0).add(high.shl::<3>().sub(high));
        // Karatsuba would trade one product for four sums: no gain at these costs.
        let c1 = self.0.mul(b.1).add(self.1.mul(b.0));
        Self(c0, c1)
    }

    /// a · b, b of the base field.
    #[inline(always)]
    pub fn scale(self, b: L) -> Self {
        Self(self.0.mul(b), self.1.mul(b))
    }

    /// a + b · c, b of the base field.
    #[inline(always)]
    pub fn add_scaled(self, b: L, c: Self) -> Self {
        Self(self.0.add(b.mul(c.0)), self.1.add(b.mul(c.1)))
    }
}
