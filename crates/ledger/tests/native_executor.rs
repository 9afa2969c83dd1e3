//! The executor: what it computes for valid batches, and which rule it names for each invalid one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

use std::collections::BTreeMap;

use boojum::field::Field;
use ingot_circuit_set::field::{Digest, F};
use ingot_ledger::native::{
    batch::Batch,
    executor::{execute, execute_on, Checks, ExecutionError, Violation},
    operation::{DebitMessage, Operation, Target},
    record::Record,
    sample::{debits_only, deposits_only, maximal_amounts, sample_batch, SampleLedger},
    trace::Trace,
    tree::{path_root, Leaf, State, Tree, TreeError},
    NativeError,
};
use proptest::prelude::*;

fn total(leaves: impl Iterator<Item = Leaf>) -> u128 {
    leaves.map(|leaf| u128::from(leaf.balance)).sum()
}

/// Checks a trace against the batch by other means than the executor's.
fn check_trace(batch: &Batch, trace: &Trace) {
    assert_eq!(trace.cycles.len(), batch.operations.len());
    let mut root = batch.old_root;
    let mut leaves: BTreeMap<u32, Leaf> = batch.touched.iter().map(|t| (t.index, t.leaf)).collect();
    let before = total(leaves.values().copied());
    let (mut deposited, mut withdrawn, mut fees, mut count) = (0u128, 0u128, 0u128, 0);
    for cycle in &trace.cycles {
        // Each update starts from the root that the one before left.
        for update in cycle.slots.iter().flatten() {
            assert_eq!(leaves.insert(update.index, update.new), Some(update.old));
            assert_eq!(path_root(update.index, &update.old, &update.siblings), root);
            root = path_root(update.index, &update.new, &update.siblings);
        }
        let first = cycle.slots[0].as_ref().unwrap();
        assert_eq!(cycle.record[1], first.index);
        match Record::decode(&cycle.record).unwrap() {
            Record::Open { amount, key, .. } => {
                assert_eq!((first.old, first.new), (Leaf::FREE, Leaf { key, balance: amount, nonce: 0 }));
                deposited += u128::from(amount);
                count += 1;
            }
            Record::TopUp { amount, .. } => {
                deposited += u128::from(amount);
                count += 1;
            }
            Record::Transfer { next_key, to, fee, .. } => {
                assert_eq!((first.new.key, first.new.nonce), (next_key, first.old.nonce + 1));
                assert_eq!(cycle.slots[1].as_ref().unwrap().index, to);
                fees += u128::from(fee);
            }
            Record::Withdraw { amount, next_key, fee, .. } => {
                assert_eq!((first.new.key, first.new.nonce), (next_key, first.old.nonce + 1));
                let payout = Record::decode(&cycle.payout.unwrap()).unwrap();
                let Record::Payout { from, amount: paid, address, nonce } = payout else {
                    panic!("{payout:?}")
                };
                assert_eq!((from, paid, nonce), (first.index, amount, first.old.nonce));
                let words: Vec<u32> =
                    address.chunks(4).map(|b| u32::from_be_bytes(b.try_into().unwrap())).collect();
                assert_eq!(words, cycle.address);
                withdrawn += u128::from(amount);
                fees += u128::from(fee);
            }
            payout => panic!("{payout:?}"),
        }
        let debit = cycle.record[0] >= 3;
        assert_eq!(cycle.signed.is_some(), debit);
        assert_eq!(cycle.payout.is_some(), cycle.record[0] == 4);
        assert_eq!(cycle.slots[1].is_some(), cycle.record[0] == 3);
        if let Some(signed) = &cycle.signed {
            assert_eq!(signed.key_before, first.old.key);
            assert!(signed.signature.verify(&signed.key_before, &signed.message));
            assert!(cycle.valid_until >= batch.number);
        }
    }
    assert_eq!(root, trace.new_root);
    assert_eq!(total(leaves.values().copied()), before + deposited - withdrawn - fees, "conservation");
    assert_eq!(u128::from(trace.fees), fees);
    assert_eq!(trace.deposit_count, count);
    assert_eq!(trace.deposit_records().count() as u32, count);
    let published = trace.pubdata_records().count();
    assert_eq!(trace.records().count(), published + count as usize);
    assert_eq!(trace.signatures().count(), trace.cycles.iter().filter(|c| c.record[0] >= 3).count());
}

