//! Circuit 3, `PubdataHasher`: hashes the records with SHA-256, deposits and pubdata apart, and at the end the batch
//! header, whose hash is what the batch's public input is cut from.

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
    field::{Field, U64Representable},
    gadgets::{
        boolean::Boolean,
        num::Num,
        sha256::{round_function::round_function, INITIAL_STATE},
        tables::{
            ch4::{create_ch4_table, Ch4Table},
            chunk4bits::{create_4bit_chunk_split_table, Split4BitChunkTable},
            maj4::{create_maj4_table, Maj4Table},
            trixor4::{create_tri_xor_table, TriXor4Table},
        },
        traits::round_function::BuildableCircuitRoundFunction,
    },
};
use ingot_circuit_set::{
    field::{Digest, RoundFunction, F},
    SetCircuit,
};
use serde::{Deserialize, Serialize};

use super::{
    closed_form::{reserve_public_input, set_public_input, Parts},
    signature::{flatten_fsm as flatten_queue, flatten_input as flatten_queue_tail},
};
use crate::{
    gadgets::{
        hash::{constant, DigestVar, STATE_WIDTH},
        logic,
        queue::QueueVar,
        uint,
    },
    native::{
        hash::element,
        header::MAGIC,
        record::{KIND_OPEN, KIND_TOP_UP},
    },
    queue::Queue,
};

/// Records per instance: what fits 2^14 rows, beside the tail's six blocks.
pub const HASHER_CYCLES: usize = 24;
/// Rows of the circuit.
pub const HASHER_TRACE_LEN: usize = 1 << 14;
/// Four-column lookups in a row: SHA-256 makes 3,900 of them a block.
const LOOKUPS_PER_ROW: usize = 8;

/// The header's fields except the two hashes: what the hasher is asked, with the log queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HasherInput {
    /// The executor's log queue (its head is zero).
    pub log: Queue,
    /// The deployment, as 8 big-endian words.
    pub domain: [u32; 8],
    /// Batch number.
    pub batch: u32,
    /// State root before the batch.
    pub old_root: Digest,
    /// State root after the batch.
    pub new_root: Digest,
    /// Deposits in the batch.
    pub deposit_count: u32,
    /// Fees the operator is paid.
    pub fees: u64,
    /// Commitment to the scheduler's constants.
    pub vk_set: Digest,
}

/// The hasher's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HasherState {
    /// Records left.
    pub log: Queue,
    /// SHA-256 state over the deposit records.
    pub deposits: [u32; 8],
    /// SHA-256 state over the pubdata records.
    pub pubdata: [u32; 8],
    /// Deposit records hashed.
    pub deposit_count: u32,
    /// Pubdata records hashed.
    pub pubdata_count: u32,
}

impl HasherInput {
    /// The elements, in the order in which they are hashed: 37.
    pub fn flatten(&self) -> Vec<F> {
        let mut out = flatten_queue_tail(&self.log);
        out.extend(self.domain.map(element));
        out.push(element(self.batch));
        out.extend(self.old_root);
        out.extend(self.new_root);
        out.extend([
            element(self.deposit_count),
            element((self.fees >> 32) as u32),
            element(self.fees as u32),
        ]);
        out.extend(self.vk_set);
        out
    }
}

impl HasherState {
    /// The state before the first record.
    pub fn initial(input: &HasherInput) -> Self {
        Self {
            log: Queue { head: [F::ZERO; STATE_WIDTH], ..input.log },
            deposits: INITIAL_STATE,
            pubdata: INITIAL_STATE,
            deposit_count: 0,
            pubdata_count: 0,
        }
    }

    /// The FSM state: queue, two SHA-256 states, two counts.
    pub fn flatten(&self) -> Vec<F> {
        let mut out = flatten_queue(&self.log);
        out.extend(self.deposits.map(element));
        out.extend(self.pubdata.map(element));
        out.extend([element(self.deposit_count), element(self.pubdata_count)]);
        out
    }
}

/// One instance of the circuit.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PubdataHasher {
    /// First instance.
    pub start: bool,
    /// Last instance.
    pub completion: bool,
    /// The same for every instance.
    pub input: HasherInput,
    /// State after the previous instance (ignored at the start).
    pub fsm_input: HasherState,
    /// Up to [`HASHER_CYCLES`] records.
    pub records: Vec<[u32; 16]>,
}

