//! A circuit that verifies one proof under a constant key, and has the same public input.

use std::marker::PhantomData;

use boojum::{
    cs::{
        cs_builder::{CsBuilder, CsBuilderImpl},
        traits::{circuit::CircuitBuilder, cs::ConstraintSystem},
        CSGeometry, GateConfigurationHolder, LookupParameters, StaticToolboxHolder,
    },
    field::Field,
    gadgets::{boolean::Boolean, traits::allocatable::CSAllocatable},
};
use ingot_circuit_set::{
    field::{Proof, ProofConfig, Vk, F},
    SetCircuit, SetError,
};
use ingot_ledger::{
    basic::closed_form::{reserve_public_input, set_public_input},
    gadgets::logic,
    recursion::{
        shape::ProofShape,
        verify::{InCircuitVerifier, VerifiedCircuit, VkVar},
    },
};

/// Rows of every step.
pub const TRACE_LEN: usize = 1 << 13;

/// Verifies a proof of a circuit with the gates of `V`, under a key that is part of it; has itself the gates of `G`.
#[derive(derivative::Derivative)]
#[derivative(Clone(bound = ""), Debug(bound = ""))]
pub struct Compression<V, G> {
    verified_vk: Vk,
    verified: VerifiedCircuit,
    proof: Option<Proof>,
    #[derivative(Debug = "ignore")]
    _gates: PhantomData<fn() -> (V, G)>,
}

impl<V: CircuitBuilder<F> + 'static, G: CircuitBuilder<F> + 'static> Compression<V, G> {
    /// The circuit without values, over proofs under `verified_vk` with parameters `config`.
    ///
    /// # Errors
    /// [`SetError::Inconsistent`] if such proofs cannot be verified in-circuit.
    pub fn for_setup(verified_vk: Vk, config: &ProofConfig) -> Result<Self, SetError> {
        let verified = VerifiedCircuit::new(&verified_vk.fixed_parameters, config)?;
        ProofShape::new::<V>(&verified)?.check("compression key", &verified_vk.setup_merkle_tree_cap, [])?;
        Ok(Self { verified_vk, verified, proof: None, _gates: PhantomData })
    }

    /// The same with a proof.
    ///
    /// # Errors
    /// [`SetError::Inconsistent`] if it has another shape than proofs under the key have.
    pub fn with_proof(&self, proof: Proof) -> Result<Self, SetError> {
        let cap = &self.verified_vk.setup_merkle_tree_cap;
        ProofShape::new::<V>(&self.verified)?.check("compression", cap, [&proof])?;
        Ok(Self { proof: Some(proof), ..self.clone() })
    }
}

impl<V: 'static, G: CircuitBuilder<F> + 'static> CircuitBuilder<F> for Compression<V, G> {
    fn geometry() -> CSGeometry {
        G::geometry()
    }

    fn lookup_parameters() -> LookupParameters {
        G::lookup_parameters()
    }

    fn configure_builder<T: CsBuilderImpl<F, T>, GC: GateConfigurationHolder<F>, TB: StaticToolboxHolder>(
        builder: CsBuilder<T, F, GC, TB>,
    ) -> CsBuilder<T, F, impl GateConfigurationHolder<F>, impl StaticToolboxHolder> {
        G::configure_builder(builder)
    }
}

impl<V: CircuitBuilder<F> + 'static, G: CircuitBuilder<F> + 'static> SetCircuit for Compression<V, G> {
    fn trace_len(&self) -> usize {
        TRACE_LEN
    }

    fn synthesize<CS: ConstraintSystem<F> + 'static>(&self, cs: &mut CS) {
        reserve_public_input(cs);
        let mut limbs = [F::ZERO; 4];
        if let Some(proof) = &self.proof {
            // Four: the shape was checked.
            for (limb, value) in limbs.iter_mut().zip(&proof.public_inputs) {
                *limb = *value;
            }
        }
        let public_input = logic::allocate_all(cs, limbs);
        let vk = VkVar::allocate_constant(cs, self.verified_vk.clone());
        let verifier = InCircuitVerifier::new::<V>(cs, &self.verified);
        let always = Boolean::allocated_constant(cs, true);
        verifier.verify_if(cs, always, &vk, self.proof.as_ref(), &public_input);
        set_public_input(cs, &public_input);
    }
}
