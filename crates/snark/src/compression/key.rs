//! Keys of the compression circuits, proving and verifying, over either hash.

use std::panic::{catch_unwind, AssertUnwindSafe};

use bellman::bn256::{Bn256, Fr};
use boojum::{
    config::{ProvingCSConfig, SetupCSConfig},
    cs::{
        implementations::{
            hints::{DenseVariablesCopyHint, DenseWitnessCopyHint},
            pow::PoWRunner,
            proof::Proof,
            transcript::Transcript,
            verifier::VerificationKey,
        },
        oracle::{merkle_tree::MerkleTreeWithCap, TreeHasher},
    },
};
use ingot_circuit_set::{
    empty_assembly,
    field::{Ext, FinalizationHint, Packed, SetupBase, SetupLde, Worker, F},
    security::ParameterSet,
    synthesize_with, verifier, SetCircuit, SetError,
};
use rescue_poseidon::poseidon2::{transcript::Poseidon2Transcript, Poseidon2Sponge};
use snark_wrapper::implementations::poseidon2::tree_hasher::AbsorptionModeReplacement;

use crate::SnarkError;

/// Tree hasher and proof of work of the last step: Poseidon2 over BN254's scalar field, rate 2, three Goldilocks elements in
/// one of its.
pub type Bn254Hasher = Poseidon2Sponge<Bn256, F, AbsorptionModeReplacement<Fr>, 2, 3>;
/// Transcript of the last step.
pub type Bn254Transcript = Poseidon2Transcript<Bn256, F, AbsorptionModeReplacement<Fr>, 2, 3>;

/// A proof of a step, over hash `H`.
pub type StepProof<H> = Proof<F, H, Ext>;

/// What proving a step needs, over hash `H`.
#[derive(derivative::Derivative)]
#[derivative(Debug)]
pub struct CompressionKey<H: TreeHasher<F>> {
    /// Its verification key.
    pub vk: VerificationKey<F, H>,
    hint: FinalizationHint,
    #[derivative(Debug = "ignore")]
    base: SetupBase,
    #[derivative(Debug = "ignore")]
    lde: SetupLde,
    #[derivative(Debug = "ignore")]
    tree: MerkleTreeWithCap<F, H>,
    #[derivative(Debug = "ignore")]
    variables_hint: DenseVariablesCopyHint,
    #[derivative(Debug = "ignore")]
    witness_hint: DenseWitnessCopyHint,
}

impl<H: TreeHasher<F>> CompressionKey<H> {
    /// The key of `circuit`, whose values are ignored.
    ///
    /// # Errors
    /// [`SnarkError::Set`] if the library makes none.
    pub fn generate<C: SetCircuit>(
        circuit: &C,
        parameters: &ParameterSet,
        worker: &Worker,
    ) -> Result<Self, SnarkError> {
        let (assembly, hint) = synthesize_with::<C, SetupCSConfig, Packed>(circuit, None);
        let hint = hint.ok_or_else(|| SetError::Inconsistent("setup made no finalization hint".into()))?;
        let config = parameters.proof_config();
        let (base, lde, vk, tree, variables_hint, witness_hint) =
            assembly.get_full_setup::<H>(worker, config.fri_lde_factor, config.merkle_tree_cap_size);
        Ok(Self { vk, hint, base, lde, tree, variables_hint, witness_hint })
    }

    /// Proves `circuit` with transcript `T` and proof of work `P`, and verifies the proof.
    ///
    /// # Errors
    /// [`SnarkError::Invalid`] if `circuit` is not satisfied, such as by a proof that does not verify.
    pub fn prove<C, T, P>(
        &self,
        step: &'static str,
        circuit: &C,
        parameters: &ParameterSet,
        worker: &Worker,
    ) -> Result<StepProof<H>, SnarkError>
    where
        C: SetCircuit,
        H: TreeHasher<F, Output = T::CompatibleCap>,
        T: Transcript<F, TransciptParameters = ()>,
        P: PoWRunner,
    {
        let make = || {
            let (mut filled, _) = synthesize_with::<C, ProvingCSConfig, Packed>(circuit, Some(&self.hint));
            let witness = filled.witness.take()?;
            drop(filled);
            let assembly = empty_assembly(circuit, &self.hint);
            Some(assembly.prove_from_witness_vec_and_precomputations::<Ext, T, H, P>(
                &witness,
                parameters.proof_config(),
                &self.base,
                &self.lde,
                &self.tree,
                &self.vk,
                &self.variables_hint,
                &self.witness_hint,
                (),
                worker,
            ))
        };
        let made = catch_unwind(AssertUnwindSafe(make)).map_err(|panic| SnarkError::Panicked {
            step,
            message: ingot_types::panic_text(&*panic).unwrap_or_default(),
        })?;
        let proof = made.ok_or_else(|| SetError::Inconsistent("synthesis made no witness".into()))?;
        match verifier::<C>().verify::<H, T, P>((), &self.vk, &proof) {
            true => Ok(proof),
            false => Err(SnarkError::Invalid { step }),
        }
    }
}
