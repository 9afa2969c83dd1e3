//! The scheduler's statement refuses instances that do not chain into one batch, with everything downstream of each
//! change recomputed: compact forms, requests, and the public input of a tip that honestly proves those requests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking
#![feature(allocator_api)]
#![feature(generic_const_exprs)]

mod recursion_support;

use boojum::{
    cs::{
        cs_builder::{CsBuilder, CsBuilderImpl},
        gates::{
            BooleanConstraintGate, ConstantsAllocatorGate, FmaGateInBaseFieldWithoutConstant, NopGate,
            ParallelSelectionGate, PublicInputGate, ReductionGate, SelectionGate, ZeroCheckGate,
        },
        traits::{circuit::CircuitBuilder, cs::ConstraintSystem, gate::GatePlacementStrategy},
        CSGeometry, GateConfigurationHolder, LookupParameters, StaticToolboxHolder,
    },
    field::{Field, U64Representable as _},
    gadgets::traits::round_function::BuildableCircuitRoundFunction,
};
use ingot_circuit_set::{
    field::{Digest, RoundFunction, F},
    SetCircuit,
};
use ingot_ledger::{
    basic::{
        closed_form::{reserve_public_input, set_public_input, CompactForm},
        executor::{ExecutorInput, ExecutorState},
        hasher::HasherInput,
    },
    gadgets::{geometry::POSEIDON_GEOMETRY, logic},
    queue::Queue,
    recursion::{
        statement::{self, QueueEnd},
        RecursionKeys, StatementWitness, CAPACITY,
    },
    testing::Checker,
};
use recursion_support::{
    bump,
    claim::{Claim, Slots},
    digest, f,
};

/// The statement for constants `keys` and `tip_vk`, and in place of a proof of the tip the public input that the
/// prover's tip has.
#[derive(Clone)]
struct StatementCircuit {
    keys: RecursionKeys,
    tip_vk: Digest,
    witness: StatementWitness,
    tip_public_input: Digest,
}

impl CircuitBuilder<F> for StatementCircuit {
    fn geometry() -> CSGeometry {
        POSEIDON_GEOMETRY
    }

    fn lookup_parameters() -> LookupParameters {
        LookupParameters::NoLookup
    }

    fn configure_builder<T: CsBuilderImpl<F, T>, GC: GateConfigurationHolder<F>, TB: StaticToolboxHolder>(
        builder: CsBuilder<T, F, GC, TB>,
    ) -> CsBuilder<T, F, impl GateConfigurationHolder<F>, impl StaticToolboxHolder> {
        let general = GatePlacementStrategy::UseGeneralPurposeColumns;
        let builder = ConstantsAllocatorGate::configure_builder(builder, general);
        let builder = BooleanConstraintGate::configure_builder(builder, general);
        let builder = RoundFunction::configure_builder(builder, general);
        let builder = ZeroCheckGate::configure_builder(builder, general, true);
        let builder = FmaGateInBaseFieldWithoutConstant::configure_builder(builder, general);
        let builder = SelectionGate::configure_builder(builder, general);
        let builder = ParallelSelectionGate::<4>::configure_builder(builder, general);
        let builder = PublicInputGate::configure_builder(builder, general);
        let builder = ReductionGate::<F, 4>::configure_builder(builder, general);
        NopGate::configure_builder(builder, general)
    }
}

impl SetCircuit for StatementCircuit {
    fn trace_len(&self) -> usize {
        1 << 12
    }

    fn synthesize<CS: ConstraintSystem<F> + 'static>(&self, cs: &mut CS) {
        reserve_public_input(cs);
        let statement = statement::synthesize(cs, &self.keys, &self.tip_vk, &self.witness);
        let tip = logic::allocate_all(cs, self.tip_public_input);
        for (proved, asked) in tip.iter().zip(&statement.tip_public_input) {
            logic::enforce_equal(cs, proved, asked);
        }
        set_public_input(cs, &statement.public_input);
    }
}

/// What a prover of `claim` hands in who honestly proved the instances in `slots`.
fn circuit(claim: &Claim, constants: &Claim, slots: Slots) -> StatementCircuit {
    StatementCircuit {
        keys: constants.keys,
        tip_vk: constants.tip_vk,
        tip_public_input: claim.tip_input(&slots).public_input(),
        witness: claim.statement(slots),
    }
}

