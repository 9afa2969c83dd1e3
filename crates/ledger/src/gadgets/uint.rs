//! Range-checked integers over booleans: no lookup tables, so the plain constraint check covers them.
//!
//! A `u64` is always two `u32` limbs (hi, lo): 2^32·hi + lo in one field element would wrap (`reference` §1 of the
//! statement).

use boojum::{
    config::{CSConfig, CSWitnessEvaluationConfig},
    cs::{traits::cs::ConstraintSystem, Place},
    field::{Field, U64Representable},
    gadgets::{boolean::Boolean, num::Num},
};
use ingot_circuit_set::field::F;

use super::{hash::constant, logic};

const TWO_TO_32: u64 = 1 << 32;

fn power_of_two(exponent: usize) -> F {
    F::from_u64_unchecked(1u64 << exponent)
}

/// A u64 as range-checked limbs.
#[derive(Clone, Copy, Debug)]
pub struct U64Var {
    /// Upper 32 bits.
    pub hi: Num<F>,
    /// Lower 32 bits.
    pub lo: Num<F>,
}

/// Allocates `N` variables computed from `inputs` by `compute`.
pub fn hint<CS: ConstraintSystem<F>, const I: usize, const N: usize>(
    cs: &mut CS,
    inputs: [Num<F>; I],
    compute: impl FnOnce([u64; I]) -> [u64; N] + 'static + Send + Sync,
) -> [Num<F>; N] {
    let variables = cs.alloc_multiple_variables_without_values::<N>();
    if <CS::Config as CSConfig>::WitnessConfig::EVALUATE_WITNESS {
        #[cfg(feature = "testing")]
        let compute = crate::testing::tamper_hint(compute);
        let dependencies = inputs.map(|x| Place::from_variable(x.get_variable()));
        cs.set_values_with_dependencies(
            &dependencies,
            &Place::from_variables(variables),
            move |values: [F; I]| compute(values.map(|x| x.as_u64_reduced())).map(F::from_u64_with_reduction),
        );
    }
    variables.map(Num::from_variable)
}

/// The `N` low bits of `x`, least significant first; enforces x < 2^N. `N` < 64.
pub fn bits<CS: ConstraintSystem<F>, const N: usize>(cs: &mut CS, x: Num<F>) -> [Boolean<F>; N] {
    let bits = hint(cs, [x], |[value]| std::array::from_fn(|i| (value >> i) & 1));
    let bits = bits.map(|b| Boolean::from_variable_checked(cs, b.get_variable()));
    let mut terms: Vec<_> = bits.iter().enumerate().map(|(i, b)| (b.into_num(), power_of_two(i))).collect();
    terms.push((x, F::MINUS_ONE));
    logic::enforce_zero_sum(cs, &terms);
    bits
}

/// Enforces x < 2^32.
pub fn range_check_u32<CS: ConstraintSystem<F>>(cs: &mut CS, x: Num<F>) {
    let _ = bits::<CS, 32>(cs, x);
}

/// A range-checked u32 witness.
pub fn allocate_u32<CS: ConstraintSystem<F>>(cs: &mut CS, value: u32) -> Num<F> {
    let x = logic::allocate(cs, F::from_u64_unchecked(u64::from(value)));
    range_check_u32(cs, x);
    x
}

/// A range-checked u64 witness.
pub fn allocate_u64<CS: ConstraintSystem<F>>(cs: &mut CS, value: u64) -> U64Var {
    U64Var { hi: allocate_u32(cs, (value >> 32) as u32), lo: allocate_u32(cs, value as u32) }
}

