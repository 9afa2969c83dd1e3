//! The state tree as witness inputs tell it: a list of answers, in the order in which they are asked for.

use std::vec::IntoIter;

use zkevm_test_harness::{
    blake2::Blake2s256,
    witness::tree::{
        BinarySparseStorageTree, EnumeratedBinaryLeaf as _, LeafQuery, ZKSyncTestingTree, ZkSyncStorageLeaf,
    },
};

use super::fault::Fault;
use crate::inputs::{PathStep, WitnessInputs};

type Query = LeafQuery<256, 32, 32, 32, ZkSyncStorageLeaf>;

/// Answers from witness inputs that were checked.
#[derive(Debug)]
pub(crate) struct BatchTree {
    root: [u8; 32],
    next_enumeration_index: u64,
    steps: IntoIter<PathStep>,
    /// A write was read, and is written next.
    pending: Option<PathStep>,
    fault: Fault,
}

impl BatchTree {
    pub fn new(inputs: &WitnessInputs, steps: Vec<PathStep>, fault: Fault) -> Self {
        Self {
            root: inputs.previous_batch_metadata.root_hash.0,
            next_enumeration_index: inputs.merkle_paths.next_enumeration_index,
            steps: steps.into_iter(),
            pending: None,
            fault,
        }
    }

    fn hex(key: &[u8; 32]) -> String {
        key.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl BinarySparseStorageTree<256, 32, 32, 8, 32, Blake2s256, ZkSyncStorageLeaf> for BatchTree {
    fn empty() -> Self {
        Fault::default().raise("an empty tree was asked for".into())
    }

    fn next_enumeration_index(&self) -> u64 {
        self.next_enumeration_index
    }

    fn set_next_enumeration_index(&mut self, _value: u64) {
        self.fault.raise("the tree's next index was to be set".into())
    }

    fn root(&self) -> [u8; 32] {
        self.root
    }

    fn get_leaf(&mut self, index: &[u8; 32]) -> Query {
        let Some(step) = self.steps.next() else {
            self.fault.raise(format!(
                "the batch accesses slot {}, and merkle_paths has no more logs",
                Self::hex(index)
            ))
        };
        if step.key != *index || self.pending.is_some() {
            self.fault.raise(format!(
                "the batch accesses slot {}, and the next of merkle_paths is slot {}{}",
                Self::hex(index),
                Self::hex(&step.key),
                if self.pending.is_some() { " after a write that did not happen" } else { "" }
            ));
        }
        let leaf = ZkSyncStorageLeaf {
            index: if step.is_write && step.first_write { 0 } else { step.enumeration_index },
            value: step.value_read,
        };
        let query =
            LeafQuery { leaf, first_write: step.first_write, index: *index, merkle_path: step.path.clone() };
        if step.is_write {
            self.pending = Some(step);
        }
        query
    }

    fn insert_leaf(&mut self, index: &[u8; 32], leaf: ZkSyncStorageLeaf) -> Query {
        let Some(step) = self.pending.take().filter(|step| step.key == *index) else {
            self.fault
                .raise(format!("the batch writes slot {}, which merkle_paths only reads", Self::hex(index)))
        };
        if step.value_written != *leaf.value() {
            self.fault.raise(format!(
                "the batch writes {} to slot {}, and merkle_paths has {}",
                Self::hex(leaf.value()),
                Self::hex(index),
                Self::hex(&step.value_written)
            ));
        }
        self.root = step.root;
        if step.first_write {
            self.next_enumeration_index = step.enumeration_index + 1;
        }
        LeafQuery {
            leaf: ZkSyncStorageLeaf { index: step.enumeration_index, value: step.value_written },
            first_write: step.first_write,
            index: *index,
            merkle_path: step.path,
        }
    }

    fn filter_renumerate<'a>(
        &self,
        _indexes: impl Iterator<Item = &'a [u8; 32]>,
        _leafs: impl Iterator<Item = ZkSyncStorageLeaf>,
    ) -> (u64, Vec<([u8; 32], ZkSyncStorageLeaf)>, Vec<ZkSyncStorageLeaf>) {
        self.fault.raise("leaves were to be numbered anew".into())
    }

    fn verify_inclusion(root: &[u8; 32], query: &Query) -> bool {
        <ZKSyncTestingTree as BinarySparseStorageTree<256, 32, 32, 8, 32, Blake2s256, ZkSyncStorageLeaf>>::verify_inclusion(
            root, query,
        )
    }
}
