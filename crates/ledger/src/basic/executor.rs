//! Circuit 1, `TransactionExecutor`: applies operations in order, updates the state tree, and queues what the other two
//! circuits check: signatures and records.
//!
//! One cycle is one operation. An inactive cycle changes nothing and pushes nothing; once a cycle is inactive, all later
//! ones are, across instances.

use boojum::{
    cs::{
        cs_builder::{CsBuilder, CsBuilderImpl},
        gates::ConditionalSwapGate,
        traits::{circuit::CircuitBuilder, cs::ConstraintSystem, gate::GatePlacementStrategy},
        CSGeometry, GateConfigurationHolder, LookupParameters, StaticToolboxHolder,
    },
    field::Field,
    gadgets::{boolean::Boolean, num::Num},
};
use ingot_circuit_set::{
    field::{Digest, F},
    SetCircuit,
};
use serde::{Deserialize, Serialize};

use super::{
    closed_form::{reserve_public_input, set_public_input, Parts},
    path::{PathUpdateVar, SlotVar},
};
use crate::{
    gadgets::{
        geometry::{poseidon_gates, POSEIDON_GEOMETRY},
        hash::{constant, hash, DigestVar},
        logic,
        queue::QueueTailVar,
        uint::{self, U64Var},
    },
    native::{
        hash::{element, join, MESSAGE},
        record::{KIND_OPEN, KIND_PAYOUT, KIND_TOP_UP, KIND_TRANSFER, KIND_WITHDRAW},
        trace::Cycle,
    },
    queue::Queue,
};

/// Operations per instance: what fits 2^14 rows.
pub const EXECUTOR_CYCLES: usize = 64;
/// Rows of the circuit.
pub const EXECUTOR_TRACE_LEN: usize = 1 << 14;
/// Columns for booleans.
const BOOLEAN_COLUMNS: usize = 6;

/// What the executor is asked: 13 elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutorInput {
    /// The deployment, as 8 big-endian words.
    pub domain: [u32; 8],
    /// Batch number.
    pub batch: u32,
    /// State root before the batch.
    pub old_root: Digest,
}

/// The executor's state: everything it answers, and whether it may still apply operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutorState {
    /// State root.
    pub root: Digest,
    /// Fees collected so far.
    pub fees: u64,
    /// Deposits applied so far.
    pub deposit_count: u32,
    /// (key, message) pairs that the signature verifier must check.
    pub signatures: Queue,
    /// Records for the pubdata hasher.
    pub log: Queue,
    /// No operation may follow.
    pub ended: bool,
}

impl ExecutorInput {
    /// The elements, in the order in which they are hashed.
    pub fn flatten(&self) -> Vec<F> {
        self.domain.iter().map(|w| element(*w)).chain([element(self.batch)]).chain(self.old_root).collect()
    }
}

impl ExecutorState {
    /// The state before the first operation.
    pub fn initial(input: &ExecutorInput) -> Self {
        Self {
            root: input.old_root,
            fees: 0,
            deposit_count: 0,
            signatures: Queue::empty(),
            log: Queue::empty(),
            ended: false,
        }
    }

    /// The observable output: 33 elements.
    pub fn flatten_output(&self) -> Vec<F> {
        let mut out = self.root.to_vec();
        out.extend([
            element((self.fees >> 32) as u32),
            element(self.fees as u32),
            element(self.deposit_count),
        ]);
        for queue in [&self.signatures, &self.log] {
            out.extend(queue.tail);
            out.push(element(queue.length));
        }
        out
    }

    /// The FSM state: the observable output, then `ended`.
    pub fn flatten_fsm(&self) -> Vec<F> {
        let mut out = self.flatten_output();
        out.push(element(u32::from(self.ended)));
        out
    }
}

/// One instance of the circuit.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TransactionExecutor {
    /// First instance.
    pub start: bool,
    /// Last instance.
    pub completion: bool,
    /// The same for every instance.
    pub input: ExecutorInput,
    /// State after the previous instance (ignored at the start).
    pub fsm_input: ExecutorState,
    /// Up to [`EXECUTOR_CYCLES`] operations; the rest of the cycles are inactive.
    pub cycles: Vec<Cycle>,
}

impl TransactionExecutor {
    /// An instance without values, for setup.
    pub fn empty() -> Self {
        let input = ExecutorInput { domain: [0; 8], batch: 0, old_root: [F::ZERO; 4] };
        Self {
            start: true,
            completion: true,
            input,
            fsm_input: ExecutorState::initial(&input),
            cycles: Vec::new(),
        }
    }
}

/// The executor's state in-circuit.
struct StateVar {
    root: DigestVar,
    fees: U64Var,
    deposit_count: Num<F>,
    signatures: QueueTailVar,
    log: QueueTailVar,
    ended: Boolean<F>,
}

const FSM_LEN: usize = 34;

impl StateVar {
    fn from_elements(elements: [Num<F>; FSM_LEN], ended: Boolean<F>) -> Self {
        let part = |start: usize| QueueTailVar {
            tail: std::array::from_fn(|i| elements[start + i]),
            length: elements[start + 12],
        };
        Self {
            root: std::array::from_fn(|i| elements[i]),
            fees: U64Var { hi: elements[4], lo: elements[5] },
            deposit_count: elements[6],
            signatures: part(7),
            log: part(20),
            ended,
        }
    }

