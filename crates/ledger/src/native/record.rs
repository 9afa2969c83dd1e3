//! Records: what a batch publishes, 16 words (64 bytes, one SHA-256 block) each.
//!
//! | kind | words 1.. |
//! |---|---|
//! | 1 open | index, amount (2), key (8) |
//! | 2 top-up | index, amount (2) |
//! | 3 transfer | from, amount (2), next key (8), to, fee (2) |
//! | 4 withdraw | from, amount (2), next key (8), 0, fee (2) |
//! | 5 payout | from, amount (2), address (5), nonce |
//!
//! Word 0 is the kind; words not listed are zero; amounts are (high, low). The payout's nonce is the one that the
//! withdrawal was signed at, that is, before the debit raised it.

use ingot_circuit_set::field::Digest;

use super::hash::{digest_from_words, digest_to_words, join, split};

/// A record as words.
pub type RecordWords = [u32; 16];

/// Kind of a deposit that opens an account.
pub const KIND_OPEN: u32 = 1;
/// Kind of a deposit into an account.
pub const KIND_TOP_UP: u32 = 2;
/// Kind of a transfer.
pub const KIND_TRANSFER: u32 = 3;
/// Kind of a withdrawal.
pub const KIND_WITHDRAW: u32 = 4;
/// Kind of the payout that follows a withdrawal.
pub const KIND_PAYOUT: u32 = 5;

/// Word that holds the index of the account that is opened, topped up or debited.
pub const WORD_ACCOUNT: usize = 1;
/// First word of the amount (high, low).
pub const WORD_AMOUNT: usize = 2;
/// First word of the key, or next key.
pub const WORD_KEY: usize = 4;
/// Word that holds the receiver of a transfer.
pub const WORD_TO: usize = 12;
/// First word of the fee (high, low).
pub const WORD_FEE: usize = 13;
/// First word of a payout's address.
pub const WORD_ADDRESS: usize = 4;
/// Word of a payout's nonce.
pub const WORD_NONCE: usize = 9;

/// An L1 address.
pub type Address = [u8; 20];

/// A record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the table above says what each field is")]
pub enum Record {
    /// Kind 1.
    Open { index: u32, amount: u64, key: Digest },
    /// Kind 2.
    TopUp { index: u32, amount: u64 },
    /// Kind 3.
    Transfer { from: u32, amount: u64, next_key: Digest, to: u32, fee: u64 },
    /// Kind 4.
    Withdraw { from: u32, amount: u64, next_key: Digest, fee: u64 },
    /// Kind 5.
    Payout { from: u32, amount: u64, address: Address, nonce: u32 },
}

/// Words that are no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Word 0 is not a kind.
    #[error("record word 0: expected a kind from 1 to 5, found {found}")]
    Kind {
        /// What is there.
        found: u32,
    },
    /// A word that the kind does not use is not zero.
    #[error("record word {word}: expected 0 in a record of kind {kind}, found {found}")]
    Unused {
        /// The record's kind.
        kind: u32,
        /// Which word.
        word: usize,
        /// What is there.
        found: u32,
    },
    /// The key is not four canonical elements.
    #[error("record words 4 to 11: expected a key of four canonical field elements, found {found:08x?}")]
    Key {
        /// What is there.
        found: [u32; 8],
    },
}

impl Record {
    /// The record's kind.
    pub fn kind(&self) -> u32 {
        match self {
            Self::Open { .. } => KIND_OPEN,
            Self::TopUp { .. } => KIND_TOP_UP,
            Self::Transfer { .. } => KIND_TRANSFER,
            Self::Withdraw { .. } => KIND_WITHDRAW,
            Self::Payout { .. } => KIND_PAYOUT,
        }
    }

    /// As words.
    pub fn encode(&self) -> RecordWords {
        let mut out = [0; 16];
        out[0] = self.kind();
        let mut put = |at: usize, words: &[u32]| out[at..at + words.len()].copy_from_slice(words);
        match self {
            Self::Open { index, amount, key } => {
                put(WORD_ACCOUNT, &[*index]);
                put(WORD_AMOUNT, &split(*amount));
                put(WORD_KEY, &digest_to_words(key));
            }
            Self::TopUp { index, amount } => {
                put(WORD_ACCOUNT, &[*index]);
                put(WORD_AMOUNT, &split(*amount));
            }
            Self::Transfer { from, amount, next_key, to, fee } => {
                put(WORD_ACCOUNT, &[*from]);
                put(WORD_AMOUNT, &split(*amount));
                put(WORD_KEY, &digest_to_words(next_key));
                put(WORD_TO, &[*to]);
                put(WORD_FEE, &split(*fee));
            }
            Self::Withdraw { from, amount, next_key, fee } => {
                put(WORD_ACCOUNT, &[*from]);
                put(WORD_AMOUNT, &split(*amount));
                put(WORD_KEY, &digest_to_words(next_key));
                put(WORD_FEE, &split(*fee));
            }
            Self::Payout { from, amount, address, nonce } => {
                put(WORD_ACCOUNT, &[*from]);
                put(WORD_AMOUNT, &split(*amount));
                put(WORD_ADDRESS, &address_words(address));
                put(WORD_NONCE, &[*nonce]);
            }
        }
        out
    }

    /// From words.
    ///
    /// # Errors
    /// [`RecordError`] if they are not exactly what [`Record::encode`] makes of a record.
    pub fn decode(words: &RecordWords) -> Result<Self, RecordError> {
        let kind = words[0];
        let account = words[WORD_ACCOUNT];
        let pair = |at: usize| join([words[at], words[at + 1]]);
        let amount = pair(WORD_AMOUNT);
        let key = || {
            let mut found = [0; 8];
            found.copy_from_slice(&words[WORD_KEY..WORD_KEY + 8]);
            digest_from_words(&found).ok_or(RecordError::Key { found })
        };
        let record = match kind {
            KIND_OPEN => Self::Open { index: account, amount, key: key()? },
            KIND_TOP_UP => Self::TopUp { index: account, amount },
            KIND_TRANSFER => Self::Transfer {
                from: account,
                amount,
                next_key: key()?,
                to: words[WORD_TO],
                fee: pair(WORD_FEE),
            },
            KIND_WITHDRAW => Self::Withdraw { from: account, amount, next_key: key()?, fee: pair(WORD_FEE) },
            KIND_PAYOUT => {
                let mut address = [0; 20];
                for (bytes, word) in address.chunks_exact_mut(4).zip(&words[WORD_ADDRESS..]) {
                    bytes.copy_from_slice(&word.to_be_bytes());
                }
                Self::Payout { from: account, amount, address, nonce: words[WORD_NONCE] }
            }
            found => return Err(RecordError::Kind { found }),
        };
        match record.encode().iter().zip(words).position(|(used, found)| used != found) {
            Some(word) => Err(RecordError::Unused { kind, word, found: words[word] }),
            None => Ok(record),
        }
    }
}

/// An address as five big-endian words.
pub fn address_words(address: &Address) -> [u32; 5] {
    let mut out = [0; 5];
    for (word, b) in out.iter_mut().zip(address.chunks_exact(4)) {
        *word = u32::from_be_bytes([b[0], b[1], b[2], b[3]]);
    }
    out
}

/// A record's 64 bytes: its words, big-endian.
pub fn record_bytes(words: &RecordWords) -> [u8; 64] {
    let mut out = [0; 64];
    for (bytes, word) in out.chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    out
}

/// Whether a record of this kind is a deposit (its stream is hashed apart from the pubdata).
pub const fn is_deposit(kind: u32) -> bool {
    kind == KIND_OPEN || kind == KIND_TOP_UP
}
