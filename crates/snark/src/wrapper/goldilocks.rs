//! Goldilocks and its extension F\[x\]/(x² − 7) in BN254's scalar field, reduced as late as possible.
//!
//! An [`Element`] is an integer below 2^bits, of which only the residue modulo p = 2^64 − 2^32 + 1 counts. Sums and products
//! of integers stay below BN254's order (2^253 and more), so that they hold as integers, until a reduction x = q·p + r with
//! range-checked q and r takes their place. r is below 2^64, and need not be below p: what is compared is compared modulo p,
//! and [`Builder::enforce_canonical`] is for where the integer itself matters.

use bellman::{bn256::Bn256, plonk::better_better_cs::cs::ConstraintSystem, SynthesisError};
use ingot_circuit_set::field::F;

use super::builder::{fr, from_limbs, limbs, negated, power_of_two, Builder, Number, Sum, Value, Wire};

type Result<T> = std::result::Result<T, SynthesisError>;

/// No integer may reach 2^this: a quotient's range is rounded up to 16 bits, and quotient times p must stay below the order.
const MAX_BITS: u32 = 238;
/// What grows beyond this by sums alone is reduced.
const REDUCE_ABOVE: u32 = 168;
/// Where a sum of variables becomes a variable.
const MAX_TERMS: usize = 9;
/// Factors of products beside the two elements are below 2^this.
const SMALL_FACTOR_BITS: u32 = 3;
/// The extension is by the square root of this.
const NON_RESIDUE: u64 = 7;

/// An integer that stands for an element.
#[derive(Clone, Debug)]
pub(super) struct Element {
    sum: Sum,
    bits: u32,
}

impl Element {
    pub fn constant(value: u64) -> Self {
        Self { sum: Sum::constant(fr(value)), bits: 64 - value.leading_zeros() }
    }

    /// A variable known to be below 2^`bits`.
    pub fn ranged(wire: Wire, bits: u32) -> Self {
        Self { sum: wire.into(), bits }
    }

    /// A sum known to be below 2^`bits`.
    pub fn bounded(sum: Sum, bits: u32) -> Self {
        Self { sum, bits }
    }

    pub fn sum(&self) -> &Sum {
        &self.sum
    }

    pub fn is_zero(&self) -> bool {
        self.sum.as_constant().is_some_and(|value| limbs(value) == [0; 4])
    }

    fn as_constant(&self) -> Option<u64> {
        let [low, rest @ ..] = limbs(self.sum.as_constant()?);
        (rest == [0; 3]).then_some(low)
    }

    fn plus(&self, other: &Self) -> Self {
        if other.is_zero() {
            return self.clone();
        }
        if self.is_zero() {
            return other.clone();
        }
        Self { sum: self.sum.clone().plus(&other.sum), bits: self.bits.max(other.bits) + 1 }
    }

    fn scaled(&self, factor: u64) -> Self {
        let bits = if factor == 0 { 0 } else { self.bits + 64 - (factor - 1).leading_zeros() };
        Self { sum: self.sum.clone().scaled(fr(factor)), bits }
    }

    /// The negative: a multiple of p that is not less, minus this.
    fn negated(&self) -> Self {
        if self.is_zero() {
            return self.clone();
        }
        // p ≥ 2^63: p · 2^(bits − 63) ≥ 2^bits, and p below 2^64.
        let shift = self.bits.saturating_sub(63);
        let mut multiple = fr(F::ORDER);
        bellman::Field::mul_assign(&mut multiple, &power_of_two(shift));
        let mut sum = self.sum.clone().scaled(negated(fr(1)));
        sum.add_constant(multiple);
        Self { sum, bits: 64 + shift }
    }
}

/// An element of the extension.
#[derive(Clone, Debug)]
pub(super) struct Ext(pub [Element; 2]);

impl Ext {
    pub fn zero() -> Self {
        Self([Element::constant(0), Element::constant(0)])
    }

    pub fn one() -> Self {
        Self::base(Element::constant(1))
    }

    pub fn base(element: Element) -> Self {
        Self([element, Element::constant(0)])
    }
}

/// A product to sum up, with a small factor.
type Product<'p> = (u64, &'p Element, &'p Element);

fn bits_of(count: usize) -> u32 {
    usize::BITS - count.leading_zeros()
}

