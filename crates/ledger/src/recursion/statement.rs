//! The scheduler's statement, without the proof that backs it: the instances of the three basic circuits chain into one
//! batch, and this is the batch's public input.

use boojum::{
    cs::traits::cs::ConstraintSystem,
    field::{Field, U64Representable},
    gadgets::{boolean::Boolean, num::Num},
};
use ingot_circuit_set::{
    field::{Digest, F},
    SetError,
};
use serde::{Deserialize, Serialize};

use super::{
    input::{tip_input_elements, RecursionKeys},
    request::encoding_var,
    BRANCHES, CAPACITY,
};
use crate::{
    basic::closed_form::{compact_public_input, CompactForm},
    gadgets::{
        hash::{constant, hash, DigestVar},
        logic,
        queue::QueueTailVar,
    },
    native::hash::{CLOSED_FORM, RECURSION_INPUT},
};

/// Tail and length of a queue that was born with a zero head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueEnd<T = F> {
    /// State after the last element.
    pub tail: [T; 12],
    /// Number of elements.
    pub length: T,
}

impl<T: Copy> QueueEnd<T> {
    fn elements(&self) -> impl Iterator<Item = T> {
        self.tail.into_iter().chain([self.length])
    }

    fn map<U>(&self, mut f: impl FnMut(T) -> U) -> QueueEnd<U> {
        QueueEnd { tail: self.tail.map(&mut f), length: f(self.length) }
    }
}

/// What the basic circuits were asked and answered: natively (`T` = [`F`]) or in-circuit. Each value stands here once,
/// which is what makes the circuits' answers agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observables<T = F> {
    /// The deployment, eight u32 words.
    pub domain: [T; 8],
    /// Batch number.
    pub batch: T,
    /// State root before.
    pub old_root: [T; 4],
    /// State root after.
    pub new_root: [T; 4],
    /// Sum of fees: high and low u32.
    pub fees: [T; 2],
    /// Deposits.
    pub deposit_count: T,
    /// What the executor wants signatures for.
    pub signature_queue: QueueEnd<T>,
    /// The records that the executor made.
    pub log_queue: QueueEnd<T>,
    /// SHA-256 of the header, eight big-endian u32 words.
    pub pi: [T; 8],
}

impl<T: Copy> Observables<T> {
    /// What the executor is asked: domain, batch, old root.
    pub fn executor_input(&self) -> Vec<T> {
        self.domain.into_iter().chain([self.batch]).chain(self.old_root).collect()
    }

    /// What the executor answers: new root, fees, deposit count, signature queue, log queue.
    pub fn executor_output(&self) -> Vec<T> {
        self.new_root
            .into_iter()
            .chain(self.fees)
            .chain([self.deposit_count])
            .chain(self.signature_queue.elements())
            .chain(self.log_queue.elements())
            .collect()
    }

    /// What the signature verifier is asked: the signature queue. It answers nothing.
    pub fn signature_input(&self) -> Vec<T> {
        self.signature_queue.elements().collect()
    }

    /// What the hasher is asked: log queue and the header's fields but the two hashes.
    pub fn hasher_input(&self, vk_set: &[T; 4]) -> Vec<T> {
        self.log_queue
            .elements()
            .chain(self.domain)
            .chain([self.batch])
            .chain(self.old_root)
            .chain(self.new_root)
            .chain([self.deposit_count])
            .chain(self.fees)
            .chain(*vk_set)
            .collect()
    }

    /// What the hasher answers: the header's hash.
    pub fn hasher_output(&self) -> Vec<T> {
        self.pi.to_vec()
    }

    /// The same shape over other elements.
    pub fn map<U>(&self, mut f: impl FnMut(T) -> U) -> Observables<U> {
        Observables {
            domain: self.domain.map(&mut f),
            batch: f(self.batch),
            old_root: self.old_root.map(&mut f),
            new_root: self.new_root.map(&mut f),
            fees: self.fees.map(&mut f),
            deposit_count: f(self.deposit_count),
            signature_queue: self.signature_queue.map(&mut f),
            log_queue: self.log_queue.map(&mut f),
            pi: self.pi.map(&mut f),
        }
    }
}

/// What the statement is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementWitness {
    /// What the basic circuits were asked and answered.
    pub observables: Observables,
    /// The instances by branch, in order; `None` is an unused slot.
    pub slots: [Vec<Option<CompactForm>>; BRANCHES],
}