/// `a − b` over u32 with a borrow in: (difference, borrow out). The difference is range checked.
pub fn sub_u32<CS: ConstraintSystem<F>>(
    cs: &mut CS,
    a: Num<F>,
    b: Num<F>,
    borrow_in: Option<Boolean<F>>,
) -> (Num<F>, Boolean<F>) {
    let zero = constant(cs, 0);
    let borrow_in = borrow_in.map_or(zero, |b| b.into_num());
    let [difference, borrow] = hint(cs, [a, b, borrow_in], |[a, b, borrow_in]| {
        let subtrahend = b.wrapping_add(borrow_in);
        [u64::from((a.wrapping_sub(subtrahend)) as u32), u64::from(a < subtrahend)]
    });
    range_check_u32(cs, difference);
    let borrow = Boolean::from_variable_checked(cs, borrow.get_variable());
    logic::enforce_zero_sum(
        cs,
        &[
            (a, F::ONE),
            (b, F::MINUS_ONE),
            (borrow_in, F::MINUS_ONE),
            (borrow.into_num(), F::from_u64_unchecked(TWO_TO_32)),
            (difference, F::MINUS_ONE),
        ],
    );
    (difference, borrow)
}

/// `a + b` over u32 with a carry in: (sum, carry out). The sum is range checked.
pub fn add_u32<CS: ConstraintSystem<F>>(
    cs: &mut CS,
    a: Num<F>,
    b: Num<F>,
    carry_in: Option<Boolean<F>>,
) -> (Num<F>, Boolean<F>) {
    let zero = constant(cs, 0);
    let carry_in = carry_in.map_or(zero, |c| c.into_num());
    let [sum, carry] = hint(cs, [a, b, carry_in], |[a, b, carry_in]| {
        let sum = a.wrapping_add(b).wrapping_add(carry_in);
        [u64::from(sum as u32), (sum >> 32) & 1]
    });
    range_check_u32(cs, sum);
    let carry = Boolean::from_variable_checked(cs, carry.get_variable());
    logic::enforce_zero_sum(
        cs,
        &[
            (a, F::ONE),
            (b, F::ONE),
            (carry_in, F::ONE),
            (carry.into_num(), logic::negative(TWO_TO_32)),
            (sum, F::MINUS_ONE),
        ],
    );
    (sum, carry)
}

/// `a + b` over u64: (sum, carry out).
pub fn add_u64<CS: ConstraintSystem<F>>(cs: &mut CS, a: U64Var, b: U64Var) -> (U64Var, Boolean<F>) {
    let (lo, carry) = add_u32(cs, a.lo, b.lo, None);
    let (hi, carry) = add_u32(cs, a.hi, b.hi, Some(carry));
    (U64Var { hi, lo }, carry)
}

/// `a − b` over u64: (difference, borrow out).
pub fn sub_u64<CS: ConstraintSystem<F>>(cs: &mut CS, a: U64Var, b: U64Var) -> (U64Var, Boolean<F>) {
    let (lo, borrow) = sub_u32(cs, a.lo, b.lo, None);
    let (hi, borrow) = sub_u32(cs, a.hi, b.hi, Some(borrow));
    (U64Var { hi, lo }, borrow)
}

/// Splits `x` into (hi, lo) with x = 2^32·hi + lo over the integers, without range checks: the caller must range check
/// both. Enforces the canonical form: hi = 2^32 − 1 ⇒ lo = 0.
pub fn split_words_unchecked<CS: ConstraintSystem<F>>(cs: &mut CS, x: Num<F>) -> [Num<F>; 2] {
    let [hi, lo] = hint(cs, [x], |[value]| [value >> 32, value & (TWO_TO_32 - 1)]);
    logic::enforce_zero_sum(cs, &[(hi, F::from_u64_unchecked(TWO_TO_32)), (lo, F::ONE), (x, F::MINUS_ONE)]);
    let max = constant(cs, TWO_TO_32 - 1);
    let hi_is_max = Num::equals(cs, &hi, &max);
    logic::enforce_zero_if(cs, hi_is_max, &lo);
    [hi, lo]
}

/// `words(x)` of the statement: the canonical (hi, lo) of `x`, both range checked.
pub fn words<CS: ConstraintSystem<F>>(cs: &mut CS, x: Num<F>) -> [Num<F>; 2] {
    let [hi, lo] = split_words_unchecked(cs, x);
    range_check_u32(cs, hi);
    range_check_u32(cs, lo);
    [hi, lo]
}
