//! Node, tip and scheduler refuse whatever is not proofs of their own children's segments under the keys of their own
//! input.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking
#![feature(allocator_api)]
#![feature(generic_const_exprs)]

mod recursion_support;

use std::{cell::RefCell, collections::HashMap};

use boojum::field::{Field, U64Representable};
use ingot_circuit_set::field::{Digest, Proof, F};
use ingot_ledger::{
    native::hash::{hash, RECURSION_INPUT},
    queue::{Queue, SpongeState},
    recursion::{
        input::node_input_elements, statement::QueueEnd, vk_commitment, BatchRecursion, LeafInput,
        LeafParameters, NodeCircuit, NodeInput, NodeWitness, RecursionKeys, RequestQueue, SchedulerCircuit,
        SchedulerConstants, SchedulerWitness, TipCircuit, TipInput, TipWitness,
    },
};
use recursion_support::{bump, claim::Claim, config, digest, f, Bench, Impostor, Keys, Prover};

fn at(segment: Queue, length: u32) -> Queue {
    Queue { length, ..segment }
}

/// The proofs that are held against the circuits.
struct Proofs {
    /// Leaves 0, 1, 2 of branch 1.
    leaves: Vec<Proof>,
    /// Leaf 0 of branch 3.
    third_leaf: Proof,
    /// Nodes 0 and 1 at depth 0 of branch 1.
    nodes: [Proof; 2],
    /// Node 0 at depth 1 of branch 1, over the two.
    root: Proof,
    /// Node 0 at depth 0 of branch 3.
    third: Proof,
}

fn over_leaves(keys: &Keys, batch: &BatchRecursion, sequence: u32, proofs: &[Proof]) -> NodeWitness {
    batch.node(1, 0, sequence, keys.leaf[0].cap(), proofs.to_vec()).unwrap()
}

#[test]
fn node_tip_and_scheduler() {
    let keys = Keys::new();
    let verified = keys.leaf[0].verified();
    let tip_key = Prover::new(&TipCircuit::for_setup(verified.clone()));
    let nothing = QueueEnd { tail: [F::ZERO; 12], length: F::ZERO };
    let mut claim = Claim {
        keys: keys.recursion_keys(),
        tip_vk: vk_commitment(&tip_key.cap()),
        counts: [5, 0, 1],
        ..Claim::sample()
    };
    claim.observables.signature_queue = nothing;
    let batch = claim.recursion(&claim.slots());
    let node = |w: &NodeWitness| NodeCircuit::new(verified.clone(), w.clone()).unwrap();

    let leaves: Vec<_> = (0..3).map(|i| keys.leaf_proof(&batch, 1, i)).collect();
    let first = over_leaves(&keys, &batch, 0, &leaves[..2]);
    let second = over_leaves(&keys, &batch, 1, &leaves[2..]);
    let nodes = [keys.node.prove(&node(&first)), keys.node.prove(&node(&second))];
    let top = batch.node(1, 1, 0, keys.node.cap(), nodes.to_vec()).unwrap();
    let root = keys.node.prove(&node(&top));
    let third_leaf = keys.leaf_proof(&batch, 3, 0);
    let third_witness = batch.node(3, 0, 0, keys.leaf[2].cap(), vec![third_leaf.clone()]).unwrap();
    let third = keys.node.prove(&node(&third_witness));
    let proofs = Proofs { leaves, third_leaf, nodes, root, third };

    let mut bench = Bench::new(&node(&first));
    for (name, witness) in
        [("leaves", &first), ("one leaf", &second), ("nodes", &top), ("branch 3", &third_witness)]
    {
        assert_eq!(bench.accepts(name, &node(witness)), witness.input.public_input(), "{name}");
    }
    let impostor = Impostors::new(&keys);
    impostor.over_leaves(&keys, &mut bench, &first);
    impostor.over_nodes(&keys, &mut bench, &top);
    nodes_over_leaves(&keys, &batch, &proofs, &mut bench, &first, &second);
    nodes_over_nodes(&keys, &batch, &proofs, &mut bench, &top);
    impostor.in_the_tip(&keys, &batch);
    let tip_proof = tip(&keys, &batch, &proofs, &tip_key);
    scheduler(&claim, &tip_key, &tip_proof, &proofs);
}