impl StatementWitness {
    /// The statement about a batch with these instances.
    pub fn new(observables: Observables, forms: [Vec<CompactForm>; BRANCHES]) -> Self {
        Self { observables, slots: forms.map(|forms| forms.into_iter().map(Some).collect()) }
    }

    /// No batch: stands for one where values do not matter.
    pub fn placeholder() -> Self {
        let nothing = QueueEnd { tail: [F::ZERO; 12], length: F::ZERO };
        let observables = Observables {
            domain: [F::ZERO; 8],
            batch: F::ZERO,
            old_root: [F::ZERO; 4],
            new_root: [F::ZERO; 4],
            fees: [F::ZERO; 2],
            deposit_count: F::ZERO,
            signature_queue: nothing,
            log_queue: nothing,
            pi: [F::ZERO; 8],
        };
        Self { observables, slots: [const { Vec::new() }; BRANCHES] }
    }

    /// Checks that there are no more instances than the scheduler has slots.
    ///
    /// # Errors
    /// [`SetError::InvalidBatch`] naming the basic circuit that has too many.
    pub fn check_capacity(&self) -> Result<(), SetError> {
        for ((circuit_type, slots), capacity) in (1..).zip(&self.slots).zip(CAPACITY) {
            if slots.len() > capacity {
                return Err(SetError::InvalidBatch(format!(
                    "{} instances of basic circuit {circuit_type}; a batch has at most {capacity}",
                    slots.len()
                )));
            }
        }
        Ok(())
    }
}

/// What follows from a true statement.
#[derive(Clone, Copy, Debug)]
pub struct Statement {
    /// The public input that the tip's proof must have.
    pub tip_public_input: DigestVar,
    /// The batch's public input: four 56-bit limbs.
    pub public_input: DigestVar,
}

/// Constrains the statement for constants `keys` and `tip_vk_commitment`.
pub fn synthesize<CS: ConstraintSystem<F>>(
    cs: &mut CS,
    keys: &RecursionKeys,
    tip_vk_commitment: &Digest,
    witness: &StatementWitness,
) -> Statement {
    let vk_set = keys.vk_set(tip_vk_commitment).map(|x| Num::allocated_constant(cs, x));
    let keys = keys.map(|x| Num::allocated_constant(cs, x));
    let observables = witness.observables.map(|x| logic::allocate(cs, x));
    let always = Boolean::allocated_constant(cs, true);
    let no_signatures = observables.signature_queue.length.is_zero(cs);
    let signatures = no_signatures.negated(cs);
    let nothing = [constant(cs, 0); 4];
    let mut commit = |part: &[Num<F>]| hash(cs, CLOSED_FORM, part);
    let branches = [
        Branch {
            circuit_type: 1,
            present: always,
            input: commit(&observables.executor_input()),
            output: commit(&observables.executor_output()),
        },
        Branch {
            circuit_type: 2,
            present: signatures,
            input: commit(&observables.signature_input()),
            output: nothing,
        },
        Branch {
            circuit_type: 3,
            present: always,
            input: commit(&observables.hasher_input(&vk_set)),
            output: commit(&observables.hasher_output()),
        },
    ];
    let mut queues = Vec::with_capacity(BRANCHES);
    for ((branch, slots), capacity) in branches.iter().zip(&witness.slots).zip(CAPACITY) {
        queues.push(branch.chain(cs, slots, capacity));
    }
    Statement {
        tip_public_input: hash(cs, RECURSION_INPUT, &tip_input_elements(&keys, &queues)),
        public_input: public_input_limbs(cs, &observables.pi),
    }
}

/// One basic circuit in the statement.
struct Branch {
    circuit_type: u64,
    /// Whether the batch has instances of it.
    present: Boolean<F>,
    /// Commitment to what it is asked.
    input: DigestVar,
    /// Commitment to what it answers.
    output: DigestVar,
}

/// A slot for an instance.
struct Slot {
    used: Boolean<F>,
    start: Boolean<F>,
    completion: Boolean<F>,
    observable_input: DigestVar,
    observable_output: DigestVar,
    fsm_input: DigestVar,
    fsm_output: DigestVar,
}