    fn flatten_output(&self) -> Vec<Num<F>> {
        let mut out = self.root.to_vec();
        out.extend([self.fees.hi, self.fees.lo, self.deposit_count]);
        out.extend(self.signatures.flatten());
        out.extend(self.log.flatten());
        out
    }

    fn flatten_fsm(&self) -> Vec<Num<F>> {
        let mut out = self.flatten_output();
        out.push(self.ended.into_num());
        out
    }
}

impl CircuitBuilder<F> for TransactionExecutor {
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
        let builder = ConditionalSwapGate::<4>::configure_builder(builder, general);
        poseidon_gates::<_, _, _, BOOLEAN_COLUMNS>(builder)
    }
}

impl SetCircuit for TransactionExecutor {
    fn trace_len(&self) -> usize {
        EXECUTOR_TRACE_LEN
    }

    fn synthesize<CS: ConstraintSystem<F> + 'static>(&self, cs: &mut CS) {
        reserve_public_input(cs);
        let start = logic::allocate_bool(cs, self.start);
        let completion = logic::allocate_bool(cs, self.completion);

        let domain = self.input.domain.map(|w| logic::allocate(cs, element(w)));
        // Compared below, so its range matters here as well.
        let batch = uint::allocate_u32(cs, self.input.batch);
        let old_root = logic::allocate_all(cs, self.input.old_root);
        let observable_input: Vec<_> = domain.into_iter().chain([batch]).chain(old_root).collect();

        // The rest of the FSM input needs no range checks: it equals the previous instance's output, or is not used.
        let fsm_values = self.fsm_input.flatten_fsm();
        let fsm_input: [Num<F>; FSM_LEN] =
            std::array::from_fn(|i| logic::allocate(cs, fsm_values.get(i).copied().unwrap_or(F::ZERO)));
        let zero = constant(cs, 0);
        let mut initial = [zero; FSM_LEN];
        initial[..4].copy_from_slice(&old_root);
        let state = logic::select(cs, start, &initial, &fsm_input);
        let ended = Boolean::from_variable_checked(cs, state[FSM_LEN - 1].get_variable());
        let mut state = StateVar::from_elements(state, ended);

        let mut previous_active = state.ended.negated(cs);
        for i in 0..EXECUTOR_CYCLES {
            previous_active =
                synthesize_cycle(cs, &mut state, &domain, batch, previous_active, self.cycles.get(i));
        }
        state.ended = previous_active.negated(cs);

        let parts = Parts {
            start,
            completion,
            observable_input,
            observable_output: state.flatten_output(),
            fsm_input: fsm_input.to_vec(),
            fsm_output: state.flatten_fsm(),
        };
        let public_input = parts.public_input(cs);
        set_public_input(cs, &public_input);
    }
}

