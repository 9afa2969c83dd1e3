//! Round 1, the leaf over one basic circuit: answers up to two requests of its queue segment.

use std::marker::PhantomData;

use boojum::{
    cs::{
        cs_builder::{CsBuilder, CsBuilderImpl},
        traits::{circuit::CircuitBuilder, cs::ConstraintSystem},
        CSGeometry, GateConfigurationHolder, LookupParameters, StaticToolboxHolder,
    },
    field::Field,
    gadgets::boolean::Boolean,
};
use ingot_circuit_set::{
    field::{Digest, Proof, F},
    SetCircuit, SetError,
};
use serde::{Deserialize, Serialize};

use super::{
    geometry::RecursionGates,
    input::{leaf_input_elements, LeafInput, LeafParameters},
    request::{allocate_segment, encoding_var},
    shape::ProofShape,
    verify::{allocate_vk, InCircuitVerifier, VerifiedCircuit},
    LEAF_ARITY, TRACE_LEN,
};
use crate::{
    basic::closed_form::{reserve_public_input, set_public_input},
    gadgets::{
        hash::{constant, hash},
        logic,
    },
    native::hash::RECURSION_INPUT,
    queue::Queue,
};

/// What a leaf is made from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LeafWitness {
    /// Its input.
    pub input: LeafInput,
    /// Setup cap of the basic circuit's key.
    pub basic_vk_cap: Vec<Digest>,
    /// The segment's requests: the public inputs of `proofs`.
    pub requests: Vec<Digest>,
    /// A proof for each request.
    pub proofs: Vec<Proof>,
}

/// The leaf over basic circuit `B`.
#[derive(derivative::Derivative)]
#[derivative(Clone(bound = ""), Debug(bound = ""))]
pub struct LeafCircuit<B> {
    circuit_type: u32,
    verified: VerifiedCircuit,
    witness: Option<LeafWitness>,
    #[derivative(Debug = "ignore")]
    _basic: PhantomData<fn() -> B>,
}

impl<B: SetCircuit> LeafCircuit<B> {
    /// The leaf without values, over basic circuits of type `circuit_type` (1 to 3).
    pub fn for_setup(circuit_type: u32, verified: VerifiedCircuit) -> Self {
        Self { circuit_type, verified, witness: None, _basic: PhantomData }
    }

    /// The leaf that makes `witness` true.
    ///
    /// # Errors
    /// [`SetError::Inconsistent`] if there is no proof at all, there are too many, or one has another shape.
    pub fn new(circuit_type: u32, verified: VerifiedCircuit, witness: LeafWitness) -> Result<Self, SetError> {
        let count = witness.proofs.len();
        if count == 0 || count > LEAF_ARITY || count != witness.requests.len() {
            return Err(SetError::Inconsistent(format!(
                "leaf: {count} proofs for {} requests; it takes 1 to {LEAF_ARITY}",
                witness.requests.len()
            )));
        }
        ProofShape::new::<B>(&verified)?.check("leaf", &witness.basic_vk_cap, &witness.proofs)?;
        Ok(Self { circuit_type, verified, witness: Some(witness), _basic: PhantomData })
    }

    fn values(&self) -> LeafWitness {
        self.witness.clone().unwrap_or_else(|| LeafWitness {
            input: LeafInput { parameters: LeafParameters::ZERO, segment: Queue::empty() },
            basic_vk_cap: vec![[F::ZERO; 4]; self.verified.cap_size()],
            requests: Vec::new(),
            proofs: Vec::new(),
        })
    }
}

impl<B: SetCircuit> CircuitBuilder<F> for LeafCircuit<B> {
    fn geometry() -> CSGeometry {
        RecursionGates::geometry()
    }

    fn lookup_parameters() -> LookupParameters {
        RecursionGates::lookup_parameters()
    }

    fn configure_builder<T: CsBuilderImpl<F, T>, GC: GateConfigurationHolder<F>, TB: StaticToolboxHolder>(
        builder: CsBuilder<T, F, GC, TB>,
    ) -> CsBuilder<T, F, impl GateConfigurationHolder<F>, impl StaticToolboxHolder> {
        RecursionGates::configure_builder(builder)
    }
}

impl<B: SetCircuit> SetCircuit for LeafCircuit<B> {
    fn trace_len(&self) -> usize {
        TRACE_LEN
    }

    fn synthesize<CS: ConstraintSystem<F> + 'static>(&self, cs: &mut CS) {
        reserve_public_input(cs);
        let witness = self.values();
        let parameters = witness.input.parameters.map(|x| logic::allocate(cs, x));
        let segment = allocate_segment(cs, &witness.input.segment);
        let elements = leaf_input_elements(&parameters, &segment.flatten());

        // Leaves over different types are different circuits even where their basic circuits look alike.
        let circuit_type = constant(cs, self.circuit_type.into());
        logic::enforce_equal(cs, &parameters.circuit_type, &circuit_type);
        let (vk, commitment) = allocate_vk(cs, &witness.basic_vk_cap);
        for (actual, expected) in commitment.iter().zip(&parameters.basic_vk_commitment) {
            logic::enforce_equal(cs, actual, expected);
        }

        let verifier = InCircuitVerifier::new::<B>(cs, &self.verified);
        let mut rest = segment;
        for i in 0..LEAF_ARITY {
            let request = witness.requests.get(i).copied().unwrap_or([F::ZERO; 4]);
            let request = logic::allocate_all(cs, request);
            let encoding = encoding_var(cs, parameters.circuit_type, &request);
            let popped = rest.pop(cs, &encoding);
            // Where nothing is popped, any well-formed proof does.
            let proof = witness.proofs.get(i).or(witness.proofs.first());
            verifier.verify_if(cs, popped, &vk, proof, &request);
        }
        // Ends empty, so the segment had at most two requests.
        let zero = constant(cs, 0);
        logic::enforce_equal(cs, &rest.length, &zero);
        let always = Boolean::allocated_constant(cs, true);
        rest.enforce_consumed_if(cs, always);

        let public_input = hash(cs, RECURSION_INPUT, &elements);
        set_public_input(cs, &public_input);
    }
}
