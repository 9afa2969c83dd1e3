//! Rows of the wrapper circuit: numbers of BN254's scalar field, sums of them, range checks.
//!
//! A row has four wires a, b, c, d and the main gate q_a·a + q_b·b + q_c·c + q_d·d + q_ab·a·b + q_ac·a·c + q_1 + q_next·d' = 0,
//! where d' is d of the row after it. Long sums are carried from row to row in d. Nothing here panics on a value that does
//! not fit: the constraints are not satisfied then.

use std::sync::Arc;

use bellman::{
    bn256::{Bn256, Fr},
    plonk::better_better_cs::{
        cs::{ConstraintSystem, LookupTableApplication, PolyIdentifier, Variable},
        lookup_tables::RangeCheckTableOverOneColumnOfWidth3,
    },
    Field as _, PrimeField as _, SynthesisError,
};
use franklin_crypto::plonk::circuit::custom_rescue_gate::Rescue5CustomGate;

/// Bits of one entry of the range table.
const CHUNK_BITS: u32 = 16;
const RANGE_TABLE: &str = "numbers of 16 bits";

/// Coefficients of a row, by place.
const A: usize = 0;
const C: usize = 2;
const D: usize = 3;
const AB: usize = 4;
const AC: usize = 5;
const ONE: usize = 6;
const D_NEXT: usize = 7;
const COEFFICIENTS: usize = 8;

/// x as an element of BN254's field.
pub(super) fn fr(x: u64) -> Fr {
    // Always: 64 bits are far below the order.
    Fr::from_repr(x.into()).unwrap_or_else(|_| Fr::zero())
}

/// 2^`bits`.
pub(super) fn power_of_two(bits: u32) -> Fr {
    let mut power = Fr::one();
    for _ in 0..bits {
        power.double();
    }
    power
}

pub(super) fn negated(mut x: Fr) -> Fr {
    x.negate();
    x
}

fn product(mut a: Fr, b: Fr) -> Fr {
    a.mul_assign(&b);
    a
}

/// A value that a cell can hold; none while a key is made.
pub(super) type Value = Option<Fr>;

/// A variable and its value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wire {
    variable: Variable,
    /// None while a key is made.
    pub value: Value,
}

/// A number that is known when the circuit is made, or a variable.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Constant(Fr),
    Wire(Wire),
}

/// Coefficients times variables, and a constant.
#[derive(Clone, Debug, Default)]
pub(super) struct Sum {
    terms: Vec<(Fr, Wire)>,
    constant: Option<Fr>,
}

impl Sum {
    pub fn zero() -> Self {
        Self::default()
    }

    pub fn constant(value: Fr) -> Self {
        Self { terms: Vec::new(), constant: Some(value) }
    }

    /// Variables in it.
    pub fn len(&self) -> usize {
        self.terms.len()
    }

    /// Its value if it has no variables.
    pub fn as_constant(&self) -> Option<Fr> {
        self.terms.is_empty().then(|| self.constant.unwrap_or_else(Fr::zero))
    }

    pub fn value(&self) -> Value {
        let mut sum = self.constant.unwrap_or_else(Fr::zero);
        for (coefficient, wire) in &self.terms {
            sum.add_assign(&product(*coefficient, wire.value?));
        }
        Some(sum)
    }

    pub fn add_constant(&mut self, value: Fr) {
        self.constant.get_or_insert_with(Fr::zero).add_assign(&value);
    }

    pub fn add_wire(&mut self, coefficient: Fr, wire: Wire) {
        match self.terms.iter_mut().find(|(_, known)| known.variable == wire.variable) {
            Some((sum, _)) => sum.add_assign(&coefficient),
            None => self.terms.push((coefficient, wire)),
        }
    }

    pub fn add_scaled(&mut self, coefficient: Fr, other: &Self) {
        for (own, wire) in &other.terms {
            self.add_wire(product(coefficient, *own), *wire);
        }
        if let Some(constant) = other.constant {
            self.add_constant(product(coefficient, constant));
        }
    }

    pub fn add(&mut self, other: &Self) {
        self.add_scaled(Fr::one(), other);
    }

    pub fn plus(mut self, other: &Self) -> Self {
        self.add(other);
        self
    }

    pub fn scaled(mut self, factor: Fr) -> Self {
        for (coefficient, _) in &mut self.terms {
            coefficient.mul_assign(&factor);
        }
        if let Some(constant) = &mut self.constant {
            constant.mul_assign(&factor);
        }
        self
    }
}

