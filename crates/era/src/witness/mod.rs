//! Round 0: runs the batch and cuts it into base circuits, one in memory at a time.

mod fault;
mod header;
mod storage;
mod tree;

use std::{
    any::Any,
    collections::BTreeMap,
    io::Write as _,
    panic::{catch_unwind, AssertUnwindSafe},
    sync::mpsc::{sync_channel, Receiver},
    thread,
};

use circuit_definitions::zkevm_circuits::scheduler::block_header::MAX_4844_BLOBS_PER_BLOCK;
use ingot_circuit_set::{
    field::{Digest, F},
    CircuitSink, SetError,
};
use ingot_era_circuits::{EraCircuit, BASE_IDS};
use ingot_types::RetryClass;
use zkevm_test_harness::{
    ethereum_types::Address, witness::oracle::WitnessGenerationArtifact,
    zk_evm::zkevm_opcode_defs::system_params::BOOTLOADER_FORMAL_ADDRESS,
};

use self::{fault::Fault, storage::BatchStorage, tree::BatchTree};
use crate::{
    inputs::{PathStep, WitnessInputs, HEAP_BYTES},
    placeholder::GEOMETRY,
    recursion::{AggregationInputs, Queue, SchedulerWitness},
};

/// The virtual machine and the circuits' witnesses recurse deeply.
pub(crate) const STACK_BYTES: usize = 64 << 20;
/// Circuits that a scheduler can take.
const MAX_CIRCUITS: usize = circuit_definitions::circuit_definitions::recursion_layer::SCHEDULER_CAPACITY;

/// The trusted setup of KZG commitments to blobs, which the published code wants as a file.
const KZG_SETUP: &[u8] = include_bytes!("../../ported/zksync_kzg/src/trusted_setup.json");

/// Hands the base circuits of a batch to `sink`, and returns what rounds 1 to 4 need.
pub(crate) fn basic_circuits(
    witness_inputs: &[u8],
    sink: &mut dyn CircuitSink,
) -> Result<AggregationInputs, SetError> {
    let inputs = WitnessInputs::decode(witness_inputs)?;
    let steps = inputs.checked_steps()?;
    let mut sequences: BTreeMap<u8, Vec<Digest>> = BTreeMap::new();
    let mut queues: BTreeMap<u8, Queue> = BTreeMap::new();
    let mut circuits = 0;
    let scheduler = run(inputs, steps, &mut |artifact| {
        match artifact {
            WitnessGenerationArtifact::BaseLayerCircuit(circuit) => {
                circuits += 1;
                if circuits > MAX_CIRCUITS {
                    return Err(SetError::InvalidBatch(format!("more than {MAX_CIRCUITS} circuits")));
                }
                let circuit = EraCircuit::from(circuit);
                let id = circuit.key().circuit_id;
                let inputs = sequences.entry(id.0).or_default();
                let expected = circuit.expected_public_input();
                let expected = expected.ok_or_else(|| {
                    SetError::Inconsistent(format!("base circuit {id} has no public input"))
                })?;
                sink.basic_circuit(id, inputs.len() as u32, &circuit.to_bytes()?)?;
                inputs.push(expected);
            }
            WitnessGenerationArtifact::RecursionQueue((id, queue, _)) => {
                let id = u8::try_from(id)
                    .map_err(|_| SetError::Inconsistent(format!("there is no base circuit {id}")))?;
                queues.insert(id, queue);
            }
            WitnessGenerationArtifact::MemoryQueueWitness(_) => {}
        }
        Ok(())
    })?;
    // What is aggregated must be what was handed out, in that order: a proof too many or too few would show only hours later.
    for (id, queue) in &queues {
        let requested: Vec<Digest> =
            queue.witness.iter().map(|(_, _, request)| request.public_input).collect();
        let made = sequences.remove(id).unwrap_or_default();
        if made != requested {
            return Err(SetError::Inconsistent(format!(
                "{} circuits {id} were made, and {} others are to be aggregated",
                made.len(),
                requested.len()
            )));
        }
    }
    if let Some((id, made)) = sequences.pop_first() {
        return Err(SetError::Inconsistent(format!("{} circuits {id} are not to be aggregated", made.len())));
    }
    let queues = BASE_IDS.iter().map(|id| (*id, queues.remove(id).unwrap_or_default())).collect();
    Ok(AggregationInputs { queues, scheduler })
}