impl PubdataHasher {
    /// An instance without values, for setup.
    pub fn empty() -> Self {
        let zero = [F::ZERO; 4];
        let input = HasherInput {
            log: Queue::empty(),
            domain: [0; 8],
            batch: 0,
            old_root: zero,
            new_root: zero,
            deposit_count: 0,
            fees: 0,
            vk_set: zero,
        };
        Self {
            start: true,
            completion: true,
            input,
            fsm_input: HasherState::initial(&input),
            records: Vec::new(),
        }
    }
}

impl CircuitBuilder<F> for PubdataHasher {
    fn geometry() -> CSGeometry {
        CSGeometry {
            num_columns_under_copy_permutation: 48,
            num_witness_columns: 82,
            num_constant_columns: 4,
            max_allowed_constraint_degree: 8,
        }
    }
    fn lookup_parameters() -> LookupParameters {
        LookupParameters::UseSpecializedColumnsWithTableIdAsConstant {
            width: 4,
            num_repetitions: LOOKUPS_PER_ROW,
            share_table_id: true,
        }
    }
    fn configure_builder<T: CsBuilderImpl<F, T>, GC: GateConfigurationHolder<F>, TB: StaticToolboxHolder>(
        builder: CsBuilder<T, F, GC, TB>,
    ) -> CsBuilder<T, F, impl GateConfigurationHolder<F>, impl StaticToolboxHolder> {
        let general = GatePlacementStrategy::UseGeneralPurposeColumns;
        let builder = builder.allow_lookup(Self::lookup_parameters());
        let builder = ConstantsAllocatorGate::configure_builder(builder, general);
        let builder = BooleanConstraintGate::configure_builder(builder, general);
        let builder = RoundFunction::configure_builder(builder, general);
        let builder = ZeroCheckGate::configure_builder(builder, general, true);
        let builder = FmaGateInBaseFieldWithoutConstant::configure_builder(builder, general);
        let builder = SelectionGate::configure_builder(builder, general);
        let builder = ParallelSelectionGate::<4>::configure_builder(builder, general);
        let builder = ReductionGate::<F, 4>::configure_builder(builder, general);
        let builder = PublicInputGate::configure_builder(builder, general);
        NopGate::configure_builder(builder, general)
    }
}

/// The hasher's state in-circuit.
struct StateVar {
    queue: QueueVar,
    deposits: [Num<F>; 8],
    pubdata: [Num<F>; 8],
    deposit_count: Num<F>,
    pubdata_count: Num<F>,
}

const FSM_LEN: usize = 43;

impl StateVar {
    fn from_elements(elements: &[Num<F>; FSM_LEN]) -> Self {
        Self {
            queue: QueueVar {
                head: std::array::from_fn(|i| elements[i]),
                tail: std::array::from_fn(|i| elements[12 + i]),
                length: elements[24],
            },
            deposits: std::array::from_fn(|i| elements[25 + i]),
            pubdata: std::array::from_fn(|i| elements[33 + i]),
            deposit_count: elements[41],
            pubdata_count: elements[42],
        }
    }

    fn flatten(&self) -> Vec<Num<F>> {
        let mut out = self.queue.flatten();
        out.extend(self.deposits);
        out.extend(self.pubdata);
        out.extend([self.deposit_count, self.pubdata_count]);
        out
    }
}

impl SetCircuit for PubdataHasher {
    fn trace_len(&self) -> usize {
        HASHER_TRACE_LEN
    }

    fn add_tables<CS: ConstraintSystem<F>>(&self, cs: &mut CS) {
        cs.add_lookup_table::<TriXor4Table, 4>(create_tri_xor_table());
        cs.add_lookup_table::<Ch4Table, 4>(create_ch4_table());
        cs.add_lookup_table::<Maj4Table, 4>(create_maj4_table());
        cs.add_lookup_table::<Split4BitChunkTable<1>, 4>(create_4bit_chunk_split_table::<F, 1>());
        cs.add_lookup_table::<Split4BitChunkTable<2>, 4>(create_4bit_chunk_split_table::<F, 2>());
    }