/// Proofs of whatever is asked, under a key that only the commitments tell from a leaf's or node's.
struct Impostors {
    prover: Prover,
    commitment: Digest,
    /// By public input: most of what is asked is asked again.
    proofs: RefCell<HashMap<Digest, Proof>>,
}

impl Impostors {
    fn new(keys: &Keys) -> Self {
        let prover = Prover::new(&Impostor { public_input: digest(0) });
        assert_eq!(prover.verified(), keys.node.verified());
        let commitment = vk_commitment(&prover.cap());
        Self { prover, commitment, proofs: RefCell::default() }
    }

    fn prove(&self, public_input: Digest) -> Proof {
        let mut proofs = self.proofs.borrow_mut();
        proofs.entry(public_input).or_insert_with(|| self.prover.prove(&Impostor { public_input })).clone()
    }

    /// The segments of the two children.
    fn segments(witness: &NodeWitness) -> [Queue; 2] {
        let Queue { head, tail, length } = witness.input.segment;
        let (middle, first) = (witness.middle, witness.first_length);
        [Queue { head, tail: middle, length: first }, Queue { head: middle, tail, length: length - first }]
    }

    fn over_leaves(&self, keys: &Keys, bench: &mut Bench, honest: &NodeWitness) {
        let verified = keys.leaf[0].verified();
        let circuit = |w: &NodeWitness| NodeCircuit::new(verified.clone(), w.clone()).unwrap();
        let forge = |witness: &NodeWitness, parameters: LeafParameters| {
            let proofs = Self::segments(witness)
                .map(|segment| self.prove(LeafInput { parameters, segment }.public_input()))
                .to_vec();
            NodeWitness { child_vk_cap: self.prover.cap(), proofs, ..witness.clone() }
        };
        let own = honest.input.keys.leaf_parameters[0];
        bench.refuses("forged leaves", &circuit(&forge(honest, own)));
        let mut named = honest.clone();
        named.input.keys.node_vk_commitment = self.commitment;
        bench.refuses("forged leaves, named as nodes", &circuit(&forge(&named, own)));
        named.input.keys.leaf_parameters[1].leaf_vk_commitment = self.commitment;
        bench.refuses("forged leaves, named as another branch's", &circuit(&forge(&named, own)));
        let mut unknown = honest.clone();
        unknown.input.branch = 9;
        bench.refuses("forged leaves of an unknown branch", &circuit(&forge(&unknown, LeafParameters::ZERO)));
        // What is refused above is the key alone: named as this branch's leaf, they pass.
        let mut named = honest.clone();
        named.input.keys.leaf_parameters[0].leaf_vk_commitment = self.commitment;
        let own = named.input.keys.leaf_parameters[0];
        bench.accepts("the input's own leaf key", &circuit(&forge(&named, own)));
        // More leaves than fit: a leaf's claim of three requests would be false, but this circuit need not know.
        let mut long = named;
        long.input.segment.length = 5;
        bench.refuses("five requests over leaves", &circuit(&forge(&long, own)));
    }

    fn over_nodes(&self, keys: &Keys, bench: &mut Bench, honest: &NodeWitness) {
        let verified = keys.leaf[0].verified();
        let circuit = |w: &NodeWitness| NodeCircuit::new(verified.clone(), w.clone()).unwrap();
        let prove =
            |input: NodeInput, segment: Queue| self.prove(NodeInput { segment, ..input }.public_input());
        let forge = |witness: &NodeWitness| {
            let proofs = Self::segments(witness).map(|segment| prove(witness.input, segment)).to_vec();
            NodeWitness { child_vk_cap: self.prover.cap(), proofs, ..witness.clone() }
        };
        bench.refuses("forged nodes", &circuit(&forge(honest)));
        let mut named = honest.clone();
        named.input.keys.leaf_parameters[0].leaf_vk_commitment = self.commitment;
        bench.refuses("forged nodes, named as leaves", &circuit(&forge(&named)));
        named.input.keys.node_vk_commitment = self.commitment;
        bench.accepts("the input's own node key", &circuit(&forge(&named)));
        // Lengths that sum to the input's only modulo the field: 6 and −1.
        let mut wrapped = named.clone();
        wrapped.first_length = 6;
        let Queue { head, tail, .. } = named.input.segment;
        let claim = |head: SpongeState, tail: SpongeState, length: F| {
            let segment: Vec<F> = head.into_iter().chain(tail).chain([length]).collect();
            hash(RECURSION_INPUT, &node_input_elements(f(1), &named.input.keys, &segment))
        };
        let claims = [claim(head, named.middle, f(6)), claim(named.middle, tail, F::MINUS_ONE)];
        let proofs = claims.map(|public_input| self.prove(public_input)).to_vec();
        let wrapped = NodeWitness { child_vk_cap: self.prover.cap(), proofs, ..wrapped };
        bench.refuses("lengths that wrap", &circuit(&wrapped));
        // Children that claim other branches or keys than this input.
        let mut proofs = forge(&named);
        let [first, _] = Self::segments(&named);
        proofs.proofs[0] = prove(NodeInput { branch: 2, ..named.input }, first);
        bench.refuses("a child of another branch", &circuit(&proofs));
        let mut other = named.input;
        bump(&mut other.keys.leaf_parameters[2].basic_vk_commitment[0]);
        proofs.proofs[0] = prove(other, first);
        bench.refuses("a child with other keys", &circuit(&proofs));
    }

