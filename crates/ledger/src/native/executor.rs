//! Applies operations to a state, checks every rule of the ledger, and records what the circuits need.

use ingot_circuit_set::field::Digest;

use super::{
    batch::Batch,
    hash::digest_hex,
    operation::{Authorization, DebitMessage, Operation, Target},
    record::{address_words, Record},
    trace::{Cycle, PathUpdate, SignedMessage, Trace},
    tree::{Leaf, PartialTree, State},
    NativeError,
};

/// Records that one SHA-256 stream of a batch may hold: the hasher circuit counts below 2^23.
pub const MAX_STREAM_RECORDS: u32 = (1 << 23) - 1;

/// Which rules are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checks {
    /// All.
    Full,
    /// None, for tests that play a dishonest prover: invalid operations are applied with wrapping arithmetic, so that the
    /// circuits alone can refuse them. Indices without a known path are still refused.
    Skip,
}

/// Which batch operations belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchContext {
    /// The deployment: see [`super::header::domain`].
    pub domain: [u8; 32],
    /// The batch's number.
    pub number: u32,
}

/// An operation that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("operation {operation} ({name}): {violation}")]
pub struct ExecutionError {
    /// Its position in the batch, from 0.
    pub operation: usize,
    /// `open`, `top-up`, `transfer` or `withdraw`.
    pub name: &'static str,
    /// The rule.
    pub violation: Violation,
}

/// A rule that an operation breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// The batch brings no path for an account.
    #[error("account {index}: expected its leaf and path among the batch's touched accounts, found none")]
    UnknownPath {
        /// Which account.
        index: u32,
    },
    /// Opens an account that exists.
    #[error("account {index}: expected a free slot, found an account with key {}", digest_hex(.key))]
    SlotOccupied {
        /// Which account.
        index: u32,
        /// Its key.
        key: Digest,
    },
    /// Key or next key is zero.
    #[error("account {index}: expected a key that is not zero, found zero")]
    ZeroKey {
        /// Which account.
        index: u32,
    },
    /// Touches an account that does not exist.
    #[error("account {index}: expected an account, found a free slot")]
    NoAccount {
        /// Which account.
        index: u32,
    },
    /// A credit beyond 64 bits.
    #[error("account {index}: expected a credit of at most {}, found {amount} (balance {balance})", u64::MAX - balance)]
    BalanceOverflow {
        /// Which account.
        index: u32,
        /// Its balance.
        balance: u64,
        /// What would be added.
        amount: u64,
    },
    /// A debit beyond the balance.
    #[error("account {index}: expected a balance of at least {amount} + fee {fee}, found {balance}")]
    InsufficientBalance {
        /// Which account.
        index: u32,
        /// Its balance.
        balance: u64,
        /// What would be paid.
        amount: u64,
        /// The fee on top.
        fee: u64,
    },
    /// The nonce is used up.
    #[error("account {index}: expected a nonce below {}, found {}", u32::MAX, u32::MAX)]
    NonceExhausted {
        /// Which account.
        index: u32,
    },
    /// The authorisation has expired.
    #[error(
        "expected a batch number of at most {valid_until} (the authorisation's valid-until), found {batch}"
    )]
    Expired {
        /// Last batch that may contain the operation.
        valid_until: u32,
        /// This batch.
        batch: u32,
    },
    /// The signature does not verify: changed operation, wrong nonce (a replay), wrong deployment or foreign key.
    #[error(
        "account {index}, nonce {nonce}: expected a signature that leads to key {}, found one that leads to {}",
        digest_hex(.expected), digest_hex(.found)
    )]
    BadSignature {
        /// Which account.
        index: u32,
        /// Its nonce.
        nonce: u32,
        /// Its key.
        expected: Digest,
        /// What the signature leads to.
        found: Digest,
    },
    /// The sum of fees exceeds 64 bits.
    #[error("expected a fee of at most {}, found {fee} (fees so far {total})", u64::MAX - total)]
    FeesOverflow {
        /// Fees so far.
        total: u64,
        /// This operation's fee.
        fee: u64,
    },
    /// More records than a stream may hold.
    #[error("expected at most {MAX_STREAM_RECORDS} {stream} records in a batch, found more")]
    TooManyRecords {
        /// `deposit` or `pubdata`.
        stream: &'static str,
    },
}

