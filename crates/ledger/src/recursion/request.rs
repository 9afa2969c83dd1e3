//! Requests for proofs and the queues they stand in, natively and in-circuit.

use boojum::{cs::traits::cs::ConstraintSystem, field::Field, gadgets::num::Num};
use ingot_circuit_set::field::{Digest, F};
use serde::{Deserialize, Serialize};

use crate::{
    gadgets::{
        hash::{constant, DigestVar},
        logic,
        queue::QueueVar,
    },
    native::hash::{element, queue_absorb},
    queue::{Queue, SpongeState},
};

/// What a request absorbs: \[type, public input (4), 0, 0, 0\].
pub fn encoding(circuit_type: F, public_input: &Digest) -> [F; 8] {
    let [a, b, c, d] = *public_input;
    [circuit_type, a, b, c, d, F::ZERO, F::ZERO, F::ZERO]
}

/// [`encoding`] in-circuit.
pub fn encoding_var<CS: ConstraintSystem<F>>(
    cs: &mut CS,
    circuit_type: Num<F>,
    public_input: &DigestVar,
) -> [Num<F>; 8] {
    let zero = constant(cs, 0);
    let [a, b, c, d] = *public_input;
    [circuit_type, a, b, c, d, zero, zero, zero]
}

/// Allocates a queue segment, or a whole queue, as a witness.
pub fn allocate_segment<CS: ConstraintSystem<F>>(cs: &mut CS, segment: &Queue) -> QueueVar {
    QueueVar {
        head: logic::allocate_all(cs, segment.head),
        tail: logic::allocate_all(cs, segment.tail),
        length: logic::allocate(cs, element(segment.length)),
    }
}

/// All requests of one branch, and the queue's state between any two of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestQueue {
    circuit_type: u32,
    requests: Vec<Digest>,
    /// One more than there are requests.
    states: Vec<SpongeState>,
}

impl RequestQueue {
    /// The queue for the instances of basic circuit `circuit_type` with these public inputs, in order.
    pub fn new(circuit_type: u32, requests: Vec<Digest>) -> Self {
        let mut state = [F::ZERO; 12];
        let mut states = vec![state];
        for request in &requests {
            state = queue_absorb(state, &encoding(element(circuit_type), request));
            states.push(state);
        }
        Self { circuit_type, requests, states }
    }

    /// Number of requests.
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Whether nothing is requested.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// The whole queue.
    pub fn whole(&self) -> Queue {
        self.segment(0, self.len())
    }

    /// The segment of requests `start..end`, cut to what there is.
    pub fn segment(&self, start: usize, end: usize) -> Queue {
        let end = end.min(self.len());
        let start = start.min(end);
        let at = |i: usize| self.states.get(i).copied().unwrap_or([F::ZERO; 12]);
        Queue { head: at(start), tail: at(end), length: (end - start) as u32 }
    }

    /// The public inputs of requests `start..end`, cut to what there is.
    pub fn requests(&self, start: usize, end: usize) -> &[Digest] {
        let end = end.min(self.len());
        self.requests.get(start.min(end)..end).unwrap_or_default()
    }
}
