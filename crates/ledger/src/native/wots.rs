//! One-time signatures: WOTS+ with base-4 digits over Poseidon2.
//!
//! * A chain value is 2 elements. A key has 68 chains of 3 steps, a seed `s` (2 elements), and is
//!   H5(s, top_0, …, top_67), where top_i is the value of chain i after 3 steps.
//! * Step j of chain i takes x to the first 2 elements of H4(x_0, x_1, s_0, s_1, i, j, 0, 0).
//! * d is the first 2 elements of H6(r, s, key, m), r being the signature's randomizer. Its words in the order high, low of
//!   d_0, high, low of d_1 are read as 16 base-4 digits each, most significant first: digits 0 to 63. Digits 64 to 67
//!   are the checksum Σ(3 − digit) over those, at most 192, most significant first.
//! * A signature holds for each chain the value after `digit` steps. Verification applies the rest: it walks j = 0, 1, 2
//!   and takes step j exactly if j ≥ digit. The tops must hash to the key.
//!
//! Raising one digit lowers the checksum, so no second message can be signed by walking chains further.

use boojum::field::{Field, U64Representable};
use ingot_circuit_set::field::{Digest, F};
use serde::{Deserialize, Serialize};

use super::{
    elements,
    hash::{digest_to_bytes, element, hash, words, WOTS_DIGEST, WOTS_KEY, WOTS_STEP},
};

/// Digits of the message digest.
pub const MESSAGE_DIGITS: usize = 64;
/// Digits of the checksum.
pub const CHECKSUM_DIGITS: usize = 4;
/// Chains of a key.
pub const CHAINS: usize = MESSAGE_DIGITS + CHECKSUM_DIGITS;
/// Steps of a chain: the largest digit.
pub const STEPS: u32 = 3;

/// A value on a chain; also a seed or randomizer.
pub type ChainValue = [F; 2];

/// A one-time signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// Randomizer.
    #[serde(with = "elements")]
    pub r: ChainValue,
    /// The key's seed.
    #[serde(with = "elements")]
    pub s: ChainValue,
    /// Chain i after digit i steps.
    #[serde(with = "elements")]
    pub values: [ChainValue; CHAINS],
}

/// A chain's next value.
pub fn step(x: &ChainValue, s: &ChainValue, chain: u32, step: u32) -> ChainValue {
    let out = hash(WOTS_STEP, &[x[0], x[1], s[0], s[1], element(chain), element(step), F::ZERO, F::ZERO]);
    [out[0], out[1]]
}

/// The key with these chain tops.
pub fn key_of_tops(s: &ChainValue, tops: &[ChainValue; CHAINS]) -> Digest {
    let mut input = Vec::with_capacity(2 + 2 * CHAINS);
    input.extend_from_slice(s);
    input.extend(tops.iter().flatten());
    hash(WOTS_KEY, &input)
}

/// The two elements whose words are the digits.
pub fn digest_to_sign(r: &ChainValue, s: &ChainValue, key: &Digest, message: &Digest) -> [F; 2] {
    let mut input = [F::ZERO; 12];
    input[..2].copy_from_slice(r);
    input[2..4].copy_from_slice(s);
    input[4..8].copy_from_slice(key);
    input[8..].copy_from_slice(message);
    let d = hash(WOTS_DIGEST, &input);
    [d[0], d[1]]
}

/// The digits of `d` and their checksum.
pub fn digits(d: &[F; 2]) -> [u32; CHAINS] {
    let mut out = [0; CHAINS];
    let message_words = d.iter().flat_map(|x| words(*x));
    for (digits, word) in out.chunks_exact_mut(16).zip(message_words) {
        for (i, digit) in digits.iter_mut().enumerate() {
            *digit = word >> (30 - 2 * i) & 3;
        }
    }
    let checksum: u32 = out[..MESSAGE_DIGITS].iter().map(|digit| STEPS - digit).sum();
    for (i, digit) in out[MESSAGE_DIGITS..].iter_mut().enumerate() {
        *digit = checksum >> (6 - 2 * i) & 3;
    }
    out
}