/// x = q·p + r for the value x, with q up to 2^192.
fn divided(value: Value) -> (Value, Value) {
    let Some(value) = value else { return (None, None) };
    let mut quotient = [0; 4];
    let mut rest: u128 = 0;
    for (limb, quotient) in limbs(value).iter().zip(&mut quotient).rev() {
        let dividend = rest << 64 | u128::from(*limb);
        // The rest is below p: the quotient fits a limb.
        *quotient = (dividend / u128::from(F::ORDER)) as u64;
        rest = dividend % u128::from(F::ORDER);
    }
    (Some(from_limbs(quotient)), Some(fr(rest as u64)))
}

/// The value of Σ coefficient · left · right + sum.
fn value_of(products: &[(bellman::bn256::Fr, Wire, Wire)], sum: &Sum) -> Value {
    use bellman::Field as _;
    let mut total = sum.value()?;
    for (coefficient, left, right) in products {
        let mut term = *coefficient;
        term.mul_assign(&left.value?);
        term.mul_assign(&right.value?);
        total.add_assign(&term);
    }
    Some(total)
}

impl<CS: ConstraintSystem<Bn256>> Builder<'_, CS> {
    /// A number below 2^64 from outside.
    pub fn allocate_word(&mut self, value: Option<u64>) -> Result<Element> {
        let wire = self.allocate(value.map(fr))?;
        self.enforce_range(wire, 64)?;
        Ok(Element::ranged(wire, 64))
    }

    /// The same element in one variable, unreduced.
    fn in_one(&mut self, x: &Element) -> Result<Element> {
        Ok(match self.number(&x.sum)? {
            Number::Constant(value) => Element { sum: Sum::constant(value), bits: x.bits },
            Number::Wire(wire) => Element { sum: wire.into(), bits: x.bits },
        })
    }

    /// Two elements as factors of one of `count` products: short enough that the sum of all stays below 2^[`MAX_BITS`].
    fn as_factors(&mut self, a: &Element, b: &Element, count: usize) -> Result<(Element, Element)> {
        let (mut a, mut b) = (a.clone(), b.clone());
        while a.bits + b.bits + SMALL_FACTOR_BITS + bits_of(count) > MAX_BITS - 1 {
            let longer = if a.bits >= b.bits { &mut a } else { &mut b };
            *longer = self.reduced(longer)?;
        }
        Ok((a, b))
    }

    /// The same element below 2^64, in one variable.
    pub fn reduced(&mut self, x: &Element) -> Result<Element> {
        match x.bits <= 64 {
            true => self.in_one(x),
            false => self.sum_of_products(&[], x),
        }
    }

    /// Products whose factors are variables, the linear rest, and the bits of both together.
    #[allow(clippy::type_complexity)]
    fn linearized(
        &mut self,
        products: &[Product<'_>],
        plus: &Element,
    ) -> Result<(Vec<(bellman::bn256::Fr, Wire, Wire)>, Sum, u32)> {
        let mut rows = Vec::with_capacity(products.len());
        let (mut sum, mut bits) = (plus.sum.clone(), plus.bits);
        for (factor, left, right) in products {
            if left.is_zero() || right.is_zero() {
                continue;
            }
            let (left, right) = self.as_factors(left, right, products.len())?;
            bits = bits.max(left.bits + right.bits + 64 - factor.leading_zeros());
            match (left.as_constant(), right.as_constant()) {
                (Some(constant), _) => {
                    sum.add(&right.sum.scaled(fr(constant)).scaled(fr(*factor)));
                }
                (_, Some(constant)) => {
                    sum.add(&left.sum.scaled(fr(constant)).scaled(fr(*factor)));
                }
                _ => {
                    let (left, right) = (self.wire(&left.sum)?, self.wire(&right.sum)?);
                    rows.push((fr(*factor), left, right));
                }
            }
        }
        let bits = bits + bits_of(products.len());
        match bits > MAX_BITS {
            true => Err(SynthesisError::Unsatisfiable),
            false => Ok((rows, sum, bits)),
        }
    }

    /// Σ factor · left · right + `plus`, below 2^64.
    pub fn sum_of_products(&mut self, products: &[Product<'_>], plus: &Element) -> Result<Element> {
        let (rows, mut sum, bits) = self.linearized(products, plus)?;
        if rows.is_empty() {
            if let Some(value) = sum.as_constant() {
                let (_, rest) = divided(Some(value));
                let [low, ..] = limbs(rest.unwrap_or(value));
                return Ok(Element::constant(low));
            }
        }
        let (quotient, rest) = divided(value_of(&rows, &sum));
        let (quotient, rest) = (self.allocate(quotient)?, self.allocate(rest)?);
        sum.add_wire(negated(fr(F::ORDER)), quotient);
        sum.add_wire(negated(fr(1)), rest);
        self.enforce_zero(&rows, &sum)?;
        self.enforce_range(rest, 64)?;
        self.enforce_range(quotient, quotient_bits(bits))?;
        Ok(Element::ranged(rest, 64))
    }

    /// Σ factor · left · right + `plus` = 0 modulo p.
    pub fn enforce_sum_zero(&mut self, products: &[Product<'_>], plus: &Element) -> Result<()> {
        let (rows, mut sum, bits) = self.linearized(products, plus)?;
        let (quotient, _) = divided(value_of(&rows, &sum));
        let quotient = self.allocate(quotient)?;
        sum.add_wire(negated(fr(F::ORDER)), quotient);
        self.enforce_zero(&rows, &sum)?;
        self.enforce_range(quotient, quotient_bits(bits))
    }

    /// a = b modulo p.
    pub fn enforce_same(&mut self, a: &Ext, b: &Ext) -> Result<()> {
        for (a, b) in a.0.iter().zip(&b.0) {
            let difference = a.plus(&b.negated());
            self.enforce_sum_zero(&[], &difference)?;
        }
        Ok(())
    }

    /// The one integer below p that stands for the element of `word`, a variable below 2^64.
    pub fn canonical(&mut self, word: Wire) -> Result<Wire> {
        let low = word.value.map(|value| limbs(value)[0]);
        let over = self.allocate_bit(low.map(|low| low >= F::ORDER))?;
        let mut sum = Sum::from(word);
        sum.add_wire(negated(fr(F::ORDER)), over);
        let reduced = self.new_wire(&sum)?;
        self.enforce_canonical(reduced)?;
        Ok(reduced)
    }

    /// `word` is below p, given that it is below 2^253.
    pub fn enforce_canonical(&mut self, word: Wire) -> Result<()> {
        self.enforce_range(word, 64)?;
        // p + 2^32 − 1 = 2^64.
        let mut shifted = Sum::from(word);
        shifted.add_constant(fr(0xffff_ffff));
        let shifted = self.new_wire(&shifted)?;
        self.enforce_range(shifted, 64)
    }

    /// a + b, not reduced unless it grew long.
    pub fn add(&mut self, a: &Element, b: &Element) -> Result<Element> {
        let sum = a.plus(b);
        self.tidied(sum)
    }

    pub fn sub(&mut self, a: &Element, b: &Element) -> Result<Element> {
        let sum = a.plus(&b.negated());
        self.tidied(sum)
    }

    /// `factor` · a, not reduced unless it grew long.
    pub fn scale(&mut self, factor: u64, a: &Element) -> Result<Element> {
        let short = if a.bits > REDUCE_ABOVE - 64 { &self.reduced(a)? } else { a };
        self.tidied(short.scaled(factor))
    }

    fn tidied(&mut self, x: Element) -> Result<Element> {
        if x.bits > REDUCE_ABOVE {
            return self.reduced(&x);
        }
        match x.sum.len() > MAX_TERMS {
            true => self.in_one(&x),
            false => Ok(x),
        }
    }

    pub fn ext_add(&mut self, a: &Ext, b: &Ext) -> Result<Ext> {
        Ok(Ext([self.add(&a.0[0], &b.0[0])?, self.add(&a.0[1], &b.0[1])?]))
    }

    pub fn ext_sub(&mut self, a: &Ext, b: &Ext) -> Result<Ext> {
        Ok(Ext([self.sub(&a.0[0], &b.0[0])?, self.sub(&a.0[1], &b.0[1])?]))
    }

    pub fn ext_scale(&mut self, factor: u64, a: &Ext) -> Result<Ext> {
        Ok(Ext([self.scale(factor, &a.0[0])?, self.scale(factor, &a.0[1])?]))
    }

    pub fn ext_reduced(&mut self, a: &Ext) -> Result<Ext> {
        Ok(Ext([self.reduced(&a.0[0])?, self.reduced(&a.0[1])?]))
    }

    /// Variables of their own for both halves, so that products with them are short.
    pub fn ext_in_ones(&mut self, a: &Ext) -> Result<Ext> {
        Ok(Ext([self.in_one(&a.0[0])?, self.in_one(&a.0[1])?]))
    }

    /// a · b + c, reduced.
    pub fn ext_mul_add(&mut self, a: &Ext, b: &Ext, c: &Ext) -> Result<Ext> {
        self.ext_sum_of_products(&[(a, b)], c)
    }

    pub fn ext_mul(&mut self, a: &Ext, b: &Ext) -> Result<Ext> {
        self.ext_mul_add(a, b, &Ext::zero())
    }

    /// a · b with b of the base field, reduced.
    pub fn ext_mul_base(&mut self, a: &Ext, b: &Element) -> Result<Ext> {
        let zero = Element::constant(0);
        Ok(Ext([
            self.sum_of_products(&[(1, &a.0[0], b)], &zero)?,
            self.sum_of_products(&[(1, &a.0[1], b)], &zero)?,
        ]))
    }

    /// Σ a · b + c, reduced once.
    pub fn ext_sum_of_products(&mut self, products: &[(&Ext, &Ext)], c: &Ext) -> Result<Ext> {
        let mut c0 = Vec::with_capacity(2 * products.len());
        let mut c1 = Vec::with_capacity(2 * products.len());
        let mut factors = Vec::with_capacity(products.len());
        for (a, b) in products {
            factors.push(self.ext_as_factors(a, b, 2 * products.len())?);
        }
        for (a, b) in &factors {
            c0.push((1, &a.0[0], &b.0[0]));
            c0.push((NON_RESIDUE, &a.0[1], &b.0[1]));
            c1.push((1, &a.0[0], &b.0[1]));
            c1.push((1, &a.0[1], &b.0[0]));
        }
        Ok(Ext([self.sum_of_products(&c0, &c.0[0])?, self.sum_of_products(&c1, &c.0[1])?]))
    }

    /// [`Self::as_factors`], in variables of their own: each half is in two products.
    fn ext_as_factors(&mut self, a: &Ext, b: &Ext, count: usize) -> Result<(Ext, Ext)> {
        let (mut a, mut b) = (self.ext_in_ones(a)?, self.ext_in_ones(b)?);
        let longest = |x: &Ext| x.0[0].bits.max(x.0[1].bits);
        while longest(&a) + longest(&b) + SMALL_FACTOR_BITS + bits_of(count) > MAX_BITS - 1 {
            let longer = if longest(&a) >= longest(&b) { &mut a } else { &mut b };
            *longer = self.ext_reduced(longer)?;
        }
        Ok((a, b))
    }

    /// a / b: what times b gives a. b must not be zero, or anything may come out.
    pub fn ext_div(&mut self, a: &Ext, b: &Ext) -> Result<Ext> {
        let (a, b) = (self.ext_reduced(a)?, self.ext_reduced(b)?);
        let value = |element: &Element| divided(element.sum.value()).1.map(|rest| limbs(rest)[0]);
        let quotient = match (value(&a.0[0]), value(&a.0[1]), value(&b.0[0]), value(&b.0[1])) {
            (Some(a0), Some(a1), Some(b0), Some(b1)) => {
                let quotient = native_div([a0, a1], [b0, b1]);
                [Some(quotient[0]), Some(quotient[1])]
            }
            _ => [None, None],
        };
        let quotient = Ext([self.allocate_word(quotient[0])?, self.allocate_word(quotient[1])?]);
        let [q0, q1] = &quotient.0;
        let [b0, b1] = &b.0;
        let [a0, a1] = [a.0[0].negated(), a.0[1].negated()];
        self.enforce_sum_zero(&[(1, q0, b0), (NON_RESIDUE, q1, b1)], &a0)?;
        self.enforce_sum_zero(&[(1, q0, b1), (1, q1, b0)], &a1)?;
        Ok(quotient)
    }

    /// 1 / x in the base field; x must not be zero.
    pub fn inverse(&mut self, x: &Element) -> Result<Element> {
        let value = divided(x.sum.value()).1.map(|rest| native_div([1, 0], [limbs(rest)[0], 0])[0]);
        let inverse = self.allocate_word(value)?;
        let minus_one = Element::constant(F::ORDER - 1);
        self.enforce_sum_zero(&[(1, &inverse, x)], &minus_one)?;
        Ok(inverse)
    }
}

/// Bits of the quotient of an integer below 2^`bits` by p, in whole entries of the range table.
fn quotient_bits(bits: u32) -> u32 {
    // p > 2^63.
    (bits.saturating_sub(63).max(1)).next_multiple_of(16)
}

/// a / b natively; 0 if b is.
fn native_div(a: [u64; 2], b: [u64; 2]) -> [u64; 2] {
    let element = |[c0, c1]: [u64; 2]| ingot_field::Ext([c0, c1]);
    if b == [0; 2] {
        return [0; 2];
    }
    element(a).mul(element(b).inverse()).canonical().0
}
