//! Circuit 2, `SignatureVerifier`: pops (key, message) pairs and enforces a WOTS+ signature for each.

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
    field::{Digest, F},
    SetCircuit,
};
use serde::{Deserialize, Serialize};

use super::closed_form::{reserve_public_input, set_public_input, Parts};
use crate::{
    gadgets::{
        geometry::{poseidon_gates, POSEIDON_GEOMETRY},
        hash::{constant, hash, permute, STATE_WIDTH},
        logic,
        queue::QueueVar,
        uint,
    },
    native::{
        hash::{element, WOTS_DIGEST, WOTS_KEY, WOTS_STEP},
        trace::SignedMessage,
        wots::{Signature, CHAINS, CHECKSUM_DIGITS, MESSAGE_DIGITS, STEPS},
    },
    queue::Queue,
};

/// Signatures per instance: what fits 2^14 rows.
pub const SIGNATURE_CYCLES: usize = 48;
/// Rows of the circuit.
pub const SIGNATURE_TRACE_LEN: usize = 1 << 14;
/// Columns for booleans.
const BOOLEAN_COLUMNS: usize = 2;

/// One instance of the circuit.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SignatureVerifier {
    /// First instance.
    pub start: bool,
    /// Last instance.
    pub completion: bool,
    /// The executor's signature queue (its head is zero).
    pub input: Queue,
    /// Queue after the previous instance (ignored at the start).
    pub fsm_input: Queue,
    /// Up to [`SIGNATURE_CYCLES`] signatures.
    pub signatures: Vec<SignedMessage>,
}

/// The observable input: tail and length.
pub fn flatten_input(queue: &Queue) -> Vec<F> {
    queue.tail.into_iter().chain([element(queue.length)]).collect()
}

/// The FSM state: head, tail, length.
pub fn flatten_fsm(queue: &Queue) -> Vec<F> {
    queue.head.into_iter().chain(queue.tail).chain([element(queue.length)]).collect()
}

/// What is pushed and popped for one signature.
pub fn encode(signed: &SignedMessage) -> [F; 8] {
    let mut out = [F::ZERO; 8];
    out[..4].copy_from_slice(&signed.key_before);
    out[4..].copy_from_slice(&signed.message);
    out
}

impl SignatureVerifier {
    /// An instance without values, for setup.
    pub fn empty() -> Self {
        Self {
            start: true,
            completion: true,
            input: Queue::empty(),
            fsm_input: Queue::empty(),
            signatures: Vec::new(),
        }
    }
}

impl CircuitBuilder<F> for SignatureVerifier {
    fn geometry() -> CSGeometry {
        POSEIDON_GEOMETRY
    }
    fn lookup_parameters() -> LookupParameters {
        LookupParameters::NoLookup
    }
    fn configure_builder<T: CsBuilderImpl<F, T>, GC: GateConfigurationHolder<F>, TB: StaticToolboxHolder>(
        builder: CsBuilder<T, F, GC, TB>,
    ) -> CsBuilder<T, F, impl GateConfigurationHolder<F>, impl StaticToolboxHolder> {
        poseidon_gates::<T, GC, TB, BOOLEAN_COLUMNS>(builder)
    }
}

impl SetCircuit for SignatureVerifier {
    fn trace_len(&self) -> usize {
        SIGNATURE_TRACE_LEN
    }

    fn synthesize<CS: ConstraintSystem<F> + 'static>(&self, cs: &mut CS) {
        reserve_public_input(cs);
        let start = logic::allocate_bool(cs, self.start);
        let completion = logic::allocate_bool(cs, self.completion);
        let zero = constant(cs, 0);

        let tail = logic::allocate_all(cs, self.input.tail);
        let length = logic::allocate(cs, element(self.input.length));
        let observable_input: Vec<_> = tail.into_iter().chain([length]).collect();
        let fsm_head = logic::allocate_all(cs, self.fsm_input.head);
        let fsm_tail = logic::allocate_all(cs, self.fsm_input.tail);
        let fsm_length = logic::allocate(cs, element(self.fsm_input.length));
        let fsm_input: Vec<_> = fsm_head.into_iter().chain(fsm_tail).chain([fsm_length]).collect();

        let [length] = logic::select(cs, start, &[length], &[fsm_length]);
        let mut queue = QueueVar {
            head: logic::select(cs, start, &[zero; STATE_WIDTH], &fsm_head),
            tail: logic::select(cs, start, &tail, &fsm_tail),
            length,
        };
        for i in 0..SIGNATURE_CYCLES {
            synthesize_cycle(cs, &mut queue, self.signatures.get(i));
        }
        let left = queue.is_not_empty(cs);
        let empty = left.negated(cs).into_num();
        logic::enforce_equal(cs, &completion.into_num(), &empty);
        queue.enforce_consumed_if(cs, completion);

        let parts = Parts {
            start,
            completion,
            observable_input,
            observable_output: Vec::new(),
            fsm_input,
            fsm_output: queue.flatten(),
        };
        let public_input = parts.public_input(cs);
        set_public_input(cs, &public_input);
    }
}

