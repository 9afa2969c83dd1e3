//! The constraints of the last compression circuit at z: gates from their recorded programs, and the copy permutation.

use std::alloc::Global;

use bellman::{bn256::Bn256, plonk::better_better_cs::cs::ConstraintSystem, SynthesisError};
use boojum::cs::implementations::{
    copy_permutation::non_residues_for_copy_permutation, setup::TreeNode as SelectorTree,
};
use ingot_circuit_set::{field::F, Gate, GateSet, Offsets, Op, Operand, Tape};
use ingot_prover::Layout;

use super::{
    builder::Builder,
    goldilocks::{Element, Ext},
    proof::Proof,
};

type Result<T> = std::result::Result<T, SynthesisError>;

/// Challenges until z.
#[derive(Debug)]
pub(super) struct Challenges {
    pub beta: Ext,
    pub gamma: Ext,
    pub alpha: Ext,
    pub z: Ext,
}

/// What is opened at z, by what it is.
#[derive(Debug)]
struct AtZ<'p> {
    variables: &'p [Ext],
    witnesses: &'p [Ext],
    constants: &'p [Ext],
    sigmas: &'p [Ext],
    /// z's polynomial, then the partial products.
    products: &'p [Ext],
    quotient: &'p [Ext],
}

impl<'p> AtZ<'p> {
    fn new(layout: &Layout, values: &'p [Ext]) -> Result<Self> {
        let mut rest = values;
        let mut take = |count: usize| {
            let (taken, after) = rest.split_at_checked(count).ok_or(SynthesisError::Unsatisfiable)?;
            rest = after;
            Ok::<_, SynthesisError>(taken)
        };
        Ok(Self {
            variables: take(layout.variables)?,
            witnesses: take(layout.witnesses)?,
            constants: take(layout.constants)?,
            sigmas: take(layout.variables)?,
            products: take(1 + layout.partial_products)?,
            quotient: take(layout.quotient_degree)?,
        })
    }
}

/// Columns that a repetition of a gate reads.
struct Columns<'p> {
    at: &'p AtZ<'p>,
    start: Offsets,
    /// Where constants begin that all repetitions share.
    shared: usize,
}

impl Columns<'_> {
    fn read(&self, operand: Operand, values: &[Ext]) -> Result<Ext> {
        let column = |columns: &[Ext], start: usize, at: u32| columns.get(start + at as usize).cloned();
        match operand {
            Operand::Variable(at) => column(self.at.variables, self.start.variables, at),
            Operand::Witness(at) => column(self.at.witnesses, self.start.witnesses, at),
            Operand::Constant(at) => column(self.at.constants, self.start.constants, at),
            Operand::SharedConstant(at) => column(self.at.constants, self.shared, at),
            Operand::Immediate(value) => Some(Ext::base(Element::constant(value.to_reduced_u64()))),
            Operand::Value(at) => values.get(at as usize).cloned(),
        }
        .ok_or(SynthesisError::Unsatisfiable)
    }
}