    fn synthesize<CS: ConstraintSystem<F> + 'static>(&self, cs: &mut CS) {
        reserve_public_input(cs);
        let start = logic::allocate_bool(cs, self.start);
        let completion = logic::allocate_bool(cs, self.completion);
        let zero = constant(cs, 0);

        let log_tail = logic::allocate_all(cs, self.input.log.tail);
        let log_length = logic::allocate(cs, element(self.input.log.length));
        let domain = self.input.domain.map(|w| allocate_word(cs, w));
        let batch = allocate_word(cs, self.input.batch);
        let old_root = logic::allocate_all(cs, self.input.old_root);
        let new_root = logic::allocate_all(cs, self.input.new_root);
        let deposit_count = allocate_word(cs, self.input.deposit_count);
        let fees = [(self.input.fees >> 32) as u32, self.input.fees as u32].map(|w| allocate_word(cs, w));
        let vk_set = logic::allocate_all(cs, self.input.vk_set);
        let mut observable_input: Vec<_> = log_tail.into_iter().chain([log_length]).collect();
        observable_input.extend(domain);
        observable_input.push(batch);
        observable_input.extend(old_root);
        observable_input.extend(new_root);
        observable_input.push(deposit_count);
        observable_input.extend(fees);
        observable_input.extend(vk_set);

        // No range checks on the FSM input: it equals the previous instance's output, or is not used.
        let fsm_values = self.fsm_input.flatten();
        let fsm_input: [Num<F>; FSM_LEN] =
            std::array::from_fn(|i| logic::allocate(cs, fsm_values.get(i).copied().unwrap_or(F::ZERO)));
        let mut initial = [zero; FSM_LEN];
        initial[12..24].copy_from_slice(&log_tail);
        initial[24] = log_length;
        for (i, iv) in INITIAL_STATE.into_iter().enumerate() {
            let iv = constant(cs, u64::from(iv));
            initial[25 + i] = iv;
            initial[33 + i] = iv;
        }
        let state = logic::select(cs, start, &initial, &fsm_input);
        let mut state = StateVar::from_elements(&state);
        for i in 0..HASHER_CYCLES {
            synthesize_cycle(cs, &mut state, self.records.get(i));
        }

        let left = state.queue.is_not_empty(cs);
        let empty = left.negated(cs).into_num();
        logic::enforce_equal(cs, &completion.into_num(), &empty);
        state.queue.enforce_consumed_if(cs, completion);
        logic::enforce_equal_if(cs, completion, &state.deposit_count, &deposit_count);

        // The tail is there in every instance and used in the last.
        let deposits_hash = finish(cs, state.deposits, state.deposit_count);
        let pubdata_hash = finish(cs, state.pubdata, state.pubdata_count);
        let mut header: Vec<Num<F>> = MAGIC
            .as_chunks::<4>()
            .0
            .iter()
            .map(|w| constant(cs, u64::from(u32::from_be_bytes(*w))))
            .collect();
        header.extend(domain);
        header.extend([zero, batch]);
        header.extend(digest_words(cs, &old_root));
        header.extend(digest_words(cs, &new_root));
        header.extend(pubdata_hash);
        header.extend(deposits_hash);
        header.extend([zero, deposit_count]);
        header.extend(fees);
        header.extend(digest_words(cs, &vk_set));
        let bit_length = 32 * header.len() as u64;
        header.push(constant(cs, 1 << 31));
        header.resize(header.len().next_multiple_of(16) - 1, zero);
        header.push(constant(cs, bit_length));
        let mut public = INITIAL_STATE.map(|iv| constant(cs, u64::from(iv)));
        for block in header.as_chunks::<16>().0 {
            public = compress(cs, public, block);
        }

        let parts = Parts {
            start,
            completion,
            observable_input,
            observable_output: public.to_vec(),
            fsm_input: fsm_input.to_vec(),
            fsm_output: state.flatten(),
        };
        let public_input = parts.public_input(cs);
        set_public_input(cs, &public_input);
    }
}

