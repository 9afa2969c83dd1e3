//! Full-state queues, natively: see [`crate::gadgets::queue`].

use boojum::field::Field;
use ingot_circuit_set::field::F;
use serde::{Deserialize, Serialize};

use crate::native::hash::queue_absorb;

/// A sponge state.
pub type SpongeState = [F; 12];

/// A queue, or a segment of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// State before the first element.
    pub head: SpongeState,
    /// State after the last element.
    pub tail: SpongeState,
    /// Number of elements.
    pub length: u32,
}

impl Queue {
    /// A queue at its birth: the head is zero.
    pub const fn empty() -> Self {
        Self { head: [F::ZERO; 12], tail: [F::ZERO; 12], length: 0 }
    }

    /// Pushes an element's encoding, a multiple of eight field elements.
    pub fn push(&mut self, encoding: &[F]) {
        self.tail = queue_absorb(self.tail, encoding);
        self.length += 1;
    }

    /// Pops the first element, whose encoding must be the one that was pushed.
    pub fn pop(&mut self, encoding: &[F]) {
        self.head = queue_absorb(self.head, encoding);
        self.length -= 1;
    }
}
