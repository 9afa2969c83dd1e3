//! From a batch's requests to the inputs of every leaf, node and tip.
//!
//! The proofs are numbered as [`ingot_circuit_set::AggregationPlan`] numbers them: leaf `s` answers requests `2s` and
//! `2s + 1`; node `s` at depth `d` covers leaves `s·2^(d+1)` and following, `2^(d+1)` of them at most. The circuit tells
//! leaves from nodes by the number of requests, which agrees with the plan because there no node has one child but at
//! depth 0.

use ingot_circuit_set::{
    field::{Digest, Proof},
    SetError,
};
use serde::{Deserialize, Serialize};

use super::{
    input::{LeafInput, NodeInput, RecursionKeys, TipInput},
    leaf::LeafWitness,
    node::NodeWitness,
    request::RequestQueue,
    tip::TipWitness,
    BRANCHES, LEAF_ARITY, REQUESTS_OVER_LEAVES,
};

/// Everything the recursion of one batch is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchRecursion {
    keys: RecursionKeys,
    queues: [RequestQueue; BRANCHES],
}

/// Requests `start..end` of a branch.
struct Range<'a> {
    queue: &'a RequestQueue,
    start: usize,
    end: usize,
}

impl Range<'_> {
    fn len(&self) -> usize {
        self.end - self.start
    }
}

impl BatchRecursion {
    /// For instances with these public inputs, by branch.
    pub fn new(keys: RecursionKeys, requests: [Vec<Digest>; BRANCHES]) -> Self {
        let mut circuit_type = 0;
        let queues = requests.map(|requests| {
            circuit_type += 1;
            RequestQueue::new(circuit_type, requests)
        });
        Self { keys, queues }
    }

    /// Every key below the tip.
    pub fn keys(&self) -> &RecursionKeys {
        &self.keys
    }

    /// The requests of each branch.
    pub fn queues(&self) -> &[RequestQueue; BRANCHES] {
        &self.queues
    }

    /// `width` requests from `sequence · width` on, of which there is at least one.
    fn range(&self, branch: u32, sequence: u32, width: Option<usize>) -> Result<Range<'_>, SetError> {
        let nothing = || {
            SetError::Inconsistent(format!(
                "branch {branch} has no requests for proof {sequence} of its round"
            ))
        };
        let index = (branch as usize).checked_sub(1).ok_or_else(nothing)?;
        let queue = self.queues.get(index).ok_or_else(nothing)?;
        // A width beyond usize covers everything.
        let width = width.unwrap_or(usize::MAX);
        let start = (sequence as usize).checked_mul(width).ok_or_else(nothing)?;
        if start >= queue.len() {
            return Err(nothing());
        }
        Ok(Range { queue, start, end: start.saturating_add(width).min(queue.len()) })
    }

    fn node_range(&self, branch: u32, depth: u16, sequence: u32) -> Result<Range<'_>, SetError> {
        self.range(branch, sequence, node_width(depth))
    }

    /// What leaf `sequence` of `branch` is made from; `proofs` answer its requests in order.
    ///
    /// # Errors
    /// [`SetError::Inconsistent`] if there is no such leaf.
    pub fn leaf(
        &self,
        branch: u32,
        sequence: u32,
        basic_vk_cap: Vec<Digest>,
        proofs: Vec<Proof>,
    ) -> Result<LeafWitness, SetError> {
        let Range { queue, start, end } = self.range(branch, sequence, Some(LEAF_ARITY))?;
        // `range` found the branch.
        let parameters = self.keys.leaf_parameters[branch as usize - 1];
        Ok(LeafWitness {
            input: LeafInput { parameters, segment: queue.segment(start, end) },
            basic_vk_cap,
            requests: queue.requests(start, end).to_vec(),
            proofs,
        })
    }

    /// Requests of a child of the node over `range`.
    fn child_width(&self, range: &Range<'_>, depth: u16) -> usize {
        if range.len() <= REQUESTS_OVER_LEAVES {
            LEAF_ARITY
        } else {
            node_width(depth.saturating_sub(1)).unwrap_or(usize::MAX)
        }
    }

    /// What node `sequence` at `depth` of `branch` is made from: the setup cap of its children's key (the branch's leaf
    /// at depth 0, else the node) and their proofs.
    ///
    /// # Errors
    /// [`SetError::Inconsistent`] if there is no such node.
    pub fn node(
        &self,
        branch: u32,
        depth: u16,
        sequence: u32,
        child_vk_cap: Vec<Digest>,
        proofs: Vec<Proof>,
    ) -> Result<NodeWitness, SetError> {
        let range = self.node_range(branch, depth, sequence)?;
        let cut = range.start.saturating_add(self.child_width(&range, depth)).min(range.end);
        let first = range.queue.segment(range.start, cut);
        Ok(NodeWitness {
            input: NodeInput {
                branch,
                keys: self.keys,
                segment: range.queue.segment(range.start, range.end),
            },
            first_length: first.length,
            middle: first.tail,
            child_vk_cap,
            proofs,
        })
    }

    /// The tip's input.
    pub fn tip_input(&self) -> TipInput {
        TipInput { keys: self.keys, queues: self.queues.each_ref().map(RequestQueue::whole) }
    }

    /// What the tip is made from: the last node proof of each branch that has requests, in order of branches.
    pub fn tip(&self, node_vk_cap: Vec<Digest>, proofs: Vec<Proof>) -> TipWitness {
        TipWitness { input: self.tip_input(), node_vk_cap, proofs }
    }
}

