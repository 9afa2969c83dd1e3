//! What the recursion circuits are asked: their inputs, and how these become public inputs.

use boojum::field::Field;
use ingot_circuit_set::field::{Digest, Vk, F};
use serde::{Deserialize, Serialize};

use super::BRANCHES;
use crate::{
    native::hash::{element, hash, RECURSION_INPUT, VERIFICATION_KEY},
    queue::Queue,
};

/// H8 over a setup cap: the commitment to a verification key. It does not cover the key's geometry.
pub fn vk_commitment(cap: &[Digest]) -> Digest {
    hash(VERIFICATION_KEY, cap.as_flattened())
}

/// What a branch verifies: natively (`T` = [`F`]) or in-circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeafParameters<T = F> {
    /// The basic circuit's type.
    pub circuit_type: T,
    /// Commitment to the basic circuit's key.
    pub basic_vk_commitment: [T; 4],
    /// Commitment to the key of the leaf over it.
    pub leaf_vk_commitment: [T; 4],
}

impl<T: Copy> LeafParameters<T> {
    /// Number of elements.
    pub const LEN: usize = 9;

    /// The elements, in the order in which they are hashed: type, basic key, leaf key.
    pub fn elements(&self) -> Vec<T> {
        [self.circuit_type]
            .into_iter()
            .chain(self.basic_vk_commitment)
            .chain(self.leaf_vk_commitment)
            .collect()
    }

    /// The same shape over other elements.
    pub fn map<U>(&self, mut f: impl FnMut(T) -> U) -> LeafParameters<U> {
        LeafParameters {
            circuit_type: f(self.circuit_type),
            basic_vk_commitment: self.basic_vk_commitment.map(&mut f),
            leaf_vk_commitment: self.leaf_vk_commitment.map(&mut f),
        }
    }
}

impl LeafParameters {
    /// No parameters: stands for them where values do not matter.
    pub const ZERO: Self =
        Self { circuit_type: F::ZERO, basic_vk_commitment: [F::ZERO; 4], leaf_vk_commitment: [F::ZERO; 4] };

    /// Parameters of the branch over basic circuit `circuit_type`, from the two keys.
    pub fn new(circuit_type: u32, basic: &Vk, leaf: &Vk) -> Self {
        Self {
            circuit_type: element(circuit_type),
            basic_vk_commitment: vk_commitment(&basic.setup_merkle_tree_cap),
            leaf_vk_commitment: vk_commitment(&leaf.setup_merkle_tree_cap),
        }
    }
}

/// Everything below the tip that a batch's proof depends on: natively (`T` = [`F`]) or in-circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecursionKeys<T = F> {
    /// By branch, 1 to 3.
    pub leaf_parameters: [LeafParameters<T>; BRANCHES],
    /// Commitment to the node's key.
    pub node_vk_commitment: [T; 4],
}

impl<T: Copy> RecursionKeys<T> {
    /// The elements, in the order in which they are hashed: leaf parameters by branch, node key.
    pub fn elements(&self) -> Vec<T> {
        self.leaf_parameters
            .iter()
            .flat_map(LeafParameters::elements)
            .chain(self.node_vk_commitment)
            .collect()
    }

    /// The same shape over other elements.
    pub fn map<U>(&self, mut f: impl FnMut(T) -> U) -> RecursionKeys<U> {
        RecursionKeys {
            leaf_parameters: self.leaf_parameters.each_ref().map(|p| p.map(&mut f)),
            node_vk_commitment: self.node_vk_commitment.map(&mut f),
        }
    }
}

impl RecursionKeys {
    /// No keys: stands for them where values do not matter.
    pub const ZERO: Self =
        Self { leaf_parameters: [LeafParameters::ZERO; BRANCHES], node_vk_commitment: [F::ZERO; 4] };

    /// `vk_set`, the header's commitment to every key: H8(tip key, node key, leaf parameters by branch).
    pub fn vk_set(&self, tip_vk_commitment: &Digest) -> Digest {
        let parameters = self.leaf_parameters.iter().flat_map(LeafParameters::elements);
        let elements: Vec<F> =
            tip_vk_commitment.iter().copied().chain(self.node_vk_commitment).chain(parameters).collect();
        hash(VERIFICATION_KEY, &elements)
    }
}

/// The elements that stand for a queue segment: head, tail, length.
pub fn segment_elements(segment: &Queue) -> Vec<F> {
    segment.head.iter().chain(&segment.tail).copied().chain([element(segment.length)]).collect()
}

/// The elements of a leaf's input; `segment` as [`segment_elements`].
pub fn leaf_input_elements<T: Copy>(parameters: &LeafParameters<T>, segment: &[T]) -> Vec<T> {
    parameters.elements().into_iter().chain(segment.iter().copied()).collect()
}

/// The elements of a node's input; `segment` as [`segment_elements`].
pub fn node_input_elements<T: Copy>(branch: T, keys: &RecursionKeys<T>, segment: &[T]) -> Vec<T> {
    [branch].into_iter().chain(keys.elements()).chain(segment.iter().copied()).collect()
}

/// The elements of the tip's input; `queues` by branch, each as [`segment_elements`].
pub fn tip_input_elements<T: Copy>(keys: &RecursionKeys<T>, queues: &[Vec<T>]) -> Vec<T> {
    keys.elements().into_iter().chain(queues.iter().flatten().copied()).collect()
}

/// A leaf's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeafInput {
    /// What the branch verifies.
    pub parameters: LeafParameters,
    /// The requests answered: 0 to 2.
    pub segment: Queue,
}

impl LeafInput {
    /// The leaf's public input, H9 over parameters and segment.
    pub fn public_input(&self) -> Digest {
        hash(RECURSION_INPUT, &leaf_input_elements(&self.parameters, &segment_elements(&self.segment)))
    }
}

/// A node's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInput {
    /// The branch, 1 to 3.
    pub branch: u32,
    /// Every key below the tip.
    pub keys: RecursionKeys,
    /// The requests answered.
    pub segment: Queue,
}

impl NodeInput {
    /// The node's public input, H9 over branch, keys and segment.
    pub fn public_input(&self) -> Digest {
        let segment = segment_elements(&self.segment);
        hash(RECURSION_INPUT, &node_input_elements(element(self.branch), &self.keys, &segment))
    }
}

/// The tip's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TipInput {
    /// Every key below the tip.
    pub keys: RecursionKeys,
    /// The whole queues, by branch.
    pub queues: [Queue; BRANCHES],
}

impl TipInput {
    /// The tip's public input, H9 over keys and queues.
    pub fn public_input(&self) -> Digest {
        hash(RECURSION_INPUT, &tip_input_elements(&self.keys, &self.queues.each_ref().map(segment_elements)))
    }
}