    fn in_the_tip(&self, keys: &Keys, batch: &BatchRecursion) {
        let verified = keys.leaf[0].verified();
        let circuit = |w: &TipWitness| TipCircuit::new(verified.clone(), w.clone()).unwrap();
        let forge = |keys: RecursionKeys| {
            let input = TipInput { keys, ..batch.tip_input() };
            let proofs = [1, 3]
                .map(|branch: u32| {
                    let segment = input.queues[branch as usize - 1];
                    self.prove(NodeInput { branch, keys, segment }.public_input())
                })
                .to_vec();
            TipWitness { input, node_vk_cap: self.prover.cap(), proofs }
        };
        let mut named = *batch.keys();
        named.node_vk_commitment = self.commitment;
        let mut bench = Bench::new(&circuit(&forge(named)));
        bench.refuses("forged nodes", &circuit(&forge(*batch.keys())));
    }
}

fn nodes_over_leaves(
    keys: &Keys,
    batch: &BatchRecursion,
    proofs: &Proofs,
    bench: &mut Bench,
    first: &NodeWitness,
    second: &NodeWitness,
) {
    let verified = keys.leaf[0].verified();
    let queue = &batch.queues()[0];
    let mut refuse = |name: &str, from: &NodeWitness, change: &dyn Fn(&mut NodeWitness)| {
        let mut witness = from.clone();
        change(&mut witness);
        bench.refuses(name, &NodeCircuit::new(verified.clone(), witness).unwrap());
    };

    // Keys and branches.
    refuse("another leaf's key and proof", second, &|w| {
        w.child_vk_cap = keys.leaf[2].cap();
        w.proofs = vec![proofs.third_leaf.clone()];
    });
    refuse("another leaf's proof", second, &|w| w.proofs = vec![proofs.third_leaf.clone()]);
    refuse("the input names another leaf key", first, &|w| {
        w.input.keys.leaf_parameters[0].leaf_vk_commitment = vk_commitment(&keys.leaf[1].cap());
    });
    refuse("the input names another basic key", first, &|w| {
        bump(&mut w.input.keys.leaf_parameters[0].basic_vk_commitment[2]);
    });
    refuse("the input names another type", first, &|w| {
        bump(&mut w.input.keys.leaf_parameters[0].circuit_type);
    });
    refuse("the node's key over four requests", first, &|w| w.child_vk_cap = keys.node.cap());
    for branch in [0, 2, 3, 4, u32::MAX] {
        refuse("another or an unknown branch", first, &|w| w.input.branch = branch);
    }
    refuse("nodes over four requests", second, &|w| {
        w.child_vk_cap = keys.node.cap();
        w.proofs = vec![proofs.nodes[1].clone()];
    });

    // Segments.
    refuse("children swapped", first, &|w| w.proofs.swap(0, 1));
    refuse("one child for both", first, &|w| w.proofs[1] = w.proofs[0].clone());
    refuse("a leaf of another segment", first, &|w| w.proofs[1] = proofs.leaves[2].clone());
    refuse("cut one early", first, &|w| w.first_length = 1);
    refuse("cut one late", first, &|w| w.first_length = 3);
    refuse("cut one early, state and all", first, &|w| {
        (w.first_length, w.middle) = (1, queue.segment(0, 1).tail);
    });
    refuse("all in the first child", first, &|w| {
        (w.first_length, w.middle) = (4, queue.segment(0, 4).tail);
        w.proofs.truncate(1);
    });
    refuse("lengths that sum only modulo the field", first, &|w| w.first_length = 5);
    for i in [0, 11] {
        refuse("middle state changed", first, &|w| bump(&mut w.middle[i]));
        refuse("tail changed", first, &|w| bump(&mut w.input.segment.tail[i]));
        refuse("head changed", second, &|w| bump(&mut w.input.segment.head[i]));
    }
    refuse("a request less than there are", first, &|w| w.input.segment.length = 3);
    refuse("a request more than there are", second, &|w| {
        w.input.segment.length = 2;
        w.proofs.push(proofs.leaves[2].clone());
    });
    refuse("a segment that goes further", first, &|w| w.input.segment = queue.whole());

    // False emptiness: requests that are there but not counted.
    refuse("first child not counted", first, &|w| {
        w.input.segment.length = 2;
        w.first_length = 0;
        w.proofs.remove(0);
    });
    refuse("second child not counted", first, &|w| {
        w.input.segment.length = 2;
        w.proofs.truncate(1);
    });

    // Proofs.
    for child in 0..2 {
        refuse("an opening changed", first, &|w| bump(&mut w.proofs[child].values_at_z[3].coeffs[1]));
        refuse("a public input changed", first, &|w| bump(&mut w.proofs[child].public_inputs[0]));
    }
    let forged = RequestQueue::new(1, vec![digest(9000)]);
    refuse("a request that nobody proved", second, &|w| {
        w.input.segment = forged.whole();
        w.middle = forged.whole().tail;
        let input = LeafInput { parameters: w.input.keys.leaf_parameters[0], segment: forged.whole() };
        w.proofs[0].public_inputs = input.public_input().to_vec();
    });

    // Empty children first or last are sound, and so is a node that answers nothing.
    let mut late = second.clone();
    (late.first_length, late.middle) = (0, late.input.segment.head);
    let circuit = NodeCircuit::new(verified.clone(), late).unwrap();
    assert_eq!(bench.accepts("an empty first child", &circuit), second.input.public_input());
}