impl From<Wire> for Sum {
    fn from(wire: Wire) -> Self {
        Self { terms: vec![(Fr::one(), wire)], constant: None }
    }
}

impl From<Number> for Sum {
    fn from(number: Number) -> Self {
        match number {
            Number::Constant(value) => Self::constant(value),
            Number::Wire(wire) => wire.into(),
        }
    }
}

/// Writes rows into a constraint system.
pub(super) struct Builder<'a, CS> {
    cs: &'a mut CS,
    range: Arc<LookupTableApplication<Bn256>>,
}

type Result<T> = std::result::Result<T, SynthesisError>;

impl<'a, CS: ConstraintSystem<Bn256>> Builder<'a, CS> {
    /// Adds the range table, and begins.
    pub fn new(cs: &'a mut CS) -> Result<Self> {
        let columns = (0..3).map(PolyIdentifier::VariablesPolynomial).collect();
        let table = RangeCheckTableOverOneColumnOfWidth3::new(CHUNK_BITS as usize);
        let range = cs.add_table(LookupTableApplication::new(RANGE_TABLE, table, columns, None, true))?;
        Ok(Self { cs, range })
    }

    /// Rows so far.
    #[cfg(test)]
    pub fn rows(&self) -> usize {
        self.cs.get_current_step_number()
    }

    pub fn allocate(&mut self, value: Value) -> Result<Wire> {
        let variable = self.cs.alloc(|| value.ok_or(SynthesisError::AssignmentMissing))?;
        Ok(Wire { variable, value })
    }

    /// A public input.
    pub fn allocate_input(&mut self, value: Value) -> Result<Wire> {
        let variable = self.cs.alloc_input(|| value.ok_or(SynthesisError::AssignmentMissing))?;
        Ok(Wire { variable, value })
    }

    fn variables(wires: [Option<Wire>; 4]) -> [Variable; 4] {
        wires.map(|wire| wire.map_or_else(CS::get_dummy_variable, |wire| wire.variable))
    }

    /// A row of the main gate.
    fn row(&mut self, wires: [Option<Wire>; 4], coefficients: [Fr; COEFFICIENTS]) -> Result<()> {
        self.cs.new_single_gate_for_trace_step(
            &CS::MainGate::default(),
            &coefficients,
            &Self::variables(wires),
            &[],
        )
    }

    /// Σ coefficient · left · right + `sum` = 0, one row a product.
    pub fn enforce_zero(&mut self, products: &[(Fr, Wire, Wire)], sum: &Sum) -> Result<()> {
        let mut terms = sum.terms.iter().filter(|(coefficient, _)| !coefficient.is_zero());
        let mut left = sum.terms.iter().filter(|(coefficient, _)| !coefficient.is_zero()).count();
        let mut products = products.iter();
        let mut constant = sum.constant.unwrap_or_else(Fr::zero);
        if left == 0 && products.len() == 0 {
            return if constant.is_zero() { Ok(()) } else { Err(SynthesisError::Unsatisfiable) };
        }
        // What came before, as far as there was something.
        let mut carried: Option<Wire> = None;
        loop {
            let mut wires = [None; 4];
            let mut coefficients = [Fr::zero(); COEFFICIENTS];
            let mut value = Some(constant);
            let mut add = |coefficient: Fr, wire: Wire, other: Option<Wire>| {
                value = (|| {
                    let mut sum = value?;
                    let mut term = product(coefficient, wire.value?);
                    if let Some(other) = other {
                        term.mul_assign(&other.value?);
                    }
                    sum.add_assign(&term);
                    Some(sum)
                })();
            };
            coefficients[ONE] = std::mem::replace(&mut constant, Fr::zero());
            let mut free = A;
            if let Some((coefficient, a, b)) = products.next() {
                wires[A] = Some(*a);
                wires[A + 1] = Some(*b);
                coefficients[AB] = *coefficient;
                add(*coefficient, *a, Some(*b));
                free = C;
            }
            if let Some(wire) = carried {
                wires[D] = Some(wire);
                coefficients[D] = Fr::one();
                add(Fr::one(), wire, None);
            }
            let last = if carried.is_some() { D } else { D + 1 };
            for place in free..last {
                if let Some((coefficient, wire)) = terms.next() {
                    wires[place] = Some(*wire);
                    coefficients[place] = *coefficient;
                    add(*coefficient, *wire, None);
                    left -= 1;
                }
            }
            if left == 0 && products.len() == 0 {
                return self.row(wires, coefficients);
            }
            coefficients[D_NEXT] = negated(Fr::one());
            self.row(wires, coefficients)?;
            carried = Some(self.allocate(value)?);
        }
    }

