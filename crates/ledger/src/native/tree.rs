//! The state: a Merkle tree of depth 32 whose leaves are accounts.
//!
//! [`Tree`] knows every account; [`PartialTree`] knows only the leaves that a batch touches, each proved against the old
//! root when it is built. Both store only nodes that differ from those of an empty tree, or that are known.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use boojum::field::Field;
use ingot_circuit_set::field::{Digest, F};
use serde::{Deserialize, Serialize};

use super::{
    elements,
    hash::{digest_hex, element, hash, merkle_node, split, STATE_LEAF},
};

/// Levels between a leaf and the root.
pub const DEPTH: usize = 32;

/// The nodes beside a leaf's path, bottom up.
pub type Siblings = [Digest; DEPTH];

/// An account. The default is a free slot.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaf {
    /// The account's current one-time key; zero exactly if the slot is free.
    #[serde(with = "elements")]
    pub key: Digest,
    /// What it holds.
    pub balance: u64,
    /// Number of debits so far.
    pub nonce: u32,
}

impl Leaf {
    /// A free slot.
    pub const FREE: Self = Self { key: [element(0); 4], balance: 0, nonce: 0 };

    /// Whether an account exists here.
    pub fn exists(&self) -> bool {
        self.key != [F::ZERO; 4]
    }

    /// H1(key, balance high, balance low, nonce, 0).
    pub fn hash(&self) -> Digest {
        let [k0, k1, k2, k3] = self.key;
        let [high, low] = split(self.balance).map(element);
        hash(STATE_LEAF, &[k0, k1, k2, k3, high, low, element(self.nonce), F::ZERO])
    }
}

impl Default for Leaf {
    fn default() -> Self {
        Self::FREE
    }
}

impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Leaf {{ key: {}, balance: {}, nonce: {} }}",
            digest_hex(&self.key),
            self.balance,
            self.nonce
        )
    }
}

/// The parent of two nodes; `level` is 0 for the parent of leaves.
pub fn parent(level: u32, left: &Digest, right: &Digest) -> Digest {
    let mut input = [F::ZERO; 8];
    input[..4].copy_from_slice(left);
    input[4..].copy_from_slice(right);
    hash(merkle_node(level), &input)
}

/// The nodes on the path from a leaf (first) to the root (last).
pub fn path_nodes(index: u32, leaf: Digest, siblings: &Siblings) -> [Digest; DEPTH + 1] {
    let mut nodes = [leaf; DEPTH + 1];
    for (level, sibling) in siblings.iter().enumerate() {
        let node = &nodes[level];
        nodes[level + 1] = match index >> level & 1 {
            0 => parent(level as u32, node, sibling),
            _ => parent(level as u32, sibling, node),
        };
    }
    nodes
}

/// The root that a leaf's path leads to.
pub fn path_root(index: u32, leaf: &Leaf, siblings: &Siblings) -> Digest {
    path_nodes(index, leaf.hash(), siblings)[DEPTH]
}

/// What the executor needs of a state.
pub trait State {
    /// Its root.
    fn root(&self) -> Digest;
    /// The leaf at `index`, if it is known.
    fn leaf(&self, index: u32) -> Option<Leaf>;
    /// The nodes beside the path of `index`, if they are known.
    fn siblings(&self, index: u32) -> Option<Siblings>;
    /// Replaces the leaf at `index`; false (and nothing done) if its path is not known.
    fn set(&mut self, index: u32, leaf: Leaf) -> bool;
}

/// Nodes by height (0 = leaves) and position at that height.
#[derive(Clone, Debug, Default)]
struct Nodes(HashMap<(u8, u32), Digest>);

impl Nodes {
    fn get(&self, height: usize, position: u64) -> Option<Digest> {
        self.0.get(&(height as u8, position as u32)).copied()
    }

    fn set_path(&mut self, index: u32, nodes: &[Digest; DEPTH + 1]) {
        for (height, node) in nodes.iter().enumerate() {
            self.0.insert((height as u8, position(index, height) as u32), *node);
        }
    }
}

fn position(index: u32, height: usize) -> u64 {
    u64::from(index) >> height
}

/// The whole state.
#[derive(Clone, Debug)]
pub struct Tree {
    nodes: Nodes,
    leaves: BTreeMap<u32, Leaf>,
    /// Node of an empty subtree, by height.
    empty: [Digest; DEPTH + 1],
}

impl Tree {
    /// A state without accounts.
    pub fn new() -> Self {
        let mut empty = [Leaf::FREE.hash(); DEPTH + 1];
        for level in 0..DEPTH {
            empty[level + 1] = parent(level as u32, &empty[level], &empty[level]);
        }
        Self { nodes: Nodes::default(), leaves: BTreeMap::new(), empty }
    }

    /// All accounts, by index.
    pub fn accounts(&self) -> &BTreeMap<u32, Leaf> {
        &self.leaves
    }

