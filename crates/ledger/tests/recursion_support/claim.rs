//! A batch as its prover claims it to be, down to the compact forms that honest basic circuits would have.

use boojum::field::Field;
use ingot_circuit_set::field::{Digest, F};
use ingot_ledger::{
    basic::closed_form::CompactForm,
    native::hash::{hash, CLOSED_FORM},
    recursion::{
        statement::QueueEnd, BatchRecursion, LeafParameters, Observables, RecursionKeys, StatementWitness,
        TipInput,
    },
};

use super::{digest, f};

/// A batch as its prover claims it to be. Every change here changes what follows from it.
#[derive(Clone)]
pub struct Claim {
    pub keys: RecursionKeys,
    pub tip_vk: Digest,
    pub observables: Observables,
    /// Instances by branch.
    pub counts: [usize; 3],
}

pub type Slots = [Vec<Option<CompactForm>>; 3];

impl Claim {
    pub fn sample() -> Self {
        let parameters = |t: u64| LeafParameters {
            circuit_type: f(t),
            basic_vk_commitment: digest(1000 * t),
            leaf_vk_commitment: digest(1000 * t + 500),
        };
        Self {
            keys: RecursionKeys {
                leaf_parameters: [parameters(1), parameters(2), parameters(3)],
                node_vk_commitment: digest(7000),
            },
            tip_vk: digest(8000),
            observables: Observables {
                domain: [1, 2, 3, 4, 5, 6, 7, u64::from(u32::MAX)].map(f),
                batch: f(12),
                old_root: digest(100),
                new_root: digest(200),
                fees: [f(1), f(2)],
                deposit_count: f(3),
                signature_queue: QueueEnd { tail: std::array::from_fn(|i| f(300 + i as u64)), length: f(9) },
                log_queue: QueueEnd { tail: std::array::from_fn(|i| f(400 + i as u64)), length: f(14) },
                pi: [0x0102_0304, 0xffff_ffff, 0, 0x8000_0001, 5, 6, 7, 8].map(f),
            },
            counts: [3, 2, 4],
        }
    }

    /// The instances, each what an honest basic circuit would prove.
    pub fn slots(&self) -> Slots {
        let commit = |part: &[F]| hash(CLOSED_FORM, part);
        let o = &self.observables;
        let vk_set = self.keys.vk_set(&self.tip_vk);
        let parts = [
            (commit(&o.executor_input()), commit(&o.executor_output())),
            (commit(&o.signature_input()), [F::ZERO; 4]),
            (commit(&o.hasher_input(&vk_set)), commit(&o.hasher_output())),
        ];
        std::array::from_fn(|branch| {
            let count = self.counts[branch];
            let state = |i: usize| digest(10_000 * (branch as u64 + 1) + 10 * i as u64);
            (0..count)
                .map(|i| {
                    let (start, completion) = (i == 0, i + 1 == count);
                    Some(CompactForm {
                        start,
                        completion,
                        observable_input: parts[branch].0,
                        observable_output: if completion { parts[branch].1 } else { [F::ZERO; 4] },
                        fsm_input: if start { [F::ZERO; 4] } else { state(i) },
                        fsm_output: if completion { [F::ZERO; 4] } else { state(i + 1) },
                    })
                })
                .collect()
        })
    }

    /// What the recursion answers for the instances in `slots`.
    pub fn recursion(&self, slots: &Slots) -> BatchRecursion {
        let requests = slots
            .each_ref()
            .map(|slots| slots.iter().flatten().map(CompactForm::public_input).collect::<Vec<_>>());
        BatchRecursion::new(self.keys, requests)
    }

    /// The input of a tip that honestly proves the instances in `slots`.
    pub fn tip_input(&self, slots: &Slots) -> TipInput {
        self.recursion(slots).tip_input()
    }

    /// The statement about the instances in `slots`.
    pub fn statement(&self, slots: Slots) -> StatementWitness {
        StatementWitness { observables: self.observables, slots }
    }
}
