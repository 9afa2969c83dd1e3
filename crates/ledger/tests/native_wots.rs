//! One-time signatures, and the journal that keeps them one-time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

use std::{fs, io::Write};

use boojum::field::{Field, U64Representable};
use ingot_circuit_set::field::{Digest, F};
use ingot_ledger::native::{
    hash::hash,
    operation::{DebitMessage, Target},
    signing::{SigningError, SigningKeyStore},
    wots::{digest_to_sign, digits, key_of_tops, step, SecretKey, Signature, CHAINS, MESSAGE_DIGITS, STEPS},
};
use ingot_types::RetryClass;
use proptest::prelude::*;

fn message(value: u64) -> Digest {
    hash(3, &[F::from_u64_unchecked(value)])
}

fn secret(nonce: u32) -> SecretKey {
    SecretKey::derive(&[1; 32], &[2; 32], 3, nonce)
}

#[test]
fn a_signature_verifies_for_its_key_and_message_only() {
    let key = secret(0);
    let m = message(1);
    let signature = key.sign_unrecorded(&m);
    assert!(signature.verify(&key.public(), &m));
    assert_eq!(signature, key.sign_unrecorded(&m), "signing again releases nothing new");
    assert!(!signature.verify(&key.public(), &message(2)));
    assert!(!signature.verify(&secret(1).public(), &m));
    let other = secret(1).sign_unrecorded(&m);
    assert!(!other.verify(&key.public(), &m));
}

#[test]
fn every_part_of_a_signature_matters() {
    let key = secret(0);
    let m = message(1);
    let good = key.sign_unrecorded(&m);
    let refused = |change: &dyn Fn(&mut Signature)| {
        let mut bad = good.clone();
        change(&mut bad);
        assert_ne!(bad, good);
        assert!(!bad.verify(&key.public(), &m));
    };
    for e in 0..2 {
        refused(&|s| {
            s.r[e].add_assign(&F::ONE);
        });
        refused(&|s| {
            s.s[e].add_assign(&F::ONE);
        });
        for chain in 0..CHAINS {
            refused(&|s| {
                s.values[chain][e].add_assign(&F::ONE);
            });
        }
    }
    refused(&|s| s.values.swap(0, 1));
}

#[test]
fn digits_are_the_bits_of_d_two_at_a_time() {
    let d = [F::from_u64_unchecked(0xfedc_ba98_0123_4567), F::from_u64_unchecked(0x89ab_cdef_0000_0001)];
    let bits = (0xfedc_ba98_0123_4567_u128 << 64) | 0x89ab_cdef_0000_0001;
    let found = digits(&d);
    let mut sum = 0;
    for (i, digit) in found[..MESSAGE_DIGITS].iter().enumerate() {
        assert_eq!(u128::from(*digit), bits >> (126 - 2 * i) & 3);
        sum += 3 - digit;
    }
    let checksum = found[MESSAGE_DIGITS..].iter().fold(0, |value, digit| value * 4 + digit);
    assert_eq!(checksum, sum);
    assert_eq!(digits(&[F::ZERO; 2])[MESSAGE_DIGITS..], [3, 0, 0, 0], "the largest checksum is 192");
}

/// A second way to compute the key: each chain from its value, by the rule "step j exactly if j ≥ digit".
#[test]
fn verification_takes_step_j_exactly_if_j_is_at_least_the_digit() {
    let key = secret(0);
    let m = message(1);
    let signature = key.sign_unrecorded(&m);
    let digits = digits(&digest_to_sign(&signature.r, &signature.s, &key.public(), &m));
    let mut tops = signature.values;
    let mut taken = 0;
    for (chain, top) in tops.iter_mut().enumerate() {
        for j in 0..STEPS {
            if j >= digits[chain] {
                *top = step(top, &signature.s, chain as u32, j);
                taken += 1;
            }
        }
    }
    assert_eq!(key_of_tops(&signature.s, &tops), key.public());
    assert!(taken > 0 && taken < 204);
}

#[test]
fn steps_of_different_chains_and_heights_differ() {
    let (x, s) = ([F::ONE; 2], [F::TWO; 2]);
    let base = step(&x, &s, 4, 1);
    assert_ne!(base, step(&x, &s, 5, 1));
    assert_ne!(base, step(&x, &s, 4, 2));
    assert_ne!(base, step(&x, &x, 4, 1));
}

