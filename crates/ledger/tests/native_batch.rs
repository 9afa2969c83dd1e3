//! Batch files, records and headers: what is written is read back, and nothing else is accepted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

use std::sync::LazyLock;

use boojum::field::U64Representable;
use ingot_circuit_set::field::{Digest, F};
use ingot_ledger::native::{
    batch::{Batch, FormatError},
    executor::{execute, Checks},
    header::{domain, hash_records, public_input, Header, HEADER_BYTES},
    record::{record_bytes, Record, RecordError},
    sample::{maximal_amounts, sample_batch},
};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn file(operations: usize) -> Vec<u8> {
    sample_batch(1, operations).to_bytes("a.batch").unwrap()
}

static FILE: LazyLock<Vec<u8>> = LazyLock::new(|| file(2));

/// Replaces the body and makes length and hash fit it.
fn with_body(body: &[u8]) -> Vec<u8> {
    let mut out = FILE[..12].to_vec();
    out.extend((body.len() as u64).to_le_bytes());
    out.extend(body);
    let hash = blake3::hash(&out);
    out.extend(hash.as_bytes());
    out
}

#[test]
fn batches_survive_the_round_trip() {
    for batch in [sample_batch(1, 0), sample_batch(2, 20), maximal_amounts(3)] {
        let bytes = batch.to_bytes("a.batch").unwrap();
        assert_eq!(Batch::from_bytes("a.batch", &bytes).unwrap(), batch);
    }
    let size = file(40).len();
    assert!(size < 120_000, "40 operations take {size} bytes");
}

#[test]
fn damaged_files_are_refused_by_name_with_expected_and_found() {
    let good = file(3);
    let refused = |bytes: &[u8]| Batch::from_bytes("a.batch", bytes).unwrap_err();
    for at in [0, 7, 8, 11, 12, 19, 20, 1000, good.len() - 33, good.len() - 32, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        let error = refused(&bad);
        let expected = match at {
            0..8 => matches!(error, FormatError::Magic { .. }),
            8..12 => matches!(error, FormatError::Version { .. }),
            12..20 => matches!(error, FormatError::Length { .. }),
            _ => matches!(error, FormatError::Hash { .. }),
        };
        assert!(expected, "byte {at}: {error}");
        let text = error.to_string();
        assert!(["a.batch", "expected", "found"].iter().all(|word| text.contains(word)), "{text}");
    }
    for length in [0, 1, 8, 12, 20, 51, 52, good.len() - 1] {
        let error = refused(&good[..length]);
        assert!(
            matches!(error, FormatError::TooShort { .. } | FormatError::Length { .. }),
            "{length}: {error}"
        );
    }
    let long = [good.as_slice(), &[0]].concat();
    assert!(matches!(refused(&long), FormatError::Length { .. }));
}

#[test]
fn bodies_that_hold_something_else_are_refused() {
    let good = FILE.clone();
    let body = &good[20..good.len() - 32];
    assert_eq!(with_body(body), good);
    for bad in [&body[..body.len() - 1], &[body, &[0]].concat(), &[], &[0xff; 40]] {
        let error = Batch::from_bytes("b", &with_body(bad)).unwrap_err();
        assert!(matches!(error, FormatError::Body { .. }), "{error}");
    }
}

#[test]
fn elements_beyond_the_modulus_are_refused() {
    let batch = sample_batch(1, 1);
    let good = batch.to_bytes("b").unwrap();
    let root: Vec<u8> = batch.old_root.iter().flat_map(|x| x.as_u64_reduced().to_le_bytes()).collect();
    let at = good.windows(32).position(|window| window == root).unwrap();
    let mut body = good[20..good.len() - 32].to_vec();
    body[at - 20..at - 12].copy_from_slice(&(F::ORDER - 1).to_le_bytes());
    assert!(Batch::from_bytes("b", &with_body(&body)).is_ok());
    body[at - 20..at - 12].copy_from_slice(&F::ORDER.to_le_bytes());
    let error = Batch::from_bytes("b", &with_body(&body)).unwrap_err();
    assert!(error.to_string().contains("expected the body of a batch"), "{error}");
}

fn digest() -> impl Strategy<Value = Digest> {
    prop::array::uniform4(any::<u64>().prop_map(F::from_nonreduced_u64))
}

