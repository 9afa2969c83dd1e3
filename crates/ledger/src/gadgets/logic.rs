//! Equalities, conditions and selection, without native assertions.

use boojum::{
    cs::{
        gates::{
            ConstantAllocatableCS, FmaGateInBaseFieldWithoutConstant, FmaGateInBaseWithoutConstantParams,
            ParallelSelectionGate,
        },
        traits::cs::ConstraintSystem,
        Variable,
    },
    field::{Field, U64Representable},
    gadgets::{boolean::Boolean, num::Num},
};
use ingot_circuit_set::field::F;

/// Enforces `quadratic · a · b + linear · c = d`.
fn enforce_fma<CS: ConstraintSystem<F>>(
    cs: &mut CS,
    (quadratic, a, b): (F, Variable, Variable),
    (linear, c): (F, Variable),
    d: Variable,
) {
    FmaGateInBaseFieldWithoutConstant {
        params: FmaGateInBaseWithoutConstantParams {
            coeff_for_quadtaric_part: quadratic,
            linear_term_coeff: linear,
        },
        quadratic_part: (a, b),
        linear_part: c,
        rhs_part: d,
    }
    .add_to_cs(cs);
}

/// −`value`, as a coefficient.
pub fn negative(value: u64) -> F {
    let mut negated = F::from_u64_unchecked(value);
    negated.negate();
    negated
}

/// A boolean with the witness value `value`.
pub fn allocate_bool<CS: ConstraintSystem<F>>(cs: &mut CS, value: bool) -> Boolean<F> {
    let value = allocate(cs, F::from_u64_unchecked(u64::from(value)));
    Boolean::from_variable_checked(cs, value.get_variable())
}

/// A field element with the witness value `value`.
pub fn allocate<CS: ConstraintSystem<F>>(cs: &mut CS, value: F) -> Num<F> {
    #[cfg(feature = "testing")]
    let value = crate::testing::tamper_allocation(value);
    Num::from_variable(cs.alloc_single_variable_from_witness(value))
}

/// Field elements with the witness values `values`.
pub fn allocate_all<CS: ConstraintSystem<F>, const N: usize>(cs: &mut CS, values: [F; N]) -> [Num<F>; N] {
    values.map(|value| allocate(cs, value))
}

/// Enforces `a = b`.
pub fn enforce_equal<CS: ConstraintSystem<F>>(cs: &mut CS, a: &Num<F>, b: &Num<F>) {
    let one = cs.allocate_constant(F::ONE);
    enforce_fma(cs, (F::ONE, a.get_variable(), one), (F::ZERO, one), b.get_variable());
}

/// Enforces `condition ⇒ a = b`.
pub fn enforce_equal_if<CS: ConstraintSystem<F>>(cs: &mut CS, condition: Boolean<F>, a: &Num<F>, b: &Num<F>) {
    let masked = a.mask(cs, condition);
    let one = cs.allocate_constant(F::ONE);
    enforce_fma(
        cs,
        (F::ONE, b.get_variable(), condition.get_variable()),
        (F::ZERO, one),
        masked.get_variable(),
    );
}

/// Enforces `condition ⇒ a = 0`.
pub fn enforce_zero_if<CS: ConstraintSystem<F>>(cs: &mut CS, condition: Boolean<F>, a: &Num<F>) {
    let zero = cs.allocate_constant(F::ZERO);
    enforce_fma(cs, (F::ONE, a.get_variable(), condition.get_variable()), (F::ZERO, zero), zero);
}

/// Enforces `condition ⇒ ¬flag`.
pub fn enforce_false_if<CS: ConstraintSystem<F>>(cs: &mut CS, condition: Boolean<F>, flag: Boolean<F>) {
    enforce_zero_if(cs, condition, &flag.into_num());
}

/// Enforces `condition ⇒ flag`.
pub fn enforce_true_if<CS: ConstraintSystem<F>>(cs: &mut CS, condition: Boolean<F>, flag: Boolean<F>) {
    let zero = cs.allocate_constant(F::ZERO);
    enforce_fma(
        cs,
        (F::MINUS_ONE, flag.get_variable(), condition.get_variable()),
        (F::ONE, condition.get_variable()),
        zero,
    );
}

/// `if condition { a } else { b }`, element by element.
pub fn select<CS: ConstraintSystem<F>, const N: usize>(
    cs: &mut CS,
    condition: Boolean<F>,
    a: &[Num<F>; N],
    b: &[Num<F>; N],
) -> [Num<F>; N] {
    let zero = cs.allocate_constant(F::ZERO);
    let mut result = *b;
    for start in (0..N).step_by(4) {
        let lane = |from: &[Num<F>; N]| -> [Variable; 4] {
            std::array::from_fn(|i| from.get(start + i).map_or(zero, |x| x.get_variable()))
        };
        let selected = ParallelSelectionGate::<4>::select(cs, &lane(a), &lane(b), condition.get_variable());
        for (slot, variable) in result[start..].iter_mut().zip(selected) {
            *slot = Num::from_variable(variable);
        }
    }
    result
}

/// Σ coefficient · term.
pub fn sum<CS: ConstraintSystem<F>>(cs: &mut CS, terms: &[(Num<F>, F)]) -> Num<F> {
    let terms: Vec<_> = terms.iter().map(|(x, c)| (x.get_variable(), *c)).collect();
    Num::linear_combination(cs, &terms)
}

/// Enforces Σ coefficient · term = 0.
pub fn enforce_zero_sum<CS: ConstraintSystem<F>>(cs: &mut CS, terms: &[(Num<F>, F)]) {
    let terms: Vec<_> = terms.iter().map(|(x, c)| (x.get_variable(), *c)).collect();
    Num::enforce_zero_for_linear_combination(cs, &terms);
}

/// True iff all of `elements` are zero.
pub fn all_zero<CS: ConstraintSystem<F>>(cs: &mut CS, elements: &[Num<F>]) -> Boolean<F> {
    let flags: Vec<_> = elements.iter().map(|x| x.is_zero(cs)).collect();
    Boolean::multi_and(cs, &flags)
}