fn nodes_over_nodes(
    keys: &Keys,
    batch: &BatchRecursion,
    proofs: &Proofs,
    bench: &mut Bench,
    top: &NodeWitness,
) {
    let verified = keys.leaf[0].verified();
    let queue = &batch.queues()[0];
    let mut refuse = |name: &str, change: &dyn Fn(&mut NodeWitness)| {
        let mut witness = top.clone();
        change(&mut witness);
        bench.refuses(name, &NodeCircuit::new(verified.clone(), witness).unwrap());
    };
    refuse("leaves over five requests", &|w| {
        w.child_vk_cap = keys.leaf[0].cap();
        w.proofs = proofs.leaves[..2].to_vec();
    });
    refuse("a leaf in place of a node", &|w| w.proofs[1] = proofs.leaves[2].clone());
    refuse("a node of another branch", &|w| w.proofs[1] = proofs.third.clone());
    refuse("the input names another node key", &|w| {
        w.input.keys.node_vk_commitment = vk_commitment(&keys.leaf[1].cap());
    });
    for other in 0..3 {
        // Also those of other branches: the children's inputs are made of this one.
        refuse("the input names other leaf keys than the children's", &|w| {
            bump(&mut w.input.keys.leaf_parameters[other].leaf_vk_commitment[0]);
        });
        refuse("the input names other basic keys than the children's", &|w| {
            bump(&mut w.input.keys.leaf_parameters[other].basic_vk_commitment[0]);
        });
    }
    refuse("another branch than the children's", &|w| w.input.branch = 3);
    refuse("an unknown branch", &|w| w.input.branch = 7);
    refuse("cut elsewhere", &|w| (w.first_length, w.middle) = (3, queue.segment(0, 3).tail));
    refuse("children swapped", &|w| w.proofs.swap(0, 1));
    refuse("its own proof for a longer segment", &|w| {
        w.input.segment = at(queue.whole(), 6);
        (w.first_length, w.middle) = (5, queue.whole().tail);
        w.proofs = vec![proofs.root.clone(), proofs.nodes[1].clone()];
    });
    refuse("five requests called one", &|w| {
        w.input.segment.length = 1;
        w.first_length = 0;
        w.proofs.remove(0);
    });

    // A node may pass on a node's proof as it is.
    let mut passed = top.clone();
    (passed.first_length, passed.middle) = (5, queue.whole().tail);
    passed.proofs = vec![proofs.root.clone()];
    let circuit = NodeCircuit::new(verified.clone(), passed).unwrap();
    assert_eq!(bench.accepts("a node over one node", &circuit), top.input.public_input());
}

