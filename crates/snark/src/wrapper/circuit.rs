//! The wrapper circuit.

use std::sync::Arc;

use bellman::{
    bn256::{Bn256, Fr},
    plonk::better_better_cs::{
        cs::{Circuit, ConstraintSystem, Gate as _, GateInternal},
        gates::selector_optimized_with_d_next::SelectorOptimizedWidth4MainGateWithDNext,
    },
    Field as _, PrimeField as _, SynthesisError,
};
use boojum::cs::{
    implementations::{setup::TreeNode as SelectorTree, verifier::VerificationKey},
    traits::circuit::CircuitBuilder,
};
use franklin_crypto::plonk::circuit::custom_rescue_gate::Rescue5CustomGate;
use ingot_circuit_set::{
    field::{Vk, F},
    gate_set,
    security::ParameterSet,
    GateSet,
};
use ingot_field::root_of_unity;
use ingot_prover::Layout;

use super::{
    builder::{negated, power_of_two, Builder, Sum},
    fri::Folding,
    goldilocks::Element,
    proof::Proof,
    quotient::Challenges,
    transcript::{PlaceBits, Transcript},
};
use crate::{
    compression::{Bn254Hasher, LastGates, StepProof, LAST},
    SnarkError,
};

type Result<T> = std::result::Result<T, SynthesisError>;

/// Bits of a limb of the public input.
const LIMB_BITS: u32 = 56;
/// The same in whole entries of the range table.
const LIMB_RANGE: u32 = 48;

/// Verifies a proof of the last compression step, under a key that is part of it. Its public input is the batch's: see
/// [`public_input`].
#[derive(Clone, Debug)]
pub struct WrapperCircuit {
    key: Arc<Key>,
    proof: Option<Arc<StepProof<Bn254Hasher>>>,
}

/// What is constant in the circuit.
#[derive(Debug)]
struct Key {
    cap: Vec<Fr>,
    layout: Layout,
    gates: GateSet,
    selectors: SelectorTree,
}

/// The batch's public input as one number: its four limbs of 56 bits, the first the highest. It is the SHA-256 of the
/// batch's header without its last 32 bits.
pub fn public_input(limbs: [u64; 4]) -> Fr {
    let mut sum = Fr::zero();
    for limb in limbs {
        for _ in 0..LIMB_BITS {
            sum.double();
        }
        if let Ok(limb) = Fr::from_repr(limb.into()) {
            sum.add_assign(&limb);
        }
    }
    sum
}

impl WrapperCircuit {
    /// The circuit without values, over proofs under `vk`.
    ///
    /// # Errors
    /// [`SnarkError::Set`], [`SnarkError::Prover`] if there can be no such proofs.
    pub fn for_setup(vk: &VerificationKey<F, Bn254Hasher>) -> std::result::Result<Self, SnarkError> {
        Self::over::<LastGates>(vk, &LAST)
    }

    /// The same over proofs of circuits with gates `G`, without lookups, made with `parameters`.
    ///
    /// # Errors
    /// [`SnarkError::Set`], [`SnarkError::Prover`] if there can be no such proofs.
    pub fn over<G: CircuitBuilder<F>>(
        vk: &VerificationKey<F, Bn254Hasher>,
        parameters: &ParameterSet,
    ) -> std::result::Result<Self, SnarkError> {
        let gates = gate_set::<G>()?;
        // A layout asks the key for its shape only.
        let shape = Vk { fixed_parameters: vk.fixed_parameters.clone(), setup_merkle_tree_cap: Vec::new() };
        let layout = Layout::new(&shape, &gates, &parameters.proof_config())?;
        let key = Key {
            cap: vk.setup_merkle_tree_cap.clone(),
            layout,
            gates,
            selectors: vk.fixed_parameters.selectors_placement.clone(),
        };
        Ok(Self { key: Arc::new(key), proof: None })
    }

    /// The same with a proof.
    #[must_use]
    pub fn with_proof(&self, proof: StepProof<Bn254Hasher>) -> Self {
        Self { key: self.key.clone(), proof: Some(Arc::new(proof)) }
    }

