//! Round 3, the recursion tip: one node proof of each branch that has requests.

use boojum::{
    cs::{
        cs_builder::{CsBuilder, CsBuilderImpl},
        traits::{circuit::CircuitBuilder, cs::ConstraintSystem},
        CSGeometry, GateConfigurationHolder, LookupParameters, StaticToolboxHolder,
    },
    field::Field,
};
use ingot_circuit_set::{
    field::{Digest, Proof, F},
    SetCircuit, SetError,
};
use serde::{Deserialize, Serialize};

use super::{
    geometry::RecursionGates,
    input::{node_input_elements, tip_input_elements, RecursionKeys, TipInput},
    request::allocate_segment,
    shape::ProofShape,
    verify::{allocate_vk, InCircuitVerifier, VerifiedCircuit},
    BRANCHES, TIP_TRACE_LEN,
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

/// What the tip is made from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TipWitness {
    /// Its input.
    pub input: TipInput,
    /// Setup cap of the node's key.
    pub node_vk_cap: Vec<Digest>,
    /// A node proof for each branch with requests, in order of branches.
    pub proofs: Vec<Proof>,
}

/// The recursion tip.
#[derive(Clone, Debug)]
pub struct TipCircuit {
    verified: VerifiedCircuit,
    witness: Option<TipWitness>,
}

impl TipCircuit {
    /// The tip without values. `verified` is the geometry that all leaves and the node share.
    pub fn for_setup(verified: VerifiedCircuit) -> Self {
        Self { verified, witness: None }
    }

    /// The tip that makes `witness` true.
    ///
    /// # Errors
    /// [`SetError::Inconsistent`] if there is not one proof for each branch with requests, or one has another shape.
    pub fn new(verified: VerifiedCircuit, witness: TipWitness) -> Result<Self, SetError> {
        let needed = witness.input.queues.iter().filter(|queue| queue.length != 0).count();
        if witness.proofs.len() != needed || needed == 0 {
            return Err(SetError::Inconsistent(format!(
                "recursion tip: {} proofs for {needed} branches with requests",
                witness.proofs.len()
            )));
        }
        ProofShape::new::<RecursionGates>(&verified)?.check(
            "recursion tip",
            &witness.node_vk_cap,
            &witness.proofs,
        )?;
        Ok(Self { verified, witness: Some(witness) })
    }

    fn values(&self) -> TipWitness {
        self.witness.clone().unwrap_or_else(|| TipWitness {
            input: TipInput { keys: RecursionKeys::ZERO, queues: [Queue::empty(); BRANCHES] },
            node_vk_cap: vec![[F::ZERO; 4]; self.verified.cap_size()],
            proofs: Vec::new(),
        })
    }
}

impl CircuitBuilder<F> for TipCircuit {
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

impl SetCircuit for TipCircuit {
    fn trace_len(&self) -> usize {
        TIP_TRACE_LEN
    }

    fn synthesize<CS: ConstraintSystem<F> + 'static>(&self, cs: &mut CS) {
        reserve_public_input(cs);
        let witness = self.values();
        let keys = witness.input.keys.map(|x| logic::allocate(cs, x));
        let queues = witness.input.queues.each_ref().map(|queue| allocate_segment(cs, queue));
        let (vk, commitment) = allocate_vk(cs, &witness.node_vk_cap);
        for (actual, expected) in commitment.iter().zip(&keys.node_vk_commitment) {
            logic::enforce_equal(cs, actual, expected);
        }

        let verifier = InCircuitVerifier::new::<RecursionGates>(cs, &self.verified);
        let mut proofs = witness.proofs.iter();
        for ((branch, queue), native) in (1u64..).zip(&queues).zip(&witness.input.queues) {
            let branch = constant(cs, branch);
            let public_input =
                hash(cs, RECURSION_INPUT, &node_input_elements(branch, &keys, &queue.flatten()));
            let needed = queue.is_not_empty(cs);
            let empty = needed.negated(cs);
            queue.enforce_consumed_if(cs, empty);
            let own = if native.length == 0 { None } else { proofs.next() };
            verifier.verify_if(cs, needed, &vk, own.or(witness.proofs.first()), &public_input);
        }

        let queues = queues.each_ref().map(|queue| queue.flatten());
        let public_input = hash(cs, RECURSION_INPUT, &tip_input_elements(&keys, &queues));
        set_public_input(cs, &public_input);
    }
}