fn tip(keys: &Keys, batch: &BatchRecursion, proofs: &Proofs, key: &Prover) -> Proof {
    let verified = keys.leaf[0].verified();
    let circuit = |w: &TipWitness| TipCircuit::new(verified.clone(), w.clone()).unwrap();
    let honest = batch.tip(keys.node.cap(), vec![proofs.root.clone(), proofs.third.clone()]);
    let mut bench = Bench::new(&circuit(&honest));
    assert_eq!(bench.accepts("tip", &circuit(&honest)), honest.input.public_input());
    let mut refuse = |name: &str, change: &dyn Fn(&mut TipWitness)| {
        let mut witness = honest.clone();
        change(&mut witness);
        bench.refuses(name, &circuit(&witness));
    };
    refuse("leaves in place of nodes", &|w| {
        w.node_vk_cap = keys.leaf[0].cap();
        w.proofs[0] = proofs.leaves[0].clone();
    });
    refuse("leaves in place of nodes, named so", &|w| {
        w.node_vk_cap = keys.leaf[0].cap();
        w.input.keys.node_vk_commitment = vk_commitment(&keys.leaf[0].cap());
        w.proofs = vec![proofs.leaves[0].clone(); 2];
    });
    refuse("a leaf in place of a node", &|w| w.proofs[1] = proofs.third_leaf.clone());
    refuse("branches swapped", &|w| w.proofs.swap(0, 1));
    refuse("queues swapped", &|w| w.input.queues.swap(0, 2));
    refuse("queues and proofs swapped", &|w| {
        w.input.queues.swap(0, 2);
        w.proofs.swap(0, 1);
    });
    refuse("a queue moved to the branch without one", &|w| w.input.queues.swap(1, 2));
    refuse("a part of a queue", &|w| w.proofs[0] = proofs.nodes[0].clone());
    refuse("requests not counted", &|w| {
        w.input.queues[2].length = 0;
        w.proofs.truncate(1);
    });
    refuse("requests not proved in the branch without any", &|w| {
        w.input.queues[1] = RequestQueue::new(2, vec![digest(2000)]).whole();
        w.proofs.insert(1, proofs.third.clone());
    });
    refuse("an empty queue with another tail", &|w| bump(&mut w.input.queues[1].tail[0]));
    for i in 0..3 {
        refuse("other leaf keys than the nodes'", &|w| {
            bump(&mut w.input.keys.leaf_parameters[i].leaf_vk_commitment[1]);
        });
        refuse("other basic keys than the nodes'", &|w| {
            bump(&mut w.input.keys.leaf_parameters[i].basic_vk_commitment[1]);
        });
        refuse("other types than the nodes'", &|w| bump(&mut w.input.keys.leaf_parameters[i].circuit_type));
    }
    refuse("another node key than proved", &|w| bump(&mut w.input.keys.node_vk_commitment[0]));
    refuse("a longer queue", &|w| w.input.queues[0].length += 1);
    for i in [0, 11] {
        refuse("another tail", &|w| bump(&mut w.input.queues[0].tail[i]));
        refuse("another head", &|w| bump(&mut w.input.queues[2].head[i]));
    }
    refuse("an invalid proof", &|w| bump(&mut w.proofs[0].values_at_z_omega[0].coeffs[0]));
    let other = [5000, 5010, 5020, 5030, 5040].map(digest).to_vec();
    let third = batch.queues()[2].requests(0, 1).to_vec();
    let other = BatchRecursion::new(*batch.keys(), [other, vec![], third]);
    refuse("another batch's queue", &|w| w.input = other.tip_input());
    key.prove(&circuit(&honest))
}