#[test]
fn an_empty_batch_changes_nothing() {
    let batch = sample_batch(1, 0);
    let trace = execute(&batch, Checks::Full).unwrap();
    assert_eq!(trace.new_root, batch.old_root);
    assert_eq!((trace.fees, trace.deposit_count, trace.records().count()), (0, 0, 0));
    check_trace(&batch, &trace);
}

#[test]
fn edge_batches_are_valid() {
    for batch in [sample_batch(2, 1), deposits_only(3, 9), debits_only(4, 9), maximal_amounts(5)] {
        check_trace(&batch, &execute(&batch, Checks::Full).unwrap());
    }
    assert_eq!(execute(&deposits_only(3, 9), Checks::Full).unwrap().signatures().count(), 0);
    assert_eq!(execute(&debits_only(4, 9), Checks::Full).unwrap().deposit_count, 0);
    assert_eq!(execute(&maximal_amounts(5), Checks::Full).unwrap().fees, u64::MAX);
}

#[test]
fn a_large_sample_has_every_kind() {
    let batch = sample_batch(7, 200);
    let trace = execute(&batch, Checks::Full).unwrap();
    check_trace(&batch, &trace);
    for kind in 1..=5 {
        assert!(trace.records().filter(|r| r[0] == kind).count() > 3, "kind {kind}");
    }
    let transfers = || batch.operations.iter().filter(|op| matches!(op, Operation::Transfer { .. }));
    assert!(transfers().any(|op| op.accounts().1 == Some(op.accounts().0)), "a transfer to oneself");
    assert!(
        transfers().any(|op| matches!(op, Operation::Transfer { amount: 0, .. })),
        "a transfer of nothing"
    );
}

#[test]
fn a_self_transfer_costs_the_fee_and_credits_the_debited_leaf() {
    let mut ledger = SampleLedger::new(1);
    ledger.account(9, 100, 5).transfer(9, 9, 60, 1);
    let batch = ledger.batch();
    let trace = execute(&batch, Checks::Full).unwrap();
    check_trace(&batch, &trace);
    let [debit, credit] = trace.cycles[0].slots.clone().map(Option::unwrap);
    assert_eq!(debit.new, credit.old);
    assert_eq!(credit.new, Leaf { key: ledger.key(9, 6), balance: 99, nonce: 6 });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn samples_are_valid_and_deterministic(seed: u64, operations in 0usize..24) {
        let batch = sample_batch(seed, operations);
        prop_assert_eq!(&batch, &sample_batch(seed, operations));
        prop_assert_ne!(&batch, &sample_batch(seed.wrapping_add(1), operations));
        let trace = execute(&batch, Checks::Full).unwrap();
        check_trace(&batch, &trace);
        prop_assert_eq!(&trace, &execute(&batch, Checks::Skip).unwrap(), "checks change nothing that is valid");
    }

    /// The old state and the records alone rebuild the new state: data availability.
    #[test]
    fn records_rebuild_every_leaf(seed: u64) {
        let mut ledger = SampleLedger::new(seed);
        for index in 0..6 {
            ledger.account(index, 1_000_000, index);
        }
        let mut rebuilt: Tree = ledger.state().clone();
        ledger.mixed(30);
        let trace = execute(&ledger.batch(), Checks::Full).unwrap();
        for words in trace.records() {
            match Record::decode(words).unwrap() {
                Record::Open { index, amount, key } => {
                    rebuilt.update(index, Leaf { key, balance: amount, nonce: 0 });
                }
                Record::TopUp { index, amount } => credit(&mut rebuilt, index, amount),
                Record::Transfer { from, amount, next_key, to, fee } => {
                    debit(&mut rebuilt, from, amount, fee, next_key);
                    credit(&mut rebuilt, to, amount);
                }
                Record::Withdraw { from, amount, next_key, fee } => {
                    debit(&mut rebuilt, from, amount, fee, next_key);
                }
                Record::Payout { .. } => {}
            }
        }
        prop_assert_eq!(rebuilt.root(), trace.new_root);
    }
}

fn credit(tree: &mut Tree, index: u32, amount: u64) {
    let old = tree.get(index);
    tree.update(index, Leaf { balance: old.balance + amount, ..old });
}

fn debit(tree: &mut Tree, index: u32, amount: u64, fee: u64, key: Digest) {
    let old = tree.get(index);
    tree.update(index, Leaf { key, balance: old.balance - amount - fee, nonce: old.nonce + 1 });
}

