//! Round 2, the node: merges two leaves or two nodes of one branch.

use boojum::{
    cs::{
        cs_builder::{CsBuilder, CsBuilderImpl},
        traits::{circuit::CircuitBuilder, cs::ConstraintSystem},
        CSGeometry, GateConfigurationHolder, LookupParameters, StaticToolboxHolder,
    },
    field::Field,
    gadgets::{boolean::Boolean, num::Num},
};
use ingot_circuit_set::{
    field::{Digest, Proof, F},
    SetCircuit, SetError,
};
use serde::{Deserialize, Serialize};

use super::{
    geometry::RecursionGates,
    input::{leaf_input_elements, node_input_elements, LeafParameters, NodeInput, RecursionKeys},
    request::allocate_segment,
    shape::ProofShape,
    verify::{allocate_vk, InCircuitVerifier, VerifiedCircuit},
    BRANCHES, NODE_ARITY, REQUESTS_OVER_LEAVES, TRACE_LEN,
};
use crate::{
    basic::closed_form::{reserve_public_input, set_public_input},
    gadgets::{
        hash::{constant, hash},
        logic,
        queue::QueueVar,
    },
    native::hash::{element, RECURSION_INPUT},
    queue::{Queue, SpongeState},
};

/// What a node is made from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeWitness {
    /// Its input.
    pub input: NodeInput,
    /// Requests that go to the first child.
    pub first_length: u32,
    /// The queue's state where the segment is cut.
    pub middle: SpongeState,
    /// Setup cap of the children's key: the branch's leaf if the segment has at most four requests, else the node.
    pub child_vk_cap: Vec<Digest>,
    /// Proofs of the children that have requests, in order.
    pub proofs: Vec<Proof>,
}

impl NodeWitness {
    /// The children's segments, which may be empty.
    fn lengths(&self) -> [u32; NODE_ARITY] {
        [self.first_length, self.input.segment.length.wrapping_sub(self.first_length)]
    }
}

/// The node, the same at every depth and in every branch.
#[derive(Clone, Debug)]
pub struct NodeCircuit {
    verified: VerifiedCircuit,
    witness: Option<NodeWitness>,
}

impl NodeCircuit {
    /// The node without values. `verified` is the geometry that all leaves and the node share.
    pub fn for_setup(verified: VerifiedCircuit) -> Self {
        Self { verified, witness: None }
    }

    /// The node that makes `witness` true.
    ///
    /// # Errors
    /// [`SetError::Inconsistent`] if there is not one proof for each child with requests, or one has another shape.
    pub fn new(verified: VerifiedCircuit, witness: NodeWitness) -> Result<Self, SetError> {
        let needed = witness.lengths().iter().filter(|length| **length != 0).count();
        if witness.proofs.len() != needed || needed == 0 {
            return Err(SetError::Inconsistent(format!(
                "node: {} proofs for {needed} children with requests",
                witness.proofs.len()
            )));
        }
        ProofShape::new::<RecursionGates>(&verified)?.check(
            "node",
            &witness.child_vk_cap,
            &witness.proofs,
        )?;
        Ok(Self { verified, witness: Some(witness) })
    }

    fn values(&self) -> NodeWitness {
        self.witness.clone().unwrap_or_else(|| NodeWitness {
            input: NodeInput { branch: 0, keys: RecursionKeys::ZERO, segment: Queue::empty() },
            first_length: 0,
            middle: [F::ZERO; 12],
            child_vk_cap: vec![[F::ZERO; 4]; self.verified.cap_size()],
            proofs: Vec::new(),
        })
    }
}