struct Bench {
    honest: Claim,
    checker: Checker,
}

impl Bench {
    fn new() -> Self {
        let honest = Claim::sample();
        let checker = Checker::new(&circuit(&honest, &honest, honest.slots())).unwrap();
        Self { honest, checker }
    }

    fn check(&mut self, circuit: &StatementCircuit) -> (bool, Vec<F>) {
        self.checker.check(circuit).unwrap()
    }

    /// `claim` with its instances changed by `change`.
    fn with(&mut self, claim: &Claim, change: impl FnOnce(&mut Slots)) -> (bool, Vec<F>) {
        let mut slots = claim.slots();
        change(&mut slots);
        let circuit = circuit(claim, &self.honest, slots);
        self.check(&circuit)
    }

    fn refuses(&mut self, name: &str, change: impl FnOnce(&mut Slots)) {
        let honest = self.honest.clone();
        assert!(!self.with(&honest, change).0, "{name}: accepted");
    }
}

fn form(slots: &mut Slots, branch: usize, i: usize) -> &mut CompactForm {
    slots[branch][i].as_mut().unwrap()
}

#[test]
fn honest_batches_of_every_size_pass_and_give_the_headers_limbs() {
    let mut bench = Bench::new();
    for counts in [[3, 2, 4], [1, 1, 1], CAPACITY] {
        let claim = Claim { counts, ..bench.honest.clone() };
        let (satisfied, limbs) = bench.with(&claim, |_| {});
        assert!(satisfied, "{counts:?}");
        let pi = claim.observables.pi.map(|x| (x.as_u64_reduced() as u32).to_be_bytes());
        let pi: [u8; 32] = pi.as_flattened().try_into().unwrap();
        assert_eq!(limbs, ingot_ledger::native::header::public_input(&pi));
        assert_eq!(limbs[0], f(0x0001_0203_04ff_ffff), "seven bytes, big-endian");
    }
    // No signatures.
    let mut claim = Claim { counts: [1, 0, 1], ..bench.honest.clone() };
    claim.observables.signature_queue = QueueEnd { tail: [F::ZERO; 12], length: F::ZERO };
    assert!(bench.with(&claim, |_| {}).0);
}

#[test]
fn the_observables_are_those_of_the_basic_circuits() {
    let mut o = Claim::sample().observables;
    let queue = |end: &QueueEnd| Queue {
        head: [F::ZERO; 12],
        tail: end.tail,
        length: end.length.as_u64_reduced() as u32,
    };
    o.domain = [1, 2, 3, 4, 5, 6, 7, 8].map(f);
    let (log, signatures) = (queue(&o.log_queue), queue(&o.signature_queue));
    let domain = [1, 2, 3, 4, 5, 6, 7, 8];
    let (old_root, new_root, fees) = (o.old_root, o.new_root, 1 << 32 | 2);
    let vk_set = digest(5);
    assert_eq!(ExecutorInput { domain, batch: 12, old_root }.flatten(), o.executor_input());
    let answer = ExecutorState { root: new_root, fees, deposit_count: 3, signatures, log, ended: true };
    assert_eq!(answer.flatten_output(), o.executor_output());
    let input = HasherInput { log, domain, batch: 12, old_root, new_root, deposit_count: 3, fees, vk_set };
    assert_eq!(input.flatten(), o.hasher_input(&vk_set));
    assert_eq!(ingot_ledger::basic::signature::flatten_input(&signatures), o.signature_input());
}