fn record() -> impl Strategy<Value = Record> {
    let amount = any::<u64>;
    prop_oneof![
        (any::<u32>(), amount(), digest()).prop_map(|(index, amount, key)| Record::Open {
            index,
            amount,
            key
        }),
        (any::<u32>(), amount()).prop_map(|(index, amount)| Record::TopUp { index, amount }),
        (any::<u32>(), amount(), digest(), any::<u32>(), amount()).prop_map(
            |(from, amount, next_key, to, fee)| Record::Transfer { from, amount, next_key, to, fee }
        ),
        (any::<u32>(), amount(), digest(), amount())
            .prop_map(|(from, amount, next_key, fee)| Record::Withdraw { from, amount, next_key, fee }),
        (any::<u32>(), amount(), any::<[u8; 20]>(), any::<u32>())
            .prop_map(|(from, amount, address, nonce)| Record::Payout { from, amount, address, nonce }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn mutated_files_never_panic_and_are_always_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let good = FILE.clone();
        let mut bad = good.clone();
        for (at, xor) in changes {
            bad[at.index(good.len())] ^= xor;
        }
        if let Some(cut) = cut {
            bad.truncate(cut.index(good.len()));
        }
        prop_assert!(bad == good || Batch::from_bytes("b", &bad).is_err());
    }

    /// As a malicious file would be made, with a hash that fits: reading and executing may fail but not panic.
    #[test]
    fn mutated_bodies_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        near_start: bool,
    ) {
        let good = FILE.clone();
        let mut body = good[20..good.len() - 32].to_vec();
        let range = if near_start { 120 } else { body.len() };
        for (at, value) in changes {
            body[at.index(range)] = value;
        }
        if let Ok(batch) = Batch::from_bytes("b", &with_body(&body)) {
            let _ = execute(&batch, Checks::Full);
            let _ = execute(&batch, Checks::Skip);
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Batch::from_bytes("b", &bytes).is_err());
        let _ = Batch::from_bytes("b", &with_body(&bytes));
    }

    #[test]
    fn records_survive_the_round_trip(record in record()) {
        let words = record.encode();
        prop_assert_eq!(words[0], record.kind());
        prop_assert_eq!(Record::decode(&words), Ok(record));
    }

    #[test]
    fn records_have_one_encoding(record in record(), word in 0usize..16, value: u32) {
        let mut words = record.encode();
        words[word] = value;
        if let Ok(other) = Record::decode(&words) {
            prop_assert_eq!(other.encode(), words);
        }
    }
}

