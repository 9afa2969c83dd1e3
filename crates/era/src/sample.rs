//! The sample batch: the test that the published harness carries (a contract in the bootloader's place, a default account,
//! 20 system contracts), run once on a state tree of its own, and written down as the witness inputs a core would hand over.
//!
//! It is no batch of a rollup: its bootloader is a test contract and its heap is empty. But it reaches 18 of the 20 base
//! circuits, and everything after the core treats it as any other.

use std::{
    collections::HashMap,
    sync::{mpsc::sync_channel, Arc, Mutex, PoisonError},
    thread,
};

use ingot_circuit_set::SetError;
use zkevm_test_harness::{
    blake2::Blake2s256,
    ethereum_types::{Address, H256, U256},
    helper::artifact_utils::{save_predeployed_contracts, TestArtifact},
    witness::tree::{
        BinarySparseStorageTree, EnumeratedBinaryLeaf as _, LeafQuery, ZKSyncTestingTree, ZkSyncStorageLeaf,
    },
    zk_evm::{
        abstractions::{Storage, StorageAccessRefund},
        aux_structures::{LogQuery, PubdataCost, Timestamp},
        bytecode_to_code_hash,
        testing::storage::InMemoryStorage,
        zkevm_opcode_defs::system_params::{BOOTLOADER_FORMAL_ADDRESS, STORAGE_AUX_BYTE},
    },
};

use crate::{
    catalog::PROTOCOL_VERSION,
    inputs::{
        Account, Blobs, Bytes32, MerklePaths, PreviousBatch, ProtocolVersionId, StorageKey, StorageLog,
        StorageState, VmRunData, WitnessInputs, BLOB_BYTES,
    },
    placeholder::GEOMETRY,
    witness::{kzg_setup_file, STACK_BYTES},
};

const ARTIFACT: &[u8] =
    include_bytes!("../ported/zkevm_test_harness/src/tests/complex_tests/test_artifacts/basic_test.json");
/// Cycles that the test needs, and some.
const MAX_CYCLES: usize = 40_000;
/// The batch's number.
pub const SAMPLE_BATCH: u32 = 1;
/// The chain that its file is named for: ZKsync's local test chain.
pub const SAMPLE_CHAIN: u64 = 270;

type Query = LeafQuery<256, 32, 32, 32, ZkSyncStorageLeaf>;

/// What was noted while the test ran.
#[derive(Default)]
struct Notes {
    slots: Vec<(StorageKey, H256)>,
    refunds: Vec<u32>,
    pubdata_costs: Vec<i32>,
    logs: Vec<StorageLog>,
}

type Shared = Arc<Mutex<Notes>>;

fn note<T>(notes: &Shared, what: impl FnOnce(&mut Notes) -> T) -> T {
    what(&mut notes.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Storage that notes first reads, refunds and costs.
#[derive(Debug)]
struct NotingStorage {
    slots: InMemoryStorage,
    notes: NotesHandle,
}

struct NotesHandle(Shared);

impl std::fmt::Debug for NotesHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("notes")
    }
}

impl Storage for NotingStorage {
    fn get_access_refund(&mut self, cycle: u32, query: &LogQuery) -> StorageAccessRefund {
        let refund = self.slots.get_access_refund(cycle, query);
        if query.aux_byte == STORAGE_AUX_BYTE {
            note(&self.notes.0, |notes| notes.refunds.push(refund.refund()));
            return refund;
        }
        // As the batch will be run again.
        StorageAccessRefund::Warm { ergs: 0 }
    }

