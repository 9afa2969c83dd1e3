//! Closed-form inputs: how instances of one circuit chain through public inputs alone.
//!
//! An instance's public input is H7 over its *compact form*: two flags and the commitments to four parts, of which the
//! ones that do not apply are masked with zeros:
//!
//! | part | length | masked |
//! |---|---|---|
//! | start flag, completion flag | 1 + 1 | never |
//! | observable input | 4 | never |
//! | observable output | 4 | unless complete |
//! | FSM input | 4 | if start |
//! | FSM output | 4 | if complete |
//!
//! The scheduler rebuilds the chain from these.

use boojum::{
    cs::{gates::PublicInputGate, traits::cs::ConstraintSystem},
    field::{Field, U64Representable},
    gadgets::{boolean::Boolean, num::Num},
};
use ingot_circuit_set::field::{Digest, F};
use serde::{Deserialize, Serialize};

use crate::{
    gadgets::hash::{hash as hash_gadget, DigestVar},
    native::hash::{hash, CLOSED_FORM},
};

/// The flags and the four parts of an instance, unhashed: natively (`T` = [`F`], `B` = `bool`) or in-circuit.
#[derive(Clone, Debug)]
pub struct Parts<T, B> {
    /// First instance of its circuit in the batch.
    pub start: B,
    /// Last instance of its circuit in the batch.
    pub completion: B,
    /// What the circuit is asked; the same for every instance.
    pub observable_input: Vec<T>,
    /// What the circuit answers; meaningful in the last instance.
    pub observable_output: Vec<T>,
    /// State taken over from the previous instance.
    pub fsm_input: Vec<T>,
    /// State handed to the next instance.
    pub fsm_output: Vec<T>,
}

/// A compact form, natively.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompactForm {
    /// First instance.
    pub start: bool,
    /// Last instance.
    pub completion: bool,
    /// H7(observable input).
    pub observable_input: Digest,
    /// H7(observable output), or zeros.
    pub observable_output: Digest,
    /// H7(FSM input), or zeros.
    pub fsm_input: Digest,
    /// H7(FSM output), or zeros.
    pub fsm_output: Digest,
}

/// Number of elements of a flattened compact form.
pub const COMPACT_FORM_LEN: usize = 18;

impl CompactForm {
    /// The compact form that stands for an unused slot.
    pub const EMPTY: Self = Self {
        start: false,
        completion: false,
        observable_input: [F::ZERO; 4],
        observable_output: [F::ZERO; 4],
        fsm_input: [F::ZERO; 4],
        fsm_output: [F::ZERO; 4],
    };

    /// The elements, in the order in which they are hashed.
    pub fn flatten(&self) -> [F; COMPACT_FORM_LEN] {
        let mut out = [F::ZERO; COMPACT_FORM_LEN];
        out[0] = F::from_u64_unchecked(u64::from(self.start));
        out[1] = F::from_u64_unchecked(u64::from(self.completion));
        out[2..6].copy_from_slice(&self.observable_input);
        out[6..10].copy_from_slice(&self.observable_output);
        out[10..14].copy_from_slice(&self.fsm_input);
        out[14..18].copy_from_slice(&self.fsm_output);
        out
    }

    /// The instance's public input, H7 over the compact form.
    pub fn public_input(&self) -> Digest {
        hash(CLOSED_FORM, &self.flatten())
    }
}

impl Parts<F, bool> {
    /// Commits to the parts and masks what does not apply.
    pub fn compact(&self) -> CompactForm {
        let commit = |part: &[F], keep: bool| if keep { hash(CLOSED_FORM, part) } else { [F::ZERO; 4] };
        CompactForm {
            start: self.start,
            completion: self.completion,
            observable_input: commit(&self.observable_input, true),
            observable_output: commit(&self.observable_output, self.completion),
            fsm_input: commit(&self.fsm_input, !self.start),
            fsm_output: commit(&self.fsm_output, !self.completion),
        }
    }
}

/// Reserves the places of the public input. To be called before anything else, so that they are the same in every
/// circuit.
pub fn reserve_public_input<CS: ConstraintSystem<F>>(cs: &mut CS) {
    for _ in 0..4 {
        PublicInputGate::reserve_public_input_location(cs);
    }
}

/// Puts `elements` into the reserved places.
pub fn set_public_input<CS: ConstraintSystem<F>>(cs: &mut CS, elements: &DigestVar) {
    for element in elements {
        PublicInputGate::use_reserved_public_input_location(cs, element.get_variable());
    }
}

/// The in-circuit twin of [`CompactForm::public_input`]; `commitments` are in the order of the compact form.
pub fn compact_public_input<CS: ConstraintSystem<F>>(
    cs: &mut CS,
    start: Boolean<F>,
    completion: Boolean<F>,
    commitments: &[DigestVar; 4],
) -> DigestVar {
    let mut elements = vec![start.into_num(), completion.into_num()];
    elements.extend(commitments.as_flattened());
    hash_gadget(cs, CLOSED_FORM, &elements)
}

impl Parts<Num<F>, Boolean<F>> {
    /// The in-circuit twin of [`Parts::compact`] followed by [`CompactForm::public_input`].
    pub fn public_input<CS: ConstraintSystem<F>>(&self, cs: &mut CS) -> DigestVar {
        let observable_input = hash_gadget(cs, CLOSED_FORM, &self.observable_input);
        let observable_output = hash_gadget(cs, CLOSED_FORM, &self.observable_output);
        let observable_output = observable_output.map(|x| x.mask(cs, self.completion));
        let fsm_input = hash_gadget(cs, CLOSED_FORM, &self.fsm_input);
        let fsm_input = fsm_input.map(|x| x.mask_negated(cs, self.start));
        let fsm_output = hash_gadget(cs, CLOSED_FORM, &self.fsm_output);
        let fsm_output = fsm_output.map(|x| x.mask_negated(cs, self.completion));
        let parts = [observable_input, observable_output, fsm_input, fsm_output];
        compact_public_input(cs, self.start, self.completion, &parts)
    }
}
