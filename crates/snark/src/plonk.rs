//! PLONK over BN254 for the wrapper circuit: its keys, proving, verifying.
//!
//! bellman's prover with width 4, a custom gate for x⁵, one lookup table, and Keccak as the transcript, which an EVM has.

use std::panic::catch_unwind;

use bellman::{
    bn256::{Bn256, Fr},
    kate_commitment::{Crs, CrsForMonomialForm},
    plonk::{
        better_better_cs::{
            cs::{
                Circuit, PlonkCsWidth4WithNextStepAndCustomGatesParams, ProvingAssembly, SetupAssembly,
                TrivialAssembly,
            },
            gates::selector_optimized_with_d_next::SelectorOptimizedWidth4MainGateWithDNext,
            proof::Proof,
            setup::{Setup, VerificationKey},
            verifier,
        },
        commitments::transcript::keccak_transcript::RollingKeccakTranscript,
    },
    worker::Worker,
    CurveAffine as _, SynthesisError,
};

use crate::{wrapper::WrapperCircuit, SnarkError};

type Parameters = PlonkCsWidth4WithNextStepAndCustomGatesParams;
type MainGate = SelectorOptimizedWidth4MainGateWithDNext;
/// The Fiat–Shamir transcript.
pub type Transcript = RollingKeccakTranscript<Fr>;
/// A SNARK.
pub type PlonkProof = Proof<Bn256, WrapperCircuit>;
/// What verifies it.
pub type PlonkVk = VerificationKey<Bn256, WrapperCircuit>;
/// Powers of a secret in G1, and its first in G2.
pub type Powers = Crs<Bn256, CrsForMonomialForm>;

fn stopped(step: &'static str) -> impl Fn(SynthesisError) -> SnarkError {
    move |error| SnarkError::Panicked { step, message: error.to_string() }
}

/// What proving needs.
pub struct PlonkKey {
    /// The setup polynomials.
    pub setup: Setup<Bn256, WrapperCircuit>,
    /// The verification key.
    pub vk: PlonkVk,
}

impl std::fmt::Debug for PlonkKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlonkKey").field("n", &self.vk.n).finish_non_exhaustive()
    }
}

/// Gates of a circuit, without padding.
///
/// # Errors
/// [`SnarkError::Panicked`].
pub fn gates(circuit: &WrapperCircuit) -> Result<usize, SnarkError> {
    let mut assembly = SetupAssembly::<Bn256, Parameters, MainGate>::new();
    circuit.synthesize(&mut assembly).map_err(stopped("wrapper"))?;
    Ok(assembly.n())
}

/// Whether the values of a circuit satisfy its constraints: much cheaper than a proof.
///
/// # Errors
/// [`SnarkError::Panicked`] if a value is missing.
pub fn is_satisfied(circuit: &WrapperCircuit) -> Result<bool, SnarkError> {
    let mut assembly = TrivialAssembly::<Bn256, Parameters, MainGate>::new();
    circuit.synthesize(&mut assembly).map_err(stopped("wrapper"))?;
    assembly.finalize();
    Ok(assembly.is_satisfied())
}

impl PlonkKey {
    /// The key of `circuit`, whose values are ignored.
    ///
    /// # Errors
    /// [`SnarkError::Panicked`].
    pub fn generate(circuit: &WrapperCircuit, powers: &Powers) -> Result<Self, SnarkError> {
        let worker = Worker::new();
        let setup = setup(circuit, &worker)?;
        let vk = VerificationKey::from_setup(&setup, &worker, powers).map_err(stopped("wrapper key"))?;
        Ok(Self { setup, vk })
    }

    /// Proves `circuit`, and verifies the proof.
    ///
    /// # Errors
    /// [`SnarkError::Invalid`] if `circuit` is not satisfied.
    pub fn prove(&self, circuit: &WrapperCircuit, powers: &Powers) -> Result<PlonkProof, SnarkError> {
        let mut assembly = ProvingAssembly::<Bn256, Parameters, MainGate>::new();
        circuit.synthesize(&mut assembly).map_err(stopped("wrapper"))?;
        assembly.finalize();
        let proof = assembly
            .create_proof::<WrapperCircuit, Transcript>(&Worker::new(), &self.setup, powers, None)
            .map_err(stopped("wrapper proof"))?;
        match verify(&self.vk, &proof) {
            true => Ok(proof),
            false => Err(SnarkError::Invalid { step: "wrapper" }),
        }
    }
}

/// The setup polynomials of `circuit`, whose values are ignored.
///
/// # Errors
/// [`SnarkError::Panicked`].
pub fn setup(circuit: &WrapperCircuit, worker: &Worker) -> Result<Setup<Bn256, WrapperCircuit>, SnarkError> {
    let mut assembly = SetupAssembly::<Bn256, Parameters, MainGate>::new();
    circuit.synthesize(&mut assembly).map_err(stopped("wrapper"))?;
    assembly.finalize();
    assembly.create_setup::<WrapperCircuit>(worker).map_err(stopped("wrapper setup"))
}