    /// The leaf at `index`; a free slot if there is no account.
    pub fn get(&self, index: u32) -> Leaf {
        self.leaves.get(&index).copied().unwrap_or_default()
    }

    /// The nodes beside the path of `index`.
    pub fn path(&self, index: u32) -> Siblings {
        std::array::from_fn(|height| self.node(height, position(index, height) ^ 1))
    }

    /// Replaces the leaf at `index`.
    pub fn update(&mut self, index: u32, leaf: Leaf) {
        let nodes = path_nodes(index, leaf.hash(), &self.path(index));
        self.nodes.set_path(index, &nodes);
        if leaf == Leaf::FREE {
            self.leaves.remove(&index);
        } else {
            self.leaves.insert(index, leaf);
        }
    }

    fn node(&self, height: usize, position: u64) -> Digest {
        self.nodes.get(height, position).unwrap_or(self.empty[height])
    }
}

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}

impl FromIterator<(u32, Leaf)> for Tree {
    fn from_iter<I: IntoIterator<Item = (u32, Leaf)>>(leaves: I) -> Self {
        let mut tree = Self::new();
        for (index, leaf) in leaves {
            tree.update(index, leaf);
        }
        tree
    }
}

impl State for Tree {
    fn root(&self) -> Digest {
        self.node(DEPTH, 0)
    }
    fn leaf(&self, index: u32) -> Option<Leaf> {
        Some(self.get(index))
    }
    fn siblings(&self, index: u32) -> Option<Siblings> {
        Some(self.path(index))
    }
    fn set(&mut self, index: u32, leaf: Leaf) -> bool {
        self.update(index, leaf);
        true
    }
}

/// A leaf of the old state with its path: what a batch brings for each index it touches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TouchedLeaf {
    /// Its index.
    pub index: u32,
    /// The leaf before the batch.
    pub leaf: Leaf,
    /// The nodes beside its path before the batch.
    #[serde(with = "elements")]
    pub siblings: Siblings,
}

/// A touched leaf that does not belong to the old state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// The path leads to another root.
    #[error("account {index}: its path leads to the wrong root: expected {}, found {}", digest_hex(.expected), digest_hex(.found))]
    WrongRoot {
        /// Which leaf.
        index: u32,
        /// The batch's old root.
        expected: Digest,
        /// Where the path leads.
        found: Digest,
    },
    /// The same index twice.
    #[error("account {index} is listed twice: expected each touched account once")]
    Duplicate {
        /// Which leaf.
        index: u32,
    },
}

/// The part of a state that a batch touches.
#[derive(Clone, Debug)]
pub struct PartialTree {
    root: Digest,
    nodes: Nodes,
    leaves: BTreeMap<u32, Leaf>,
}

impl PartialTree {
    /// Checks each entry's path against `root` and keeps what it teaches.
    ///
    /// # Errors
    /// [`TreeError`], naming the first entry that is wrong.
    pub fn new<'a>(
        root: Digest,
        entries: impl IntoIterator<Item = &'a TouchedLeaf>,
    ) -> Result<Self, TreeError> {
        let mut tree = Self { root, nodes: Nodes::default(), leaves: BTreeMap::new() };
        for TouchedLeaf { index, leaf, siblings } in entries {
            let index = *index;
            let nodes = path_nodes(index, leaf.hash(), siblings);
            if nodes[DEPTH] != root {
                return Err(TreeError::WrongRoot { index, expected: root, found: nodes[DEPTH] });
            }
            if tree.leaves.insert(index, *leaf).is_some() {
                return Err(TreeError::Duplicate { index });
            }
            // Every path that reaches the root is consistent with every other: the hash is collision resistant.
            tree.nodes.set_path(index, &nodes);
            for (height, sibling) in siblings.iter().enumerate() {
                tree.nodes.0.insert((height as u8, (position(index, height) ^ 1) as u32), *sibling);
            }
        }
        Ok(tree)
    }

    /// The leaves it knows, by index.
    pub fn leaves(&self) -> &BTreeMap<u32, Leaf> {
        &self.leaves
    }
}

impl State for PartialTree {
    fn root(&self) -> Digest {
        self.root
    }
    fn leaf(&self, index: u32) -> Option<Leaf> {
        self.leaves.get(&index).copied()
    }
    fn siblings(&self, index: u32) -> Option<Siblings> {
        self.leaves.get(&index)?;
        let mut out = [[F::ZERO; 4]; DEPTH];
        for (height, sibling) in out.iter_mut().enumerate() {
            *sibling = self.nodes.get(height, position(index, height) ^ 1)?;
        }
        Some(out)
    }
    fn set(&mut self, index: u32, leaf: Leaf) -> bool {
        let Some(siblings) = self.siblings(index) else { return false };
        let nodes = path_nodes(index, leaf.hash(), &siblings);
        self.nodes.set_path(index, &nodes);
        self.leaves.insert(index, leaf);
        self.root = nodes[DEPTH];
        true
    }
}