    fn verify<CS: ConstraintSystem<Bn256>>(&self, builder: &mut Builder<'_, CS>) -> Result<Vec<Element>> {
        let Key { cap, layout, gates, selectors } = &*self.key;
        let proof = builder.allocate_proof(layout, self.proof.as_deref())?;
        let setup_cap: Vec<Sum> = cap.iter().map(|node| Sum::constant(*node)).collect();

        let mut transcript = Transcript::new();
        transcript.say_cap(&setup_cap);
        transcript.say_words(proof.public_inputs.iter().map(Element::sum));
        transcript.say_cap(&proof.witness_cap);
        let (beta, gamma) = (transcript.draw(builder)?, transcript.draw(builder)?);
        transcript.say_cap(&proof.stage2_cap);
        let alpha = transcript.draw(builder)?;
        transcript.say_cap(&proof.quotient_cap);
        let z = transcript.draw(builder)?;
        for value in proof.at_z.iter().chain([&proof.at_z_omega]) {
            transcript.say_words(value.0.iter().map(Element::sum));
        }
        let challenges = Challenges { beta, gamma, alpha, z };
        builder.check_quotient(layout, gates, selectors, &proof, &challenges)?;

        let folding = self.draw_folding(builder, &mut transcript, &proof, challenges, setup_cap)?;
        for half in &proof.last {
            transcript.say_words(half.iter().map(Element::sum));
        }
        if layout.schedule.pow_bits > 0 {
            transcript.check_work(builder, proof.nonce, layout.schedule.pow_bits)?;
        }
        let mut bits = PlaceBits::new((layout.rows_log2 + layout.lde_log2) as usize);
        for query in &proof.queries {
            let bits = bits.draw(builder, &mut transcript)?;
            builder.check_query(layout, &proof, &folding, query, &bits)?;
        }
        Ok(proof.public_inputs)
    }

    /// The DEEP challenge's powers, and the challenges of folding.
    fn draw_folding<CS: ConstraintSystem<Bn256>>(
        &self,
        builder: &mut Builder<'_, CS>,
        transcript: &mut Transcript,
        proof: &Proof,
        challenges: Challenges,
        setup_cap: Vec<Sum>,
    ) -> Result<Folding> {
        let layout = &self.key.layout;
        let deep = transcript.draw(builder)?;
        let weights = builder.powers(&deep, proof.at_z.len() + 1 + proof.public_inputs.len())?;
        let mut folds = Vec::with_capacity(proof.fri_caps.len());
        for (cap, fold_log2) in proof.fri_caps.iter().zip(&layout.schedule.folds_log2) {
            transcript.say_cap(cap);
            let mut squares = vec![transcript.draw(builder)?];
            for square in 1..*fold_log2 as usize {
                let next = builder.ext_mul(&squares[square - 1], &squares[square - 1])?;
                squares.push(next);
            }
            folds.push(squares);
        }
        let z_omega = builder.ext_scale(root_of_unity(layout.rows_log2), &challenges.z)?;
        let claimed = builder.claimed(layout, proof, &weights)?;
        Ok(Folding {
            z_omega: builder.ext_reduced(&z_omega)?,
            z: challenges.z,
            weights,
            claimed,
            challenges: folds,
            setup_cap,
        })
    }

    /// Enforces that the public input is the limbs in one number.
    fn expose<CS: ConstraintSystem<Bn256>>(
        &self,
        builder: &mut Builder<'_, CS>,
        limbs: &[Element],
    ) -> Result<()> {
        let mut sum = Sum::zero();
        for (place, limb) in limbs.iter().rev().enumerate() {
            // A Goldilocks element below 2^32 − 1 has two representations below 2^64; of 56 bits it has one.
            builder.enforce_limb(limb)?;
            sum.add_scaled(power_of_two(place as u32 * LIMB_BITS), limb.sum());
        }
        let input = builder.allocate_input(sum.value())?;
        sum.add_wire(negated(Fr::one()), input);
        builder.enforce_zero(&[], &sum)
    }
}

impl<CS: ConstraintSystem<Bn256>> Builder<'_, CS> {
    /// `limb` is below 2^56.
    fn enforce_limb(&mut self, limb: &Element) -> Result<()> {
        // limb = high · 2^48 + low, and high · 2^8 is below 2^16.
        let limb = self.wire(limb.sum())?;
        let value = limb.value.map(|value| super::builder::limbs(value)[0]);
        let low = self.allocate(value.map(|v| super::builder::fr(v & ((1 << LIMB_RANGE) - 1))))?;
        self.enforce_range(low, LIMB_RANGE)?;
        let mut shifted = Sum::zero();
        let per_high = power_of_two(LIMB_RANGE).inverse().ok_or(SynthesisError::DivisionByZero)?;
        shifted.add_wire(per_high, limb);
        shifted.add_wire(negated(per_high), low);
        let high = self.new_wire(&shifted)?;
        let above = self
            .new_wire(&Sum::zero().plus(&high.into()).scaled(power_of_two(16 - (LIMB_BITS - LIMB_RANGE))))?;
        self.enforce_range(high, 16)?;
        self.enforce_range(above, 16)
    }
}

impl Circuit<Bn256> for WrapperCircuit {
    type MainGate = SelectorOptimizedWidth4MainGateWithDNext;

    fn declare_used_gates() -> Result<Vec<Box<dyn GateInternal<Bn256>>>> {
        Ok(vec![SelectorOptimizedWidth4MainGateWithDNext.into_internal(), Rescue5CustomGate.into_internal()])
    }

    fn synthesize<CS: ConstraintSystem<Bn256> + 'static>(&self, cs: &mut CS) -> Result<()> {
        let mut builder = Builder::new(cs)?;
        let limbs = self.verify(&mut builder)?;
        self.expose(&mut builder, &limbs)
    }
}
