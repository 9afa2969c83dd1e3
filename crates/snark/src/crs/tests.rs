//! Files of powers: made, read again, and refused when anything is wrong with them.

use std::{fs, path::PathBuf};

use bellman::{
    bn256::{Fq, Fr, G1Affine, G2Affine},
    worker::Worker,
    CurveAffine as _, CurveProjective as _, Field as _, PrimeField as _,
};
use proptest::prelude::*;
use tempfile::TempDir;

use super::{header::HEADER_BYTES, points::encode_g1, *};
use crate::plonk::Powers;

const DEGREE_LOG2: u32 = 6;
const POINTS: usize = 1 << DEGREE_LOG2;
const G2_AT: usize = HEADER_BYTES + POINTS * 64;

struct Made {
    _dir: TempDir,
    path: PathBuf,
    blake3: [u8; 32],
}

fn made() -> Made {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("powers.crs");
    let (header, blake3) = generate(&path, DEGREE_LOG2, "a test", |_| {}).unwrap();
    assert_eq!(header.degree_log2, DEGREE_LOG2);
    Made { _dir: dir, path, blake3 }
}

fn load(made: &Made, pinned: bool) -> Result<LoadedCrs, CrsError> {
    LoadedCrs::load(&made.path, Expected { degree_log2: DEGREE_LOG2, pinned: pinned.then_some(made.blake3) })
}

/// Changes the file and makes the hash in its header right again.
fn change(made: &Made, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(&made.path).unwrap();
    change(&mut bytes);
    let hash = *blake3::hash(&bytes[HEADER_BYTES..]).as_bytes();
    bytes[HEADER_BYTES - 32..HEADER_BYTES].copy_from_slice(&hash);
    fs::write(&made.path, bytes).unwrap();
}

#[test]
fn a_seed_gives_the_same_powers_each_time_and_they_load() {
    let (one, two) = (made(), made());
    assert_eq!(fs::read(&one.path).unwrap(), fs::read(&two.path).unwrap());
    assert_eq!(one.blake3, *blake3::hash(&fs::read(&one.path).unwrap()).as_bytes());
    for pinned in [false, true] {
        let loaded = load(&one, pinned).unwrap();
        assert_eq!(loaded.header.origin, Origin::InsecureSeed("a test".into()));
        assert!(loaded.header.origin.insecure_because().unwrap().contains("a test"));
        assert_eq!((loaded.powers.g1_bases.len(), loaded.blake3), (POINTS, one.blake3));
        // The powers against plain multiplication; the secret is known from no public function, the ratio is.
        let [g1, g2] = [&loaded.powers.g1_bases[..2], &loaded.powers.g1_bases[1..3]];
        let tau_g2 = loaded.powers.g2_monomial_bases[1];
        assert_eq!(g1[1].pairing_with(&tau_g2), g2[1].pairing_with(&G2Affine::one()));
    }
    let fewer = Expected { degree_log2: 3, pinned: Some(one.blake3) };
    assert_eq!(LoadedCrs::load(&one.path, fewer).unwrap().powers.g1_bases.len(), 8);
    let other = one.path.with_file_name("other.crs");
    assert_ne!(generate(&other, DEGREE_LOG2, "another", |_| {}).unwrap().1, one.blake3);
}

#[test]
fn a_file_that_is_too_small_or_of_another_size_is_refused() {
    let made = made();
    let more = Expected { degree_log2: DEGREE_LOG2 + 1, pinned: Some(made.blake3) };
    let error = LoadedCrs::load(&made.path, more).unwrap_err();
    assert!(matches!(error, CrsError::TooSmall { expected: 7, found: 6, .. }), "{error}");
    let whole = fs::read(&made.path).unwrap();
    for len in [0, 1, HEADER_BYTES - 1, HEADER_BYTES, whole.len() - 128, whole.len() - 1] {
        fs::write(&made.path, &whole[..len]).unwrap();
        let error = load(&made, true).unwrap_err();
        assert!(matches!(error, CrsError::Size { .. }), "{len}: {error}");
        assert!(error.to_string().contains("powers.crs"), "{error}");
    }
    let mut longer = whole;
    longer.push(0);
    fs::write(&made.path, longer).unwrap();
    assert!(matches!(load(&made, true), Err(CrsError::Size { .. })));
}

#[test]
fn another_file_than_the_pinned_one_is_refused_by_both_hashes() {
    let made = made();
    // A valid file that says it comes from a ceremony.
    change(&made, |bytes| bytes[20] = 1);
    assert!(load(&made, false).is_ok());
    let error = load(&made, true).unwrap_err();
    let found = *blake3::hash(&fs::read(&made.path).unwrap()).as_bytes();
    for hash in [made.blake3, found] {
        assert!(error.to_string().contains(&read::hex(&hash)), "{error}");
    }
    // A body that is not the header's.
    let mut bytes = fs::read(&made.path).unwrap();
    bytes[HEADER_BYTES - 1] ^= 1;
    fs::write(&made.path, bytes).unwrap();
    assert!(matches!(load(&made, false), Err(CrsError::Hash { what: "body", .. })));
}

