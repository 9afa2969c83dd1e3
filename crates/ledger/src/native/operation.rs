//! Operations of a batch, and the message that authorises a debit.

use boojum::field::Field;
use ingot_circuit_set::field::{Digest, F};
use serde::{Deserialize, Serialize};

use super::{
    elements,
    hash::{bytes_to_words, element, hash, split, MESSAGE},
    record::{address_words, Address, KIND_TRANSFER, KIND_WITHDRAW},
    wots::Signature,
};

/// Elements of a message.
pub const MESSAGE_ELEMENTS: usize = 26;

/// What the owner of a debited account adds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authorization {
    /// Last batch that may contain the operation.
    pub valid_until: u32,
    /// Signature of the operation's message under the account's key.
    pub signature: Signature,
}

/// An operation. Amounts and fees are in the ledger's unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// L1 opens an account.
    Open {
        /// The account, which must not exist.
        index: u32,
        /// Its first balance.
        amount: u64,
        /// Its first key, not zero.
        #[serde(with = "elements")]
        key: Digest,
    },
    /// L1 adds to an account.
    TopUp {
        /// The account, which must exist.
        index: u32,
        /// What is added.
        amount: u64,
    },
    /// An account pays another, or itself.
    Transfer {
        /// Debited account.
        from: u32,
        /// What is paid; 0 changes the key only.
        amount: u64,
        /// The debited account's next key, not zero.
        #[serde(with = "elements")]
        next_key: Digest,
        /// Credited account, which must exist.
        to: u32,
        /// Paid to the operator on top.
        fee: u64,
        /// The owner's consent.
        authorization: Box<Authorization>,
    },
    /// An account pays out on L1.
    Withdraw {
        /// Debited account.
        from: u32,
        /// What is paid out.
        amount: u64,
        /// The debited account's next key, not zero.
        #[serde(with = "elements")]
        next_key: Digest,
        /// Who receives it on L1.
        address: Address,
        /// Paid to the operator on top.
        fee: u64,
        /// The owner's consent.
        authorization: Box<Authorization>,
    },
}

impl Operation {
    /// `open`, `top-up`, `transfer` or `withdraw`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Open { .. } => "open",
            Self::TopUp { .. } => "top-up",
            Self::Transfer { .. } => "transfer",
            Self::Withdraw { .. } => "withdraw",
        }
    }

    /// The accounts it touches: first the one that is opened, topped up or debited, then a transfer's receiver.
    pub fn accounts(&self) -> (u32, Option<u32>) {
        match self {
            Self::Open { index, .. } | Self::TopUp { index, .. } => (*index, None),
            Self::Transfer { from, to, .. } => (*from, Some(*to)),
            Self::Withdraw { from, .. } => (*from, None),
        }
    }
}

/// What the owner of a debited account signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DebitMessage {
    /// The deployment: see [`super::header::domain`].
    pub domain: [u8; 32],
    /// Debited account.
    pub from: u32,
    /// Its nonce before the debit.
    pub nonce: u32,
    /// What is paid.
    pub amount: u64,
    /// The fee.
    pub fee: u64,
    /// Who receives it.
    pub target: Target,
    /// The debited account's next key.
    pub next_key: Digest,
    /// Last batch that may contain the operation.
    pub valid_until: u32,
}

/// Who receives what is debited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// An account: a transfer.
    Account(u32),
    /// An L1 address: a withdrawal.
    Address(Address),
}

impl DebitMessage {
    /// The hashed elements: domain (8 words), kind, from, nonce, amount (2), fee (2), receiver or 0, address (5) or 0,
    /// next key (4), valid until.
    pub fn elements(&self) -> [F; MESSAGE_ELEMENTS] {
        let (kind, to, address) = match &self.target {
            Target::Account(to) => (KIND_TRANSFER, *to, [0; 5]),
            Target::Address(address) => (KIND_WITHDRAW, 0, address_words(address)),
        };
        let mut out = [F::ZERO; MESSAGE_ELEMENTS];
        let words = bytes_to_words(&self.domain)
            .into_iter()
            .chain([kind, self.from, self.nonce])
            .chain(split(self.amount))
            .chain(split(self.fee))
            .chain([to])
            .chain(address);
        for (x, word) in out.iter_mut().zip(words) {
            *x = element(word);
        }
        out[21..25].copy_from_slice(&self.next_key);
        out[25] = element(self.valid_until);
        out
    }

    /// H3 of the elements.
    pub fn hash(&self) -> Digest {
        hash(MESSAGE, &self.elements())
    }
}