/// Requests that a node at `depth` covers at most; `None` if that is beyond `usize`.
fn node_width(depth: u16) -> Option<usize> {
    u32::from(depth).checked_add(2).and_then(|shift| 1usize.checked_shl(shift))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use boojum::field::U64Representable;
    use ingot_circuit_set::{field::F, AggregationPlan, Arity};
    use ingot_types::{AggregationRound, CircuitId};

    use super::*;
    use crate::recursion::NODE_ARITY;

    fn batch(count: u64) -> BatchRecursion {
        let requests = (0..count).map(|i| [F::from_u64_unchecked(i); 4]).collect();
        BatchRecursion::new(RecursionKeys::ZERO, [requests, vec![], vec![]])
    }

    #[test]
    fn a_nodes_segments_are_its_childrens_for_every_count() {
        for count in 1..=64 {
            let batch = batch(count);
            let arity = Arity { leaf: LEAF_ARITY, node: NODE_ARITY };
            let counts = BTreeMap::from([(CircuitId(1), count as u32)]);
            let plan = AggregationPlan::new(&counts, arity, |id| id, CircuitId(1), CircuitId(1));
            let mut proved = BTreeMap::new();
            for job in &plan.proofs {
                let slot = job.slot;
                match slot.round {
                    AggregationRound::Leaf => {
                        let leaf = batch.leaf(1, slot.sequence, vec![], vec![]).unwrap();
                        assert_eq!(leaf.requests.len(), job.children.len());
                        proved.insert(slot, leaf.input.segment);
                    }
                    AggregationRound::Node => {
                        let node = batch.node(1, slot.depth, slot.sequence, vec![], vec![]).unwrap();
                        let segments: Vec<_> = job.children.iter().map(|child| proved[child]).collect();
                        let whole = node.input.segment;
                        assert!((1..=NODE_ARITY).contains(&segments.len()));
                        assert_eq!(segments[0].head, whole.head);
                        assert_eq!((segments[0].length, segments[0].tail), (node.first_length, node.middle));
                        assert_eq!(segments[segments.len() - 1].tail, whole.tail);
                        assert_eq!(segments.iter().map(|s| s.length).sum::<u32>(), whole.length);
                        let over_leaves = job.children.iter().all(|c| c.round == AggregationRound::Leaf);
                        assert_eq!(over_leaves, whole.length as usize <= REQUESTS_OVER_LEAVES);
                        proved.insert(slot, whole);
                    }
                    AggregationRound::RecursionTip => {
                        assert_eq!(job.children.len(), 1);
                        assert_eq!(proved[&job.children[0]], batch.tip_input().queues[0]);
                    }
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn there_is_no_proof_beyond_the_requests() {
        let batch = batch(5);
        assert!(batch.leaf(1, 3, vec![], vec![]).is_err());
        let node = |depth, sequence| batch.node(1, depth, sequence, vec![], vec![]);
        assert!(node(0, 2).is_err());
        assert!(node(u16::MAX, 1).is_err());
        assert_eq!(node(u16::MAX, 0).unwrap().input.segment, batch.queues()[0].whole());
        assert!(batch.leaf(0, 0, vec![], vec![]).is_err());
        assert!(batch.leaf(2, 0, vec![], vec![]).is_err());
        assert!(batch.leaf(4, 0, vec![], vec![]).is_err());
    }
}