#[test]
fn record_words_sit_where_the_specification_says() {
    let key = [1, 2, 3, (5 << 32) + 4].map(F::from_u64_unchecked);
    let transfer =
        Record::Transfer { from: 9, amount: (7 << 32) + 8, next_key: key, to: 10, fee: (11 << 32) + 12 };
    assert_eq!(transfer.encode(), [3, 9, 7, 8, 0, 1, 0, 2, 0, 3, 5, 4, 10, 11, 12, 0]);
    let withdraw = Record::Withdraw { from: 9, amount: 8, next_key: key, fee: 12 };
    assert_eq!(withdraw.encode(), [4, 9, 0, 8, 0, 1, 0, 2, 0, 3, 5, 4, 0, 0, 12, 0]);
    let open = Record::Open { index: 9, amount: 8, key };
    assert_eq!(open.encode(), [1, 9, 0, 8, 0, 1, 0, 2, 0, 3, 5, 4, 0, 0, 0, 0]);
    let top_up = Record::TopUp { index: 9, amount: 8 };
    assert_eq!(top_up.encode(), [2, 9, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let mut address = [0; 20];
    address[3] = 1;
    address[16] = 2;
    let payout = Record::Payout { from: 9, amount: 8, address, nonce: 6 };
    assert_eq!(payout.encode(), [5, 9, 0, 8, 1, 0, 0, 0, 2 << 24, 6, 0, 0, 0, 0, 0, 0]);
    assert_eq!(record_bytes(&payout.encode())[..8], [0, 0, 0, 5, 0, 0, 0, 9]);
}

#[test]
fn words_that_are_no_record_are_refused() {
    for kind in [0, 6, u32::MAX] {
        let mut words = [0; 16];
        words[0] = kind;
        assert_eq!(Record::decode(&words), Err(RecordError::Kind { found: kind }));
    }
    let mut words = Record::TopUp { index: 1, amount: 2 }.encode();
    words[15] = 4;
    assert_eq!(Record::decode(&words), Err(RecordError::Unused { kind: 2, word: 15, found: 4 }));
    let mut words = [0; 16];
    words[0] = 1;
    (words[4], words[5]) = (u32::MAX, 1);
    assert!(matches!(Record::decode(&words), Err(RecordError::Key { .. })));
}

fn header() -> Header {
    Header {
        domain: domain(270, &[0x11; 20]),
        batch: 7,
        old_root: [1; 32],
        new_root: [2; 32],
        pubdata_hash: [3; 32],
        deposits_hash: [4; 32],
        deposit_count: 5,
        fees: 6,
        vk_set: [8; 32],
    }
}

/// The figures come from another implementation of SHA-256 and of the layout.
#[test]
fn a_known_header_has_this_hash_and_public_input() {
    let header = header();
    assert_eq!(HEADER_BYTES, 232);
    assert_eq!(hex(&header.domain), "22a40575088f0ffaca3648ee1e5f04e0b42781443a6fd43c7a9e218c838bda20");
    assert_eq!(hex(&header.pi()), "0d056a5550dd98b8c4ede9f4f87cab55372f950678632d720622a89f4d39a1e2");
    let limbs = header.public_input().map(|x| x.as_u64_reduced());
    assert_eq!(limbs, [3665128953273752, 52007921826199676, 48225916527380088, 27915990446811295]);
}

#[test]
fn the_header_is_laid_out_as_specified() {
    let bytes = header().to_bytes();
    assert_eq!(&bytes[..16], b"ingot-ledger-v1\0");
    assert_eq!(bytes[48..56], 7u64.to_be_bytes());
    for (at, value) in [(56, 1), (88, 2), (120, 3), (152, 4), (200, 8)] {
        assert_eq!(bytes[at..at + 32], [value; 32]);
    }
    assert_eq!(bytes[184..192], 5u64.to_be_bytes());
    assert_eq!(bytes[192..200], 6u64.to_be_bytes());
}

#[test]
fn limbs_are_the_first_28_bytes() {
    let pi: [u8; 32] = std::array::from_fn(|i| 0xff - i as u8);
    let bytes: Vec<u8> =
        public_input(&pi).iter().flat_map(|x| x.as_u64_reduced().to_be_bytes()[1..].to_vec()).collect();
    assert_eq!(bytes, pi[..28]);
    let mut other = pi;
    other[28] ^= 1;
    assert_eq!(public_input(&other), public_input(&pi));
    other[27] ^= 1;
    assert_ne!(public_input(&other), public_input(&pi));
}

#[test]
fn the_header_of_a_batch_hashes_its_two_streams() {
    let batch = sample_batch(4, 30);
    let trace = execute(&batch, Checks::Full).unwrap();
    let (mut deposits, mut pubdata) = (Vec::new(), Vec::new());
    for record in trace.records() {
        let stream = if record[0] <= 2 { &mut deposits } else { &mut pubdata };
        stream.extend(record.iter().flat_map(|word| word.to_be_bytes()));
    }
    assert!(!deposits.is_empty() && !pubdata.is_empty());
    let header = trace.header(&[F::from_u64_unchecked(3); 4]);
    assert_eq!(header.deposits_hash[..], Sha256::digest(&deposits)[..]);
    assert_eq!(header.pubdata_hash[..], Sha256::digest(&pubdata)[..]);
    assert_eq!(header.deposit_count as usize, deposits.len() / 64);
    assert_eq!((header.batch, header.fees), (batch.number.into(), trace.fees));
    assert_eq!(header.domain, domain(batch.chain_id, &batch.l1_contract));
    assert_eq!(header.old_root[..8], batch.old_root[0].as_u64_reduced().to_be_bytes());
    assert_eq!(header.vk_set[..8], [0, 0, 0, 0, 0, 0, 0, 3]);
    assert_eq!(hex(&hash_records([])), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}
