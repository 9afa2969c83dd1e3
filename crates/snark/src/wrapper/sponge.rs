//! The sponge over the permutation: rate 2, what is absorbed replaces what was there, three Goldilocks elements in one
//! element of BN254's field.

use bellman::{bn256::Bn256, plonk::better_better_cs::cs::ConstraintSystem, SynthesisError};

use super::{
    builder::{fr, power_of_two, Builder, Sum, Wire},
    permutation::{zero, State},
};

type Result<T> = std::result::Result<T, SynthesisError>;

/// Elements absorbed by one permutation.
const RATE: usize = 2;
/// Goldilocks elements in one element.
pub(super) const PACKED: usize = 3;
const GOLDILOCKS_BITS: u32 = 64;

/// A sponge.
#[derive(Clone, Debug)]
pub(super) struct Sponge {
    state: State,
    /// What is to be absorbed: full elements, and a last one with room for more Goldilocks elements if `packed` > 0.
    waiting: Vec<Sum>,
    packed: usize,
}

/// Adds a word below 2^64 to a pack as its `index`-th.
pub(super) fn pack(into: &mut Sum, index: usize, word: &Sum) {
    into.add_scaled(power_of_two(index as u32 * GOLDILOCKS_BITS), word);
}

impl Sponge {
    pub fn new() -> Self {
        Self { state: zero(), waiting: Vec::with_capacity(RATE), packed: 0 }
    }

    /// Absorbs a word below 2^64: an element of Goldilocks.
    pub fn absorb_word<CS: ConstraintSystem<Bn256>>(
        &mut self,
        builder: &mut Builder<'_, CS>,
        word: &Sum,
    ) -> Result<()> {
        if self.packed == 0 {
            self.waiting.push(Sum::zero());
        }
        if let Some(last) = self.waiting.last_mut() {
            pack(last, self.packed, word);
        }
        self.packed = (self.packed + 1) % PACKED;
        match self.packed == 0 && self.waiting.len() == RATE {
            true => self.permute_waiting(builder),
            false => Ok(()),
        }
    }

    /// Absorbs an element of BN254's field. Words before it must have filled theirs.
    pub fn absorb<CS: ConstraintSystem<Bn256>>(
        &mut self,
        builder: &mut Builder<'_, CS>,
        value: Sum,
    ) -> Result<()> {
        self.waiting.push(value);
        match self.waiting.len() {
            RATE => self.permute_waiting(builder),
            _ => Ok(()),
        }
    }

    fn permute_waiting<CS: ConstraintSystem<Bn256>>(&mut self, builder: &mut Builder<'_, CS>) -> Result<()> {
        self.packed = 0;
        self.waiting.resize_with(RATE, Sum::zero);
        for (element, value) in self.state.iter_mut().zip(self.waiting.drain(..)) {
            *element = value;
        }
        self.state = builder.permute(&self.state)?;
        Ok(())
    }

    /// Pads with a one and gives two elements; more can be absorbed afterwards.
    pub fn finish<CS: ConstraintSystem<Bn256>>(
        &mut self,
        builder: &mut Builder<'_, CS>,
    ) -> Result<[Sum; RATE]> {
        self.absorb_word(builder, &Sum::constant(fr(1)))?;
        if !self.waiting.is_empty() {
            self.permute_waiting(builder)?;
        }
        Ok(self.output())
    }

    /// Two more elements.
    pub fn squeeze<CS: ConstraintSystem<Bn256>>(
        &mut self,
        builder: &mut Builder<'_, CS>,
    ) -> Result<[Sum; RATE]> {
        self.state = builder.permute(&self.state)?;
        Ok(self.output())
    }

    fn output(&self) -> [Sum; RATE] {
        let [first, second, _] = self.state.clone();
        [first, second]
    }
}

impl<CS: ConstraintSystem<Bn256>> Builder<'_, CS> {
    /// The hash of a leaf of a tree.
    pub fn hash_leaf<'w>(&mut self, words: impl IntoIterator<Item = &'w Sum>) -> Result<Sum> {
        let mut sponge = Sponge::new();
        for word in words {
            sponge.absorb_word(self, word)?;
        }
        let [hash, _] = sponge.finish(self)?;
        Ok(hash)
    }

    /// The hash of two nodes of a tree.
    pub fn hash_nodes(&mut self, left: Sum, right: Sum) -> Result<Sum> {
        let [hash, ..] = self.permute(&[left, right, Sum::zero()])?;
        Ok(hash)
    }

    /// `leaf` is where `bits` (the lowest first) say in the tree with this `cap`, `path` being the nodes beside the way up.
    pub fn enforce_included(&mut self, leaf: Sum, path: &[Wire], cap: &[Sum], bits: &[Wire]) -> Result<()> {
        if bits.len() < path.len() {
            return Err(SynthesisError::Unsatisfiable);
        }
        let (path_bits, cap_bits) = bits.split_at(path.len());
        let mut node = leaf;
        for (beside, bit) in path.iter().zip(path_bits) {
            let own = self.wire(&node)?;
            let both = Sum::from(own).plus(&(*beside).into());
            let left = self.select(*bit, &(*beside).into(), &own.into())?;
            let mut right = both;
            right.add_scaled(super::builder::negated(fr(1)), &left);
            node = self.hash_nodes(left, right)?;
        }
        let mut difference = self.select_by_bits(cap_bits, cap)?;
        difference.add_scaled(super::builder::negated(fr(1)), &node);
        self.enforce_zero(&[], &difference)
    }
}
