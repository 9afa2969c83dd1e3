//! The parts of the circuit against native computations, and what happens when a value is changed.

use bellman::{
    bn256::{Bn256, Fr},
    plonk::better_better_cs::{
        cs::{PlonkCsWidth4WithNextStepAndCustomGatesParams, TrivialAssembly},
        gates::selector_optimized_with_d_next::SelectorOptimizedWidth4MainGateWithDNext,
    },
    Field as _, SynthesisError,
};
use boojum::cs::{
    implementations::{
        pow::PoWRunner as _,
        transcript::{BoolsBuffer, Transcript as _},
    },
    oracle::TreeHasher as _,
};
use ingot_circuit_set::field::F;
use proptest::prelude::*;

use super::{
    builder::{fr, from_limbs, limbs, Builder, Sum, Wire},
    goldilocks::{Element, Ext},
    transcript::{PlaceBits, Transcript},
};
use crate::compression::{Bn254Hasher, Bn254Transcript};

type Assembly = TrivialAssembly<
    Bn256,
    PlonkCsWidth4WithNextStepAndCustomGatesParams,
    SelectorOptimizedWidth4MainGateWithDNext,
>;
type Result<T> = std::result::Result<T, SynthesisError>;

/// Runs `gadget`; gives what it gives and whether everything is satisfied.
fn run<T>(gadget: impl FnOnce(&mut Builder<'_, Assembly>) -> Result<T>) -> (T, bool, Assembly) {
    let mut cs = Assembly::new();
    let result = {
        let mut builder = Builder::new(&mut cs).unwrap();
        // The rows of a sponge need both gates to be known.
        let one = builder.allocate(Some(fr(1))).unwrap();
        builder.fifth_power(one, None).unwrap();
        gadget(&mut builder).unwrap()
    };
    let satisfied = cs.is_satisfied();
    (result, satisfied, cs)
}

/// Every variable but the first ones (the constant row of [`run`]) is held by some constraint.
fn every_variable_counts(mut cs: Assembly) {
    for index in 4..cs.aux_assingments.len() {
        let honest = cs.aux_assingments[index];
        cs.aux_assingments[index].add_assign(&Fr::one());
        assert!(!cs.is_satisfied(), "variable {index} can be anything");
        cs.aux_assingments[index] = honest;
    }
    assert!(cs.is_satisfied());
}

fn element(words: [u64; 4]) -> Fr {
    from_limbs([words[0], words[1], words[2], words[3] >> 3])
}

fn wire(builder: &mut Builder<'_, Assembly>, value: Fr) -> Wire {
    builder.allocate(Some(value)).unwrap()
}

fn value(sum: &Sum) -> Fr {
    sum.value().unwrap()
}

fn reduced(x: &Element) -> u64 {
    let [l0, l1, l2, l3] = limbs(value(x.sum()));
    let p = u128::from(F::ORDER);
    [l3, l2, l1, l0].into_iter().fold(0u128, |rest, limb| ((rest << 64) | u128::from(limb)) % p) as u64
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn leaves_and_nodes_are_hashed_as_natively(
        words in prop::collection::vec(0..F::ORDER, 1..40),
        nodes in any::<[[u64; 4]; 2]>(),
    ) {
        let native: Vec<F> = words.iter().map(|w| F::from_nonreduced_u64(*w)).collect();
        let ((hash, node), satisfied, _) = run(|b| {
            let words: Vec<Sum> = words.iter().map(|w| b.allocate_word(Some(*w)).unwrap().sum().clone()).collect();
            let nodes = nodes.map(|node| Sum::from(wire(b, element(node))));
            let [left, right] = nodes;
            Ok((b.hash_leaf(&words)?, b.hash_nodes(left, right)?))
        });
        prop_assert!(satisfied);
        prop_assert_eq!(value(&hash), Bn254Hasher::hash_into_leaf(&native));
        let [left, right] = nodes.map(element);
        prop_assert_eq!(value(&node), Bn254Hasher::hash_into_node(&left, &right, 0));
    }

    #[test]
    fn challenges_bits_and_work_are_those_of_the_native_transcript(
        words in prop::collection::vec(0..F::ORDER, 1..12),
        cap in any::<[[u64; 4]; 2]>(),
        more in 0..F::ORDER,
    ) {
        let native = |w: &u64| F::from_nonreduced_u64(*w);
        let mut expected = Bn254Transcript::new();
        expected.witness_field_elements(&words.iter().map(native).collect::<Vec<_>>());
        expected.witness_merkle_tree_cap(&cap.map(element));
        expected.witness_field_elements(&[native(&more)]);
        let first: Vec<u64> = (0..9).map(|_| expected.get_challenge().to_reduced_u64()).collect();
        expected.witness_field_elements(&[native(&more)]);
        let seed: Vec<F> = expected.get_multiple_challenges(4);
        let nonce = (0..).find(|nonce| Bn254Hasher::verify_from_field_elements(seed.clone(), 3, *nonce)).unwrap();
        expected.witness_field_elements(&[F::from_nonreduced_u64(nonce), F::from_nonreduced_u64(0)]);
        let mut buffer = BoolsBuffer { available: vec![], max_needed: 18 };
        let bits: Vec<bool> = (0..3).flat_map(|_| buffer.get_bits(&mut expected, 18)).collect();

        let (found, satisfied, _) = run(|b| {
            let mut transcript = Transcript::new();
            let said: Vec<Sum> = words.iter().map(|w| b.allocate_word(Some(*w)).unwrap().sum().clone()).collect();
            transcript.say_words(&said);
            let cap = cap.map(|node| Sum::from(wire(b, element(node))));
            transcript.say_cap(&cap);
            let more = b.allocate_word(Some(more))?;
            transcript.say_words([more.sum()]);
            let mut drawn = Vec::new();
            for _ in 0..9 {
                let word = transcript.draw_word(b)?;
                drawn.push(limbs(b.canonical(word)?.value.unwrap())[0]);
            }
            transcript.say_words([more.sum()]);
            transcript.check_work(b, Some(nonce), 3)?;
            let mut places = PlaceBits::new(18);
            let mut bits = Vec::new();
            for _ in 0..3 {
                bits.extend(places.draw(b, &mut transcript)?.into_iter().map(|bit| bit.value == Some(fr(1))));
            }
            Ok((drawn, bits))
        });
        prop_assert!(satisfied);
        prop_assert_eq!(found, (first, bits));
    }

    #[test]
    fn arithmetic_is_that_of_goldilocks(
        a in any::<[u64; 2]>(), b in any::<[u64; 2]>(), c in any::<[u64; 2]>(), factor in any::<u64>(),
        same in any::<bool>(),
    ) {
        let b = if same { a } else { b };
        let native = |x: [u64; 2]| ingot_field::Ext(x).canonical();
        let (found, satisfied, _) = run(|s| {
            let mut allocate = |x: [u64; 2]| Ext(x.map(|x| s.allocate_word(Some(x)).unwrap()));
            let (a, b, c) = (allocate(a), allocate(b), allocate(c));
            let sum = s.ext_add(&a, &b)?;
            let difference = s.ext_sub(&a, &b)?;
            let scaled = s.ext_scale(factor, &difference)?;
            let long = s.ext_scale(factor, &scaled)?;
            let product = s.ext_mul_add(&long, &sum, &c)?;
            let fraction = s.ext_div(&product, &c)?;
            let again = s_sub(s, &a, &b)?;
            s.enforce_same(&difference, &again)?;
            Ok([sum, difference, scaled, product, fraction].map(|x| x.0.each_ref().map(reduced)))
        });
        prop_assert!(satisfied);
        let (a, b, c) = (native(a), native(b), native(c));
        let difference = a.sub(b);
        let scaled = difference.scale(factor);
        let product = scaled.scale(factor).mul(a.add(b)).add(c);
        let expected = [a.add(b), difference, scaled, product, product.mul(c.inverse())];
        prop_assert_eq!(found, expected.map(|x| x.canonical().0));
    }
}

fn s_sub(builder: &mut Builder<'_, Assembly>, a: &Ext, b: &Ext) -> Result<Ext> {
    let difference = builder.ext_sub(a, b)?;
    builder.ext_reduced(&difference)
}

#[test]
fn every_variable_of_a_permutation_counts() {
    let (_, satisfied, cs) = run(|b| {
        let state = [3, 4, 5].map(|x| Sum::from(wire(b, fr(x))));
        let after = b.permute(&state)?;
        // What comes out is used, as in a sponge.
        for (sum, expected) in after.iter().zip(after.each_ref().map(value)) {
            let mut zero = sum.clone();
            zero.add_constant(super::builder::negated(expected));
            b.enforce_zero(&[], &zero)?;
        }
        Ok(())
    });
    assert!(satisfied);
    assert!(cs.n() < 1 << 17);
    every_variable_counts(cs);
}

#[test]
fn a_permutation_takes_165_rows() {
    let rows = |count: usize| {
        let (gates, ..) = run(|b| {
            let mut state = [3, 4, 5].map(|x| Sum::from(wire(b, fr(x))));
            for _ in 0..count {
                let [hash, ..] = b.permute(&state)?;
                state = [hash, Sum::zero(), Sum::zero()];
            }
            Ok(b.rows())
        });
        gates
    };
    let taken = rows(2) - rows(1);
    assert!((150..=170).contains(&taken), "{taken}");
}

#[test]
fn every_variable_of_arithmetic_counts() {
    let (_, satisfied, cs) = run(|b| {
        let mut allocate = |x: [u64; 2]| Ext(x.map(|x| b.allocate_word(Some(x)).unwrap()));
        let (a, c) = (allocate([5, F::ORDER - 1]), allocate([u64::MAX, 7]));
        let product = b.ext_mul(&a, &c)?;
        let fraction = b.ext_div(&product, &c)?;
        b.enforce_same(&fraction, &a)?;
        let inverse = b.inverse(&a.0[0])?;
        let product = b.sum_of_products(&[(1, &inverse, &a.0[0])], &Element::constant(0))?;
        b.enforce_same(&Ext::base(product), &Ext::one())?;
        let bits = [b.allocate_bit(Some(true))?, b.allocate_bit(Some(false))?];
        let choices: Vec<Sum> = (0..4).map(|x| Sum::constant(fr(x))).collect();
        let chosen = b.select_by_bits(&bits, &choices)?;
        let mut zero = chosen;
        zero.add_constant(super::builder::negated(fr(1)));
        b.enforce_zero(&[], &zero)
    });
    assert!(satisfied);
    every_variable_counts(cs);
}

#[test]
fn every_variable_of_a_challenge_counts() {
    let (_, satisfied, cs) = run(|b| {
        let mut transcript = Transcript::new();
        let word = b.allocate_word(Some(11))?;
        transcript.say_words([word.sum()]);
        let mut bits = PlaceBits::new(18);
        let drawn = bits.draw(b, &mut transcript)?;
        let mut sum = Sum::zero();
        for (i, bit) in drawn.iter().enumerate() {
            sum.add_wire(fr(1 << i), *bit);
        }
        let place = value(&sum);
        sum.add_constant(super::builder::negated(place));
        b.enforce_zero(&[], &sum)
    });
    assert!(satisfied);
    every_variable_counts(cs);
}

#[test]
fn what_is_too_large_or_false_is_not_satisfied() {
    let satisfied = |gadget: fn(&mut Builder<'_, Assembly>) -> Result<()>| run(gadget).1;
    assert!(satisfied(|b| range_of(b, fr(0xffff), 16)));
    assert!(!satisfied(|b| range_of(b, fr(0x1_0000), 16)));
    assert!(satisfied(|b| range_of(b, fr(u64::MAX), 64)));
    assert!(!satisfied(|b| range_of(b, from_limbs([0, 1, 0, 0]), 64)));
    let mut minus_one = Fr::one();
    minus_one.negate();
    assert!(!run(|b| range_of(b, minus_one, 64)).1);
    assert!(!run(|b| range_of(b, minus_one, 128)).1);
    // A bit is no other number, a canonical word is below p.
    assert!(!satisfied(|b| {
        let two = b.allocate(Some(fr(2)))?;
        let mut minus = Sum::zero();
        minus.add_wire(super::builder::negated(fr(1)), two);
        b.enforce_zero(&[(fr(1), two, two)], &minus)
    }));
    assert!(satisfied(|b| canonical_of(b, F::ORDER - 1)));
    assert!(!satisfied(|b| canonical_of(b, F::ORDER)));
    assert!(!satisfied(|b| canonical_of(b, u64::MAX)));
    // Different elements are not the same, two integers for one element are.
    let same = |a: u64, c: u64| {
        run(|b| {
            let [a, c] = [a, c].map(|x| Ext::base(b.allocate_word(Some(x)).unwrap()));
            b.enforce_same(&a, &c)
        })
        .1
    };
    assert!(same(5, 5) && same(0, F::ORDER) && same(7, F::ORDER + 7));
    assert!(!same(5, 6) && !same(0, 1) && !same(F::ORDER - 1, 1));
    // A sum without variables must be zero itself.
    let mut cs = Assembly::new();
    let mut builder = Builder::new(&mut cs).unwrap();
    assert!(builder.enforce_zero(&[], &Sum::zero()).is_ok());
    assert!(builder.enforce_zero(&[], &Sum::constant(fr(1))).is_err());
}

fn range_of(b: &mut Builder<'_, Assembly>, x: Fr, bits: u32) -> Result<()> {
    let x = b.allocate(Some(x))?;
    b.enforce_range(x, bits)
}

fn canonical_of(b: &mut Builder<'_, Assembly>, x: u64) -> Result<()> {
    let x = b.allocate(Some(fr(x)))?;
    b.enforce_canonical(x)
}