impl CircuitBuilder<F> for NodeCircuit {
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

/// The parameters of `branch`, zeros if there is no such branch.
fn select_parameters<CS: ConstraintSystem<F>>(
    cs: &mut CS,
    branch: &Num<F>,
    all: &[LeafParameters<Num<F>>; BRANCHES],
) -> LeafParameters<Num<F>> {
    let zero = constant(cs, 0);
    let mut selected = [zero; LeafParameters::<F>::LEN];
    for (number, parameters) in (1u64..).zip(all) {
        let number = constant(cs, number);
        let chosen = Num::equals(cs, branch, &number).into_num();
        for (sum, x) in selected.iter_mut().zip(parameters.elements()) {
            *sum = Num::fma(cs, &chosen, &x, &F::ONE, sum, &F::ONE);
        }
    }
    let [circuit_type, b0, b1, b2, b3, l0, l1, l2, l3] = selected;
    LeafParameters {
        circuit_type,
        basic_vk_commitment: [b0, b1, b2, b3],
        leaf_vk_commitment: [l0, l1, l2, l3],
    }
}

/// True iff `length` is 0 to 4, whatever element it is.
fn is_over_leaves<CS: ConstraintSystem<F>>(cs: &mut CS, length: &Num<F>) -> Boolean<F> {
    let one = constant(cs, 1);
    let mut product = *length;
    for k in 1..=REQUESTS_OVER_LEAVES as u64 {
        let factor = logic::sum(cs, &[(*length, F::ONE), (one, logic::negative(k))]);
        product = product.mul(cs, &factor);
    }
    product.is_zero(cs)
}

/// Cuts `whole` at a witness state into two segments whose lengths sum to the whole's as integers.
///
/// Either may be empty: then nothing is verified for it, and head = tail leaves the other the whole segment.
fn cut<CS: ConstraintSystem<F>>(
    cs: &mut CS,
    whole: &QueueVar,
    witness: &NodeWitness,
) -> [QueueVar; NODE_ARITY] {
    let middle = logic::allocate_all(cs, witness.middle);
    let first = logic::allocate(cs, element(witness.first_length));
    let second = logic::sum(cs, &[(whole.length, F::ONE), (first, logic::negative(1))]);
    for length in [first, second] {
        // Below 2^32 each, so that their sum cannot wrap.
        let _bits = length.spread_into_bits::<CS, 32>(cs);
    }
    [
        QueueVar { head: whole.head, tail: middle, length: first },
        QueueVar { head: middle, tail: whole.tail, length: second },
    ]
}

impl SetCircuit for NodeCircuit {
    fn trace_len(&self) -> usize {
        TRACE_LEN
    }

    fn synthesize<CS: ConstraintSystem<F> + 'static>(&self, cs: &mut CS) {
        reserve_public_input(cs);
        let witness = self.values();
        let branch = logic::allocate(cs, element(witness.input.branch));
        let keys = witness.input.keys.map(|x| logic::allocate(cs, x));
        let segment = allocate_segment(cs, &witness.input.segment);

        let parameters = select_parameters(cs, &branch, &keys.leaf_parameters);
        let over_leaves = is_over_leaves(cs, &segment.length);
        let child_commitment =
            logic::select(cs, over_leaves, &parameters.leaf_vk_commitment, &keys.node_vk_commitment);
        let (vk, commitment) = allocate_vk(cs, &witness.child_vk_cap);
        for (actual, expected) in commitment.iter().zip(&child_commitment) {
            logic::enforce_equal(cs, actual, expected);
        }

        let verifier = InCircuitVerifier::new::<RecursionGates>(cs, &self.verified);
        let mut proofs = witness.proofs.iter();
        for (child, length) in cut(cs, &segment, &witness).iter().zip(witness.lengths()) {
            // The child's input is made of this input, so every key is the same at every depth.
            let as_leaf = hash(cs, RECURSION_INPUT, &leaf_input_elements(&parameters, &child.flatten()));
            let as_node = hash(cs, RECURSION_INPUT, &node_input_elements(branch, &keys, &child.flatten()));
            let public_input = logic::select(cs, over_leaves, &as_leaf, &as_node);
            let needed = child.is_not_empty(cs);
            let empty = needed.negated(cs);
            child.enforce_consumed_if(cs, empty);
            let own = if length == 0 { None } else { proofs.next() };
            verifier.verify_if(cs, needed, &vk, own.or(witness.proofs.first()), &public_input);
        }

        let public_input = hash(cs, RECURSION_INPUT, &node_input_elements(branch, &keys, &segment.flatten()));
        set_public_input(cs, &public_input);
    }
}