/// Pops one pair, if there is one, and then enforces its signature.
fn synthesize_cycle<CS: ConstraintSystem<F>>(
    cs: &mut CS,
    queue: &mut QueueVar,
    signed: Option<&SignedMessage>,
) {
    let key_value: Digest = signed.map_or([F::ZERO; 4], |s| s.key_before);
    let message_value: Digest = signed.map_or([F::ZERO; 4], |s| s.message);
    let key = logic::allocate_all(cs, key_value);
    let message = logic::allocate_all(cs, message_value);
    let encoding: Vec<_> = key.into_iter().chain(message).collect();
    let popped = queue.pop(cs, &encoding);

    let signature: Option<&Signature> = signed.map(|s| &s.signature);
    let randomizer = logic::allocate_all(cs, signature.map_or([F::ZERO; 2], |s| s.r));
    let seed = logic::allocate_all(cs, signature.map_or([F::ZERO; 2], |s| s.s));
    let digits = digits(cs, randomizer, seed, &key, &message);

    let mut tops = seed.to_vec();
    for (chain, (high, low)) in digits.into_iter().enumerate() {
        let value = signature.and_then(|s| s.values.get(chain)).copied().unwrap_or([F::ZERO; 2]);
        let mut value = logic::allocate_all(cs, value);
        let selected = steps_selected(cs, high, low);
        for (step, selected) in selected.into_iter().enumerate() {
            let next = chain_step(cs, value, seed, chain, step);
            value = [0, 1].map(|i| select_one(cs, selected, next[i], value[i]));
        }
        tops.extend(value);
    }
    let computed = hash(cs, WOTS_KEY, &tops);
    for (computed, expected) in computed.iter().zip(&key) {
        logic::enforce_equal_if(cs, popped, computed, expected);
    }
}

fn select_one<CS: ConstraintSystem<F>>(cs: &mut CS, condition: Boolean<F>, a: Num<F>, b: Num<F>) -> Num<F> {
    use boojum::gadgets::traits::selectable::Selectable;
    Num::conditionally_select(cs, condition, &a, &b)
}

/// Step `step` of chain `chain`: the first two outputs of one tag-4 permutation.
fn chain_step<CS: ConstraintSystem<F>>(
    cs: &mut CS,
    [x0, x1]: [Num<F>; 2],
    [s0, s1]: [Num<F>; 2],
    chain: usize,
    step: usize,
) -> [Num<F>; 2] {
    let zero = constant(cs, 0);
    let mut state = [zero; STATE_WIDTH];
    state[..4].copy_from_slice(&[x0, x1, s0, s1]);
    state[4] = constant(cs, chain as u64);
    state[5] = constant(cs, step as u64);
    state[8] = constant(cs, WOTS_STEP);
    state[STATE_WIDTH - 1] = constant(cs, 8);
    let out = permute(cs, state);
    [out[0], out[1]]
}

/// Which of the three steps remain for the digit 2·high + low: step j iff j ≥ digit.
fn steps_selected<CS: ConstraintSystem<F>>(
    cs: &mut CS,
    high: Boolean<F>,
    low: Boolean<F>,
) -> [Boolean<F>; STEPS as usize] {
    let not_high = high.negated(cs);
    let not_low = low.negated(cs);
    let digit_is_zero = not_high.and(cs, not_low);
    let digit_is_three = high.and(cs, low);
    [digit_is_zero, not_high, digit_is_three.negated(cs)]
}

/// The 68 base-4 digits that are signed, as (high bit, low bit), most significant first: 64 of the message digest, four
/// of the checksum.
fn digits<CS: ConstraintSystem<F>>(
    cs: &mut CS,
    randomizer: [Num<F>; 2],
    seed: [Num<F>; 2],
    key: &[Num<F>; 4],
    message: &[Num<F>; 4],
) -> Vec<(Boolean<F>, Boolean<F>)> {
    let preimage: Vec<_> = randomizer.iter().chain(&seed).chain(key).chain(message).copied().collect();
    let digest = hash(cs, WOTS_DIGEST, &preimage);
    let mut digits = Vec::with_capacity(CHAINS);
    for element in &digest[..2] {
        for word in uint::split_words_unchecked(cs, *element) {
            // The range check is the decomposition itself.
            let bits = uint::bits::<CS, 32>(cs, word);
            digits.extend(bits.as_chunks::<2>().0.iter().rev().map(|[low, high]| (*high, *low)));
        }
    }
    debug_assert_eq!(digits.len(), MESSAGE_DIGITS);

    let mut terms = vec![(constant(cs, 3 * MESSAGE_DIGITS as u64), F::ONE)];
    for (high, low) in &digits {
        terms.push((high.into_num(), logic::negative(2)));
        terms.push((low.into_num(), logic::negative(1)));
    }
    let checksum = logic::sum(cs, &terms);
    let bits = uint::bits::<CS, { 2 * CHECKSUM_DIGITS }>(cs, checksum);
    digits.extend(bits.as_chunks::<2>().0.iter().rev().map(|[low, high]| (*high, *low)));
    digits
}
