//! Kernels at every level against the plainest form, and against the proof library where it has the same operation.
#![allow(missing_docs)]

use boojum::{
    algebraic_props::{round_function::AbsorptionModeOverwrite, sponge::GoldilocksPoseidon2Sponge},
    cs::oracle::TreeHasher,
    field::{goldilocks::GoldilocksField as F, traits::representation::U64Representable, Field},
};
use ingot_field::{
    add, bit_reverse_in_place, canonical, inverse, mul, naive, poseidon2, pow, root_of_unity, sub,
    CosetTwiddles, Ext, Lanes, Level, Scalar, Wide, EPSILON, GENERATOR, P,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

type Hasher = GoldilocksPoseidon2Sponge<AbsorptionModeOverwrite>;

/// Values around every carry, and random ones; not canonical.
fn values() -> Vec<u64> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let edges =
        [0, 1, 2, EPSILON - 1, EPSILON, EPSILON + 1, 1 << 63, P - 2, P - 1, P, P + 1, u64::MAX - 1, u64::MAX];
    edges.into_iter().chain((0..200).map(|_| rng.gen())).collect()
}

fn levels() -> Vec<Level> {
    let mut levels = vec![Level::Base, Level::host()];
    levels.dedup();
    levels
}

fn random(count: usize, seed: u64) -> Vec<u64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| rng.gen()).collect()
}

fn check_lanes<L: Lanes>() {
    let values = values();
    let modulus = u128::from(P);
    let mut out = [0; 8];
    for &a in &values {
        for &b in &values {
            let (x, y) = (L::splat(a), L::splat(b));
            let (a, b) = (u128::from(a), u128::from(b));
            for (got, expected) in [
                (x.add(y), (a + b) % modulus),
                (x.sub(y), (a + 2 * modulus - b) % modulus),
                (x.mul(y), a * b % modulus),
                (x.square(), a * a % modulus),
                (x.shl::<13>(), (a << 13) % modulus),
                (x.shl::<1>(), (a << 1) % modulus),
                (x.shl::<31>(), (a << 31) % modulus),
            ] {
                got.canonical().store(&mut out);
                assert!(out[..L::N].iter().all(|&o| u128::from(o) == expected), "{a} {b} {out:?} {expected}");
            }
            let (low, high) = ((a as u64) >> 16, (b as u64) >> 16);
            let whole = L::from_halves(L::splat(low), L::splat(high)).canonical();
            whole.store(&mut out);
            assert_eq!(u128::from(out[0]), (u128::from(low) + (u128::from(high) << 32)) % modulus);
        }
    }
    let mut block: Vec<L> = (0..L::N as u64)
        .map(|i| L::load(&(0..L::N as u64).map(|j| 100 * i + j).collect::<Vec<_>>()))
        .collect();
    L::transpose(&mut block);
    for (i, row) in block.iter().enumerate() {
        row.store(&mut out);
        assert!((0..L::N).all(|j| out[j] == (100 * j + i) as u64));
    }
}

#[test]
fn lanes_agree_with_wide_integers() {
    check_lanes::<Scalar>();
    check_lanes::<Wide<4>>();
    check_lanes::<Wide<8>>();
    for a in values() {
        for b in values() {
            assert_eq!(canonical(mul(a, b)), naive::product(a, b));
            assert_eq!(
                canonical(add(a, b)),
                (canonical(a) as u128 + canonical(b) as u128).rem_euclid(P as u128) as u64
            );
            assert_eq!(canonical(add(sub(a, b), b)), canonical(a));
        }
        assert!(canonical(a) == 0 || canonical(mul(a, inverse(a))) == 1);
    }
}

#[test]
fn roots_are_the_proof_librarys() {
    for log2 in 0..=32 {
        let ours = root_of_unity(log2);
        let theirs = boojum::cs::implementations::utils::domain_generator_for_size::<F>(1 << log2);
        assert_eq!(ours, theirs.as_u64_reduced());
    }
}

#[test]
fn extension_is_a_field() {
    for x in random(50, 3).chunks(4) {
        let (a, b) = (Ext([x[0], x[1 % x.len()]]), Ext([x[2 % x.len()], x[3 % x.len()]]));
        assert_eq!(a.mul(a.inverse()).canonical(), Ext::ONE);
        assert_eq!(a.mul(b).mul(b.inverse()).canonical(), a.canonical());
        assert_eq!(a.pow(5).canonical(), a.mul(a).mul(a).mul(a).mul(a).canonical());
    }
    // x² = 7
    assert_eq!(Ext([0, 1]).mul(Ext([0, 1])).canonical(), Ext::base(7));
}

