//! The leaf refuses whatever is not two valid proofs of its circuit for its segment's requests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking
#![feature(allocator_api)]
#![feature(generic_const_exprs)]

mod recursion_support;

use boojum::field::Field;
use ingot_circuit_set::field::F;
use ingot_ledger::recursion::{
    vk_commitment, LeafCircuit, LeafInput, LeafParameters, LeafWitness, RequestQueue,
};
use recursion_support::{basic_keys, bump, digest, f, Bench, Toy};

#[test]
fn only_the_segments_own_requests_with_valid_proofs_of_the_named_key_pass() {
    let basic = basic_keys();
    let verified = basic[0].verified();
    assert_eq!(
        verified,
        basic[1].verified(),
        "kinds differ in their keys alone, so the tests below test keys"
    );
    let circuit = |w: &LeafWitness| LeafCircuit::<Toy<1>>::new(1, verified.clone(), w.clone()).unwrap();

    let requests: Vec<_> = [100, 200, 300].map(digest).to_vec();
    let proof = |i: usize| basic[0].prove(&Toy::<1> { public_input: requests[i] });
    let proofs = [proof(0), proof(1), proof(2)];
    let foreign = basic[1].prove(&Toy::<2> { public_input: requests[1] });
    let queue = RequestQueue::new(1, requests.clone());
    let parameters = LeafParameters {
        circuit_type: f(1),
        basic_vk_commitment: vk_commitment(&basic[0].cap()),
        leaf_vk_commitment: digest(7),
    };
    let honest = LeafWitness {
        input: LeafInput { parameters, segment: queue.segment(0, 2) },
        basic_vk_cap: basic[0].cap(),
        requests: requests[..2].to_vec(),
        proofs: proofs[..2].to_vec(),
    };
    let single = LeafWitness {
        input: LeafInput { parameters, segment: queue.segment(2, 3) },
        requests: requests[2..].to_vec(),
        proofs: proofs[2..].to_vec(),
        ..honest.clone()
    };
    let mut bench = Bench::new(&circuit(&honest));
    assert_eq!(bench.accepts("two requests", &circuit(&honest)), honest.input.public_input());
    assert_eq!(bench.accepts("one request and padding", &circuit(&single)), single.input.public_input());

    let mut refuse = |name: &str, from: &LeafWitness, change: &dyn Fn(&mut LeafWitness)| {
        let mut witness = from.clone();
        change(&mut witness);
        bench.refuses(name, &circuit(&witness));
    };

    // Keys.
    refuse("another key than the input names", &honest, &|w| {
        w.basic_vk_cap = basic[1].cap();
        w.proofs = vec![basic[1].prove(&Toy::<2> { public_input: requests[0] }), foreign.clone()];
    });
    refuse("the input names another key than verifies", &honest, &|w| {
        w.input.parameters.basic_vk_commitment = vk_commitment(&basic[1].cap());
    });
    refuse("one digest of the cap changed, committed to", &honest, &|w| {
        bump(&mut w.basic_vk_cap[15][3]);
        w.input.parameters.basic_vk_commitment = vk_commitment(&w.basic_vk_cap);
    });
    refuse("a proof of another circuit", &honest, &|w| w.proofs[1] = foreign.clone());

    // Proofs.
    refuse("a proof for another request", &honest, &|w| w.proofs[1] = proofs[2].clone());
    refuse("proofs swapped", &honest, &|w| w.proofs.swap(0, 1));
    refuse("one proof for both", &honest, &|w| w.proofs[1] = w.proofs[0].clone());
    for i in 0..4 {
        refuse("the public input inside a proof changed with its request and queue", &honest, &|w| {
            bump(&mut w.requests[1][i]);
            bump(&mut w.proofs[1].public_inputs[i]);
            w.input.segment = RequestQueue::new(1, w.requests.clone()).whole();
        });
    }
    refuse("an opening changed", &honest, &|w| bump(&mut w.proofs[0].values_at_z[0].coeffs[0]));
    refuse("a queried leaf changed", &honest, &|w| {
        bump(&mut w.proofs[1].queries_per_fri_repetition[0].witness_query.leaf_elements[0]);
    });
    refuse("a Merkle path changed", &honest, &|w| {
        bump(&mut w.proofs[1].queries_per_fri_repetition[3].setup_query.proof[0][0]);
    });
    refuse("a final FRI coefficient changed", &honest, &|w| bump(&mut w.proofs[0].final_fri_monomials[1][0]));
    refuse("an invalid proof in the first slot of one", &single, &|w| {
        bump(&mut w.proofs[0].values_at_z[1].coeffs[0]);
    });

    // Type.
    refuse("a request of another type", &honest, &|w| {
        w.input.segment = RequestQueue::new(2, w.requests.clone()).whole();
    });
    refuse("another type throughout", &honest, &|w| {
        w.input.parameters.circuit_type = f(2);
        w.input.segment = RequestQueue::new(2, w.requests.clone()).whole();
    });

    // Segment.
    refuse("a segment that starts elsewhere", &honest, &|w| w.input.segment.head = queue.segment(1, 2).head);
    refuse("a segment that ends elsewhere", &honest, &|w| w.input.segment.tail = queue.whole().tail);
    refuse("three requests", &honest, &|w| w.input.segment = queue.whole());
    refuse("two requests called one", &honest, &|w| w.input.segment.length = 1);
    refuse("two requests called three", &honest, &|w| w.input.segment.length = 3);
    refuse("two requests called none", &honest, &|w| w.input.segment.length = 0);
    refuse("one request called none", &single, &|w| w.input.segment.length = 0);
    refuse("one request called two", &single, &|w| w.input.segment.length = 2);
    for i in 0..12 {
        refuse("a tail element changed", &single, &|w| bump(&mut w.input.segment.tail[i]));
    }
    // The first request overwrites the rate, so the head is bound by its capacity alone (and, where segments meet, by
    // being the tail of the one before).
    for i in 8..12 {
        refuse("a head element changed", &honest, &|w| bump(&mut w.input.segment.head[i]));
    }

    // The leaf's own key and a truly empty segment are free: whoever verifies the leaf names the first, and skips it for
    // the second.
    let mut empty = single.clone();
    empty.input.segment = queue.segment(0, 0);
    empty.input.parameters.leaf_vk_commitment = [F::ZERO; 4];
    assert_eq!(bench.accepts("empty", &circuit(&empty)), empty.input.public_input());
}
