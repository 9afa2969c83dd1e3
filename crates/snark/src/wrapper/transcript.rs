//! The Fiat–Shamir transcript of the last compression proof, its challenges, its proof of work.

use std::collections::VecDeque;

use bellman::{
    bn256::{Bn256, Fr},
    plonk::better_better_cs::cs::ConstraintSystem,
    Field as _, PrimeField as _, SynthesisError,
};

use super::{
    builder::{fr, from_limbs, limbs, negated, power_of_two, Builder, Sum, Wire},
    goldilocks::{Element, Ext},
    sponge::{pack, Sponge, PACKED},
};

type Result<T> = std::result::Result<T, SynthesisError>;

/// The transcript.
#[derive(Clone, Debug)]
pub(super) struct Transcript {
    sponge: Sponge,
    /// Said since the last challenge.
    said: Vec<Sum>,
    /// Words in the last of them, if it has room for more.
    packed: usize,
    /// Words of 64 bits, drawn and not yet used.
    challenges: VecDeque<Wire>,
}

impl Transcript {
    pub fn new() -> Self {
        Self { sponge: Sponge::new(), said: Vec::new(), packed: 0, challenges: VecDeque::new() }
    }

    /// Says words below 2^64.
    pub fn say_words<'w>(&mut self, words: impl IntoIterator<Item = &'w Sum>) {
        for word in words {
            if self.packed == 0 {
                self.said.push(Sum::zero());
            }
            if let Some(last) = self.said.last_mut() {
                pack(last, self.packed, word);
            }
            self.packed = (self.packed + 1) % PACKED;
        }
    }

    pub fn say_cap(&mut self, cap: &[Sum]) {
        self.packed = 0;
        self.said.extend_from_slice(cap);
    }

    /// A word of 64 bits; the challenge is what it is modulo p.
    pub fn draw_word<CS: ConstraintSystem<Bn256>>(&mut self, builder: &mut Builder<'_, CS>) -> Result<Wire> {
        let drawn = if !self.said.is_empty() {
            for value in std::mem::take(&mut self.said) {
                self.sponge.absorb(builder, value)?;
            }
            self.packed = 0;
            self.challenges.clear();
            Some(self.sponge.finish(builder)?)
        } else if self.challenges.is_empty() {
            Some(self.sponge.squeeze(builder)?)
        } else {
            None
        };
        for element in drawn.iter().flatten() {
            let [words @ .., _] = builder.words(element)?;
            self.challenges.extend(words);
        }
        self.challenges.pop_front().ok_or(SynthesisError::AssignmentMissing)
    }

    /// A challenge of the extension.
    pub fn draw<CS: ConstraintSystem<Bn256>>(&mut self, builder: &mut Builder<'_, CS>) -> Result<Ext> {
        let words = [self.draw_word(builder)?, self.draw_word(builder)?];
        Ok(Ext(words.map(|word| Element::ranged(word, 64))))
    }

    /// Enforces the proof of work of `nonce` and says it.
    ///
    /// The hash of four challenges and the nonce has `pow_bits` low bits that are zero.
    pub fn check_work<CS: ConstraintSystem<Bn256>>(
        &mut self,
        builder: &mut Builder<'_, CS>,
        nonce: Option<u64>,
        pow_bits: u32,
    ) -> Result<()> {
        let mut sponge = Sponge::new();
        for _ in 0..4 {
            let word = self.draw_word(builder)?;
            let challenge = builder.canonical(word)?;
            sponge.absorb_word(builder, &challenge.into())?;
        }
        let mut halves = Vec::with_capacity(2);
        for half in [nonce.map(|n| n & 0xffff_ffff), nonce.map(|n| n >> 32)] {
            let half = builder.allocate(half.map(fr))?;
            builder.enforce_range(half, 32)?;
            halves.push(Sum::from(half));
        }
        for half in &halves {
            sponge.absorb_word(builder, half)?;
        }
        let [hash, _] = sponge.finish(builder)?;
        let [low, ..] = builder.words(&hash)?;
        // low = 2^pow_bits · above, where the product stays far below the order.
        let above = low.value.map(|value| fr(limbs(value)[0] >> pow_bits));
        let above = builder.allocate(above)?;
        builder.enforce_range(above, 64)?;
        let mut zero = Sum::from(low);
        zero.add_wire(negated(power_of_two(pow_bits)), above);
        builder.enforce_zero(&[], &zero)?;
        self.say_words(&halves);
        Ok(())
    }
}

