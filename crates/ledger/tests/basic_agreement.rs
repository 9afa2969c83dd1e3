//! The native executor and the basic circuits agree: every instance of a valid batch is satisfied, and its public input
//! is the one that round 0 computed natively.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking
#![feature(allocator_api)]
#![feature(generic_const_exprs)]

use boojum::field::Field;
use ingot_circuit_set::{field::F, SetCircuit};
use ingot_ledger::{
    basic::{
        executor::TransactionExecutor,
        hasher::PubdataHasher,
        instances::{cut, Chaining, Instance},
        signature::SignatureVerifier,
    },
    native::{
        batch::Batch,
        executor::{execute, Checks},
        sample,
    },
    testing::Checker,
};

struct Checkers {
    executor: Checker,
    signature: Checker,
    hasher: Checker,
}

impl Checkers {
    fn new() -> Self {
        Self {
            executor: Checker::new(&TransactionExecutor::empty()).unwrap(),
            signature: Checker::new(&SignatureVerifier::empty()).unwrap(),
            hasher: Checker::new(&PubdataHasher::empty()).unwrap(),
        }
    }

    fn check(checker: &mut Checker, circuit: &impl SetCircuit) -> Vec<F> {
        let (satisfied, public_input) = checker.check(circuit).unwrap();
        assert!(satisfied);
        public_input
    }

    /// Checks all instances; returns how many there are of each circuit.
    fn agree(&mut self, name: &str, batch: &Batch) -> [usize; 3] {
        let trace = execute(batch, Checks::Full).unwrap();
        let vk_set = [F::ONE; 4];
        let mut public_inputs: [Vec<Vec<F>>; 3] = Default::default();
        let chaining: Chaining = cut(&trace, &vk_set, &mut |circuit, _, instance| {
            let public_input = match &instance {
                Instance::Executor(c) => Self::check(&mut self.executor, c),
                Instance::Signature(c) => Self::check(&mut self.signature, c),
                Instance::Hasher(c) => Self::check(&mut self.hasher, c),
            };
            public_inputs[circuit].push(public_input);
            Ok(())
        })
        .unwrap();
        for (circuit, (forms, found)) in chaining.forms.iter().zip(&public_inputs).enumerate() {
            let expected: Vec<_> = forms.iter().map(|form| form.public_input().to_vec()).collect();
            assert_eq!(&expected, found, "{name}: public inputs of circuit {}", circuit + 1);
        }
        assert_eq!(chaining.output.root, trace.new_root, "{name}");
        assert_eq!(chaining.output.fees, trace.fees, "{name}");
        chaining.forms.map(|forms| forms.len())
    }
}

#[test]
fn circuits_agree_with_the_native_executor() {
    let mut checkers = Checkers::new();
    let mut agree = |name: &str, batch: Batch| checkers.agree(name, &batch);
    assert_eq!(agree("empty", sample::sample_batch(1, 0)), [1, 0, 1]);
    assert_eq!(agree("one operation", sample::sample_batch(2, 1))[0], 1);
    assert_eq!(agree("deposits only", sample::deposits_only(3, 5)), [1, 0, 1]);
    assert_eq!(agree("maximal amounts", sample::maximal_amounts(4)), [1, 1, 1]);
    assert_eq!(agree("full", sample::sample_batch(5, 64))[0], 1);
    assert_eq!(agree("full + 1", sample::sample_batch(6, 65))[0], 2);
    assert_eq!(agree("signatures full", sample::debits_only(7, 48))[1], 1);
    assert_eq!(agree("signatures full + 1", sample::debits_only(8, 49))[1], 2);
    let two_hundred = agree("200 operations", sample::sample_batch(9, 200));
    assert!(two_hundred.iter().all(|count| *count > 1), "{two_hundred:?}");
    for seed in 10..10 + env("INGOT_AGREEMENT_SEEDS", 3) {
        agree("random", sample::sample_batch(seed, (seed as usize * 37) % 70));
    }
}

fn env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}