impl<CS: ConstraintSystem<Bn256>> Builder<'_, CS> {
    /// The quotient's value at z is that of the combined constraints, divided by z^n − 1.
    pub(super) fn check_quotient(
        &mut self,
        layout: &Layout,
        gates: &GateSet,
        selectors: &SelectorTree,
        proof: &Proof,
        challenges: &Challenges,
    ) -> Result<()> {
        if layout.lookup.is_some() {
            return Err(SynthesisError::Unsatisfiable);
        }
        let at = AtZ::new(layout, &proof.at_z)?;
        let powers = self.powers(&challenges.alpha, layout.quotient_terms())?;
        let mut powers = powers.iter();
        let mut total = Ext::zero();

        for placed in &gates.specialized {
            let start =
                Offsets { constants: layout.general_constants + placed.start.constants, ..placed.start };
            let terms = self.gate_terms(&placed.gate, &at, start)?;
            total = self.weighted(&terms, &mut powers, &total)?;
        }
        for (index, gate) in gates.general.iter().enumerate().filter(|(_, gate)| !gate.tape.terms.is_empty())
        {
            let path = selectors.output_placement(index).ok_or(SynthesisError::Unsatisfiable)?;
            let start = Offsets { constants: path.len(), ..Offsets::default() };
            let terms = self.gate_terms(gate, &at, start)?;
            let sum = self.weighted(&terms, &mut powers, &Ext::zero())?;
            let selector = self.selector(&path, &at)?;
            total = self.ext_mul_add(&sum, &selector, &total)?;
        }

        let z_to_n = {
            let mut power = challenges.z.clone();
            for _ in 0..layout.rows_log2 {
                power = self.ext_mul(&power, &power)?;
            }
            power
        };
        let vanishing = self.ext_sub(&z_to_n, &Ext::one())?;
        let copies = self.copy_terms(layout, &at, proof, challenges, &vanishing)?;
        total = self.weighted(&copies, &mut powers, &total)?;
        if powers.next().is_some() {
            return Err(SynthesisError::Unsatisfiable);
        }

        let mut quotient = Ext::zero();
        for chunk in at.quotient.iter().rev() {
            quotient = self.ext_mul_add(&quotient, &z_to_n, chunk)?;
        }
        let product = self.ext_mul(&quotient, &vanishing)?;
        self.enforce_same(&total, &product)
    }

    /// 1, x, x², …
    pub(super) fn powers(&mut self, x: &Ext, count: usize) -> Result<Vec<Ext>> {
        let mut powers = Vec::with_capacity(count);
        for index in 0..count {
            powers.push(match index {
                0 => Ext::one(),
                1 => x.clone(),
                _ => self.ext_mul(&powers[index - 1], x)?,
            });
        }
        Ok(powers)
    }

    /// `plus` + Σ power · term.
    fn weighted<'p>(
        &mut self,
        terms: &[Ext],
        powers: &mut impl Iterator<Item = &'p Ext>,
        plus: &Ext,
    ) -> Result<Ext> {
        let powers: Vec<&Ext> = powers.take(terms.len()).collect();
        if powers.len() != terms.len() {
            return Err(SynthesisError::Unsatisfiable);
        }
        let products: Vec<(&Ext, &Ext)> = terms.iter().zip(powers).collect();
        self.ext_sum_of_products(&products, plus)
    }

    /// 1 on the rows of a gate and 0 on those of others, as the constants there say.
    fn selector(&mut self, path: &[bool], at: &AtZ<'_>) -> Result<Ext> {
        let mut product = Ext::one();
        for (constant, is_one) in at.constants.iter().zip(path) {
            let factor = match is_one {
                true => constant.clone(),
                false => self.ext_sub(&Ext::one(), constant)?,
            };
            product = self.ext_mul(&product, &factor)?;
        }
        Ok(product)
    }

    /// The terms of all repetitions of a gate.
    fn gate_terms(&mut self, gate: &Gate, at: &AtZ<'_>, start: Offsets) -> Result<Vec<Ext>> {
        let mut terms = Vec::with_capacity(gate.repetitions * gate.tape.terms.len());
        for repetition in 0..gate.repetitions {
            let columns = Columns {
                at,
                start: Offsets {
                    variables: start.variables + repetition * gate.stride.variables,
                    witnesses: start.witnesses + repetition * gate.stride.witnesses,
                    constants: start.constants + repetition * gate.stride.constants,
                },
                shared: start.constants,
            };
            terms.extend(self.run(&gate.tape, &columns)?);
        }
        Ok(terms)
    }

    fn run(&mut self, tape: &Tape, columns: &Columns<'_>) -> Result<Vec<Ext>> {
        let mut uses = vec![0u32; tape.ops.len()];
        for op in &tape.ops {
            let (a, b) = op.operands();
            for operand in [Some(a), b].into_iter().flatten() {
                if let Operand::Value(value) = operand {
                    uses[value as usize] += 1;
                }
            }
        }
        let mut values: Vec<Ext> = Vec::with_capacity(tape.ops.len());
        for (op, uses) in tape.ops.iter().zip(uses) {
            let (a, b) = op.operands();
            let left = columns.read(a, &values)?;
            let right = b.map(|b| columns.read(b, &values)).transpose()?;
            let immediate = |operand| match operand {
                Some(Operand::Immediate(value)) => Some(F::to_reduced_u64(&value)),
                _ => None,
            };
            let mut value = match (op, right) {
                (Op::Add(..), Some(right)) => self.ext_add(&left, &right)?,
                (Op::Sub(..), Some(right)) => self.ext_sub(&left, &right)?,
                (Op::Mul(..), Some(right)) => match (immediate(Some(a)), immediate(b)) {
                    (Some(factor), _) => self.ext_scale(factor, &right)?,
                    (_, Some(factor)) => self.ext_scale(factor, &left)?,
                    _ => self.ext_mul(&left, &right)?,
                },
                (Op::Double(_), _) => self.ext_scale(2, &left)?,
                (Op::Square(_), _) => self.ext_mul(&left, &left)?,
                (Op::Negate(_), _) => self.ext_sub(&Ext::zero(), &left)?,
                _ => return Err(SynthesisError::Unsatisfiable),
            };
            // What is read several times is summed up once.
            if uses > 1 && value.0.iter().any(|half| half.sum().len() > 2) {
                value = self.ext_in_ones(&value)?;
            }
            values.push(value);
        }
        tape.terms.iter().map(|&term| columns.read(term, &values)).collect()
    }

    /// (z's polynomial − 1) L_1 without L_1's factor 1 / n, and each step of the grand product.
    fn copy_terms(
        &mut self,
        layout: &Layout,
        at: &AtZ<'_>,
        proof: &Proof,
        challenges: &Challenges,
        vanishing: &Ext,
    ) -> Result<Vec<Ext>> {
        let Challenges { beta, gamma, z, .. } = challenges;
        let first = at.products.first().ok_or(SynthesisError::Unsatisfiable)?;
        let below = self.ext_sub(z, &Ext::one())?;
        let l1 = self.ext_div(vanishing, &below)?;
        let less_one = self.ext_sub(first, &Ext::one())?;
        let mut terms = vec![self.ext_mul(&less_one, &l1)?];

        let cosets = non_residues_for_copy_permutation::<F, Global>(layout.rows(), layout.variables);
        let beta_z = self.ext_mul(beta, z)?;
        let width = layout.quotient_degree;
        let ends = at.products[1..].iter().chain([&proof.at_z_omega]);
        let chunks = (at.variables.chunks(width)).zip(at.sigmas.chunks(width)).zip(cosets.chunks(width));
        for ((begin, end), ((variables, sigmas), cosets)) in at.products.iter().zip(ends).zip(chunks) {
            let (mut left, mut right) = (end.clone(), begin.clone());
            for ((variable, sigma), coset) in variables.iter().zip(sigmas).zip(cosets) {
                let with_gamma = self.ext_add(variable, gamma)?;
                let factor = self.ext_mul_add(sigma, beta, &with_gamma)?;
                left = self.ext_mul(&left, &factor)?;
                let scaled = self.ext_scale(coset.to_reduced_u64(), &beta_z)?;
                let factor = self.ext_add(&scaled, &with_gamma)?;
                right = self.ext_mul(&right, &factor)?;
            }
            terms.push(self.ext_sub(&left, &right)?);
        }
        match terms.len() == 2 + layout.partial_products {
            true => Ok(terms),
            false => Err(SynthesisError::Unsatisfiable),
        }
    }
}
