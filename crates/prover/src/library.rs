//! The proof library's own prover: the oracle that ours is compared with.

use std::panic::{catch_unwind, AssertUnwindSafe};

use boojum::cs::implementations::pow::NoPow;
use ingot_circuit_set::{
    field::{
        Ext, Proof, ProofConfig, ProvingAssembly, SetupLde, Transcript, TreeHasher, WitnessVector, Worker,
    },
    CircuitSet, SetupKey, VkSource,
};
use ingot_types::CircuitKey;

use crate::{
    error::panic_message,
    prove::{fits, values_needed},
    ProverError,
};

/// Proves `witness` of circuit `key` with the proof library's prover; nothing is verified. `lde` must be
/// `setup.lde(..)`.
///
/// # Errors
/// [`ProverError`].
pub fn prove_with_library(
    set: &dyn CircuitSet,
    key: CircuitKey,
    witness: &WitnessVector,
    setup: &SetupKey,
    lde: &SetupLde,
    vks: &dyn VkSource,
    worker: &Worker,
) -> Result<Proof, ProverError> {
    fits(key, witness, &setup.vk, values_needed(setup))?;
    let config = set.proof_config(key)?;
    let assembly = set.proving_assembly(key, &setup.hint, vks)?;
    catch_unwind(AssertUnwindSafe(|| prove_in(&assembly, witness, config, setup, lde, worker)))
        .map_err(|panic| ProverError::Panicked { key, message: panic_message(&*panic) })
}

/// The library's own call, which panics on what it does not like.
pub(crate) fn prove_in(
    assembly: &ProvingAssembly,
    witness: &WitnessVector,
    config: ProofConfig,
    setup: &SetupKey,
    lde: &SetupLde,
    worker: &Worker,
) -> Proof {
    assembly.prove_from_witness_vec_and_precomputations::<Ext, Transcript, TreeHasher, NoPow>(
        witness,
        config,
        &setup.base,
        lde,
        &setup.tree,
        &setup.vk,
        &setup.variables_hint,
        &setup.witness_hint,
        (),
        worker,
    )
}