#[test]
fn transforms_evaluate() {
    for level in levels() {
        for log2 in 0..=9 {
            for coset in [1, GENERATOR, 123_456_789] {
                let coefficients = random(1 << log2, 7);
                let mut expected = naive::values(&coefficients, coset);
                bit_reverse_in_place(&mut expected);
                let twiddles = CosetTwiddles::new(log2, coset);
                let mut data = coefficients.clone();
                twiddles.to_values(level, &mut data);
                assert_eq!(
                    data.iter().map(|&x| canonical(x)).collect::<Vec<_>>(),
                    expected,
                    "2^{log2} {level:?}"
                );
                twiddles.to_coefficients(level, &mut data);
                for (got, expected) in data.iter().zip(&coefficients) {
                    assert_eq!(canonical(*got), canonical(*expected));
                }
            }
        }
    }
}

#[test]
fn large_transforms_evaluate() {
    for level in levels() {
        let (log2, coset) = (16, mul(GENERATOR, root_of_unity(18)));
        let coefficients = random(1 << log2, 8);
        let twiddles = CosetTwiddles::new(log2, coset);
        let mut data = coefficients.clone();
        twiddles.to_values(level, &mut data);
        for index in [0usize, 1, 2, 12_345, 65_535] {
            let x = mul(coset, pow(root_of_unity(log2), ingot_field::bit_reverse(index, log2) as u64));
            assert_eq!(canonical(data[index]), naive::evaluate(&coefficients, x));
        }
        twiddles.to_coefficients(level, &mut data);
        assert!(data.iter().zip(&coefficients).all(|(a, b)| canonical(*a) == canonical(*b)));
    }
}

#[test]
fn hashes_are_the_proof_librarys() {
    let f = |x: &[u64]| x.iter().map(|&x| F(x)).collect::<Vec<_>>();
    for level in levels() {
        for width in [1, 7, 8, 9, 16, 21] {
            for rows in [1, 8, 19] {
                let columns: Vec<Vec<u64>> = (0..width).map(|i| random(rows, i as u64)).collect();
                let slices: Vec<&[u64]> = columns.iter().map(|c| &c[..]).collect();
                let mut leaves = vec![[0; 4]; rows];
                poseidon2::hash_rows(level, &slices, &mut leaves);
                for (row, leaf) in leaves.iter().enumerate() {
                    let elements = f(&columns.iter().map(|c| c[row]).collect::<Vec<_>>());
                    let mut expected = Hasher::hash_into_leaf(&elements);
                    <Hasher as TreeHasher<F>>::normalize_output(&mut expected);
                    assert_eq!(leaf, &expected.map(|x| x.as_u64_reduced()));
                }
            }
        }
        let columns = [random(88, 1), random(88, 2)];
        let mut leaves = vec![[0; 4]; 11];
        poseidon2::hash_chunks(level, &[&columns[0], &columns[1]], 8, &mut leaves);
        for (i, leaf) in leaves.iter().enumerate() {
            let elements: Vec<u64> =
                columns.iter().flat_map(|c| c[i * 8..(i + 1) * 8].iter().copied()).collect();
            assert_eq!(leaf, &Hasher::hash_into_leaf(&f(&elements)).map(|x| x.as_u64_reduced()));
        }
        let mut parents = vec![[0; 4]; 5];
        poseidon2::hash_pairs(level, &leaves[..10], &mut parents);
        for (pair, parent) in leaves.chunks(2).zip(&parents) {
            let [left, right] = [pair[0], pair[1]].map(|d| d.map(F));
            let expected = <Hasher as TreeHasher<F>>::hash_into_node(&left, &right, 0);
            assert_eq!(parent, &expected.map(|x| x.as_u64_reduced()));
        }
    }
}

#[test]
fn values_are_reduced_not_truncated() {
    let mut x = F(5);
    x.mul_assign(&F(P + 3));
    assert_eq!(canonical(mul(5, P + 3)), x.as_u64_reduced());
}