impl Slot {
    fn allocate<CS: ConstraintSystem<F>>(cs: &mut CS, slot: Option<&CompactForm>) -> Self {
        let form = slot.unwrap_or(&CompactForm::EMPTY);
        Self {
            used: logic::allocate_bool(cs, slot.is_some()),
            start: logic::allocate_bool(cs, form.start),
            completion: logic::allocate_bool(cs, form.completion),
            observable_input: logic::allocate_all(cs, form.observable_input),
            observable_output: logic::allocate_all(cs, form.observable_output),
            fsm_input: logic::allocate_all(cs, form.fsm_input),
            fsm_output: logic::allocate_all(cs, form.fsm_output),
        }
    }

    /// The public input of the instance, H7 over its compact form.
    fn public_input<CS: ConstraintSystem<F>>(&self, cs: &mut CS) -> DigestVar {
        let parts = [self.observable_input, self.observable_output, self.fsm_input, self.fsm_output];
        compact_public_input(cs, self.start, self.completion, &parts)
    }
}

fn enforce_same_if<CS: ConstraintSystem<F>>(
    cs: &mut CS,
    condition: Boolean<F>,
    a: &DigestVar,
    b: &DigestVar,
) {
    for (a, b) in a.iter().zip(b) {
        logic::enforce_equal_if(cs, condition, a, b);
    }
}

impl Branch {
    /// Constrains the chain of this circuit's instances and returns the elements of the queue of requests for them:
    /// zero head, tail, length.
    fn chain<CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
        slots: &[Option<CompactForm>],
        capacity: usize,
    ) -> Vec<Num<F>> {
        let zero = constant(cs, 0);
        let circuit_type = constant(cs, self.circuit_type);
        let never = Boolean::allocated_constant(cs, false);
        let slots: Vec<Slot> =
            (0..capacity).map(|i| Slot::allocate(cs, slots.get(i).and_then(Option::as_ref))).collect();
        let mut queue = QueueTailVar { tail: [zero; 12], length: zero };
        let mut previous: Option<&Slot> = None;
        for (i, slot) in slots.iter().enumerate() {
            let used = slot.used;
            match previous {
                None => {
                    // The first slot is used iff the circuit is present, and starts.
                    logic::enforce_equal(cs, &used.into_num(), &self.present.into_num());
                    logic::enforce_true_if(cs, used, slot.start);
                }
                Some(previous) => {
                    // No gaps; only the first starts; each takes over from the one before.
                    logic::enforce_true_if(cs, used, previous.used);
                    logic::enforce_false_if(cs, used, slot.start);
                    enforce_same_if(cs, used, &slot.fsm_input, &previous.fsm_output);
                }
            }
            // Completes iff it is the last.
            let followed = slots.get(i + 1).map_or(never, |next| next.used);
            let last = followed.negated(cs);
            logic::enforce_equal_if(cs, used, &slot.completion.into_num(), &last.into_num());
            // Every instance was asked the same; the last one's answer counts.
            enforce_same_if(cs, used, &slot.observable_input, &self.input);
            let answers = used.and(cs, slot.completion);
            enforce_same_if(cs, answers, &slot.observable_output, &self.output);

            let public_input = slot.public_input(cs);
            let request = encoding_var(cs, circuit_type, &public_input);
            queue.push(cs, &request, used);
            previous = Some(slot);
        }
        [zero; 12].into_iter().chain(queue.flatten()).collect()
    }
}

/// Bytes 0 to 27 of `pi` as four big-endian 7-byte limbs; `pi` are u32 words, here checked bit by bit.
fn public_input_limbs<CS: ConstraintSystem<F>>(cs: &mut CS, pi: &[Num<F>; 8]) -> DigestVar {
    const LIMB_BITS: usize = 56;
    // Most significant first, so that a limb is 56 consecutive bits.
    let mut bits = Vec::with_capacity(4 * LIMB_BITS);
    for word in &pi[..7] {
        let word: [Boolean<F>; 32] = word.spread_into_bits(cs);
        bits.extend(word.iter().rev().map(|bit| bit.into_num()));
    }
    let limb = |k: usize| -> Vec<(Num<F>, F)> {
        let bits = &bits[k * LIMB_BITS..(k + 1) * LIMB_BITS];
        bits.iter().zip((0..LIMB_BITS).rev()).map(|(bit, i)| (*bit, F::from_u64_unchecked(1 << i))).collect()
    };
    [0, 1, 2, 3].map(|k| logic::sum(cs, &limb(k)))
}