    fn execute_partial_query(&mut self, cycle: u32, query: LogQuery) -> (LogQuery, PubdataCost) {
        let before = self.slots.inner[0].get(&query.address).and_then(|slots| slots.get(&query.key)).copied();
        let (query, cost) = self.slots.execute_partial_query(cycle, query);
        note(&self.notes.0, |notes| {
            notes.pubdata_costs.push(cost.0);
            if query.aux_byte == STORAGE_AUX_BYTE {
                let hash = |value: U256| {
                    let mut bytes = [0; 32];
                    value.to_big_endian(&mut bytes);
                    H256(bytes)
                };
                let slot = StorageKey { account: Account { address: query.address }, key: hash(query.key) };
                if notes.slots.iter().all(|(known, _)| *known != slot) {
                    notes.slots.push((slot, hash(before.unwrap_or_default())));
                }
            }
        });
        (query, cost)
    }

    fn start_frame(&mut self, timestamp: Timestamp) {
        self.slots.start_frame(timestamp);
    }

    fn finish_frame(&mut self, timestamp: Timestamp, panicked: bool) {
        self.slots.finish_frame(timestamp, panicked);
    }

    fn start_new_tx(&mut self, timestamp: Timestamp) {
        self.slots.start_new_tx(timestamp);
    }
}

/// A tree that notes its answers.
struct NotingTree {
    tree: ZKSyncTestingTree,
    notes: Shared,
}

impl NotingTree {
    fn log(&self, query: &Query, value_read: [u8; 32], write: Option<(bool, [u8; 32])>) {
        let (first_write, value_written) = write.unwrap_or((false, [0; 32]));
        let log = StorageLog {
            root_hash: Bytes32(self.tree.root()),
            is_write: write.is_some(),
            first_write,
            merkle_paths: query.merkle_path.iter().map(|hash| Bytes32(*hash)).collect(),
            leaf_hashed_key: U256::from_little_endian(&query.index),
            leaf_enumeration_index: query.leaf.current_index(),
            value_written,
            value_read,
        };
        note(&self.notes, |notes| notes.logs.push(log));
    }
}

impl BinarySparseStorageTree<256, 32, 32, 8, 32, Blake2s256, ZkSyncStorageLeaf> for NotingTree {
    fn empty() -> Self {
        Self { tree: BinarySparseStorageTree::empty(), notes: Shared::default() }
    }

    fn next_enumeration_index(&self) -> u64 {
        self.tree.next_enumeration_index()
    }

    fn set_next_enumeration_index(&mut self, value: u64) {
        self.tree.set_next_enumeration_index(value);
    }

    fn root(&self) -> [u8; 32] {
        self.tree.root()
    }

    fn get_leaf(&mut self, index: &[u8; 32]) -> Query {
        let query = self.tree.get_leaf(index);
        self.log(&query, *query.leaf.value(), None);
        query
    }

    fn insert_leaf(&mut self, index: &[u8; 32], leaf: ZkSyncStorageLeaf) -> Query {
        let written = *leaf.value();
        let query = self.tree.insert_leaf(index, leaf);
        // The read before a write is part of it.
        let read = note(&self.notes, |notes| notes.logs.pop()).map_or([0; 32], |log| log.value_read);
        self.log(&query, read, Some((query.first_write, written)));
        query
    }

    fn filter_renumerate<'a>(
        &self,
        indexes: impl Iterator<Item = &'a [u8; 32]>,
        leafs: impl Iterator<Item = ZkSyncStorageLeaf>,
    ) -> (u64, Vec<([u8; 32], ZkSyncStorageLeaf)>, Vec<ZkSyncStorageLeaf>) {
        self.tree.filter_renumerate(indexes, leafs)
    }

    fn verify_inclusion(root: &[u8; 32], query: &Query) -> bool {
        ZKSyncTestingTree::verify_inclusion(root, query)
    }
}

