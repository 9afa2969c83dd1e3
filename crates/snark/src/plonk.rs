//! PLONK over BN254 for the wrapper circuit: its keys, proving, verifying.
//!
//! bellman's prover with width 4, a custom gate for x⁵, one lookup table, and Keccak as the transcript, which an EVM has.

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
    SynthesisError,
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

/// Whether a proof is valid under a key. Its public input has to be compared by whoever asks.
pub fn verify(vk: &PlonkVk, proof: &PlonkProof) -> bool {
    verifier::verify::<_, _, Transcript>(vk, proof, None).unwrap_or(false)
}
