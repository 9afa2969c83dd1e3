//! Forged proofs against a true one.

use bellman::{bn256::G1Affine, Field as _, PrimeField as _};
use proptest::prelude::*;

use super::*;
use crate::wrapper::public_input;

/// A proof of the whole wrapper circuit over a real batch, and its key: what `examples/whole_chain.rs` left.
fn proved() -> (PlonkVk, PlonkProof) {
    (PlonkVk::read(VK).unwrap(), read_proof(PROOF).unwrap())
}

const PROOF: &[u8] = include_bytes!("../../tests/data/wrapper.proof");
const VK: &[u8] = include_bytes!("../../tests/data/wrapper.vk");
/// The batch's public input, as `ingot verify` showed it for the scheduler's proof.
const LIMBS: [u64; 4] = [0x36334162762599, 0x660e33e2797cf8, 0xf9b5bfc6e5cd41, 0x87186d8842cc5c];

#[test]
fn bytes_too_many_and_numbers_above_the_modulus_are_refused() {
    assert!(read_proof(&[PROOF, &[0]].concat()).is_err());
    assert!(read_proof(&[]).is_err());
    // n and the number of inputs come before the input.
    let mut above = PROOF.to_vec();
    above[16..48].fill(0xff);
    assert!(read_proof(&above).is_err());
    for (limb, bytes) in Fr::char().as_ref().iter().zip(above[16..48].rchunks_exact_mut(8)) {
        bytes.copy_from_slice(&limb.to_be_bytes());
    }
    assert!(read_proof(&above).is_err(), "the modulus stands for zero");
}

#[test]
fn a_true_proof_verifies_and_a_forged_one_does_not() {
    let (vk, proof) = proved();
    assert!(verify(&vk, &proof));
    // The library's own verifier, and what it takes as well without the lengths being checked.
    let by_library =
        |proof: &PlonkProof| verifier::verify::<_, _, Transcript>(&vk, proof, None).unwrap_or(false);
    assert!(by_library(&proof));
    assert_eq!(proof.inputs, [public_input(LIMBS)]);
    let refused = |name: &str, forge: &dyn Fn(&mut PlonkProof)| {
        let mut forged = proof.clone();
        forge(&mut forged);
        assert!(!verify(&vk, &forged), "{name}");
    };
    // Lengths that the library's verifier does not check.
    refused("another input", &|p| p.inputs[0].add_assign(&Fr::one()));
    refused("an input too many", &|p| p.inputs.push(Fr::zero()));
    refused("no input", &|p| p.inputs.clear());
    refused("another n", &|p| p.n += 1);
    refused("a part of the quotient too many", &|p| p.quotient_poly_parts_commitments.push(G1Affine::one()));
    refused("a part of the quotient too few", &|p| {
        p.quotient_poly_parts_commitments.pop();
    });
    refused("a column too many", &|p| p.state_polys_commitments.push(G1Affine::one()));
    refused("a witness too many", &|p| p.witness_polys_commitments.push(G1Affine::one()));
    refused("no lookup", &|p| p.lookup_s_poly_commitment = None);

    // Every point: another, the zero point, one off the curve.
    type Place = fn(&mut PlonkProof) -> Vec<&mut G1Affine>;
    let points: Place = |p| {
        let lists = p.state_polys_commitments.iter_mut().chain(&mut p.quotient_poly_parts_commitments);
        let single = [
            &mut p.copy_permutation_grand_product_commitment,
            &mut p.opening_proof_at_z,
            &mut p.opening_proof_at_z_omega,
        ];
        lists
            .chain(single)
            .chain(p.lookup_s_poly_commitment.iter_mut())
            .chain(p.lookup_grand_product_commitment.iter_mut())
            .collect()
    };
    let x = *G1Affine::one().as_xy().0;
    for replacement in [G1Affine::one(), G1Affine::zero(), G1Affine::from_xy_unchecked(x, x)] {
        for index in 0..points(&mut proof.clone()).len() {
            refused(&format!("point {index}: {replacement}"), &|p| *points(p)[index] = replacement);
        }
    }

    // Every value.
    let values: fn(&mut PlonkProof) -> Vec<&mut Fr> = |p| {
        let lists = p.state_polys_openings_at_z.iter_mut().chain(&mut p.copy_permutation_polys_openings_at_z);
        let indexed = p.state_polys_openings_at_dilations.iter_mut().chain(&mut p.gate_setup_openings_at_z);
        let selectors = p.gate_selectors_openings_at_z.iter_mut().map(|(_, value)| value);
        let single = [
            &mut p.copy_permutation_grand_product_opening_at_z_omega,
            &mut p.quotient_poly_opening_at_z,
            &mut p.linearization_poly_opening_at_z,
        ];
        let optional = [
            &mut p.lookup_s_poly_opening_at_z_omega,
            &mut p.lookup_grand_product_opening_at_z_omega,
            &mut p.lookup_t_poly_opening_at_z,
            &mut p.lookup_t_poly_opening_at_z_omega,
            &mut p.lookup_selector_poly_opening_at_z,
            &mut p.lookup_table_type_poly_opening_at_z,
        ];
        let values = lists.chain(indexed.map(|(_, _, value)| value)).chain(selectors).chain(single);
        values.chain(optional.into_iter().flatten()).collect()
    };
    let count = values(&mut proof.clone()).len();
    assert!(count > 15, "{count}");
    for index in 0..count {
        refused(&format!("value {index}"), &|p| values(p)[index].add_assign(&Fr::one()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_flipped_bit_and_no_cut_verifies_or_panics(at in any::<prop::sample::Index>(), bit in 0..8u8, cut in any::<bool>()) {
        let mut bytes = PROOF.to_vec();
        let at = at.index(bytes.len());
        match cut {
            true => bytes.truncate(at),
            false => bytes[at] ^= 1 << bit,
        }
        let vk = PlonkVk::read(VK).unwrap();
        let accepted = read_proof(&bytes).is_ok_and(|proof| verify(&vk, &proof));
        prop_assert!(!accepted);
    }
}