/// Checks and executes a batch.
///
/// # Errors
/// [`NativeError::Tree`] if the touched leaves do not belong to the old root, [`NativeError::Execution`] for the first
/// operation that breaks a rule.
pub fn execute(batch: &Batch, checks: Checks) -> Result<Trace, NativeError> {
    let mut state = PartialTree::new(batch.old_root, &batch.touched)?;
    Ok(execute_on(&mut state, batch.context(), &batch.operations, checks)?)
}

/// Executes operations on a state, in order.
///
/// # Errors
/// [`ExecutionError`] for the first operation that breaks a rule; those before it have been applied.
pub fn execute_on(
    state: &mut impl State,
    context: BatchContext,
    operations: &[Operation],
    checks: Checks,
) -> Result<Trace, ExecutionError> {
    let old_root = state.root();
    let mut run = Run { state, context, checks, fees: 0, deposits: 0, published: 0 };
    let mut cycles = Vec::with_capacity(operations.len());
    for (operation, op) in operations.iter().enumerate() {
        let cycle =
            run.apply(op).map_err(|violation| ExecutionError { operation, name: op.name(), violation })?;
        cycles.push(cycle);
    }
    Ok(Trace {
        domain: context.domain,
        batch: context.number,
        old_root,
        new_root: run.state.root(),
        fees: run.fees,
        deposit_count: run.deposits,
        cycles,
    })
}

struct Run<'a, S> {
    state: &'a mut S,
    context: BatchContext,
    checks: Checks,
    fees: u64,
    deposits: u32,
    published: u32,
}

/// The parts that transfer and withdrawal share.
struct Debit<'a> {
    from: u32,
    amount: u64,
    fee: u64,
    next_key: Digest,
    target: Target,
    authorization: &'a Authorization,
}

