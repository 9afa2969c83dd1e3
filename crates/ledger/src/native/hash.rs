//! The ledger's hash over Goldilocks elements, its tags, and how elements become 32-bit words and bytes.
//!
//! `H<tag>` is a Poseidon2 sponge of width 12 and rate 8 in overwrite mode. The initial state is zero but for
//! `state[11]` = number of elements (the proof library's length rule) and `state[8]` = tag; the last chunk is padded
//! with zeros; the digest is `state[0..4]`.

use boojum::{
    field::{Field, U64Representable},
    implementations::poseidon2::poseidon2_permutation,
};
use ingot_circuit_set::field::{Digest, F};

/// Elements absorbed per permutation.
pub const RATE: usize = 8;
/// Elements of the sponge's state.
pub const STATE_WIDTH: usize = 12;
/// Where the tag sits in the initial state.
pub const TAG_POSITION: usize = 8;
/// Where the number of elements sits in the initial state.
pub const LENGTH_POSITION: usize = 11;

/// Tag of a state leaf.
pub const STATE_LEAF: u64 = 1;
/// Tag of a Merkle node whose children are leaves; see [`merkle_node`] for the levels above.
pub const MERKLE_NODE: u64 = 2;
/// Tag of the message that an account's owner signs.
pub const MESSAGE: u64 = 3;
/// Tag of one step of a signature chain.
pub const WOTS_STEP: u64 = 4;
/// Tag of a one-time public key.
pub const WOTS_KEY: u64 = 5;
/// Tag of the digest whose digits a signature reveals.
pub const WOTS_DIGEST: u64 = 6;
/// Tag of closed-form inputs of basic circuits.
pub const CLOSED_FORM: u64 = 7;
/// Tag of verification keys and leaf parameters.
pub const VERIFICATION_KEY: u64 = 8;
/// Tag of the inputs of recursion circuits.
pub const RECURSION_INPUT: u64 = 9;

/// Tag of a Merkle node, by level: 0 for the parents of leaves, 31 for the root.
pub const fn merkle_node(level: u32) -> u64 {
    MERKLE_NODE + 256 * level as u64
}

/// A small integer as an element.
pub const fn element(value: u32) -> F {
    boojum::field::goldilocks::GoldilocksField(value as u64)
}

/// `H<tag>(elements)`.
pub fn hash(tag: u64, elements: &[F]) -> Digest {
    let mut state = [F::ZERO; STATE_WIDTH];
    state[TAG_POSITION] = F::from_nonreduced_u64(tag);
    state[LENGTH_POSITION] = F::from_nonreduced_u64(elements.len() as u64);
    for chunk in elements.chunks(RATE) {
        state[..RATE].fill(F::ZERO);
        state[..chunk.len()].copy_from_slice(chunk);
        poseidon2_permutation(&mut state);
    }
    [state[0], state[1], state[2], state[3]]
}

/// State of a full-state queue after pushing one item.
///
/// An item's encoding is absorbed in chunks of [`RATE`], each overwriting the rate part of the state; a last chunk that is
/// not full is padded with zeros (the proof library only has encodings that are multiples of the rate). An empty queue has
/// head = tail = zeros.
pub fn queue_absorb(mut state: [F; STATE_WIDTH], encoding: &[F]) -> [F; STATE_WIDTH] {
    for chunk in encoding.chunks(RATE) {
        state[..RATE].fill(F::ZERO);
        state[..chunk.len()].copy_from_slice(chunk);
        poseidon2_permutation(&mut state);
    }
    state
}

/// The canonical value of `x` as (high, low) 32-bit words.
pub fn words(x: F) -> [u32; 2] {
    split(x.as_u64_reduced())
}

/// `value` as (high, low) 32-bit words.
pub const fn split(value: u64) -> [u32; 2] {
    [(value >> 32) as u32, value as u32]
}

/// The value of (high, low) 32-bit words.
pub const fn join(words: [u32; 2]) -> u64 {
    (words[0] as u64) << 32 | words[1] as u64
}

/// The element with these (high, low) words; `None` if they are not canonical.
pub fn from_words(words: [u32; 2]) -> Option<F> {
    F::from_u64(join(words))
}

