//! Queries: openings in the trees, the DEEP combination, folding.

use bellman::{bn256::Bn256, plonk::better_better_cs::cs::ConstraintSystem, SynthesisError};
use ingot_field::{inverse, mul, pow, root_of_unity, GENERATOR};
use ingot_prover::Layout;

use super::{
    builder::{fr, Builder, Sum, Wire},
    goldilocks::{Element, Ext},
    proof::{Opened, Proof, Query},
};

type Result<T> = std::result::Result<T, SynthesisError>;

/// Bits whose root is looked up at once.
const ROOT_BITS: usize = 3;

/// What all queries share.
#[derive(Debug)]
pub(super) struct Folding {
    pub z: Ext,
    pub z_omega: Ext,
    /// Powers of the DEEP challenge, one for each opening.
    pub weights: Vec<Ext>,
    /// Weighted sums of the values at z, at ωz, and of the public inputs on each of their rows.
    pub claimed: Vec<Ext>,
    /// For each fold, its challenge and its squares.
    pub challenges: Vec<Vec<Ext>>,
    pub setup_cap: Vec<Sum>,
}

impl<CS: ConstraintSystem<Bn256>> Builder<'_, CS> {
    /// The weighted sums of what is claimed at each point.
    pub(super) fn claimed(&mut self, layout: &Layout, proof: &Proof, weights: &[Ext]) -> Result<Vec<Ext>> {
        let mut weights = weights.iter();
        let mut claimed = Vec::new();
        let mut sum = |builder: &mut Self, values: &[Ext]| {
            let products: Vec<(&Ext, &Ext)> = values.iter().zip(weights.by_ref()).collect();
            match products.len() == values.len() {
                true => builder.ext_sum_of_products(&products, &Ext::zero()),
                false => Err(SynthesisError::Unsatisfiable),
            }
        };
        claimed.push(sum(self, &proof.at_z)?);
        claimed.push(sum(self, std::slice::from_ref(&proof.at_z_omega))?);
        for (_, inputs) in layout.public_inputs_by_row() {
            let values: Vec<Ext> = inputs
                .iter()
                .filter_map(|(input, _)| proof.public_inputs.get(*input).cloned().map(Ext::base))
                .collect();
            claimed.push(sum(self, &values)?);
        }
        Ok(claimed)
    }

    /// Checks one query at the place that `bits` say, the lowest first.
    pub(super) fn check_query(
        &mut self,
        layout: &Layout,
        proof: &Proof,
        shared: &Folding,
        query: &Query,
        bits: &[Wire],
    ) -> Result<()> {
        for (opened, cap) in [
            (&query.witness, &proof.witness_cap),
            (&query.stage2, &proof.stage2_cap),
            (&query.quotient, &proof.quotient_cap),
            (&query.setup, &shared.setup_cap),
        ] {
            self.check_included(opened, cap, bits)?;
        }

        // x = g · Π ω_i, ω_i a root of order 2^(i + 1), for the bits that are one. The low bits choose within a leaf.
        let first_fold = *layout.schedule.folds_log2.first().ok_or(SynthesisError::Unsatisfiable)? as usize;
        let (low, high) = bits.split_at_checked(first_fold).ok_or(SynthesisError::Unsatisfiable)?;
        let of_leaf = self.root(high, first_fold)?;
        let within = self.root(low, 0)?;
        let x = self.sum_of_products(&[(1, &of_leaf, &within)], &Element::constant(0))?;
        let x = self.scale(GENERATOR, &x)?;
        let x = self.reduced(&x)?;

        let mut value = self.deep(layout, shared, query, &x)?;
        let mut rest = bits;
        let mut shift = inverse(GENERATOR);
        // 1 / of_leaf, on the domain of the fold.
        let mut leaf_inverse = self.inverse(&of_leaf)?;
        for (fold, (&fold_log2, opened)) in layout.schedule.folds_log2.iter().zip(&query.fri).enumerate() {
            let (low, high) =
                rest.split_at_checked(fold_log2 as usize).ok_or(SynthesisError::Unsatisfiable)?;
            if fold > 0 {
                let within = self.root(low, 0)?;
                leaf_inverse = self.sum_of_products(&[(1, &leaf_inverse, &within)], &Element::constant(0))?;
            }
            let cap = proof.fri_caps.get(fold).ok_or(SynthesisError::Unsatisfiable)?;
            let challenges = shared.challenges.get(fold).ok_or(SynthesisError::Unsatisfiable)?;
            self.check_included(opened, cap, high)?;
            let (c0, c1) = opened.leaf.split_at(1 << fold_log2);
            let own = Ext([self.choose(low, c0)?, self.choose(low, c1)?]);
            self.enforce_same(&value, &own)?;
            let mut elements: Vec<Ext> =
                c0.iter().zip(c1).map(|(c0, c1)| Ext([c0.clone(), c1.clone()])).collect();
            for challenge in challenges {
                elements = self.fold_once(&elements, challenge, &leaf_inverse, shift)?;
                leaf_inverse =
                    self.sum_of_products(&[(1, &leaf_inverse, &leaf_inverse)], &Element::constant(0))?;
                shift = mul(shift, shift);
            }
            value = elements.pop().ok_or(SynthesisError::Unsatisfiable)?;
            rest = high;
        }

        // leaf_inverse is now 1 / (x / g) on the last domain, and shift 1 / g there.
        let last_x = self.inverse(&leaf_inverse)?;
        let last_x = self.scale(inverse(shift), &last_x)?;
        let last_x = self.reduced(&last_x)?;
        let mut evaluated = Ext::zero();
        for (c0, c1) in proof.last[0].iter().zip(&proof.last[1]).rev() {
            evaluated =
                self.ext_mul_add(&evaluated, &Ext::base(last_x.clone()), &Ext([c0.clone(), c1.clone()]))?;
        }
        self.enforce_same(&value, &evaluated)
    }

    fn check_included(&mut self, opened: &Opened, cap: &[Sum], bits: &[Wire]) -> Result<()> {
        let leaf = self.hash_leaf(opened.leaf.iter().map(Element::sum))?;
        self.enforce_included(leaf, &opened.path, cap, bits)
    }

    /// Π over bits i of a root of order 2^(`first` + i + 1), where the bit is one.
    fn root(&mut self, bits: &[Wire], first: usize) -> Result<Element> {
        let mut product: Option<Element> = None;
        for (group, bits) in bits.chunks(ROOT_BITS).enumerate() {
            let order = |bit: usize| (first + group * ROOT_BITS + bit + 1) as u32;
            let choices: Vec<Sum> = (0..1usize << bits.len())
                .map(|index| {
                    let chosen = (0..bits.len()).filter(|bit| index >> bit & 1 == 1);
                    Sum::constant(fr(chosen.fold(1, |root, bit| mul(root, root_of_unity(order(bit))))))
                })
                .collect();
            let root = Element::bounded(self.select_by_bits(bits, &choices)?, 64);
            product = Some(match product {
                None => root,
                Some(before) => self.sum_of_products(&[(1, &before, &root)], &Element::constant(0))?,
            });
        }
        Ok(product.unwrap_or(Element::constant(1)))
    }

    fn choose(&mut self, bits: &[Wire], choices: &[Element]) -> Result<Element> {
        let sums: Vec<Sum> = choices.iter().map(|choice| choice.sum().clone()).collect();
        // Leaves hold words.
        Ok(Element::bounded(self.select_by_bits(bits, &sums)?, 64))
    }

    /// Σ weight · (f(x) − value) / (x − point) over all openings.
    fn deep(&mut self, layout: &Layout, shared: &Folding, query: &Query, x: &Element) -> Result<Ext> {
        let base = |leaf: &[Element]| leaf.iter().cloned().map(Ext::base).collect::<Vec<_>>();
        let pairs = |leaf: &[Element]| {
            leaf.chunks_exact(2).map(|pair| Ext([pair[0].clone(), pair[1].clone()])).collect::<Vec<_>>()
        };
        let (sigmas, constants) = query.setup.leaf.split_at(layout.variables);
        let (stage2, quotient) = (pairs(&query.stage2.leaf), pairs(&query.quotient.leaf));
        let mut at_z = base(&query.witness.leaf);
        at_z.extend(base(constants));
        at_z.extend(base(sigmas));
        at_z.extend(stage2.iter().cloned());
        at_z.extend(quotient);
        let mut points = vec![
            (shared.z.clone(), at_z),
            (shared.z_omega.clone(), stage2.into_iter().take(1).collect::<Vec<_>>()),
        ];
        let omega = root_of_unity(layout.rows_log2);
        for (row, inputs) in layout.public_inputs_by_row() {
            let columns = inputs.iter().filter_map(|(_, column)| query.witness.leaf.get(*column).cloned());
            points.push((
                Ext::base(Element::constant(pow(omega, row as u64))),
                columns.map(Ext::base).collect(),
            ));
        }
        if points.len() != shared.claimed.len() {
            return Err(SynthesisError::Unsatisfiable);
        }
        let mut weights = shared.weights.iter();
        let mut total = Ext::zero();
        for ((point, values), claimed) in points.iter().zip(&shared.claimed) {
            let products: Vec<(&Ext, &Ext)> = values.iter().zip(weights.by_ref()).collect();
            if products.len() != values.len() {
                return Err(SynthesisError::Unsatisfiable);
            }
            let minus = self.ext_sub(&Ext::zero(), claimed)?;
            let numerator = self.ext_sum_of_products(&products, &minus)?;
            let below = self.ext_sub(&Ext::base(x.clone()), point)?;
            let fraction = self.ext_div(&numerator, &below)?;
            total = self.ext_add(&total, &fraction)?;
        }
        match weights.next() {
            None => Ok(total),
            Some(_) => Err(SynthesisError::Unsatisfiable),
        }
    }

    /// a + b + challenge · (a − b) / x for each pair, where x is the coset's shift times the leaf's root times the pair's.
    fn fold_once(
        &mut self,
        elements: &[Ext],
        challenge: &Ext,
        leaf_inverse: &Element,
        shift_inverse: u64,
    ) -> Result<Vec<Ext>> {
        let factor = self.ext_mul_base(challenge, leaf_inverse)?;
        let mut folded = Vec::with_capacity(elements.len() / 2);
        for (pair, values) in elements.chunks_exact(2).enumerate() {
            let [a, b] = values else { return Err(SynthesisError::Unsatisfiable) };
            // Elements are in bit-reversed order: pair i is at the root of order 8 (i bit-reversed).
            let mut root = shift_inverse;
            for bit in 0..2 {
                if pair >> bit & 1 == 1 {
                    root = mul(root, inverse(root_of_unity(bit + 2)));
                }
            }
            let sum = self.ext_add(a, b)?;
            let difference = self.ext_sub(a, b)?;
            let difference = self.ext_scale(root, &difference)?;
            folded.push(self.ext_mul_add(&difference, &factor, &sum)?);
        }
        Ok(folded)
    }
}