/// The rule that stops a batch, after the operations before it were applied; and that a run without checks goes through.
fn violation(batch: &Batch) -> Violation {
    let skipped = execute(batch, Checks::Skip).expect("without checks every batch makes a trace");
    assert_eq!(skipped.cycles.len(), batch.operations.len());
    match execute(batch, Checks::Full) {
        Err(NativeError::Execution(ExecutionError { operation, violation, .. })) => {
            assert_eq!(operation, batch.operations.len() - 1, "the last operation is the bad one");
            violation
        }
        other => panic!("{other:?}"),
    }
}

fn ledger() -> SampleLedger {
    let mut ledger = SampleLedger::new(11);
    ledger.account(1, 100, 0).account(2, 50, 3).top_up(2, 0);
    ledger
}

#[test]
fn deposits_that_break_a_rule_are_refused() {
    let key = ledger().key(2, 3);
    assert_eq!(violation(&ledger().open(2, 5).batch()), Violation::SlotOccupied { index: 2, key });
    assert_eq!(violation(&ledger().top_up(3, 5).batch()), Violation::NoAccount { index: 3 });
    assert_eq!(
        violation(&ledger().top_up(2, u64::MAX - 49).batch()),
        Violation::BalanceOverflow { index: 2, balance: 50, amount: u64::MAX - 49 }
    );
    let mut batch = ledger().open(3, 5).batch();
    if let Some(Operation::Open { key, .. }) = batch.operations.last_mut() {
        *key = [F::ZERO; 4];
    }
    assert_eq!(violation(&batch), Violation::ZeroKey { index: 3 });
}

#[test]
fn debits_that_break_a_rule_are_refused() {
    let short = |amount, fee| Violation::InsufficientBalance { index: 1, balance: 100, amount, fee };
    for (amount, fee) in [(101, 0), (0, 101), (100, 1), (u64::MAX, 102), (2, u64::MAX)] {
        assert_eq!(violation(&ledger().transfer(1, 2, amount, fee).batch()), short(amount, fee));
        assert_eq!(violation(&ledger().withdraw(1, [1; 20], amount, fee).batch()), short(amount, fee));
    }
    assert_eq!(violation(&ledger().transfer(3, 1, 0, 0).batch()), Violation::NoAccount { index: 3 });
    assert_eq!(violation(&ledger().withdraw(3, [1; 20], 0, 0).batch()), Violation::NoAccount { index: 3 });
    assert_eq!(violation(&ledger().transfer(1, 3, 1, 0).batch()), Violation::NoAccount { index: 3 });

    let mut worn = SampleLedger::new(1);
    worn.account(1, 100, u32::MAX).transfer(1, 1, 0, 0);
    assert_eq!(violation(&worn.batch()), Violation::NonceExhausted { index: 1 });

    let mut rich = SampleLedger::new(1);
    rich.account(1, 100, 0).account(2, u64::MAX, 0).transfer(1, 2, 1, 0);
    assert_eq!(
        violation(&rich.batch()),
        Violation::BalanceOverflow { index: 2, balance: u64::MAX, amount: 1 }
    );

    let mut fees = SampleLedger::new(1);
    fees.account(1, u64::MAX, 0).account(2, 5, 0).transfer(1, 1, 0, u64::MAX).transfer(2, 2, 0, 1);
    assert_eq!(violation(&fees.batch()), Violation::FeesOverflow { total: u64::MAX, fee: 1 });
}

/// A transfer of 5 from account 1 to 2, signed as the message says after `change`.
fn signed_transfer(change: impl Fn(&mut DebitMessage)) -> Batch {
    let mut ledger = ledger();
    let mut message = DebitMessage {
        domain: ledger.batch().context().domain,
        from: 1,
        nonce: 0,
        amount: 5,
        fee: 2,
        target: Target::Account(2),
        next_key: ledger.key(1, 1),
        valid_until: ledger.number(),
    };
    let mut batch = ledger.transfer(1, 2, 5, 2).batch();
    change(&mut message);
    let Some(Operation::Transfer { next_key, authorization, .. }) = batch.operations.last_mut() else {
        panic!()
    };
    *next_key = message.next_key;
    authorization.valid_until = message.valid_until;
    authorization.signature = ledger.secret(1, 0).sign_unrecorded(&message.hash());
    batch
}

#[test]
fn authorisations_expire_after_their_last_batch() {
    let batch = signed_transfer(|_| {});
    assert!(execute(&batch, Checks::Full).is_ok(), "the last batch itself is allowed");
    let expired = signed_transfer(|message| message.valid_until -= 1);
    let number = expired.number;
    assert_eq!(violation(&expired), Violation::Expired { valid_until: number - 1, batch: number });
}