/// A digest as 8 words: (high, low) of each element in order.
pub fn digest_to_words(digest: &Digest) -> [u32; 8] {
    let mut out = [0; 8];
    for (pair, x) in out.chunks_exact_mut(2).zip(digest) {
        pair.copy_from_slice(&words(*x));
    }
    out
}

/// The digest with these words; `None` if one of its elements is not canonical.
pub fn digest_from_words(words: &[u32; 8]) -> Option<Digest> {
    let mut out = [F::ZERO; 4];
    for (x, pair) in out.iter_mut().zip(words.chunks_exact(2)) {
        *x = from_words([pair[0], pair[1]])?;
    }
    Some(out)
}

/// A digest as 32 bytes: 4 × 8, each big-endian.
pub fn digest_to_bytes(digest: &Digest) -> [u8; 32] {
    words_to_bytes(&digest_to_words(digest))
}

/// The digest with these bytes; `None` if one of its elements is not canonical.
pub fn digest_from_bytes(bytes: &[u8; 32]) -> Option<Digest> {
    digest_from_words(&bytes_to_words(bytes))
}

/// 32 bytes as 8 big-endian words.
pub fn bytes_to_words(bytes: &[u8; 32]) -> [u32; 8] {
    let mut out = [0; 8];
    for (word, b) in out.iter_mut().zip(bytes.chunks_exact(4)) {
        *word = u32::from_be_bytes([b[0], b[1], b[2], b[3]]);
    }
    out
}

/// 8 words as 32 bytes, each word big-endian.
pub fn words_to_bytes(words: &[u32; 8]) -> [u8; 32] {
    let mut out = [0; 32];
    for (b, word) in out.chunks_exact_mut(4).zip(words) {
        b.copy_from_slice(&word.to_be_bytes());
    }
    out
}

/// A digest as 64 hexadecimal digits, for messages.
pub fn digest_hex(digest: &Digest) -> String {
    digest.iter().map(|x| format!("{:016x}", x.as_u64_reduced())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use boojum::{
        algebraic_props::round_function::AlgebraicRoundFunction,
        implementations::poseidon2::Poseidon2Goldilocks,
    };

    #[test]
    fn the_permutation_is_the_round_function_of_the_circuits() {
        let input: [F; 12] = std::array::from_fn(|i| element(i as u32 * 7 + 3));
        let mut expected = input;
        <Poseidon2Goldilocks as AlgebraicRoundFunction<F, 8, 12, 4>>::round_function(&mut expected);
        let mut state = input;
        poseidon2_permutation(&mut state);
        assert_eq!(state, expected);
    }

    #[test]
    fn tag_length_and_padding_separate() {
        let x = [element(1), element(2)];
        let padded = [element(1), element(2), F::ZERO];
        assert_ne!(hash(1, &x), hash(2, &x));
        assert_ne!(hash(1, &x), hash(1, &padded));
        assert_ne!(hash(merkle_node(0), &x), hash(merkle_node(1), &x));
        assert_eq!(merkle_node(31), 2 + 256 * 31);
    }

    #[test]
    fn an_empty_input_hashes_to_the_unpermuted_state() {
        assert_eq!(hash(5, &[]), [F::ZERO; 4], "no circuit hashes nothing; the rule needs no special case");
    }

    #[test]
    fn words_are_canonical_and_others_are_refused() {
        let p_minus_1 = F::ORDER - 1;
        assert_eq!(words(F::from_nonreduced_u64(p_minus_1)), [u32::MAX, 0]);
        assert_eq!(words(boojum::field::goldilocks::GoldilocksField(F::ORDER)), [0, 0], "non-canonical zero");
        assert!(from_words([u32::MAX, 0]).is_some());
        assert!(from_words([u32::MAX, 1]).is_none());
        assert!(digest_from_words(&[0, 1, 0, 2, 0, 3, u32::MAX, 1]).is_none());
        let digest = hash(1, &[element(9)]);
        assert_eq!(digest_from_bytes(&digest_to_bytes(&digest)), Some(digest));
        assert_eq!(digest_to_bytes(&digest)[..8], digest[0].as_u64_reduced().to_be_bytes());
        assert_eq!(join(split(u64::MAX - 5)), u64::MAX - 5);
    }
}
