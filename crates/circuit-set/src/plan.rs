//! Which proofs a batch needs, and what each one verifies: a pure function of the number of basic circuits.

use std::collections::BTreeMap;

use ingot_types::{AggregationRound, CircuitId};
use serde::{Deserialize, Serialize};

/// How many proofs one aggregation circuit verifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arity {
    /// Basic proofs in a leaf.
    pub leaf: usize,
    /// Leaves or nodes in a node.
    pub node: usize,
}

/// The place of a proof within a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProofSlot {
    /// Aggregation round.
    pub round: AggregationRound,
    /// Circuit id; in rounds 1 and 2 the branch (see [`ingot_types::JobKey`]).
    pub circuit_id: CircuitId,
    /// Node level, 0 elsewhere.
    pub depth: u16,
    /// Position within the three above.
    pub sequence: u32,
}

/// An aggregation proof and the proofs it verifies, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedProof {
    /// The proof to make.
    pub slot: ProofSlot,
    /// The proofs that must exist first.
    pub children: Vec<ProofSlot>,
}

/// Everything rounds 1 to 4 of one batch prove, children before parents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AggregationPlan {
    /// The proofs, in an order in which they can be made.
    pub proofs: Vec<PlannedProof>,
}

impl AggregationPlan {
    /// Plans a batch with `basic` circuits of each id. `branch` maps a basic circuit id to its branch; `tip` and
    /// `scheduler` are the ids of those circuits.
    ///
    /// Every branch passes one leaf round and at least one node round, however small it is. A node that would be alone
    /// under its parent is not proved again: it moves up as it is.
    pub fn new(
        basic: &BTreeMap<CircuitId, u32>,
        arity: Arity,
        branch: impl Fn(CircuitId) -> CircuitId,
        tip: CircuitId,
        scheduler: CircuitId,
    ) -> Self {
        let mut proofs = Vec::new();
        let mut roots = Vec::new();
        for (&basic_id, &count) in basic.iter().filter(|(_, count)| **count > 0) {
            let branch = branch(basic_id);
            let mut level: Vec<ProofSlot> = (0..count)
                .map(|sequence| ProofSlot {
                    round: AggregationRound::Basic,
                    circuit_id: basic_id,
                    depth: 0,
                    sequence,
                })
                .collect();
            level = merge(&mut proofs, &level, arity.leaf, AggregationRound::Leaf, branch, 0);
            level = merge(&mut proofs, &level, arity.node, AggregationRound::Node, branch, 0);
            let mut depth = 0;
            while level.len() > 1 {
                depth += 1;
                let alone = (level.len() % arity.node.max(2) == 1).then(|| level.pop()).flatten();
                level = merge(&mut proofs, &level, arity.node.max(2), AggregationRound::Node, branch, depth);
                level.extend(alone);
            }
            roots.extend(level);
        }
        let tip = merge(&mut proofs, &roots, roots.len().max(1), AggregationRound::RecursionTip, tip, 0);
        merge(&mut proofs, &tip, 1, AggregationRound::Scheduler, scheduler, 0);
        Self { proofs }
    }
}

fn merge(
    proofs: &mut Vec<PlannedProof>,
    level: &[ProofSlot],
    arity: usize,
    round: AggregationRound,
    circuit_id: CircuitId,
    depth: u16,
) -> Vec<ProofSlot> {
    level
        .chunks(arity.max(1))
        .zip(0..)
        .map(|(children, sequence)| {
            let slot = ProofSlot { round, circuit_id, depth, sequence };
            proofs.push(PlannedProof { slot, children: children.to_vec() });
            slot
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(counts: &[u32], arity: usize) -> AggregationPlan {
        let basic = counts.iter().enumerate().map(|(i, c)| (CircuitId(i as u8 + 1), *c)).collect();
        AggregationPlan::new(&basic, Arity { leaf: arity, node: arity }, |id| id, CircuitId(1), CircuitId(1))
    }

    fn count(plan: &AggregationPlan, round: AggregationRound) -> usize {
        plan.proofs.iter().filter(|p| p.slot.round == round).count()
    }

    #[test]
    fn single_instances_still_pass_leaf_and_node() {
        let plan = plan(&[1, 0, 1], 2);
        assert_eq!(count(&plan, AggregationRound::Leaf), 2);
        assert_eq!(count(&plan, AggregationRound::Node), 2);
        assert_eq!(count(&plan, AggregationRound::RecursionTip), 1);
        assert_eq!(count(&plan, AggregationRound::Scheduler), 1);
    }

    #[test]
    fn children_come_before_parents_and_each_is_used_once() {
        for counts in [[1, 1, 1], [5, 4, 9], [64, 1, 33]] {
            for arity in [2, 3, 32] {
                let plan = plan(&counts, arity);
                let mut made = std::collections::BTreeSet::new();
                let mut used = std::collections::BTreeSet::new();
                for proof in &plan.proofs {
                    for child in &proof.children {
                        assert!(child.round == AggregationRound::Basic || made.contains(child));
                        assert!(used.insert(*child), "{child:?} used twice");
                    }
                    assert!(made.insert(proof.slot));
                }
                let basic = used.iter().filter(|s| s.round == AggregationRound::Basic).count();
                assert_eq!(basic as u32, counts.iter().sum::<u32>());
                assert_eq!(made.len(), used.len() - basic + 1, "all but the scheduler proof are used");
            }
        }
    }

    #[test]
    fn node_levels_grow_with_depth() {
        let plan = plan(&[9], 2);
        let depths: Vec<_> = plan
            .proofs
            .iter()
            .filter(|p| p.slot.round == AggregationRound::Node)
            .map(|p| p.slot.depth)
            .collect();
        assert_eq!(depths, [0, 0, 0, 1, 2], "the third node is not proved again at depth 1");
    }
}
