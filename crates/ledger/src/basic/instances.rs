//! Round 0: cuts an executed batch into instances of the three basic circuits, one at a time, and follows their state
//! machines natively, so that every public input is known before anything is synthesized.

use ingot_circuit_set::{
    field::{Digest, F},
    SetError,
};
use serde::{Deserialize, Serialize};

use super::{
    closed_form::{CompactForm, Parts},
    executor::{ExecutorInput, ExecutorState, TransactionExecutor, EXECUTOR_CYCLES},
    hasher::{HasherInput, HasherState, PubdataHasher, HASHER_CYCLES},
    signature::{self, SignatureVerifier, SIGNATURE_CYCLES},
};
use crate::{
    native::{
        hash::{bytes_to_words, element, join},
        record::{is_deposit, KIND_TRANSFER, KIND_WITHDRAW, WORD_FEE},
        trace::{Cycle, SignedMessage, Trace},
        tree::path_root,
    },
    queue::Queue,
};

/// Most instances of each circuit a batch may have: what the scheduler has room for.
pub const MAX_INSTANCES: [usize; 3] = [32, 32, 64];

/// One instance of a basic circuit, in the order of circuit ids 1, 2, 3.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Instance {
    /// Circuit 1.
    Executor(TransactionExecutor),
    /// Circuit 2.
    Signature(SignatureVerifier),
    /// Circuit 3.
    Hasher(PubdataHasher),
}

/// What rounds 1 to 4 need of a batch: how the instances chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chaining {
    /// What the executor was asked.
    pub input: ExecutorInput,
    /// What it answered.
    pub output: ExecutorState,
    /// What the hasher was asked: the executor's answer and the VK set.
    pub hasher_input: HasherInput,
    /// SHA-256 of the batch header, as big-endian words.
    pub pi: [u32; 8],
    /// Compact forms of the instances of circuits 1, 2, 3, in order.
    pub forms: [Vec<CompactForm>; 3],
}

/// Cuts `trace` into instances and hands each to `sink` with its place (circuit id − 1, sequence).
///
/// `trace` need not be honest: nothing is checked here, the circuits do that.
///
/// # Errors
/// [`SetError::InvalidBatch`] if the batch needs more instances than the scheduler has room for; what `sink` says.
pub fn cut(
    trace: &Trace,
    vk_set: &Digest,
    sink: &mut dyn FnMut(usize, u32, Instance) -> Result<(), SetError>,
) -> Result<Chaining, SetError> {
    let mut forms: [Vec<CompactForm>; 3] = Default::default();
    let input =
        ExecutorInput { domain: bytes_to_words(&trace.domain), batch: trace.batch, old_root: trace.old_root };
    let output = cut_executor(input, &trace.cycles, &mut |form, instance| {
        emit(0, &mut forms[0], form, Instance::Executor(instance), sink)
    })?;
    let signatures: Vec<&SignedMessage> = trace.signatures().collect();
    cut_signatures(output.signatures, &signatures, &mut |form, instance| {
        emit(1, &mut forms[1], form, Instance::Signature(instance), sink)
    })?;
    let hasher_input = HasherInput {
        log: output.log,
        domain: input.domain,
        batch: input.batch,
        old_root: input.old_root,
        new_root: output.root,
        deposit_count: output.deposit_count,
        fees: output.fees,
        vk_set: *vk_set,
    };
    let pi = bytes_to_words(&trace.header(vk_set).pi());
    let records: Vec<&[u32; 16]> = trace.records().collect();
    cut_records(hasher_input, pi, &records, &mut |form, instance| {
        emit(2, &mut forms[2], form, Instance::Hasher(instance), sink)
    })?;
    Ok(Chaining { input, output, hasher_input, pi, forms })
}

fn emit(
    circuit: usize,
    forms: &mut Vec<CompactForm>,
    form: CompactForm,
    instance: Instance,
    sink: &mut dyn FnMut(usize, u32, Instance) -> Result<(), SetError>,
) -> Result<(), SetError> {
    let limit = MAX_INSTANCES[circuit];
    if forms.len() == limit {
        return Err(SetError::InvalidBatch(format!(
            "it needs more than {limit} instances of circuit {}: seal smaller batches",
            circuit + 1
        )));
    }
    sink(circuit, forms.len() as u32, instance)?;
    forms.push(form);
    Ok(())
}

/// Chunks that always contain a first one, even of nothing.
fn at_least_one<T>(items: &[T], size: usize) -> Vec<&[T]> {
    if items.is_empty() {
        vec![items]
    } else {
        items.chunks(size).collect()
    }
}