/// Reads a proof in the library's form, and accepts one encoding of each only. Safe on any bytes: the library's reader checks
/// that points are on the curve and numbers below their modulus, and panics on a mark of an optional part that is neither 0
/// nor 1.
///
/// # Errors
/// [`SnarkError::Shape`], [`SnarkError::Panicked`].
pub fn read_proof(bytes: &[u8]) -> Result<PlonkProof, SnarkError> {
    let refuse =
        |expected: &str, found: String| SnarkError::Shape { part: "proof", expected: expected.into(), found };
    let read = catch_unwind(|| PlonkProof::read(bytes)).map_err(|_| SnarkError::Panicked {
        step: "reading a SNARK",
        message: "an optional part is marked with neither 0 nor 1".into(),
    })?;
    let proof = read.map_err(|error| refuse("a proof", error.to_string()))?;
    let mut again = Vec::with_capacity(bytes.len());
    proof.write(&mut again).map_err(|error| refuse("a proof", error.to_string()))?;
    match again == bytes {
        true => Ok(proof),
        false => Err(refuse("the one encoding of it", format!("{} bytes that differ", bytes.len()))),
    }
}

/// Whether a proof is valid under a key. Its public input has to be compared by whoever asks.
pub fn verify(vk: &PlonkVk, proof: &PlonkProof) -> bool {
    check_shape(vk, proof).is_ok() && verifier::verify::<_, _, Transcript>(vk, proof, None).unwrap_or(false)
}

/// Whether every part of a proof has the length that the key gives it, and every point is on the curve and not zero.
///
/// The library's verifier compares some of these lengths only. It takes as many public inputs as the proof has: one too many
/// changes the constraint of a row that is not meant for it, and one too few leaves the batch unnamed.
///
/// # Errors
/// [`SnarkError::Shape`].
pub fn check_shape(vk: &PlonkVk, proof: &PlonkProof) -> Result<(), SnarkError> {
    let has_lookups = usize::from(vk.total_lookup_entries_length > 0);
    let present = |is_some: bool| usize::from(is_some);
    let lengths = [
        ("n", vk.n, proof.n),
        ("public inputs", vk.num_inputs, proof.inputs.len()),
        ("commitments to columns", vk.state_width, proof.state_polys_commitments.len()),
        ("commitments to witnesses", vk.num_witness_polys, proof.witness_polys_commitments.len()),
        ("commitments to the quotient", vk.state_width, proof.quotient_poly_parts_commitments.len()),
        ("values of columns at z", vk.state_width, proof.state_polys_openings_at_z.len()),
        ("values of witnesses at z", vk.num_witness_polys, proof.witness_polys_openings_at_z.len()),
        (
            "values of permutations at z",
            vk.state_width.saturating_sub(1),
            proof.copy_permutation_polys_openings_at_z.len(),
        ),
        ("lookup commitment", has_lookups, present(proof.lookup_s_poly_commitment.is_some())),
        ("lookup product", has_lookups, present(proof.lookup_grand_product_commitment.is_some())),
        ("lookup value s at zω", has_lookups, present(proof.lookup_s_poly_opening_at_z_omega.is_some())),
        (
            "lookup product at zω",
            has_lookups,
            present(proof.lookup_grand_product_opening_at_z_omega.is_some()),
        ),
        ("lookup value t at z", has_lookups, present(proof.lookup_t_poly_opening_at_z.is_some())),
        ("lookup value t at zω", has_lookups, present(proof.lookup_t_poly_opening_at_z_omega.is_some())),
        ("lookup selector at z", has_lookups, present(proof.lookup_selector_poly_opening_at_z.is_some())),
        ("lookup table type at z", has_lookups, present(proof.lookup_table_type_poly_opening_at_z.is_some())),
    ];
    for (part, expected, found) in lengths {
        if expected != found {
            return Err(SnarkError::Shape { part, expected: expected.to_string(), found: found.to_string() });
        }
    }
    let lists = [
        &proof.state_polys_commitments,
        &proof.witness_polys_commitments,
        &proof.quotient_poly_parts_commitments,
    ];
    let single = [
        &proof.copy_permutation_grand_product_commitment,
        &proof.opening_proof_at_z,
        &proof.opening_proof_at_z_omega,
    ];
    let optional = [&proof.lookup_s_poly_commitment, &proof.lookup_grand_product_commitment];
    let points = lists.into_iter().flatten().chain(single).chain(optional.into_iter().flatten());
    for point in points {
        if point.is_zero() || !point.is_on_curve() {
            let found = if point.is_zero() { "the zero point" } else { "a point that is not" };
            let expected = "a point of the curve".to_owned();
            return Err(SnarkError::Shape { part: "commitments", expected, found: found.to_owned() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
