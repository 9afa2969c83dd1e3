//! Valid batches from a seed: for the demo, for load, and as the starting point of tests.

use ingot_circuit_set::field::Digest;
use rand_chacha::{
    rand_core::{RngCore, SeedableRng},
    ChaCha12Rng,
};

use super::{
    batch::Batch,
    header::domain,
    operation::{Authorization, DebitMessage, Operation, Target},
    record::Address,
    tree::{Leaf, Tree},
    wots::SecretKey,
};

/// Chain id of sample batches: one that no chain has.
pub const SAMPLE_CHAIN_ID: u64 = 0x0001_a607;
/// Accounts before the first operation: enough for variety, few enough that accounts are used again.
const ACCOUNTS: u64 = 12;

/// A state with the keys of its accounts, and the operations done to it so far.
///
/// Every operation is applied as it is added, so operations added one after another form a valid batch if each of them is
/// valid; nothing is checked here. Keys are derived from the seed, so equal calls give equal batches.
#[derive(Debug)]
pub struct SampleLedger {
    seed: [u8; 32],
    rng: ChaCha12Rng,
    chain_id: u64,
    l1_contract: Address,
    domain: [u8; 32],
    number: u32,
    before: Tree,
    now: Tree,
    operations: Vec<Operation>,
}

impl SampleLedger {
    /// An empty state.
    pub fn new(seed: u64) -> Self {
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        let mut secret = [0; 32];
        rng.fill_bytes(&mut secret);
        let mut l1_contract = [0; 20];
        rng.fill_bytes(&mut l1_contract);
        let number = 1 + rng.next_u32() % 1_000_000;
        Self {
            seed: secret,
            rng,
            chain_id: SAMPLE_CHAIN_ID,
            l1_contract,
            domain: domain(SAMPLE_CHAIN_ID, &l1_contract),
            number,
            before: Tree::new(),
            now: Tree::new(),
            operations: Vec::new(),
        }
    }

    /// The batch's number.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The state after the operations so far.
    pub fn state(&self) -> &Tree {
        &self.now
    }

    /// The secret key of account `index` at `nonce`.
    pub fn secret(&self, index: u32, nonce: u32) -> SecretKey {
        SecretKey::derive(&self.seed, &self.domain, index, nonce)
    }

    /// The public key of account `index` at `nonce`.
    pub fn key(&self, index: u32, nonce: u32) -> Digest {
        self.secret(index, nonce).public()
    }

    /// Puts an account into the state as it was before the batch. To be called before the first operation.
    pub fn account(&mut self, index: u32, balance: u64, nonce: u32) -> &mut Self {
        let leaf = Leaf { key: self.key(index, nonce), balance, nonce };
        self.before.update(index, leaf);
        self.now.update(index, leaf);
        self
    }

    /// L1 opens an account.
    pub fn open(&mut self, index: u32, amount: u64) -> &mut Self {
        let key = self.key(index, 0);
        self.now.update(index, Leaf { key, balance: amount, nonce: 0 });
        self.add(Operation::Open { index, amount, key })
    }

    /// L1 adds to an account.
    pub fn top_up(&mut self, index: u32, amount: u64) -> &mut Self {
        self.credit(index, amount);
        self.add(Operation::TopUp { index, amount })
    }

    /// An account pays another, or itself; valid for 100 batches.
    pub fn transfer(&mut self, from: u32, to: u32, amount: u64, fee: u64) -> &mut Self {
        let (next_key, authorization) = self.debit(from, amount, fee, Target::Account(to));
        self.credit(to, amount);
        self.add(Operation::Transfer { from, amount, next_key, to, fee, authorization })
    }

    /// An account pays out on L1; valid in this batch only.
    pub fn withdraw(&mut self, from: u32, address: Address, amount: u64, fee: u64) -> &mut Self {
        let (next_key, authorization) = self.debit(from, amount, fee, Target::Address(address));
        self.add(Operation::Withdraw { from, amount, next_key, address, fee, authorization })
    }

    /// The batch.
    pub fn batch(&self) -> Batch {
        Batch::new(self.chain_id, self.l1_contract, self.number, &self.before, self.operations.clone())
    }

    /// Adds `count` operations of all kinds, all valid, chosen by the seed.
    pub fn mixed(&mut self, count: usize) -> &mut Self {
        for _ in 0..count {
            self.random_operation();
        }
        self
    }

    fn random_operation(&mut self) {
        let account = self.random_account();
        match (account, self.below(20)) {
            (None, _) | (_, 0..=2) => {
                let index = self.free_index();
                let amount = self.below(1_000_000);
                self.open(index, amount);
            }
            (Some(index), 3..=4) => {
                let room = u64::MAX - self.now.get(index).balance;
                let amount = self.below(1_000_000).min(room);
                self.top_up(index, amount);
            }
            (Some(from), kind @ 5..=15) => {
                let to = match kind {
                    5 => from,
                    _ => self.random_account().unwrap_or(from),
                };
                let (amount, fee) = self.split_balance(from);
                let amount = if kind == 6 { 0 } else { amount };
                self.transfer(from, to, amount, fee);
            }
            (Some(from), _) => {
                let mut address = [0; 20];
                self.rng.fill_bytes(&mut address);
                let (amount, fee) = self.split_balance(from);
                self.withdraw(from, address, amount, fee);
            }
        }
    }

