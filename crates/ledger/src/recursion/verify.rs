//! Verifying a proof in-circuit, and what has to be known about it beforehand.

use crate::{
    gadgets::{
        hash::{hash, DigestVar},
        logic,
    },
    native::hash::VERIFICATION_KEY,
};
use boojum::{
    cs::{
        implementations::{pow::NoPow, verifier::VerificationKeyCircuitGeometry},
        traits::{
            circuit::{CircuitBuilder, CircuitBuilderProxy},
            cs::ConstraintSystem,
        },
    },
    gadgets::{
        boolean::Boolean,
        recursion::{
            allocated_proof::AllocatedProof, allocated_vk::AllocatedVerificationKey,
            recursive_transcript::GoldilocksPoisedon2CircuitTranscript,
            recursive_tree_hasher::CircuitGoldilocksPoseidon2Sponge, recursive_verifier::RecursiveVerifier,
        },
    },
};
use ingot_circuit_set::{
    field::{Digest, Ext, Proof, ProofConfig, Transcript, F},
    SetError,
};

/// A verification key in-circuit.
pub type VkVar = AllocatedVerificationKey<F, CircuitGoldilocksPoseidon2Sponge>;

/// What a verifying circuit knows for certain about the proofs it verifies: constants of that circuit, because a key's
/// commitment does not cover them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedCircuit {
    geometry: VerificationKeyCircuitGeometry,
    config: ProofConfig,
}

impl VerifiedCircuit {
    /// From a key's geometry (rows, places of the public input, selectors) and the proof parameters.
    ///
    /// # Errors
    /// [`SetError::Inconsistent`] if the in-circuit verifier cannot take such proofs: it wants four public inputs and
    /// no proof of work, and the parameters must be the ones that the key was made for.
    pub fn new(geometry: &VerificationKeyCircuitGeometry, config: &ProofConfig) -> Result<Self, SetError> {
        let refuse = |reason: String| Err(SetError::Inconsistent(format!("circuit to verify: {reason}")));
        if geometry.num_public_inputs() != 4 {
            return refuse(format!("{} public inputs, not 4", geometry.num_public_inputs()));
        }
        if config.pow_bits != 0 || config.fri_folding_schedule.is_some() {
            return refuse(format!("{config:?} asks for proof of work or a folding schedule"));
        }
        if (geometry.fri_lde_factor, geometry.cap_size)
            != (config.fri_lde_factor, config.merkle_tree_cap_size)
        {
            return refuse(format!(
                "key made for LDE {}, cap {}, but {config:?}",
                geometry.fri_lde_factor, geometry.cap_size
            ));
        }
        Ok(Self { geometry: geometry.clone(), config: config.clone() })
    }

    /// Digests of a key's cap.
    pub fn cap_size(&self) -> usize {
        self.geometry.cap_size
    }

    pub(super) fn geometry(&self) -> &VerificationKeyCircuitGeometry {
        &self.geometry
    }

    pub(super) fn config(&self) -> &ProofConfig {
        &self.config
    }
}

/// Asserts that all circuits whose proofs one in-circuit verifier takes have the same geometry; `circuits` names each.
///
/// # Errors
/// [`SetError::Inconsistent`] naming two that differ.
pub fn assert_identical(circuits: &[(&str, &VerificationKeyCircuitGeometry)]) -> Result<(), SetError> {
    let Some((first, rest)) = circuits.split_first() else { return Ok(()) };
    match rest.iter().find(|(_, geometry)| *geometry != first.1) {
        None => Ok(()),
        Some((name, geometry)) => Err(SetError::Inconsistent(format!(
            "{} and {name} must have the same fixed parameters: {:?} and {geometry:?}",
            first.0, first.1
        ))),
    }
}

/// Allocates a key's cap as a witness and returns it with its commitment, H8.
pub fn allocate_vk<CS: ConstraintSystem<F>>(cs: &mut CS, cap: &[Digest]) -> (VkVar, DigestVar) {
    let cap: Vec<DigestVar> = cap.iter().map(|digest| logic::allocate_all(cs, *digest)).collect();
    let commitment = hash(cs, VERIFICATION_KEY, cap.as_flattened());
    (VkVar { setup_merkle_tree_cap: cap }, commitment)
}

/// Verifies proofs of one circuit geometry.
#[derive(derivative::Derivative)]
#[derivative(Debug)]
pub struct InCircuitVerifier<'a, CS: ConstraintSystem<F> + 'static> {
    #[derivative(Debug = "ignore")]
    inner: RecursiveVerifier<F, Ext, CS>,
    verified: &'a VerifiedCircuit,
}

impl<'a, CS: ConstraintSystem<F> + 'static> InCircuitVerifier<'a, CS> {
    /// A verifier for proofs of circuits with the gates of `C`.
    pub fn new<C: CircuitBuilder<F> + 'static>(cs: &mut CS, verified: &'a VerifiedCircuit) -> Self {
        let builder = CircuitBuilderProxy::<F, C>::dyn_recursive_verifier_builder::<Ext, CS>();
        Self { inner: builder.create_recursive_verifier(cs), verified }
    }

    /// Enforces, iff `needed`, that `proof` is valid under `vk` and that its public input is `public_input`.
    ///
    /// `proof` may be any well-formed one where it is not needed; of another shape it panics (see
    /// [`super::shape::ProofShape`]). `None` is for setup alone.
    pub fn verify_if(
        &self,
        cs: &mut CS,
        needed: Boolean<F>,
        vk: &VkVar,
        proof: Option<&Proof>,
        public_input: &DigestVar,
    ) {
        let VerifiedCircuit { geometry, config } = self.verified;
        let proof = AllocatedProof::allocate_from_witness(cs, proof.cloned(), &self.inner, geometry, config);
        let (valid, inputs) = self
            .inner
            .verify::<CircuitGoldilocksPoseidon2Sponge, Transcript, GoldilocksPoisedon2CircuitTranscript, NoPow>(
                cs,
                (),
                &proof,
                geometry,
                config,
                vk,
            );
        logic::enforce_true_if(cs, needed, valid);
        // As many of one as of the other: `VerifiedCircuit::new`.
        for (input, expected) in inputs.iter().zip(public_input) {
            logic::enforce_equal_if(cs, needed, input, expected);
        }
    }
}