/// Bits drawn for the places of queries: the low ones of each challenge, leaving out as many as a place has, so that they are
/// close to uniform.
#[derive(Debug)]
pub(super) struct PlaceBits {
    available: VecDeque<Wire>,
    of_a_place: usize,
}

impl PlaceBits {
    pub fn new(of_a_place: usize) -> Self {
        Self { available: VecDeque::new(), of_a_place }
    }

    /// The bits of the next query's place, the lowest first.
    pub fn draw<CS: ConstraintSystem<Bn256>>(
        &mut self,
        builder: &mut Builder<'_, CS>,
        transcript: &mut Transcript,
    ) -> Result<Vec<Wire>> {
        while self.available.len() < self.of_a_place {
            let word = transcript.draw_word(builder)?;
            let challenge = builder.canonical(word)?;
            let bits = builder.low_bits(challenge, 64 - self.of_a_place as u32)?;
            self.available.extend(bits);
        }
        Ok(self.available.drain(..self.of_a_place).collect())
    }
}

impl<CS: ConstraintSystem<Bn256>> Builder<'_, CS> {
    /// The four 64-bit words of a number, the lowest first: of the number itself, which is below the order, and not of any
    /// other that is congruent to it.
    fn words(&mut self, number: &Sum) -> Result<[Wire; 4]> {
        let number = self.wire(number)?;
        let value = number.value.map(limbs);
        let mut words = Vec::with_capacity(4);
        let mut sum = Sum::zero();
        for i in 0..4 {
            let word = self.allocate(value.map(|limbs| fr(limbs[i])))?;
            self.enforce_range(word, 64)?;
            sum.add_wire(power_of_two(64 * i as u32), word);
            words.push(word);
        }
        sum.add_wire(negated(Fr::one()), number);
        self.enforce_zero(&[], &sum)?;
        let Ok(words) = <[Wire; 4]>::try_from(words) else { return Err(SynthesisError::Unsatisfiable) };

        // order − 1 − number ≥ 0, in halves of 128 bits with a borrow.
        let mut top = Fr::char().0;
        top[0] -= 1;
        let half = |limbs: [u64; 2]| from_limbs([limbs[0], limbs[1], 0, 0]);
        let borrow = value.map(|v| (v[1], v[0]) > (top[1], top[0]));
        let borrow = self.allocate_bit(borrow)?;
        let [w0, w1, w2, w3] = words;
        for (limbs, [low, high], of_borrow) in [
            ([top[0], top[1]], [w0, w1], power_of_two(128)),
            ([top[2], top[3]], [w2, w3], negated(Fr::one())),
        ] {
            let mut difference = Sum::constant(half(limbs));
            difference.add_wire(negated(Fr::one()), low);
            difference.add_wire(negated(power_of_two(64)), high);
            difference.add_wire(of_borrow, borrow);
            let difference = self.new_wire(&difference)?;
            self.enforce_range(difference, 128)?;
        }
        Ok(words)
    }

    /// The `count` low bits of a number below p, the lowest first.
    fn low_bits(&mut self, number: Wire, count: u32) -> Result<Vec<Wire>> {
        let value = number.value.map(|value| limbs(value)[0]);
        let mut sum = Sum::from(number);
        let mut bits = Vec::with_capacity(count as usize);
        for i in 0..count {
            let bit = self.allocate_bit(value.map(|value| value >> i & 1 == 1))?;
            sum.add_wire(negated(power_of_two(i)), bit);
            bits.push(bit);
        }
        // What is above stays below 2^112 here, so that the sum holds as integers.
        let above = self.allocate(value.map(|value| fr(value >> count)))?;
        self.enforce_range(above, 64)?;
        sum.add_wire(negated(power_of_two(count)), above);
        self.enforce_zero(&[], &sum)?;
        Ok(bits)
    }
}
