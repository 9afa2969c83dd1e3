//! Updates of one leaf of the state tree, in-circuit.

use boojum::{
    cs::traits::cs::ConstraintSystem,
    field::Field,
    gadgets::{boolean::Boolean, num::Num},
};
use ingot_circuit_set::field::{Digest, F};

use crate::{
    gadgets::{
        hash::{constant, hash, DigestVar},
        logic,
        uint::{self, U64Var},
    },
    native::{
        hash::{merkle_node, STATE_LEAF},
        trace::PathUpdate,
        tree::DEPTH,
    },
};

/// A leaf: (key, balance, nonce). The key is zero iff the slot is free.
#[derive(Clone, Copy, Debug)]
pub struct LeafVar {
    /// One-time key.
    pub key: DigestVar,
    /// Balance.
    pub balance: U64Var,
    /// Operations signed so far.
    pub nonce: Num<F>,
}

impl LeafVar {
    /// The elements, in the order in which they are hashed.
    pub fn flatten(&self) -> [Num<F>; 7] {
        let [a, b, c, d] = self.key;
        [a, b, c, d, self.balance.hi, self.balance.lo, self.nonce]
    }

    fn hash<CS: ConstraintSystem<F>>(&self, cs: &mut CS) -> DigestVar {
        let zero = constant(cs, 0);
        let [a, b, c, d, hi, lo, nonce] = self.flatten();
        hash(cs, STATE_LEAF, &[a, b, c, d, hi, lo, nonce, zero])
    }
}

/// A leaf as it is before the update, and the siblings on its path.
#[derive(Clone, Debug)]
pub struct SlotVar {
    /// The leaf before the update; its limbs and nonce are range checked.
    pub leaf: LeafVar,
    siblings: Vec<DigestVar>,
}

impl SlotVar {
    /// Allocates a slot; `None` is a slot that is not used.
    pub fn allocate<CS: ConstraintSystem<F>>(cs: &mut CS, update: Option<&PathUpdate>) -> Self {
        let leaf = LeafVar {
            key: logic::allocate_all(cs, update.map_or([F::ZERO; 4], |u| u.old.key)),
            balance: uint::allocate_u64(cs, update.map_or(0, |u| u.old.balance)),
            nonce: uint::allocate_u32(cs, update.map_or(0, |u| u.old.nonce)),
        };
        let siblings = (0..DEPTH)
            .map(|level| {
                let sibling: Option<&Digest> = update.and_then(|u| u.siblings.get(level));
                logic::allocate_all(cs, sibling.copied().unwrap_or([F::ZERO; 4]))
            })
            .collect();
        Self { leaf, siblings }
    }

    /// True iff the slot holds an account.
    pub fn exists<CS: ConstraintSystem<F>>(&self, cs: &mut CS) -> Boolean<F> {
        logic::all_zero(cs, &self.leaf.key).negated(cs)
    }
}

/// One update: from `slot.leaf` to `new` at the index whose bits are `bits`.
#[derive(Debug)]
pub struct PathUpdateVar<'a> {
    /// Whether it happens.
    pub used: Boolean<F>,
    /// Index, least significant bit first.
    pub bits: &'a [Boolean<F>; DEPTH],
    /// The leaf before.
    pub slot: &'a SlotVar,
    /// The leaf after.
    pub new: &'a LeafVar,
}

impl PathUpdateVar<'_> {
    /// Enforces, iff used, that the old leaf hangs under `root`; returns the root after the update, or `root`.
    pub fn apply<CS: ConstraintSystem<F>>(&self, cs: &mut CS, root: DigestVar) -> DigestVar {
        let mut old = self.slot.leaf.hash(cs);
        let mut new = self.new.hash(cs);
        for (level, (bit, sibling)) in
            self.bits.iter().zip(&self.slot.siblings).zip(0..).map(|((b, s), l)| (l, (b, s)))
        {
            for node in [&mut old, &mut new] {
                let (left, right) = Num::conditionally_swap_multiple(cs, *bit, node, sibling);
                let children: Vec<_> = left.into_iter().chain(right).collect();
                *node = hash(cs, merkle_node(level), &children);
            }
        }
        for (computed, expected) in old.iter().zip(&root) {
            logic::enforce_equal_if(cs, self.used, computed, expected);
        }
        logic::select(cs, self.used, &new, &root)
    }
}