#[test]
fn instances_that_do_not_chain_are_refused() {
    let mut bench = Bench::new();
    for branch in 0..3 {
        let last = bench.honest.counts[branch] - 1;
        bench.refuses("swapped", |s| s[branch].swap(0, 1));
        bench.refuses("first dropped", |s| {
            s[branch].remove(0);
        });
        bench.refuses("last dropped", |s| {
            s[branch].pop();
        });
        bench.refuses("duplicated", |s| {
            let again = s[branch][0];
            s[branch].insert(1, again);
        });
        bench.refuses("last duplicated", |s| {
            let again = s[branch][last];
            s[branch].push(again);
        });
        bench.refuses("a gap", |s| s[branch].insert(1, None));
        bench.refuses("a first gap", |s| s[branch].insert(0, None));
        bench.refuses("the last after a gap", |s| s[branch].insert(last, None));
        bench.refuses("a second run after a gap", |s| {
            let output = form(s, branch, last).observable_output;
            let first = form(s, branch, 0);
            (first.completion, first.observable_output, first.fsm_output) = (true, output, [F::ZERO; 4]);
            // An unused slot hands on zeros.
            form(s, branch, last).fsm_input = [F::ZERO; 4];
            s[branch] = vec![s[branch][0], None, s[branch][last]];
        });
        bench.refuses("two starts", |s| form(s, branch, 1).start = true);
        bench.refuses("two starts, as such an instance masks", |s| {
            form(s, branch, 1).start = true;
            form(s, branch, 1).fsm_input = [F::ZERO; 4];
        });
        bench.refuses("a second batch appended", |s| {
            let again = s[branch].clone();
            s[branch].extend(again);
        });
        bench.refuses("no start", |s| form(s, branch, 0).start = false);
        bench.refuses("starts in the middle of a batch", |s| {
            form(s, branch, 0).start = false;
            form(s, branch, 0).fsm_input = digest(77);
        });
        bench.refuses("no completion", |s| form(s, branch, last).completion = false);
        bench.refuses("no completion, as such an instance masks", |s| {
            form(s, branch, last).completion = false;
            form(s, branch, last).observable_output = [F::ZERO; 4];
            form(s, branch, last).fsm_output = digest(88);
        });
        bench.refuses("completes early", |s| form(s, branch, 0).completion = true);
        bench.refuses("completes early, as such an instance masks", |s| {
            let output = form(s, branch, last).observable_output;
            let first = form(s, branch, 0);
            (first.completion, first.observable_output, first.fsm_output) = (true, output, [F::ZERO; 4]);
        });
        for i in 0..4 {
            for instance in 0..=last {
                bench.refuses("asked something else", |s| {
                    bump(&mut form(s, branch, instance).observable_input[i]);
                });
            }
            bench
                .refuses("answers something else", |s| bump(&mut form(s, branch, last).observable_output[i]));
            bench.refuses("another state handed on", |s| bump(&mut form(s, branch, 0).fsm_output[i]));
            bench.refuses("another state taken over", |s| bump(&mut form(s, branch, last).fsm_input[i]));
        }
    }
    bench.refuses("no executor", |s| s[0].clear());
    bench.refuses("no signature verifier", |s| s[1].clear());
    bench.refuses("no hasher", |s| s[2].clear());
    bench.refuses("instances of another circuit", |s| s.swap(0, 2));
}

#[test]
fn signatures_can_neither_be_skipped_nor_invented() {
    let mut bench = Bench::new();
    // The executor wants signatures that no instance verifies, consistently otherwise.
    let skipped = Claim { counts: [3, 0, 4], ..bench.honest.clone() };
    assert!(!bench.with(&skipped, |_| {}).0);
    // The scheduler is told that there are none, the executor's answer says otherwise.
    let executor = bench.honest.slots()[0].clone();
    let mut hidden = skipped;
    hidden.observables.signature_queue.length = F::ZERO;
    assert!(!bench.with(&hidden, |s| s[0] = executor.clone()).0);
    hidden.observables.signature_queue.tail = [F::ZERO; 12];
    assert!(!bench.with(&hidden, |s| s[0] = executor.clone()).0);
    // There are none, and instances verify none.
    let mut invented = bench.honest.clone();
    invented.observables.signature_queue = QueueEnd { tail: [F::ZERO; 12], length: F::ZERO };
    assert!(!bench.with(&invented, |_| {}).0);
    // Another queue's signatures.
    for i in 0..12 {
        let mut other = bench.honest.clone();
        bump(&mut other.observables.signature_queue.tail[i]);
        let signatures = other.slots()[1].clone();
        let honest = bench.honest.clone();
        assert!(!bench.with(&honest, |s| s[1] = signatures).0);
    }
}