#[test]
fn points_that_no_crs_has_are_refused() {
    let twice_generator = encode_g1(&[G1Affine::one().mul(Fr::from_str("2").unwrap()).into_affine()]);
    let cases: [(&str, usize, Vec<u8>); 6] = [
        ("off the curve", HEADER_BYTES + 64, vec![1; 64]),
        ("coordinate not below the modulus", HEADER_BYTES + 64, vec![0x3f; 64]),
        ("zero", HEADER_BYTES + 64, [vec![0x40], vec![0; 63]].concat()),
        ("all zeros", HEADER_BYTES + 64, vec![0; 64]),
        ("not the generator", HEADER_BYTES, twice_generator.clone()),
        ("G2 off the curve", G2_AT + 128, vec![1; 128]),
    ];
    for (name, at, bytes) in cases {
        let made = made();
        change(&made, |file| file[at..at + bytes.len()].copy_from_slice(&bytes));
        let error = load(&made, false).unwrap_err();
        assert!(matches!(error, CrsError::Point { .. }), "{name}: {error}");
    }
    // On the curve, and not the power that belongs there.
    for at in [HEADER_BYTES + 64, G2_AT - 64] {
        let made = made();
        change(&made, |file| file[at..at + 64].copy_from_slice(&twice_generator));
        let error = load(&made, false).unwrap_err();
        assert!(matches!(error, CrsError::Inconsistent { .. }), "{error}");
    }
}

#[test]
fn a_point_of_g2_outside_the_subgroup_is_refused() {
    // x = (1, i) for small i until some point has the x: one in about 2^254 of those is in the subgroup.
    let outside = (1u64..)
        .find_map(|i| {
            let c1 = Fq::from_repr(i.into()).unwrap();
            G2Affine::get_point_from_x(bellman::bn256::Fq2 { c0: Fq::one(), c1 }, false)
        })
        .unwrap();
    assert!(outside.is_on_curve());
    let made = made();
    change(&made, |file| file[G2_AT + 128..].copy_from_slice(&points::encode_g2(&outside)));
    let error = load(&made, false).unwrap_err();
    assert!(error.to_string().contains("subgroup"), "{error}");
}

#[test]
fn a_ceremony_file_is_imported_when_its_hash_is_the_pinned_one() {
    let dir = tempfile::tempdir().unwrap();
    let (source, path) = (dir.path().join("setup.key"), dir.path().join("ceremony.crs"));
    // bellman's own generator and writer.
    let theirs = Powers::crs_42(1 << 7, &Worker::new());
    let mut bytes = Vec::new();
    theirs.write(&mut bytes).unwrap();
    fs::write(&source, &bytes).unwrap();
    let pin = *blake3::hash(&bytes).as_bytes();
    let (header, blake3) = import_key(&source, &path, DEGREE_LOG2, "forty-two", &pin).unwrap();
    assert_eq!(header.origin, Origin::Ceremony("forty-two".into()));
    let loaded = LoadedCrs::load(&path, Expected { degree_log2: DEGREE_LOG2, pinned: Some(blake3) }).unwrap();
    assert_eq!(loaded.powers.g1_bases[..], theirs.g1_bases[..POINTS]);
    assert_eq!(loaded.powers.g2_monomial_bases, theirs.g2_monomial_bases);
    assert_eq!(loaded.header.origin.insecure_because(), None);

    fs::remove_file(&path).unwrap();
    let refused = |bytes: &[u8], pin: &[u8; 32], degree| {
        fs::write(&source, bytes).unwrap();
        let error = import_key(&source, &path, degree, "forty-two", pin).unwrap_err();
        assert!(!path.exists());
        error
    };
    assert!(matches!(refused(&bytes, &[0; 32], DEGREE_LOG2), CrsError::Hash { .. }));
    assert!(matches!(refused(&bytes, &pin, 8), CrsError::TooSmall { expected: 8, found: 7, .. }));
    assert!(matches!(refused(&bytes[..bytes.len() - 1], &pin, 6), CrsError::Size { .. }));
    let mut wrong = bytes.clone();
    wrong.copy_within(8 + 64..8 + 128, 8 + 128);
    let pin = *blake3::hash(&wrong).as_bytes();
    assert!(matches!(refused(&wrong, &pin, 6), CrsError::Inconsistent { .. }));
}

#[test]
fn only_names_that_fit_are_taken() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.crs");
    for (degree, seed) in [(0, "a"), (MAX_DEGREE_LOG2 + 1, "a"), (4, ""), (4, "a\0b")] {
        assert!(matches!(generate(&path, degree, seed, |_| {}), Err(CrsError::Request(_))));
    }
    assert!(matches!(generate(&path, 4, &"long".repeat(60), |_| {}), Err(CrsError::Request(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_flipped_bit_and_any_cut_is_refused(at in any::<prop::sample::Index>(), bit in 0..8u8, cut in any::<bool>()) {
        let made = made();
        let mut bytes = fs::read(&made.path).unwrap();
        let at = at.index(bytes.len());
        match cut {
            true => bytes.truncate(at),
            false => bytes[at] ^= 1 << bit,
        }
        fs::write(&made.path, bytes).unwrap();
        for pinned in [true, false] {
            let error = load(&made, pinned).err();
            match (cut, at < HEADER_BYTES) {
                (true, _) => prop_assert!(matches!(error, Some(CrsError::Size { .. })), "{error:?}"),
                // Without a pin nothing says which origin it should be.
                (false, true) => prop_assert!(error.is_some() || !pinned),
                (false, false) => prop_assert!(matches!(error, Some(CrsError::Hash { .. })), "{error:?}"),
            }
        }
    }
}