/// The public input that the batch's scheduler proof must have.
pub(crate) fn public_input(witness_inputs: &[u8]) -> Result<Vec<F>, SetError> {
    let inputs = WitnessInputs::decode(witness_inputs)?;
    let steps = inputs.checked_steps()?;
    Ok(header::public_input(&run(inputs, steps, &mut |_| Ok(()))?))
}

fn io(what: &str, error: &std::io::Error) -> SetError {
    SetError::Source { what: what.into(), reason: error.to_string(), retry: RetryClass::Resource }
}

/// The trusted setup for blobs as a file, which goes with the value.
pub(crate) fn kzg_setup_file() -> Result<tempfile::NamedTempFile, SetError> {
    let write = || {
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(KZG_SETUP)?;
        Ok(file)
    };
    write().map_err(|error| io("a temporary file", &error))
}

/// Runs the batch on a thread of its own, and hands over what comes out of it as it comes.
fn run(
    inputs: WitnessInputs,
    steps: Vec<PathStep>,
    take: &mut dyn FnMut(WitnessGenerationArtifact) -> Result<(), SetError>,
) -> Result<SchedulerWitness, SetError> {
    let fault = Fault::default();
    let kzg = kzg_setup_file()?;
    let kzg_path = kzg.path().to_string_lossy().into_owned();
    let (sender, receiver) = sync_channel(1);
    let noted = fault.clone();
    let machine = thread::Builder::new().name("vm".into()).stack_size(STACK_BYTES).spawn(move || {
        catch_unwind(AssertUnwindSafe(move || {
            let tree = BatchTree::new(&inputs, steps, noted.clone());
            let WitnessInputs { vm_run_data: vm, previous_batch_metadata: previous, eip_4844_blobs, .. } =
                inputs;
            let storage =
                BatchStorage::new(vm.witness_block_state, vm.storage_refunds, vm.pubdata_costs, noted);
            let blobs: [Option<Vec<u8>>; MAX_4844_BLOBS_PER_BLOCK] = eip_4844_blobs.blobs;
            let (mut scheduler, _) = zkevm_test_harness::external_calls::run(
                Address::zero(),
                *BOOTLOADER_FORMAL_ADDRESS,
                vm.bootloader_code,
                heap(&vm.initial_heap_content),
                false,
                vm.default_account_code_hash,
                // A chain without an emulator has its default account in that place.
                vm.evm_emulator_code_hash.unwrap_or(vm.default_account_code_hash),
                vm.used_bytecodes,
                Vec::new(),
                u32::MAX as usize,
                GEOMETRY,
                storage,
                tree,
                kzg_path,
                blobs,
                sender,
            );
            scheduler.previous_block_meta_hash = previous.meta_hash.0;
            scheduler.previous_block_aux_hash = previous.aux_hash.0;
            scheduler
        }))
    });
    let machine = machine.map_err(|e| io("a thread for the virtual machine", &e))?;
    // Once taking fails, the machine finds nobody at the other end and ends as well.
    let taken = take_all(receiver, take);
    let ran = machine.join().unwrap_or_else(Err);
    drop(kzg);
    taken?;
    ran.map_err(|panic| {
        let reason = fault.take().unwrap_or_else(|| message(&*panic));
        SetError::InvalidBatch(format!("the batch does not run: {reason}"))
    })
}

fn take_all(
    receiver: Receiver<WitnessGenerationArtifact>,
    take: &mut dyn FnMut(WitnessGenerationArtifact) -> Result<(), SetError>,
) -> Result<(), SetError> {
    for artifact in receiver {
        take(artifact)?;
    }
    Ok(())
}

/// The bootloader's heap. A batch without any content has none: no core makes one, but a small test batch is such.
fn heap(content: &[(u64, zkevm_test_harness::ethereum_types::U256)]) -> Vec<u8> {
    if content.is_empty() {
        return Vec::new();
    }
    let mut bytes = vec![0; HEAP_BYTES];
    for (word, value) in content {
        // Words were checked to lie within.
        if let Some(to) = bytes.get_mut(*word as usize * 32..*word as usize * 32 + 32) {
            value.to_big_endian(to);
        }
    }
    bytes
}

/// The text of a panic.
fn message(panic: &(dyn Any + Send)) -> String {
    ingot_types::panic_text(panic)
        .unwrap_or_else(|| "the virtual machine or a thread of its witness generation panicked".into())
}