impl<S: State> Run<'_, S> {
    fn apply(&mut self, operation: &Operation) -> Result<Cycle, Violation> {
        match operation {
            Operation::Open { index, amount, key } => {
                self.count_deposit()?;
                let (index, key) = (*index, *key);
                let update = self.update(index, |run, old| {
                    run.require(!old.exists(), || Violation::SlotOccupied { index, key: old.key })?;
                    let new = Leaf { key, balance: *amount, nonce: 0 };
                    run.require(new.exists(), || Violation::ZeroKey { index })?;
                    Ok(new)
                })?;
                Ok(deposit(Record::Open { index, amount: *amount, key }, update))
            }
            Operation::TopUp { index, amount } => {
                self.count_deposit()?;
                let update = self.update(*index, |run, old| run.credit(*index, old, *amount))?;
                Ok(deposit(Record::TopUp { index: *index, amount: *amount }, update))
            }
            Operation::Transfer { from, amount, next_key, to, fee, authorization } => {
                self.count_published(1)?;
                let (debited, signed) = self.debit(&Debit {
                    from: *from,
                    amount: *amount,
                    fee: *fee,
                    next_key: *next_key,
                    target: Target::Account(*to),
                    authorization,
                })?;
                let credited = self.update(*to, |run, old| run.credit(*to, old, *amount))?;
                let record = Record::Transfer {
                    from: *from,
                    amount: *amount,
                    next_key: *next_key,
                    to: *to,
                    fee: *fee,
                };
                Ok(Cycle {
                    record: record.encode(),
                    payout: None,
                    slots: [Some(debited), Some(credited)],
                    address: [0; 5],
                    valid_until: authorization.valid_until,
                    signed: Some(signed),
                })
            }
            Operation::Withdraw { from, amount, next_key, address, fee, authorization } => {
                self.count_published(2)?;
                let (debited, signed) = self.debit(&Debit {
                    from: *from,
                    amount: *amount,
                    fee: *fee,
                    next_key: *next_key,
                    target: Target::Address(*address),
                    authorization,
                })?;
                let nonce = debited.old.nonce;
                let record =
                    Record::Withdraw { from: *from, amount: *amount, next_key: *next_key, fee: *fee };
                let payout = Record::Payout { from: *from, amount: *amount, address: *address, nonce };
                Ok(Cycle {
                    record: record.encode(),
                    payout: Some(payout.encode()),
                    slots: [Some(debited), None],
                    address: address_words(address),
                    valid_until: authorization.valid_until,
                    signed: Some(signed),
                })
            }
        }
    }

    fn debit(&mut self, debit: &Debit<'_>) -> Result<(PathUpdate, SignedMessage), Violation> {
        let Debit { from: index, amount, fee, next_key, target, authorization } = *debit;
        let batch = self.context.number;
        let valid_until = authorization.valid_until;
        let update = self.update(index, |run, old| {
            run.require(old.exists(), || Violation::NoAccount { index })?;
            run.require(batch <= valid_until, || Violation::Expired { valid_until, batch })?;
            let left = old.balance.checked_sub(amount).and_then(|left| left.checked_sub(fee));
            run.require(left.is_some(), || Violation::InsufficientBalance {
                index,
                balance: old.balance,
                amount,
                fee,
            })?;
            run.require(old.nonce < u32::MAX, || Violation::NonceExhausted { index })?;
            let new = Leaf {
                key: next_key,
                balance: old.balance.wrapping_sub(amount).wrapping_sub(fee),
                nonce: old.nonce.wrapping_add(1),
            };
            run.require(new.exists(), || Violation::ZeroKey { index })?;
            Ok(new)
        })?;
        let nonce = update.old.nonce;
        let message = DebitMessage {
            domain: self.context.domain,
            from: index,
            nonce,
            amount,
            fee,
            target,
            next_key,
            valid_until,
        }
        .hash();
        let signature = authorization.signature.clone();
        let key_before = update.old.key;
        if self.checks == Checks::Full {
            let found = signature.recover(&key_before, &message);
            if found != key_before {
                return Err(Violation::BadSignature { index, nonce, expected: key_before, found });
            }
        }
        let total = self.fees;
        self.require(total.checked_add(fee).is_some(), || Violation::FeesOverflow { total, fee })?;
        self.fees = total.wrapping_add(fee);
        Ok((update, SignedMessage { key_before, message, signature }))
    }

    fn credit(&self, index: u32, old: Leaf, amount: u64) -> Result<Leaf, Violation> {
        self.require(old.exists(), || Violation::NoAccount { index })?;
        let balance = old.balance;
        self.require(balance.checked_add(amount).is_some(), || Violation::BalanceOverflow {
            index,
            balance,
            amount,
        })?;
        Ok(Leaf { balance: balance.wrapping_add(amount), ..old })
    }

    fn update(
        &mut self,
        index: u32,
        change: impl FnOnce(&Self, Leaf) -> Result<Leaf, Violation>,
    ) -> Result<PathUpdate, Violation> {
        let (Some(old), Some(siblings)) = (self.state.leaf(index), self.state.siblings(index)) else {
            return Err(Violation::UnknownPath { index });
        };
        let new = change(self, old)?;
        if !self.state.set(index, new) {
            return Err(Violation::UnknownPath { index });
        }
        Ok(PathUpdate { index, old, new, siblings })
    }

    fn count_deposit(&mut self) -> Result<(), Violation> {
        self.deposits += 1;
        self.require(self.deposits <= MAX_STREAM_RECORDS, || Violation::TooManyRecords { stream: "deposit" })
    }

    fn count_published(&mut self, records: u32) -> Result<(), Violation> {
        self.published += records;
        self.require(self.published <= MAX_STREAM_RECORDS, || Violation::TooManyRecords { stream: "pubdata" })
    }

    fn require(&self, holds: bool, violation: impl FnOnce() -> Violation) -> Result<(), Violation> {
        if holds || self.checks == Checks::Skip {
            Ok(())
        } else {
            Err(violation())
        }
    }
}

fn deposit(record: Record, update: PathUpdate) -> Cycle {
    Cycle {
        record: record.encode(),
        payout: None,
        slots: [Some(update), None],
        address: [0; 5],
        valid_until: 0,
        signed: None,
    }
}
