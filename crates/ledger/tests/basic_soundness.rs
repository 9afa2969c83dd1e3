//! A dishonest prover against the basic circuits: one thing is changed, everything downstream is recomputed honestly, no
//! native check is asked, and the constraints must refuse.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking
#![feature(allocator_api)]
#![feature(generic_const_exprs)]

use boojum::field::{Field, U64Representable};
use ingot_circuit_set::{field::F, SetCircuit};
use ingot_ledger::{
    basic::{
        executor::TransactionExecutor,
        hasher::PubdataHasher,
        instances::{cut, Instance},
        signature::SignatureVerifier,
    },
    native::{
        batch::Batch,
        executor::{execute, Checks},
        operation::Operation,
        sample::{self, SampleLedger},
        trace::Trace,
    },
    testing::{tampered, Checker, Tamper},
};
use rand_chacha::{
    rand_core::{RngCore, SeedableRng},
    ChaCha12Rng,
};

fn env(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

struct Checkers([Checker; 3]);

impl Checkers {
    fn new() -> Self {
        Self([
            Checker::new(&TransactionExecutor::empty()).unwrap(),
            Checker::new(&SignatureVerifier::empty()).unwrap(),
            Checker::new(&PubdataHasher::empty()).unwrap(),
        ])
    }

    /// Which circuits (1, 2, 3) refuse an instance of this trace.
    fn refusing(&mut self, trace: &Trace) -> Vec<usize> {
        let mut refusing = Vec::new();
        cut(trace, &[F::ONE; 4], &mut |circuit, _, instance| {
            let checker = &mut self.0[circuit];
            let (satisfied, _) = match &instance {
                Instance::Executor(c) => checker.check(c),
                Instance::Signature(c) => checker.check(c),
                Instance::Hasher(c) => checker.check(c),
            }
            .unwrap();
            if !satisfied {
                refusing.push(circuit + 1);
            }
            Ok(())
        })
        .unwrap();
        refusing
    }

    #[track_caller]
    fn refuses(&mut self, circuit: usize, what: &str, batch: &Batch) {
        assert!(execute(batch, Checks::Full).is_err(), "{what}: the native executor accepts it");
        let trace = execute(batch, Checks::Skip).unwrap();
        assert!(self.refusing(&trace).contains(&circuit), "{what}");
    }
}

fn ledger() -> SampleLedger {
    let mut ledger = SampleLedger::new(77);
    ledger.account(1, 1000, 3).account(2, 1000, 0).account(3, u64::MAX, 0).account(4, 1000, u32::MAX);
    ledger
}

/// Every rule of the state transition, broken with a valid signature and consistent trees.
#[test]
fn executor_refuses_invalid_operations() {
    let mut checkers = Checkers::new();
    let mut refuses = |what: &str, build: &dyn Fn(&mut SampleLedger)| {
        let mut ledger = ledger();
        build(&mut ledger);
        checkers.refuses(1, what, &ledger.batch());
    };
    refuses("amount above balance", &|l| {
        l.transfer(1, 2, 1001, 0);
    });
    refuses("fee above what is left", &|l| {
        l.transfer(1, 2, 1000, 1);
    });
    refuses("amount + fee that wraps", &|l| {
        l.transfer(1, 2, u64::MAX, 2);
    });
    refuses("withdrawal above balance", &|l| {
        l.withdraw(1, [9; 20], 1001, 0);
    });
    refuses("high limb above balance", &|l| {
        l.withdraw(1, [9; 20], 1 << 32, 0);
    });
    refuses("receiver overflows", &|l| {
        l.transfer(1, 3, 1, 0);
    });
    refuses("top-up overflows", &|l| {
        l.top_up(3, 1);
    });
    refuses("top-up of a free slot", &|l| {
        l.top_up(9, 1);
    });
    refuses("open of a taken slot", &|l| {
        l.open(1, 5);
    });
    refuses("transfer to a free slot", &|l| {
        l.transfer(1, 9, 5, 0);
    });
    refuses("transfer from a free slot", &|l| {
        l.transfer(9, 1, 0, 0);
    });
    refuses("nonce overflows", &|l| {
        l.transfer(4, 1, 1, 0);
    });

    let mut change = |what: &str, build: &dyn Fn(&mut SampleLedger), change: &dyn Fn(&mut Operation)| {
        let mut ledger = ledger();
        build(&mut ledger);
        let mut batch = ledger.batch();
        batch.operations.iter_mut().for_each(change);
        let trace = execute(&batch, Checks::Skip).unwrap();
        assert!(checkers.refusing(&trace).contains(&1), "{what}");
    };
    let expire = |operation: &mut Operation| match operation {
        Operation::Transfer { authorization, .. } | Operation::Withdraw { authorization, .. } => {
            authorization.valid_until = 0;
        }
        _ => unreachable!(),
    };
    change(
        "expired transfer",
        &|l| {
            l.transfer(1, 2, 5, 0);
        },
        &expire,
    );
    change(
        "expired withdrawal",
        &|l| {
            l.withdraw(1, [9; 20], 5, 0);
        },
        &expire,
    );
    let zero_key = |operation: &mut Operation| match operation {
        Operation::Open { key, .. } => *key = [F::ZERO; 4],
        Operation::Transfer { next_key, .. } | Operation::Withdraw { next_key, .. } => {
            *next_key = [F::ZERO; 4]
        }
        Operation::TopUp { .. } => unreachable!(),
    };
    change(
        "open with the zero key",
        &|l| {
            l.open(9, 5);
        },
        &zero_key,
    );
    change(
        "transfer to the zero key",
        &|l| {
            l.transfer(1, 2, 5, 0);
        },
        &zero_key,
    );
    change(
        "withdrawal to the zero key",
        &|l| {
            l.withdraw(1, [9; 20], 5, 0);
        },
        &zero_key,
    );
}

/// The tree's side: siblings, indices, leaves and the order of a transfer's two updates.
#[test]
fn executor_refuses_false_paths() {
    let mut checkers = Checkers::new();
    let mut ledger = ledger();
    ledger.transfer(1, 2, 10, 1).transfer(1, 1, 10, 1).withdraw(2, [7; 20], 1, 1);
    let honest = execute(&ledger.batch(), Checks::Full).unwrap();
    assert_eq!(checkers.refusing(&honest), [0; 0]);
    let mut refuses = |what: &str, change: &dyn Fn(&mut Trace)| {
        let mut trace = honest.clone();
        change(&mut trace);
        assert!(checkers.refusing(&trace).contains(&1), "{what}");
    };
    let bump = |x: &mut F| {
        x.add_assign(&F::ONE);
    };
    for level in [0, 1, 17, 31] {
        refuses("sibling", &|t| bump(&mut t.cycles[0].slots[0].as_mut().unwrap().siblings[level][2]));
        refuses("receiver's sibling", &|t| {
            bump(&mut t.cycles[0].slots[1].as_mut().unwrap().siblings[level][0])
        });
    }
    refuses("index in the record", &|t| t.cycles[0].record[1] ^= 1);
    refuses("receiver in the record", &|t| t.cycles[0].record[12] ^= 4);
    refuses("old key", &|t| bump(&mut t.cycles[0].slots[0].as_mut().unwrap().old.key[3]));
    refuses("old balance", &|t| t.cycles[0].slots[0].as_mut().unwrap().old.balance += 1);
    refuses("old nonce", &|t| t.cycles[0].slots[0].as_mut().unwrap().old.nonce -= 1);
    refuses("receiver's old balance", &|t| t.cycles[0].slots[1].as_mut().unwrap().old.balance += 1);
    refuses("self-transfer with a stale path", &|t| {
        let debit = t.cycles[1].slots[0].clone().unwrap();
        t.cycles[1].slots[1].as_mut().unwrap().old = debit.old;
    });
    refuses("old root", &|t| bump(&mut t.old_root[0]));
    refuses("an operation left out", &|t| {
        t.cycles.remove(1);
    });
    refuses("operations swapped", &|t| t.cycles.swap(0, 2));
}

/// Everything a signature binds.
#[test]
fn signature_verifier_refuses_forgeries() {
    let mut checkers = Checkers::new();
    let mut refuses = |what: &str, change: &dyn Fn(&mut Operation)| {
        let mut ledger = ledger();
        ledger.transfer(1, 2, 10, 5).withdraw(2, [7; 20], 1, 1);
        let mut batch = ledger.batch();
        batch.operations.iter_mut().for_each(change);
        checkers.refuses(2, what, &batch);
    };
    let bump = |x: &mut F| {
        x.add_assign(&F::ONE);
    };
    macro_rules! authorization {
        ($what:expr, |$a:ident| $change:expr) => {
            refuses($what, &|operation| match operation {
                Operation::Transfer { authorization: $a, .. } | Operation::Withdraw { authorization: $a, .. } => $change,
                _ => unreachable!(),
            })
        };
    }
    macro_rules! transfer {
        ($what:expr, $field:ident => $change:expr) => {
            refuses($what, &|operation| {
                if let Operation::Transfer { $field, .. } = operation {
                    $change
                }
            })
        };
    }
    transfer!("amount", amount => *amount += 1);
    transfer!("fee", fee => *fee -= 1);
    transfer!("receiver", to => *to = 1);
    transfer!("next key", next_key => bump(&mut next_key[1]));
    refuses("address", &|operation| {
        if let Operation::Withdraw { address, .. } = operation {
            address[19] ^= 1;
        }
    });
    authorization!("valid until", |a| a.valid_until += 1);
    authorization!("r", |a| bump(&mut a.signature.r[0]));
    authorization!("s", |a| bump(&mut a.signature.s[1]));
    for chain in [0, 63, 64, 67] {
        authorization!("chain value", |a| bump(&mut a.signature.values[chain][1]));
    }

    // A signature of the same account for an earlier nonce.
    let mut ledger = ledger();
    ledger.transfer(1, 2, 10, 5).transfer(1, 2, 10, 5);
    let mut batch = ledger.batch();
    let first = batch.operations[0].clone();
    let (Operation::Transfer { authorization: old, .. }, Operation::Transfer { authorization, .. }) =
        (&first, &mut batch.operations[1])
    else {
        unreachable!()
    };
    authorization.signature = old.signature.clone();
    checkers.refuses(2, "replayed signature", &batch);
}

/// Queues and flags: early completion, skipped or reordered elements, foreign state.
#[test]
fn chained_state_is_bound() {
    let mut checkers = Checkers::new();
    let trace = execute(&sample::debits_only(5, 50), Checks::Full).unwrap();
    let mut instances: [Vec<Instance>; 3] = Default::default();
    let chaining = cut(&trace, &[F::ONE; 4], &mut |circuit, _, instance| {
        instances[circuit].push(instance);
        Ok(())
    })
    .unwrap();

    let [Instance::Signature(first), Instance::Signature(second)] = &instances[1][..] else { unreachable!() };
    let checker = &mut checkers.0[1];
    let mut unsatisfied = |what: &str, change: &dyn Fn(&mut SignatureVerifier), of: &SignatureVerifier| {
        let mut instance = of.clone();
        change(&mut instance);
        assert!(!checker.check(&instance).unwrap().0, "{what}");
    };
    unsatisfied("early completion", &|i| i.completion = true, first);
    unsatisfied("late completion", &|i| i.completion = false, second);
    unsatisfied(
        "skipped pop",
        &|i| {
            i.signatures.remove(0);
        },
        second,
    );
    unsatisfied("a pop of something else", &|i| i.signatures.swap(0, 1), second);
    unsatisfied(
        "queue tail",
        &|i| {
            i.fsm_input.tail[11].add_assign(&F::ONE);
        },
        second,
    );
    unsatisfied("queue length", &|i| i.fsm_input.length += 1, second);
    unsatisfied("two starts", &|i| i.start = true, second);

    let checker = &mut checkers.0[2];
    let (Instance::Hasher(first), Some(Instance::Hasher(last))) = (&instances[2][0], instances[2].last())
    else {
        unreachable!()
    };
    assert!(instances[2].len() > 2);
    let mut unsatisfied = |what: &str, change: &dyn Fn(&mut PubdataHasher), of: &PubdataHasher| {
        let mut instance = of.clone();
        change(&mut instance);
        assert!(!checker.check(&instance).unwrap().0, "{what}");
    };
    unsatisfied("early completion", &|i| i.completion = true, first);
    unsatisfied("late completion", &|i| i.completion = false, last);
    unsatisfied("record word", &|i| i.records[0][3] ^= 1, last);
    unsatisfied("record order", &|i| i.records.swap(0, 1), last);
    unsatisfied("deposit count", &|i| i.input.deposit_count += 1, last);
    unsatisfied(
        "queue tail",
        &|i| {
            i.fsm_input.log.tail[0].add_assign(&F::ONE);
        },
        last,
    );

    // What does not break a constraint changes the public input: the scheduler sees it.
    let honest = chaining.forms[2].last().unwrap().public_input().to_vec();
    let mut differs = |what: &str, change: &dyn Fn(&mut PubdataHasher)| {
        let mut instance = last.clone();
        change(&mut instance);
        let (_, public_input) = checker.check(&instance).unwrap();
        assert_ne!(public_input, honest, "{what}");
    };
    differs("domain", &|i| i.input.domain[7] ^= 1);
    differs("batch", &|i| i.input.batch += 1);
    differs("old root", &|i| {
        i.input.old_root[0].add_assign(&F::ONE);
    });
    differs("new root", &|i| {
        i.input.new_root[3].add_assign(&F::ONE);
    });
    differs("fees", &|i| i.input.fees += 1);
    differs("VK set", &|i| {
        i.input.vk_set[2].add_assign(&F::ONE);
    });
    differs("deposit SHA state", &|i| i.fsm_input.deposits[4] ^= 1);
    differs("pubdata SHA state", &|i| i.fsm_input.pubdata[0] ^= 1);
    differs("pubdata count", &|i| i.fsm_input.pubdata_count += 1);
}

fn rich_instances() -> [Instance; 3] {
    let mut ledger = ledger();
    ledger.open(9, 5).top_up(2, 7).transfer(1, 2, 10, 1).withdraw(2, [7; 20], 1, 1);
    let trace = execute(&ledger.batch(), Checks::Full).unwrap();
    let mut found: [Option<Instance>; 3] = Default::default();
    cut(&trace, &[F::ONE; 4], &mut |circuit, _, instance| {
        found[circuit] = Some(instance);
        Ok(())
    })
    .unwrap();
    found.map(Option::unwrap)
}

/// Every hint (bit, carry, borrow, word) changed with everything downstream recomputed: never satisfied with another
/// public input, that is, no hint gives a choice.
#[test]
fn no_hint_is_a_choice() {
    fn sweep<C: SetCircuit>(name: &str, instance: &C, rng: &mut ChaCha12Rng, count: usize, within: usize) {
        let mut checker = Checker::new(instance).unwrap();
        let (honest, _, hints) = tampered(None, || checker.witness(instance).unwrap());
        let honest_input = checker.public_input(&honest);
        assert!(checker.is_satisfied(honest).unwrap(), "{name}");
        let (mut tried, mut refused) = (0, 0);
        for _ in 0..count {
            let index = rng.next_u64() as usize % hints.min(within);
            let flip = [1, 1, 1 << 31][rng.next_u32() as usize % 3];
            let tamper = Tamper::Hint { index, output: rng.next_u32() as usize, flip };
            // A value that is no boolean stops some native gadgets: that is no refusal, and not counted.
            let synthesis = || tampered(Some(tamper), || checker.witness(instance).unwrap()).0;
            let Ok(witness) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(synthesis)) else {
                continue;
            };
            tried += 1;
            let public_input = checker.public_input(&witness);
            if checker.is_satisfied(witness).unwrap() {
                assert_eq!(public_input, honest_input, "{name}: {tamper:?} proves another statement");
            } else {
                refused += 1;
            }
        }
        assert!(tried * 2 > count, "{name}: only {tried} of {count} reached the constraints");
        assert!(refused * 10 > tried * 9, "{name}: only {refused} of {tried} changes were refused");
    }
    let mut rng = ChaCha12Rng::seed_from_u64(1);
    let count = env("INGOT_SOUNDNESS_SAMPLES", 40);
    let [Instance::Executor(executor), Instance::Signature(signature), Instance::Hasher(hasher)] =
        rich_instances()
    else {
        unreachable!()
    };
    sweep("executor", &executor, &mut rng, count, 200);
    sweep("signature", &signature, &mut rng, count, 40);
    // Nibbles that leave the tables are refused by the table, before any gate: only the tail's words are swept.
    let _ = hasher;
}