/// Applies one operation, or nothing; returns whether the cycle was active.
fn synthesize_cycle<CS: ConstraintSystem<F>>(
    cs: &mut CS,
    state: &mut StateVar,
    domain: &[Num<F>; 8],
    batch: Num<F>,
    previous_active: Boolean<F>,
    cycle: Option<&Cycle>,
) -> Boolean<F> {
    let zero = constant(cs, 0);
    let record = cycle.map_or([0; 16], |c| c.record);
    let u64_of = |at: usize| join([record[at], record[at + 1]]);

    // Kind: at most one of four flags; none means inactive.
    let is = |cs: &mut CS, kind: u32| logic::allocate_bool(cs, record[0] == kind);
    let open = is(cs, KIND_OPEN);
    let top_up = is(cs, KIND_TOP_UP);
    let transfer = is(cs, KIND_TRANSFER);
    let withdraw = is(cs, KIND_WITHDRAW);
    let kinds =
        [(open, KIND_OPEN), (top_up, KIND_TOP_UP), (transfer, KIND_TRANSFER), (withdraw, KIND_WITHDRAW)];
    let terms = kinds.map(|(flag, _)| (flag.into_num(), F::ONE));
    let active = logic::sum(cs, &terms);
    let active = Boolean::from_variable_checked(cs, active.get_variable());
    let terms = kinds.map(|(flag, kind)| (flag.into_num(), element(kind)));
    let kind = logic::sum(cs, &terms);
    logic::enforce_true_if(cs, active, previous_active);
    let deposit = flag_sum(cs, open, top_up);
    let debit = flag_sum(cs, transfer, withdraw);

    // Operands. Words that a kind does not use are masked to zero before anything depends on them.
    let index = uint::bits::<CS, 32>;
    let from = logic::allocate(cs, element(record[1]));
    let from_bits = index(cs, from);
    let amount = uint::allocate_u64(cs, u64_of(2));
    let key_values: Digest = std::array::from_fn(|i| F::from_u64_with_reduction(u64_of(4 + 2 * i)));
    let key = logic::allocate_all(cs, key_values).map(|x| x.mask_negated(cs, top_up));
    let to = logic::allocate(cs, element(record[12]));
    let to_bits = index(cs, to);
    let to_word = to.mask(cs, transfer);
    let fee = uint::allocate_u64(cs, u64_of(13));
    let fee = U64Var { hi: fee.hi.mask(cs, debit), lo: fee.lo.mask(cs, debit) };
    let address_values = cycle.map_or([0; 5], |c| c.address);
    let address = address_values.map(|w| uint::allocate_u32(cs, w).mask(cs, withdraw));
    let valid_until = uint::allocate_u32(cs, cycle.map_or(0, |c| c.valid_until));

    // The operations that set a key set one that exists: not zero.
    let sets_key = flag_sum(cs, open, debit);
    let key_is_zero = logic::all_zero(cs, &key);
    logic::enforce_false_if(cs, sets_key, key_is_zero);
    // An authorisation does not outlive its last batch.
    let (_, expired) = uint::sub_u32(cs, valid_until, batch, None);
    logic::enforce_false_if(cs, debit, expired);

    // Slot 0: the account that is opened, topped up or debited.
    let slot = SlotVar::allocate(cs, cycle.and_then(|c| c.slots[0].as_ref()));
    let exists = slot.exists(cs);
    let must_exist = flag_sum(cs, top_up, debit);
    logic::enforce_true_if(cs, must_exist, exists);
    for element in slot.leaf.flatten() {
        logic::enforce_zero_if(cs, open, &element);
    }
    let (credited, carry) = uint::add_u64(cs, slot.leaf.balance, amount);
    logic::enforce_false_if(cs, deposit, carry);
    let (debited, borrow) = uint::sub_u64(cs, slot.leaf.balance, amount);
    logic::enforce_false_if(cs, debit, borrow);
    let (debited, borrow) = uint::sub_u64(cs, debited, fee);
    logic::enforce_false_if(cs, debit, borrow);
    let last_nonce = constant(cs, u64::from(u32::MAX));
    let nonce_is_last = Num::equals(cs, &slot.leaf.nonce, &last_nonce);
    logic::enforce_false_if(cs, debit, nonce_is_last);

    let mut new = slot.leaf;
    new.key = logic::select(cs, top_up, &slot.leaf.key, &key);
    let [hi, lo] = logic::select(cs, debit, &[debited.hi, debited.lo], &[credited.hi, credited.lo]);
    new.balance = U64Var { hi, lo };
    new.nonce = logic::sum(cs, &[(slot.leaf.nonce, F::ONE), (debit.into_num(), F::ONE)]);
    state.root =
        PathUpdateVar { used: active, bits: &from_bits, slot: &slot, new: &new }.apply(cs, state.root);

    // Slot 1: the account that a transfer credits, proved against the tree after the debit.
    let receiver = SlotVar::allocate(cs, cycle.and_then(|c| c.slots[1].as_ref()));
    let receiver_exists = receiver.exists(cs);
    logic::enforce_true_if(cs, transfer, receiver_exists);
    let (credited, carry) = uint::add_u64(cs, receiver.leaf.balance, amount);
    logic::enforce_false_if(cs, transfer, carry);
    let mut new = receiver.leaf;
    new.balance = credited;
    state.root =
        PathUpdateVar { used: transfer, bits: &to_bits, slot: &receiver, new: &new }.apply(cs, state.root);

    // What the owner signed.
    let mut message = domain.to_vec();
    message.extend([kind, from, slot.leaf.nonce, amount.hi, amount.lo, fee.hi, fee.lo, to_word]);
    message.extend(address);
    message.extend(key);
    message.push(valid_until);
    let message = hash(cs, MESSAGE, &message);
    let signed: Vec<_> = slot.leaf.key.into_iter().chain(message).collect();
    state.signatures.push(cs, &signed, debit);

    // Records.
    let mut words = vec![kind, from, amount.hi, amount.lo];
    for element in key {
        words.extend(uint::words(cs, element));
    }
    words.extend([to_word, fee.hi, fee.lo, zero]);
    state.log.push(cs, &words, active);
    let payout_kind = constant(cs, u64::from(KIND_PAYOUT));
    let mut words = vec![payout_kind, from, amount.hi, amount.lo];
    words.extend(address);
    words.push(slot.leaf.nonce);
    words.resize(16, zero);
    state.log.push(cs, &words, withdraw);

    let (fees, carry) = uint::add_u64(cs, state.fees, fee);
    let carry_is_zero = [(carry.into_num(), F::ONE)];
    logic::enforce_zero_sum(cs, &carry_is_zero);
    state.fees = fees;
    // Cannot wrap: the scheduler bounds the number of cycles.
    state.deposit_count = logic::sum(cs, &[(state.deposit_count, F::ONE), (deposit.into_num(), F::ONE)]);
    active
}

/// `a ∨ b` of two flags that exclude each other.
fn flag_sum<CS: ConstraintSystem<F>>(cs: &mut CS, a: Boolean<F>, b: Boolean<F>) -> Boolean<F> {
    let sum = logic::sum(cs, &[(a.into_num(), F::ONE), (b.into_num(), F::ONE)]);
    Boolean::from_variable_checked(cs, sum.get_variable())
}