/// Every value of the observables, changed for one circuit but not for the others.
#[test]
fn the_circuits_must_agree_on_every_value() {
    let mut bench = Bench::new();
    let honest = bench.honest.clone();
    let count = {
        let mut count = 0;
        honest.observables.map(|_| count += 1);
        count
    };
    assert_eq!(count, 8 + 1 + 4 + 4 + 2 + 1 + 13 + 13 + 8);
    for changed in 0..count {
        let mut i = 0;
        let observables = honest.observables.map(|mut x| {
            if i == changed {
                bump(&mut x);
            }
            i += 1;
            x
        });
        let other = Claim { observables, ..honest.clone() };
        let (honest_slots, other_slots) = (honest.slots(), other.slots());
        for branch in 0..3 {
            if honest_slots[branch] == other_slots[branch] {
                continue;
            }
            // The scheduler sides with the others, then with this circuit.
            let mix = |s: &mut Slots| s[branch] = other_slots[branch].clone();
            assert!(!bench.with(&honest, mix).0, "value {changed}, circuit {}", branch + 1);
            let seen_by_others = (0..3).any(|b| b != branch && honest_slots[b] != other_slots[b]);
            if seen_by_others {
                let mix = |s: &mut Slots| s[branch] = honest_slots[branch].clone();
                assert!(!bench.with(&other, mix).0, "value {changed}, circuit {}", branch + 1);
            }
        }
        assert!(other_slots != honest_slots, "value {changed} is in no circuit's statement");
    }
}

#[test]
fn every_constant_is_bound_through_the_tip_and_through_the_header() {
    let mut bench = Bench::new();
    let honest = bench.honest.clone();
    let mut count = 0;
    honest.keys.map(|_| count += 1);
    assert_eq!(count, 3 * 9 + 4);
    let mut claims: Vec<Claim> = (0..count)
        .map(|changed| {
            let mut i = 0;
            let keys = honest.keys.map(|mut x| {
                if i == changed {
                    bump(&mut x);
                }
                i += 1;
                x
            });
            Claim { keys, ..honest.clone() }
        })
        .collect();
    let honest_slots = honest.slots();
    for claim in &claims {
        assert!(!bench.with(claim, |_| {}).0, "other keys throughout");
        assert!(!bench.with(claim, |s| *s = honest_slots.clone()).0, "other keys below the tip");
        let header = claim.slots();
        assert!(!bench.with(&honest, |s| *s = header).0, "other keys in the header");
    }
    // The tip's own key is bound by its proof, and by the header.
    claims = (0..4)
        .map(|i| {
            let mut claim = honest.clone();
            bump(&mut claim.tip_vk[i]);
            claim
        })
        .collect();
    for claim in &claims {
        assert!(!bench.with(claim, |_| {}).0, "another tip key in the header");
    }
}

#[test]
fn the_hash_words_must_be_words() {
    let mut bench = Bench::new();
    for i in 0..7 {
        let mut claim = bench.honest.clone();
        claim.observables.pi[i] = f(claim.observables.pi[i].as_u64_reduced() + (1 << 32));
        assert!(!bench.with(&claim, |_| {}).0, "word {i} of 33 bits");
        claim.observables.pi[i] = F::MINUS_ONE;
        assert!(!bench.with(&claim, |_| {}).0, "word {i} is −1");
    }
}

#[test]
fn a_tip_for_other_requests_is_refused() {
    let mut bench = Bench::new();
    let honest = bench.honest.clone();
    let base = circuit(&honest, &honest, honest.slots());
    for i in 0..4 {
        let mut other = base.clone();
        bump(&mut other.tip_public_input[i]);
        assert!(!bench.check(&other).0);
    }
    // A tip that proves more, less, or the same in another order.
    let slots = honest.slots();
    let changes: [&dyn Fn(&mut Slots); 3] = [
        &|s| {
            s[2].pop();
        },
        &|s| {
            let more = s[2][0];
            s[2].push(more);
        },
        &|s| s[2].swap(1, 2),
    ];
    for change in changes {
        let mut proved = slots.clone();
        change(&mut proved);
        let mut other = base.clone();
        other.tip_public_input = honest.tip_input(&proved).public_input();
        assert!(!bench.check(&other).0);
    }
}