/// Pops one record, if there is one, and hashes it into the stream of its kind.
fn synthesize_cycle<CS: ConstraintSystem<F>>(cs: &mut CS, state: &mut StateVar, record: Option<&[u32; 16]>) {
    let record: [Num<F>; 16] = record.copied().unwrap_or([0; 16]).map(|w| allocate_word(cs, w));
    let popped = state.queue.pop(cs, &record);

    let is_kind = |cs: &mut CS, kind: u32| {
        let kind = constant(cs, u64::from(kind));
        Num::equals(cs, &record[0], &kind)
    };
    let open = is_kind(cs, KIND_OPEN);
    let top_up = is_kind(cs, KIND_TOP_UP);
    let deposit = open.or(cs, top_up);
    let hash_deposit = popped.and(cs, deposit);
    let not_deposit: Boolean<F> = deposit.negated(cs);
    let hash_pubdata = popped.and(cs, not_deposit);

    let before = logic::select(cs, deposit, &state.deposits, &state.pubdata);
    let after = compress(cs, before, &record);
    state.deposits = logic::select(cs, hash_deposit, &after, &state.deposits);
    state.pubdata = logic::select(cs, hash_pubdata, &after, &state.pubdata);
    for (count, flag) in [(&mut state.deposit_count, hash_deposit), (&mut state.pubdata_count, hash_pubdata)]
    {
        *count = logic::sum(cs, &[(*count, F::ONE), (flag.into_num(), F::ONE)]);
    }
}

/// One SHA-256 compression. State and block must be 32-bit; the new state is range checked.
fn compress<CS: ConstraintSystem<F>>(cs: &mut CS, state: [Num<F>; 8], block: &[Num<F>; 16]) -> [Num<F>; 8] {
    let mut state = state.map(|x| x.get_variable());
    let _ = round_function(cs, &mut state, &block.map(|x| x.get_variable()), true);
    state.map(Num::from_variable)
}

/// Closes a stream of `count` 64-byte blocks with its padding block.
fn finish<CS: ConstraintSystem<F>>(cs: &mut CS, state: [Num<F>; 8], count: Num<F>) -> [Num<F>; 8] {
    // count < 2^32 and 512·count < 2^32 over the field, so count < 2^23 and the length is exact.
    range_check_word(cs, count);
    let bit_length = logic::sum(cs, &[(count, F::from_u64_unchecked(512))]);
    range_check_word(cs, bit_length);
    let zero = constant(cs, 0);
    let mut block = [zero; 16];
    block[0] = constant(cs, 1 << 31);
    block[15] = bit_length;
    compress(cs, state, &block)
}

/// A digest as eight canonical words.
fn digest_words<CS: ConstraintSystem<F>>(cs: &mut CS, digest: &DigestVar) -> Vec<Num<F>> {
    let mut out = Vec::with_capacity(8);
    for element in digest {
        for word in uint::split_words_unchecked(cs, *element) {
            range_check_word(cs, word);
            out.push(word);
        }
    }
    out
}

/// A 32-bit witness, range checked through the lookup tables.
fn allocate_word<CS: ConstraintSystem<F>>(cs: &mut CS, value: u32) -> Num<F> {
    let x = logic::allocate(cs, element(value));
    range_check_word(cs, x);
    x
}

/// Enforces x < 2^32 by eight nibbles, three to a lookup.
fn range_check_word<CS: ConstraintSystem<F>>(cs: &mut CS, x: Num<F>) {
    let nibbles: [Num<F>; 8] =
        uint::hint(cs, [x], |[value]| std::array::from_fn(|i| (value >> (4 * i)) & 0xf));
    let mut terms: Vec<_> =
        nibbles.iter().enumerate().map(|(i, n)| (*n, F::from_u64_unchecked(1 << (4 * i)))).collect();
    terms.push((x, F::MINUS_ONE));
    logic::enforce_zero_sum(cs, &terms);
    let zero = constant(cs, 0);
    // `add_tables` comes first. An id that no table has stops synthesis: the check is never skipped.
    let table = cs.get_table_id_for_marker::<TriXor4Table>().unwrap_or(u32::MAX);
    for lane in nibbles.chunks(3) {
        let keys = std::array::from_fn(|i| lane.get(i).unwrap_or(&zero).get_variable());
        let _: [_; 1] = cs.perform_lookup::<3, 1>(table, &keys);
    }
}