/// Applies one cycle to the executor's state.
fn advance(state: &mut ExecutorState, cycle: &Cycle) {
    if let Some(update) = cycle.slots.iter().flatten().last() {
        state.root = path_root(update.index, &update.new, &update.siblings);
    }
    if let Some(signed) = &cycle.signed {
        state.signatures.push(&signature::encode(signed));
    }
    for record in std::iter::once(&cycle.record).chain(&cycle.payout) {
        state.log.push(&record.map(element));
    }
    let kind = cycle.record[0];
    if matches!(kind, KIND_TRANSFER | KIND_WITHDRAW) {
        let fee = join([cycle.record[WORD_FEE], cycle.record[WORD_FEE + 1]]);
        state.fees = state.fees.wrapping_add(fee);
    }
    state.deposit_count += u32::from(is_deposit(kind));
}

fn cut_executor(
    input: ExecutorInput,
    cycles: &[Cycle],
    sink: &mut dyn FnMut(CompactForm, TransactionExecutor) -> Result<(), SetError>,
) -> Result<ExecutorState, SetError> {
    let mut state = ExecutorState::initial(&input);
    let chunks = at_least_one(cycles, EXECUTOR_CYCLES);
    let count = chunks.len();
    for (i, cycles) in chunks.into_iter().enumerate() {
        let fsm_input = state;
        cycles.iter().for_each(|cycle| advance(&mut state, cycle));
        state.ended = cycles.len() < EXECUTOR_CYCLES;
        let (start, completion) = (i == 0, i + 1 == count);
        let form = Parts {
            start,
            completion,
            observable_input: input.flatten(),
            observable_output: state.flatten_output(),
            fsm_input: fsm_input.flatten_fsm(),
            fsm_output: state.flatten_fsm(),
        }
        .compact();
        sink(form, TransactionExecutor { start, completion, input, fsm_input, cycles: cycles.to_vec() })?;
    }
    Ok(state)
}

fn cut_signatures(
    queue: Queue,
    signatures: &[&SignedMessage],
    sink: &mut dyn FnMut(CompactForm, SignatureVerifier) -> Result<(), SetError>,
) -> Result<(), SetError> {
    let mut state = queue;
    let count = signatures.len().div_ceil(SIGNATURE_CYCLES);
    for (i, chunk) in signatures.chunks(SIGNATURE_CYCLES).enumerate() {
        let fsm_input = state;
        chunk.iter().for_each(|signed| state.pop(&signature::encode(signed)));
        let (start, completion) = (i == 0, i + 1 == count);
        let form = Parts {
            start,
            completion,
            observable_input: signature::flatten_input(&queue),
            observable_output: Vec::new(),
            fsm_input: signature::flatten_fsm(&fsm_input),
            fsm_output: signature::flatten_fsm(&state),
        }
        .compact();
        let signatures = chunk.iter().map(|s| (*s).clone()).collect();
        sink(form, SignatureVerifier { start, completion, input: queue, fsm_input, signatures })?;
    }
    Ok(())
}

fn cut_records(
    input: HasherInput,
    pi: [u32; 8],
    records: &[&[u32; 16]],
    sink: &mut dyn FnMut(CompactForm, PubdataHasher) -> Result<(), SetError>,
) -> Result<(), SetError> {
    let mut state = HasherState::initial(&input);
    let chunks = at_least_one(records, HASHER_CYCLES);
    let count = chunks.len();
    for (i, chunk) in chunks.into_iter().enumerate() {
        let fsm_input = state;
        for record in chunk {
            state.log.pop(&record.map(element));
            let (stream, counter) = if is_deposit(record[0]) {
                (&mut state.deposits, &mut state.deposit_count)
            } else {
                (&mut state.pubdata, &mut state.pubdata_count)
            };
            sha256_block(stream, record);
            *counter += 1;
        }
        let (start, completion) = (i == 0, i + 1 == count);
        let form = Parts::<F, bool> {
            start,
            completion,
            observable_input: input.flatten(),
            observable_output: pi.map(element).to_vec(),
            fsm_input: fsm_input.flatten(),
            fsm_output: state.flatten(),
        }
        .compact();
        let records = chunk.iter().map(|r| **r).collect();
        sink(form, PubdataHasher { start, completion, input, fsm_input, records })?;
    }
    Ok(())
}

/// One SHA-256 compression over a record's 64 bytes.
fn sha256_block(state: &mut [u32; 8], record: &[u32; 16]) {
    let mut block = sha2::digest::generic_array::GenericArray::default();
    for (bytes, word) in block.chunks_exact_mut(4).zip(record) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    sha2::compress256(state, &[block]);
}
