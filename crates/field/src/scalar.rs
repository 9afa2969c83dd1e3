//! One element at a time.

/// The prime, 2^64 − 2^32 + 1.
pub const P: u64 = 0xffff_ffff_0000_0001;
/// 2^32 − 1, which is 2^64 modulo [`P`].
pub const EPSILON: u64 = 0xffff_ffff;
/// Generator of the multiplicative group; also the coset that low-degree extensions live on.
pub const GENERATOR: u64 = 7;
/// p − 1 is divisible by 2 to this power.
pub const TWO_ADICITY: u32 = 32;
/// A primitive root of unity of order 2^[`TWO_ADICITY`]: [`GENERATOR`] to (p − 1) / 2^32.
const MAX_ROOT: u64 = pow_const(GENERATOR, EPSILON);

/// The representative of `x` below [`P`].
#[inline(always)]
pub const fn canonical(x: u64) -> u64 {
    if x >= P {
        x - P
    } else {
        x
    }
}

/// a + b.
#[inline(always)]
pub const fn add(a: u64, b: u64) -> u64 {
    let (sum, over) = a.overflowing_add(b);
    let (sum, over) = sum.overflowing_add(if over { EPSILON } else { 0 });
    // Twice only if both were above p; the second correction cannot overflow.
    if over {
        sum + EPSILON
    } else {
        sum
    }
}

/// a − b.
#[inline(always)]
pub const fn sub(a: u64, b: u64) -> u64 {
    let (difference, under) = a.overflowing_sub(b);
    let (difference, under) = difference.overflowing_sub(if under { EPSILON } else { 0 });
    if under {
        difference - EPSILON
    } else {
        difference
    }
}

/// −a.
#[inline(always)]
pub const fn neg(a: u64) -> u64 {
    sub(0, a)
}

/// a · b.
#[inline(always)]
pub const fn mul(a: u64, b: u64) -> u64 {
    reduce(a as u128 * b as u128)
}

/// x modulo p, using 2^64 = 2^32 − 1 and 2^96 = −1.
#[inline(always)]
const fn reduce(x: u128) -> u64 {
    let low = x as u64;
    let high = (x >> 64) as u64;
    let (mut t, under) = low.overflowing_sub(high >> 32);
    if under {
        t = t.wrapping_sub(EPSILON);
    }
    let (sum, over) = t.overflowing_add((high & EPSILON) * EPSILON);
    sum.wrapping_add(if over { EPSILON } else { 0 })
}

const fn pow_const(base: u64, exponent: u64) -> u64 {
    let (mut result, mut square, mut left) = (1, base, exponent);
    while left > 0 {
        if left & 1 == 1 {
            result = mul(result, square);
        }
        square = mul(square, square);
        left >>= 1;
    }
    result
}

/// `base` to `exponent`.
pub const fn pow(base: u64, exponent: u64) -> u64 {
    pow_const(base, exponent)
}

/// 1 / a, and 0 for 0.
pub fn inverse(a: u64) -> u64 {
    pow(a, P - 2)
}

/// A primitive root of unity of order 2^`log2`, at most [`TWO_ADICITY`].
///
/// # Panics
/// If `log2` is larger than that.
pub fn root_of_unity(log2: u32) -> u64 {
    assert!(log2 <= TWO_ADICITY, "no root of unity of order 2^{log2}");
    let mut root = MAX_ROOT;
    for _ in log2..TWO_ADICITY {
        root = mul(root, root);
    }
    canonical(root)
}

/// Replaces each of `values` by its inverse, with one inversion. None may be zero.
pub fn batch_inverse(values: &mut [u64]) {
    let mut prefix = Vec::with_capacity(values.len());
    let mut product = 1;
    for &value in values.iter() {
        prefix.push(product);
        product = mul(product, value);
    }
    let mut inverse = inverse(product);
    for (value, before) in values.iter_mut().zip(prefix).rev() {
        let this = mul(inverse, before);
        inverse = mul(inverse, *value);
        *value = this;
    }
}
