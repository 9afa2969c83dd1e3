//! `H<tag>` in-circuit: see [`crate::native::hash::hash`], which this must equal.

use boojum::{
    cs::{traits::cs::ConstraintSystem, Variable},
    field::U64Representable,
    gadgets::{num::Num, traits::round_function::CircuitRoundFunction},
};
use ingot_circuit_set::field::{RoundFunction, F};

/// Width of the sponge's rate, in elements.
pub const RATE: usize = 8;
/// Width of the sponge's state, in elements.
pub const STATE_WIDTH: usize = 12;

/// A digest in-circuit.
pub type DigestVar = [Num<F>; 4];

/// The constant `value`.
pub fn constant<CS: ConstraintSystem<F>>(cs: &mut CS, value: u64) -> Num<F> {
    Num::allocated_constant(cs, F::from_u64_unchecked(value))
}

/// One Poseidon2 permutation.
pub fn permute<CS: ConstraintSystem<F>>(cs: &mut CS, state: [Num<F>; STATE_WIDTH]) -> [Num<F>; STATE_WIDTH] {
    let state: [Variable; STATE_WIDTH] = state.map(|x| x.get_variable());
    RoundFunction::compute_round_function(cs, state).map(Num::from_variable)
}

/// `H<tag>(elements)`: overwrite-mode sponge, zero padded, initial capacity state\[8\] = tag, state\[11\] = length.
pub fn hash<CS: ConstraintSystem<F>>(cs: &mut CS, tag: u64, elements: &[Num<F>]) -> DigestVar {
    let zero = constant(cs, 0);
    let mut state = [zero; STATE_WIDTH];
    state[RATE] = constant(cs, tag);
    state[STATE_WIDTH - 1] = constant(cs, elements.len() as u64);
    for chunk in elements.chunks(RATE) {
        state[..RATE].fill(zero);
        state[..chunk.len()].copy_from_slice(chunk);
        state = permute(cs, state);
    }
    [state[0], state[1], state[2], state[3]]
}