    /// The number that `sum` is: itself if it is one variable.
    pub fn number(&mut self, sum: &Sum) -> Result<Number> {
        if let Some(value) = sum.as_constant() {
            return Ok(Number::Constant(value));
        }
        if let ([(coefficient, wire)], None) = (&*sum.terms, sum.constant) {
            if *coefficient == Fr::one() {
                return Ok(Number::Wire(*wire));
            }
        }
        self.new_wire(sum).map(Number::Wire)
    }

    /// A new variable that is equal to `sum`.
    pub fn new_wire(&mut self, sum: &Sum) -> Result<Wire> {
        let wire = self.allocate(sum.value())?;
        let mut zero = sum.clone();
        zero.add_wire(negated(Fr::one()), wire);
        self.enforce_zero(&[], &zero)?;
        Ok(wire)
    }

    /// A variable that is equal to `sum`.
    pub fn wire(&mut self, sum: &Sum) -> Result<Wire> {
        match self.number(sum)? {
            Number::Wire(wire) => Ok(wire),
            Number::Constant(_) => self.new_wire(sum),
        }
    }

    /// A variable that is 0 or 1.
    pub fn allocate_bit(&mut self, value: Option<bool>) -> Result<Wire> {
        let wire = self.allocate(value.map(|bit| fr(u64::from(bit))))?;
        let mut minus = Sum::zero();
        minus.add_wire(negated(Fr::one()), wire);
        self.enforce_zero(&[(Fr::one(), wire, wire)], &minus)?;
        Ok(wire)
    }

    /// `one` where `bit` is 1, else `zero`.
    pub fn select(&mut self, bit: Wire, one: &Sum, zero: &Sum) -> Result<Sum> {
        if let (Some(one), Some(zero)) = (one.as_constant(), zero.as_constant()) {
            let mut difference = one;
            difference.sub_assign(&zero);
            let mut sum = Sum::constant(zero);
            sum.add_wire(difference, bit);
            return Ok(sum);
        }
        let (one, zero) = (self.wire(one)?, self.wire(zero)?);
        let value = bit.value.and_then(|bit| if bit.is_zero() { zero.value } else { one.value });
        let selected = self.allocate(value)?;
        // bit · one − bit · zero + zero − selected
        let mut coefficients = [Fr::zero(); COEFFICIENTS];
        coefficients[AB] = Fr::one();
        coefficients[AC] = negated(Fr::one());
        coefficients[C] = Fr::one();
        coefficients[D] = negated(Fr::one());
        self.row([Some(bit), Some(one), Some(zero), Some(selected)], coefficients)?;
        Ok(selected.into())
    }

    /// The one of `choices` whose index the bits are, the lowest first. As many as the bits can tell apart.
    pub fn select_by_bits(&mut self, bits: &[Wire], choices: &[Sum]) -> Result<Sum> {
        if choices.len() != 1 << bits.len() {
            return Err(SynthesisError::Unsatisfiable);
        }
        let mut left = choices.to_vec();
        for bit in bits {
            let mut half = Vec::with_capacity(left.len() / 2);
            for pair in left.chunks_exact(2) {
                half.push(self.select(*bit, &pair[1], &pair[0])?);
            }
            left = half;
        }
        left.pop().ok_or(SynthesisError::Unsatisfiable)
    }

    /// `wire` is below 2^`bits`, a multiple of 16; one row for each 16 bits.
    pub fn enforce_range(&mut self, wire: Wire, bits: u32) -> Result<()> {
        if bits == 0 || !bits.is_multiple_of(CHUNK_BITS) {
            return Err(SynthesisError::Unsatisfiable);
        }
        let limbs = wire.value.map(|value| value.into_repr().0);
        let chunks = bits / CHUNK_BITS;
        let mut rest = wire;
        for chunk in 0..chunks {
            let mut coefficients = [Fr::zero(); COEFFICIENTS];
            let low = match limbs {
                Some(limbs) => {
                    let limb = limbs.get(chunk as usize / 4).copied().unwrap_or(0);
                    Some(fr(limb >> (chunk % 4 * CHUNK_BITS) & 0xffff))
                }
                None => None,
            };
            let low = self.allocate(low)?;
            coefficients[A] = Fr::one();
            coefficients[D] = negated(Fr::one());
            if chunk + 1 < chunks {
                coefficients[D_NEXT] = power_of_two(CHUNK_BITS);
            }
            let variables = Self::variables([Some(low), None, None, Some(rest)]);
            self.cs.begin_gates_batch_for_step()?;
            self.cs.apply_single_lookup_gate(&variables[..3], self.range.clone())?;
            self.cs.new_gate_in_batch(&CS::MainGate::default(), &coefficients, &variables, &[])?;
            self.cs.end_gates_batch_for_step()?;
            if chunk + 1 < chunks {
                // What is above this chunk and those before it.
                rest = self.allocate(limbs.map(|limbs| shifted_right(limbs, (chunk + 1) * CHUNK_BITS)))?;
            }
        }
        Ok(())
    }

