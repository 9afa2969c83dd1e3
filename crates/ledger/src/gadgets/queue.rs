//! Full-state queues: the head and the tail are whole sponge states, an element is absorbed by one permutation for every
//! eight field elements of its encoding.

use boojum::{
    cs::traits::cs::ConstraintSystem,
    field::Field,
    gadgets::{boolean::Boolean, num::Num},
};
use ingot_circuit_set::field::F;

use super::{
    hash::{permute, RATE, STATE_WIDTH},
    logic,
};

/// A queue's sponge state in-circuit.
pub type QueueStateVar = [Num<F>; STATE_WIDTH];

/// The state after absorbing `encoding`, whose length is a multiple of eight.
pub fn absorb<CS: ConstraintSystem<F>>(
    cs: &mut CS,
    state: QueueStateVar,
    encoding: &[Num<F>],
) -> QueueStateVar {
    debug_assert_eq!(encoding.len() % RATE, 0);
    encoding.chunks(RATE).fold(state, |mut state, chunk| {
        state[..chunk.len()].copy_from_slice(chunk);
        permute(cs, state)
    })
}

/// A queue that only grows: its head stays where it was born.
#[derive(Clone, Copy, Debug)]
pub struct QueueTailVar {
    /// State after the last element.
    pub tail: QueueStateVar,
    /// Number of elements ever pushed.
    pub length: Num<F>,
}

impl QueueTailVar {
    /// Pushes `encoding` iff `execute`.
    ///
    /// The length cannot wrap: it grows by at most two a cycle, and the scheduler bounds the number of cycles.
    pub fn push<CS: ConstraintSystem<F>>(&mut self, cs: &mut CS, encoding: &[Num<F>], execute: Boolean<F>) {
        let pushed = absorb(cs, self.tail, encoding);
        self.tail = logic::select(cs, execute, &pushed, &self.tail);
        self.length = logic::sum(cs, &[(self.length, F::ONE), (execute.into_num(), F::ONE)]);
    }

    /// The elements that stand for it in an observable or an FSM state: tail, length.
    pub fn flatten(&self) -> Vec<Num<F>> {
        self.tail.iter().copied().chain([self.length]).collect()
    }
}

/// A queue that is consumed.
#[derive(Clone, Copy, Debug)]
pub struct QueueVar {
    /// State before the next element.
    pub head: QueueStateVar,
    /// State after the last element.
    pub tail: QueueStateVar,
    /// Number of elements left.
    pub length: Num<F>,
}

impl QueueVar {
    /// Pops `encoding` iff the queue is not empty, and says whether it did.
    pub fn pop<CS: ConstraintSystem<F>>(&mut self, cs: &mut CS, encoding: &[Num<F>]) -> Boolean<F> {
        let popped = self.is_not_empty(cs);
        let head = absorb(cs, self.head, encoding);
        self.head = logic::select(cs, popped, &head, &self.head);
        self.length = logic::sum(cs, &[(self.length, F::ONE), (popped.into_num(), F::MINUS_ONE)]);
        popped
    }

    /// True iff elements are left.
    pub fn is_not_empty<CS: ConstraintSystem<F>>(&self, cs: &mut CS) -> Boolean<F> {
        let empty = self.length.is_zero(cs);
        empty.negated(cs)
    }

    /// Enforces, iff `condition`, that everything was consumed: head = tail.
    pub fn enforce_consumed_if<CS: ConstraintSystem<F>>(&self, cs: &mut CS, condition: Boolean<F>) {
        for (head, tail) in self.head.iter().zip(&self.tail) {
            logic::enforce_equal_if(cs, condition, head, tail);
        }
    }

    /// The elements that stand for it in an FSM state: head, tail, length.
    pub fn flatten(&self) -> Vec<Num<F>> {
        self.head.iter().chain(&self.tail).copied().chain([self.length]).collect()
    }
}