#[test]
fn keys_differ_by_seed_deployment_account_and_nonce() {
    let keys = [
        SecretKey::derive(&[1; 32], &[2; 32], 3, 4),
        SecretKey::derive(&[9; 32], &[2; 32], 3, 4),
        SecretKey::derive(&[1; 32], &[9; 32], 3, 4),
        SecretKey::derive(&[1; 32], &[2; 32], 9, 4),
        SecretKey::derive(&[1; 32], &[2; 32], 3, 9),
    ]
    .map(|key| key.public());
    for (i, a) in keys.iter().enumerate() {
        assert!(keys[..i].iter().all(|b| a != b));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn signatures_verify(seed in any::<[u8; 32]>(), nonce: u32, value in any::<u32>()) {
        let key = SecretKey::derive(&seed, &[0; 32], 0, nonce);
        let m = message(value.into());
        prop_assert!(key.sign_unrecorded(&m).verify(&key.public(), &m));
        prop_assert!(!key.sign_unrecorded(&m).verify(&key.public(), &message(u64::from(value) + 1)));
    }
}

fn debit(nonce: u32, amount: u64) -> DebitMessage {
    let next_key = secret(nonce + 1).public();
    let target = Target::Account(5);
    DebitMessage { domain: [2; 32], from: 3, nonce, amount, fee: 0, target, next_key, valid_until: 9 }
}

#[test]
fn a_message_depends_on_each_of_its_fields() {
    let base = debit(0, 7);
    let mut all = vec![
        base,
        DebitMessage { domain: [3; 32], ..base },
        DebitMessage { from: 4, ..base },
        DebitMessage { nonce: 1, ..base },
        DebitMessage { amount: 7 << 32, ..base },
        DebitMessage { amount: 0, fee: 7, ..base },
        DebitMessage { fee: 1 << 32, ..base },
        DebitMessage { target: Target::Account(6), ..base },
        DebitMessage { target: Target::Address([0; 20]), ..base },
        DebitMessage { target: Target::Address([1; 20]), ..base },
        DebitMessage { next_key: message(0), ..base },
        DebitMessage { valid_until: 10, ..base },
    ];
    for i in 0..20 {
        let mut address = [0; 20];
        address[i] = 0x80;
        all.push(DebitMessage { target: Target::Address(address), ..base });
    }
    let hashes: Vec<_> = all.iter().map(DebitMessage::hash).collect();
    for (i, a) in hashes.iter().enumerate() {
        assert!(hashes[..i].iter().all(|b| a != b), "{i}");
    }
}

#[test]
fn the_store_signs_a_message_once_and_no_other_across_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("journal");
    let key = secret(0);
    let first = {
        let mut store = SigningKeyStore::open(&file).unwrap();
        let signature = store.sign(&key, &debit(0, 7)).unwrap();
        assert!(signature.verify(&key.public(), &debit(0, 7).hash()));
        assert!(fs::metadata(&file).unwrap().len() > 100, "recorded before it is released");
        signature
    };
    let mut store = SigningKeyStore::open(&file).unwrap();
    assert_eq!(store.sign(&key, &debit(0, 7)).unwrap(), first);
    let refused = store.sign(&key, &debit(0, 8)).unwrap_err();
    assert!(matches!(refused, SigningError::AlreadySigned { nonce: 0, .. }), "{refused}");
    assert_eq!(refused.retry_class(), RetryClass::Deterministic);
    assert!(refused.to_string().contains("journal"));
    assert!(store.sign(&key, &debit(1, 7)).is_err(), "the same key at another nonce");
    assert!(store.sign(&secret(1), &debit(1, 7)).is_ok());
    assert_eq!(store.signed(&key.public()).unwrap().nonce, 0);
}

#[test]
fn one_signer_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("journal");
    let store = SigningKeyStore::open(&file).unwrap();
    assert!(matches!(SigningKeyStore::open(&file), Err(SigningError::Locked { .. })));
    drop(store);
    assert!(SigningKeyStore::open(&file).is_ok());
}

#[test]
fn a_journal_cut_short_at_any_byte_forgets_nothing_that_was_released() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("journal");
    {
        let mut store = SigningKeyStore::open(&file).unwrap();
        for nonce in 0..3 {
            store.sign(&secret(nonce), &debit(nonce, 7)).unwrap();
        }
    }
    let whole = fs::read(&file).unwrap();
    assert_eq!(whole.len(), 12 + 3 * 104);
    for length in (0..whole.len()).step_by(5).chain([12, 12 + 104, 12 + 208]) {
        fs::write(&file, &whole[..length]).unwrap();
        let mut store = SigningKeyStore::open(&file).unwrap();
        let kept = length.saturating_sub(12) / 104;
        for nonce in 0..3 {
            assert_eq!(store.signed(&secret(nonce).public()).is_some(), (nonce as usize) < kept);
        }
        store.sign(&secret(7), &debit(7, 7)).unwrap();
        drop(store);
        assert_eq!(fs::metadata(&file).unwrap().len() as usize, 12 + 104 * (kept + 1));
        assert!(SigningKeyStore::open(&file).is_ok(), "the next entry starts where the cut one did");
    }
}

#[test]
fn a_damaged_journal_signs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("journal");
    {
        let mut store = SigningKeyStore::open(&file).unwrap();
        for nonce in 0..2 {
            store.sign(&secret(nonce), &debit(nonce, 7)).unwrap();
        }
    }
    let whole = fs::read(&file).unwrap();
    for at in 0..whole.len() {
        let mut bad = whole.clone();
        bad[at] ^= 0x10;
        fs::write(&file, &bad).unwrap();
        let found = SigningKeyStore::open(&file);
        assert!(matches!(found, Err(SigningError::Malformed { .. })), "byte {at}: {found:?}");
    }
    // Entries swapped or repeated.
    let swapped = [&whole[..12], &whole[116..], &whole[12..116]].concat();
    let repeated = [&whole[..], &whole[12..116]].concat();
    for bad in [swapped, repeated] {
        fs::File::create(&file).unwrap().write_all(&bad).unwrap();
        assert!(matches!(SigningKeyStore::open(&file), Err(SigningError::Malformed { .. })));
    }
}