impl Signature {
    /// The key that this signature of `message` leads to, if `key` is claimed to have made it. It verifies exactly if the
    /// two are equal.
    pub fn recover(&self, key: &Digest, message: &Digest) -> Digest {
        let digits = digits(&digest_to_sign(&self.r, &self.s, key, message));
        let mut tops = self.values;
        for (chain, (top, digit)) in (0u32..).zip(tops.iter_mut().zip(digits)) {
            for j in digit..STEPS {
                *top = step(top, &self.s, chain, j);
            }
        }
        key_of_tops(&self.s, &tops)
    }

    /// Whether `key` signed `message`.
    pub fn verify(&self, key: &Digest, message: &Digest) -> bool {
        self.recover(key, message) == *key
    }
}

/// A one-time secret key. It must sign at most one message: use [`super::signing::SigningKeyStore`] for keys that hold value.
pub struct SecretKey {
    s: ChainValue,
    chains: [ChainValue; CHAINS],
    /// Keys the pseudo-random choice of randomizers.
    randomizer_key: [u8; 32],
    public: Digest,
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretKey").field("public", &self.public).finish_non_exhaustive()
    }
}

impl SecretKey {
    /// The `nonce`-th key of a wallet's account `account` on the deployment `domain`, derived from the wallet's seed.
    ///
    /// `account` is the wallet's own numbering: the first key is chosen before L1 assigns an index.
    ///
    /// Secrets come from BLAKE3's key derivation mode, read as a stream of 64-bit values of which those beyond the modulus
    /// are skipped, so that elements are unbiased.
    pub fn derive(seed: &[u8; 32], domain: &[u8; 32], account: u32, nonce: u32) -> Self {
        let derive = |purpose: &str| {
            let mut hasher = blake3::Hasher::new_derive_key(purpose);
            hasher.update(seed).update(domain);
            hasher.update(&account.to_le_bytes()).update(&nonce.to_le_bytes());
            hasher.finalize_xof()
        };
        let mut stream = derive("ingot ledger v1: one-time signature chains");
        let s = std::array::from_fn(|_| next_element(&mut stream));
        let chains: [ChainValue; CHAINS] =
            std::array::from_fn(|_| std::array::from_fn(|_| next_element(&mut stream)));
        let mut randomizer_key = [0; 32];
        derive("ingot ledger v1: signature randomizer key").fill(&mut randomizer_key);

        let mut tops = chains;
        for (chain, top) in (0u32..).zip(tops.iter_mut()) {
            for j in 0..STEPS {
                *top = step(top, &s, chain, j);
            }
        }
        Self { s, chains, randomizer_key, public: key_of_tops(&s, &tops) }
    }

    /// The public key.
    pub fn public(&self) -> Digest {
        self.public
    }

    /// Signs without recording it. Two calls with the same message return the same signature; two with different messages
    /// let anyone forge.
    pub fn sign_unrecorded(&self, message: &Digest) -> Signature {
        let mut stream =
            blake3::Hasher::new_keyed(&self.randomizer_key).update(&digest_to_bytes(message)).finalize_xof();
        let r = std::array::from_fn(|_| next_element(&mut stream));
        let digits = digits(&digest_to_sign(&r, &self.s, &self.public, message));
        let mut values = self.chains;
        for (chain, (value, digit)) in (0u32..).zip(values.iter_mut().zip(digits)) {
            for j in 0..digit {
                *value = step(value, &self.s, chain, j);
            }
        }
        Signature { r, s: self.s, values }
    }
}

fn next_element(stream: &mut blake3::OutputReader) -> F {
    loop {
        let mut bytes = [0; 8];
        stream.fill(&mut bytes);
        if let Some(x) = F::from_u64(u64::from_le_bytes(bytes)) {
            return x;
        }
    }
}