/// Runs the test and writes it down.
///
/// # Errors
/// [`SetError::Malformed`] if the harness carries another test than it did; [`SetError::Source`] without temporary files.
pub fn sample_batch() -> Result<WitnessInputs, SetError> {
    let bad =
        |reason: &dyn std::fmt::Debug| SetError::malformed("the harness's test batch", format!("{reason:?}"));
    let test: TestArtifact = serde_json::from_slice(ARTIFACT).map_err(|error| bad(&error))?;
    let entry_point: Address = *BOOTLOADER_FORMAL_ADDRESS;
    let mut contracts: HashMap<Address, Vec<[u8; 32]>> = test.predeployed_contracts;
    let code_hash = |code: &[[u8; 32]]| {
        bytecode_to_code_hash(code).map(|hash| U256::from_big_endian(&hash)).map_err(|error| bad(&error))
    };
    let default_account_code_hash = code_hash(&test.default_account_code)?;
    let evm_emulator_code_hash = code_hash(&test.evm_emulator_code)?;
    let mut used_bytecodes = HashMap::new();
    for code in contracts.values().chain([&test.default_account_code]) {
        used_bytecodes.insert(code_hash(code)?, code.clone());
    }
    contracts.insert(entry_point, test.entry_point_code.clone());
    let (mut slots, mut tree) = (InMemoryStorage::new(), ZKSyncTestingTree::empty());
    save_predeployed_contracts(&mut slots, &mut tree, &contracts);

    let notes = Shared::default();
    let previous_root = BinarySparseStorageTree::root(&tree);
    let next_enumeration_index = BinarySparseStorageTree::next_enumeration_index(&tree);
    let storage = NotingStorage { slots, notes: NotesHandle(notes.clone()) };
    let tree = NotingTree { tree, notes: notes.clone() };
    let blob = vec![0xff; BLOB_BYTES];
    let blobs: [Option<Vec<u8>>; 16] = std::array::from_fn(|i| (i == 0).then(|| blob.clone()));
    let (kzg, given) = (kzg_setup_file()?, blobs.clone());
    let kzg_path = kzg.path().to_string_lossy().into_owned();
    let (code, bytecodes) = (test.entry_point_code.clone(), used_bytecodes.clone());
    let (sender, receiver) = sync_channel(1);
    let machine = thread::Builder::new().name("sample".into()).stack_size(STACK_BYTES).spawn(move || {
        zkevm_test_harness::external_calls::run(
            Address::zero(),
            entry_point,
            code,
            Vec::new(),
            false,
            default_account_code_hash,
            evm_emulator_code_hash,
            bytecodes,
            Vec::new(),
            MAX_CYCLES,
            GEOMETRY,
            storage,
            tree,
            kzg_path,
            given,
            sender,
        );
    });
    receiver.into_iter().for_each(drop);
    match machine.map(thread::JoinHandle::join) {
        Ok(Ok(())) => {}
        _ => return Err(bad(&"it does not run")),
    }
    let notes = std::mem::take(&mut *notes.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(WitnessInputs {
        vm_run_data: VmRunData {
            l1_batch_number: SAMPLE_BATCH,
            used_bytecodes,
            initial_heap_content: Vec::new(),
            protocol_version: ProtocolVersionId(PROTOCOL_VERSION.minor),
            bootloader_code: test.entry_point_code,
            default_account_code_hash,
            evm_emulator_code_hash: Some(evm_emulator_code_hash),
            storage_refunds: notes.refunds,
            pubdata_costs: notes.pubdata_costs,
            witness_block_state: StorageState { read_storage_key: notes.slots, is_write_initial: Vec::new() },
        },
        merkle_paths: MerklePaths { merkle_paths: shorten(notes.logs), next_enumeration_index },
        previous_batch_metadata: PreviousBatch {
            root_hash: H256(previous_root),
            meta_hash: H256::zero(),
            aux_hash: H256::zero(),
        },
        eip_4844_blobs: Blobs { blobs },
    })
}

/// Leaves out what a log's path has in common with the first one's, from the leaf up: as a core does.
fn shorten(mut logs: Vec<StorageLog>) -> Vec<StorageLog> {
    if let [first, rest @ ..] = logs.as_mut_slice() {
        for log in rest {
            let common = log.merkle_paths.iter().zip(&first.merkle_paths).take_while(|(a, b)| a == b).count();
            log.merkle_paths.drain(..common);
        }
    }
    logs
}