fn scheduler(claim: &Claim, tip_key: &Prover, tip_proof: &Proof, proofs: &Proofs) {
    let constants = SchedulerConstants::new(claim.keys, tip_key.key.vk.clone(), &config()).unwrap();
    assert_eq!(constants.vk_set(), claim.keys.vk_set(&claim.tip_vk));
    let honest = SchedulerWitness { statement: claim.statement(claim.slots()), tip_proof: tip_proof.clone() };
    let circuit = |w: &SchedulerWitness| SchedulerCircuit::new(constants.clone(), w.clone()).unwrap();
    let mut bench = Bench::new(&circuit(&honest));
    let pi = claim.observables.pi.map(|x| (x.as_u64_reduced() as u32).to_be_bytes());
    let expected = ingot_ledger::native::header::public_input(pi.as_flattened().try_into().unwrap());
    assert_eq!(bench.accepts("scheduler", &circuit(&honest)), expected);

    let mut refuse = |name: &str, change: &dyn Fn(&mut SchedulerWitness)| {
        let mut witness = honest.clone();
        change(&mut witness);
        bench.refuses(name, &circuit(&witness));
    };
    refuse("an opening changed", &|w| bump(&mut w.tip_proof.values_at_z[5].coeffs[0]));
    refuse("a queried leaf changed", &|w| {
        bump(&mut w.tip_proof.queries_per_fri_repetition[1].quotient_query.leaf_elements[1]);
    });
    // The statement alone is true of these: only the tip's proof speaks against them.
    let mut later = claim.clone();
    bump(&mut later.observables.batch);
    refuse("the tip of another batch", &|w| w.statement = later.statement(later.slots()));
    refuse("the tip of another batch, its public input rewritten", &|w| {
        w.statement = later.statement(later.slots());
        w.tip_proof.public_inputs = later.tip_input(&later.slots()).public_input().to_vec();
    });
    let shorter = Claim { counts: [4, 0, 1], ..claim.clone() };
    refuse("the tip of more instances", &|w| w.statement = shorter.statement(shorter.slots()));

    // Proofs of other circuits do not even have the shape; that is an error, not a panic.
    for other in [&proofs.root, &proofs.leaves[0]] {
        let witness = SchedulerWitness { tip_proof: other.clone(), ..honest.clone() };
        let error = SchedulerCircuit::new(constants.clone(), witness).unwrap_err();
        assert!(error.to_string().contains("another circuit"), "{error}");
    }
    for damage in damages() {
        let mut witness = honest.clone();
        damage(&mut witness.tip_proof);
        assert!(SchedulerCircuit::new(constants.clone(), witness).is_err());
    }
    let mut crowded = honest.clone();
    crowded.statement.slots[0].resize(33, None);
    assert!(SchedulerCircuit::new(constants.clone(), crowded).is_err());
}

/// Ways in which a proof's vectors can be too long or too short.
fn damages() -> Vec<fn(&mut Proof)> {
    vec![
        |p| p.public_inputs.truncate(3),
        |p| p.witness_oracle_cap.truncate(8),
        |p| p.stage_2_oracle_cap.truncate(8),
        |p| p.quotient_oracle_cap.truncate(8),
        |p| p.fri_base_oracle_cap.clear(),
        |p| p.fri_intermediate_oracles_caps[0].truncate(15),
        |p| p.fri_intermediate_oracles_caps.truncate(1),
        |p| p.final_fri_monomials[0].truncate(1),
        |p| p.final_fri_monomials[1].push(F::ZERO),
        |p| p.values_at_z.truncate(1),
        |p| p.values_at_z_omega.clear(),
        |p| p.values_at_0.push(p.values_at_z[0]),
        |p| p.queries_per_fri_repetition.truncate(1),
        |p| p.queries_per_fri_repetition[0].fri_queries.truncate(1),
        |p| p.queries_per_fri_repetition[1].fri_queries[0].leaf_elements.truncate(1),
        |p| p.queries_per_fri_repetition[1].fri_queries[1].proof.truncate(1),
        |p| p.queries_per_fri_repetition[2].witness_query.leaf_elements.push(F::ZERO),
        |p| p.queries_per_fri_repetition[2].stage_2_query.leaf_elements.truncate(1),
        |p| p.queries_per_fri_repetition[2].quotient_query.leaf_elements.truncate(1),
        |p| p.queries_per_fri_repetition[2].setup_query.proof.truncate(1),
        |p| p.proof_config.security_level += 1,
    ]
}