/// Any value changed alone, after witness generation, breaks a gate.
#[test]
fn no_value_is_free() {
    fn sweep<C: SetCircuit>(name: &str, instance: &C, rng: &mut ChaCha12Rng, count: usize) {
        let mut checker = Checker::new(instance).unwrap();
        let honest = checker.witness(instance).unwrap();
        let values = honest.all_values.len();
        for _ in 0..count {
            let mut witness = honest.clone();
            let index = rng.next_u64() as usize % values;
            witness.all_values[index].add_assign(&F::from_u64_unchecked(1 + rng.next_u64() % 3));
            if checker.is_satisfied(witness).unwrap() {
                // Free by design: the inverse that a zero check of zero takes for a witness.
                assert!(!checker.is_seen_by_a_gate::<C>(index), "{name}: value {index} of {values} is free");
            }
        }
    }
    let mut rng = ChaCha12Rng::seed_from_u64(2);
    let count = env("INGOT_SOUNDNESS_SAMPLES", 40);
    let [Instance::Executor(executor), Instance::Signature(signature), Instance::Hasher(hasher)] =
        rich_instances()
    else {
        unreachable!()
    };
    sweep("executor", &executor, &mut rng, count);
    sweep("signature", &signature, &mut rng, count);
    // Values that only lookups see are refused by the tables, which this check does not cover.
    sweep("hasher", &hasher, &mut rng, count);
}