#[test]
fn a_zero_next_key_is_refused() {
    let batch = signed_transfer(|message| message.next_key = [F::ZERO; 4]);
    assert_eq!(violation(&batch), Violation::ZeroKey { index: 1 });
}

#[test]
fn a_signature_binds_everything_that_an_operation_says() {
    let good = signed_transfer(|_| {});
    let bad_signature = |batch: &Batch| {
        let found = violation(batch);
        assert!(matches!(found, Violation::BadSignature { index: 1, .. }), "{found}");
    };
    bad_signature(&signed_transfer(|message| message.domain[0] ^= 1));
    bad_signature(&signed_transfer(|message| message.nonce += 1));
    let change = |change: &dyn Fn(&mut Operation)| {
        let mut batch = good.clone();
        change(batch.operations.last_mut().unwrap());
        assert_ne!(batch, good);
        bad_signature(&batch);
    };
    macro_rules! field {
        ($field:ident = $value:expr) => {
            change(&|op| match op {
                Operation::Transfer { $field, .. } => *$field = $value,
                _ => panic!(),
            })
        };
    }
    field!(amount = 6);
    field!(fee = 1);
    field!(to = 1);
    field!(next_key = ledger().key(1, 2));
    change(&|op| match op {
        Operation::Transfer { authorization, .. } => authorization.valid_until += 1,
        _ => panic!(),
    });
    // Turned into a withdrawal.
    change(&|op| {
        if let Operation::Transfer { from, amount, next_key, fee, authorization, .. } = op.clone() {
            *op = Operation::Withdraw { from, amount, next_key, address: [0; 20], fee, authorization };
        }
    });
    // On another chain, or another contract.
    bad_signature(&Batch { chain_id: good.chain_id + 1, ..good.clone() });
    bad_signature(&Batch { l1_contract: [9; 20], ..good });
}

#[test]
fn a_replayed_operation_is_refused() {
    let mut batch = ledger().transfer(1, 2, 5, 1).batch();
    let again = batch.operations.last().unwrap().clone();
    batch.operations.push(again);
    let found = violation(&batch);
    assert!(matches!(found, Violation::BadSignature { index: 1, nonce: 1, .. }), "{found}");
}

#[test]
fn accounts_without_a_path_are_refused_even_without_checks() {
    let mut batch = ledger().transfer(1, 2, 5, 1).batch();
    batch.touched.retain(|touched| touched.index != 2);
    for checks in [Checks::Full, Checks::Skip] {
        let error = execute(&batch, checks).unwrap_err();
        let NativeError::Execution(error) = error else { panic!("{error}") };
        assert_eq!((error.operation, error.name), (0, "top-up"));
        assert_eq!(error.violation, Violation::UnknownPath { index: 2 });
    }
    let mut other_root = ledger().batch();
    other_root.old_root = Tree::new().root();
    let error = execute(&other_root, Checks::Full).unwrap_err();
    assert!(matches!(error, NativeError::Tree(TreeError::WrongRoot { .. })), "{error}");
}

#[test]
fn errors_name_operation_expected_and_found() {
    let error = execute(&ledger().transfer(1, 2, 101, 0).batch(), Checks::Full).unwrap_err();
    let text = error.to_string();
    assert_eq!(
        text,
        "operation 1 (transfer): account 1: expected a balance of at least 101 + fee 0, found 100"
    );
}

#[test]
fn without_checks_arithmetic_wraps_and_the_trace_is_complete() {
    let batch = ledger().transfer(1, 2, 101, 0).batch();
    let trace = execute(&batch, Checks::Skip).unwrap();
    let [debit, credit] = trace.cycles[1].slots.clone().map(Option::unwrap);
    assert_eq!(debit.new.balance, u64::MAX);
    assert_eq!(credit.new.balance, 151);
    assert_eq!(path_root(2, &credit.new, &credit.siblings), trace.new_root);
}

#[test]
fn the_executor_runs_on_a_whole_tree_as_well() {
    let batch = sample_batch(3, 0);
    let mut ledger = SampleLedger::new(5);
    ledger.account(1, 10, 0).account(2, 10, 0);
    let mut tree = ledger.state().clone();
    let batch = Batch { operations: ledger.mixed(10).batch().operations, ..batch };
    let context = ledger.batch().context();
    let trace = execute_on(&mut tree, context, &batch.operations, Checks::Full).unwrap();
    assert_eq!(trace.new_root, tree.root());
    assert_eq!(tree.root(), ledger.state().root());
    assert_eq!(trace, execute(&ledger.batch(), Checks::Full).unwrap());
}