    /// x⁵ of `x`, in a row of its own. The main gate of the same row adds that `x` · `factors[0]` + x⁵ · `factors[1]` is d of
    /// the row that comes next.
    pub fn fifth_power(&mut self, x: Wire, carry: Option<[Fr; 2]>) -> Result<Wire> {
        let [square, fourth, fifth] = fifth_powers(x.value);
        let (square, fourth) = (self.allocate(square)?, self.allocate(fourth)?);
        let fifth = self.allocate(fifth)?;
        self.fifth_power_row(x, square, fourth, fifth, carry)?;
        Ok(fifth)
    }

    /// Allocates x⁵ and what its row needs, without the row.
    pub fn allocate_fifth_power(&mut self, x: Wire) -> Result<[Wire; 3]> {
        let [square, fourth, fifth] = fifth_powers(x.value);
        Ok([self.allocate(square)?, self.allocate(fourth)?, self.allocate(fifth)?])
    }

    /// The row of [`Self::fifth_power`].
    pub fn fifth_power_row(
        &mut self,
        x: Wire,
        square: Wire,
        fourth: Wire,
        fifth: Wire,
        carry: Option<[Fr; 2]>,
    ) -> Result<()> {
        let gate = Rescue5CustomGate;
        let variables = Self::variables([Some(x), Some(square), Some(fourth), Some(fifth)]);
        let Some([of_x, of_fifth]) = carry else {
            return self.cs.new_single_gate_for_trace_step(&gate, &[], &variables, &[]);
        };
        let mut coefficients = [Fr::zero(); COEFFICIENTS];
        coefficients[A] = of_x;
        coefficients[D] = of_fifth;
        coefficients[D_NEXT] = negated(Fr::one());
        self.cs.begin_gates_batch_for_step()?;
        self.cs.new_gate_in_batch(&CS::MainGate::default(), &coefficients, &variables, &[])?;
        // The variables of a row are given once.
        self.cs.new_gate_in_batch(&gate, &[], &[], &[])?;
        self.cs.end_gates_batch_for_step()
    }

    /// a·q_a + b·q_b + c·q_c + d·q_d + constant + next·q_next = 0, where `next` must be d of the row that comes next.
    pub fn row_with_next(
        &mut self,
        wires: [Wire; 4],
        factors: [Fr; 4],
        constant: Fr,
        next: Fr,
    ) -> Result<()> {
        let mut coefficients = [Fr::zero(); COEFFICIENTS];
        coefficients[..4].copy_from_slice(&factors);
        coefficients[ONE] = constant;
        coefficients[D_NEXT] = next;
        self.row(wires.map(Some), coefficients)
    }
}

/// x², x⁴, x⁵.
fn fifth_powers(x: Value) -> [Value; 3] {
    let square = x.map(|x| product(x, x));
    let fourth = square.map(|x| product(x, x));
    let fifth = fourth.and_then(|fourth| Some(product(fourth, x?)));
    [square, fourth, fifth]
}

fn shifted_right(limbs: [u64; 4], bits: u32) -> Fr {
    let (limb, bit) = ((bits / 64) as usize, bits % 64);
    let mut out = [0u64; 4];
    for i in limb..4 {
        out[i - limb] = limbs[i] >> bit;
        if bit > 0 && i + 1 < 4 {
            out[i - limb] |= limbs[i + 1] << (64 - bit);
        }
    }
    from_limbs(out)
}

/// The number with these limbs, the lowest first, which must be below the field's order.
pub(super) fn from_limbs(limbs: [u64; 4]) -> Fr {
    let mut repr = Fr::zero().into_repr();
    repr.0 = limbs;
    Fr::from_repr(repr).unwrap_or_else(|_| Fr::zero())
}

/// The limbs of a number, the lowest first.
pub(super) fn limbs(x: Fr) -> [u64; 4] {
    x.into_repr().0
}