    fn split_balance(&mut self, index: u32) -> (u64, u64) {
        let balance = self.now.get(index).balance;
        let amount = self.below(balance / 3 + 1);
        let fee = self.below((balance - amount).min(100) + 1);
        (amount, fee)
    }

    fn random_account(&mut self) -> Option<u32> {
        let accounts = self.now.accounts().len() as u64;
        if accounts == 0 {
            return None;
        }
        let position = self.below(accounts) as usize;
        self.now.accounts().keys().nth(position).copied()
    }

    fn free_index(&mut self) -> u32 {
        loop {
            let index = self.rng.next_u32();
            if !self.now.get(index).exists() {
                return index;
            }
        }
    }

    /// A number below `bound` (at least 1); the bias is of no matter here.
    fn below(&mut self, bound: u64) -> u64 {
        self.rng.next_u64() % bound.max(1)
    }

    fn credit(&mut self, index: u32, amount: u64) {
        let old = self.now.get(index);
        self.now.update(index, Leaf { balance: old.balance.wrapping_add(amount), ..old });
    }

    fn debit(&mut self, from: u32, amount: u64, fee: u64, target: Target) -> (Digest, Box<Authorization>) {
        let old = self.now.get(from);
        let nonce = old.nonce.wrapping_add(1);
        let next_key = self.key(from, nonce);
        let valid_until = match target {
            Target::Account(_) => self.number.saturating_add(100),
            Target::Address(_) => self.number,
        };
        let domain = self.domain;
        let message =
            DebitMessage { domain, from, nonce: old.nonce, amount, fee, target, next_key, valid_until };
        let signature = self.secret(from, old.nonce).sign_unrecorded(&message.hash());
        let balance = old.balance.wrapping_sub(amount).wrapping_sub(fee);
        self.now.update(from, Leaf { key: next_key, balance, nonce });
        (next_key, Box::new(Authorization { valid_until, signature }))
    }

    fn add(&mut self, operation: Operation) -> &mut Self {
        self.operations.push(operation);
        self
    }
}

/// A ledger with some accounts, at both ends of the index range too.
fn populated(seed: u64) -> SampleLedger {
    let mut ledger = SampleLedger::new(seed);
    ledger.account(0, 1_000_000, 0).account(u32::MAX, 1_000_000, 7);
    for _ in 2..ACCOUNTS {
        let index = ledger.free_index();
        let (balance, nonce) = (ledger.below(10_000_000), ledger.below(1000) as u32);
        ledger.account(index, balance, nonce);
    }
    ledger
}

/// A valid batch of `operations` operations: opens, top-ups, transfers (some to oneself, some of amount 0), withdrawals.
/// The same arguments always give the same batch.
pub fn sample_batch(seed: u64, operations: usize) -> Batch {
    populated(seed).mixed(operations).batch()
}

/// A valid batch of deposits only, so without any signature.
pub fn deposits_only(seed: u64, operations: usize) -> Batch {
    let mut ledger = populated(seed);
    for i in 0..operations {
        let amount = ledger.below(1_000_000);
        match (i % 2, ledger.random_account()) {
            (1, Some(index)) => ledger.top_up(index, amount),
            _ => {
                let index = ledger.free_index();
                ledger.open(index, amount)
            }
        };
    }
    ledger.batch()
}

/// A valid batch of debits only: transfers and withdrawals in turn, so that each needs a signature.
pub fn debits_only(seed: u64, operations: usize) -> Batch {
    let mut ledger = populated(seed);
    for i in 0..operations {
        let Some(from) = ledger.random_account() else { break };
        let (amount, fee) = ledger.split_balance(from);
        match i % 2 {
            0 => {
                let to = ledger.random_account().unwrap_or(from);
                ledger.transfer(from, to, amount, fee)
            }
            _ => ledger.withdraw(from, [i as u8; 20], amount, fee),
        };
    }
    ledger.batch()
}

/// A valid batch at the limits: all that a balance can hold is deposited, moved, paid as a fee and paid out; the last nonce;
/// the first and last index; the whole of 64 bits in fees.
pub fn maximal_amounts(seed: u64) -> Batch {
    let mut ledger = SampleLedger::new(seed);
    ledger.account(0, u64::MAX, u32::MAX - 1).account(u32::MAX, 0, 0).account(1, u64::MAX - 1, 0);
    ledger
        .transfer(0, u32::MAX, u64::MAX, 0)
        .top_up(0, u64::MAX)
        .transfer(u32::MAX, u32::MAX, u64::MAX, 0)
        .withdraw(u32::MAX, [0xff; 20], u64::MAX, 0)
        .top_up(1, 1)
        .transfer(1, u32::MAX, 0, u64::MAX)
        .open(2, u64::MAX)
        .withdraw(2, [0; 20], u64::MAX, 0)
        .transfer(2, 1, 0, 0);
    ledger.batch()
}
