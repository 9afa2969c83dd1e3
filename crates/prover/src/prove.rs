//! Making a proof, through the proof library's own CPU prover.

use std::panic::{catch_unwind, AssertUnwindSafe};

use boojum::cs::implementations::pow::NoPow;
use ingot_circuit_set::{
    decode, encode,
    field::{Ext, Proof, SetupLde, Transcript, TreeHasher, WitnessVector, Worker},
    CircuitSet, SetupKey, VkSource,
};
use ingot_types::CircuitKey;

use crate::{error::panic_message, verify, ProverError};

/// Proves `witness` of circuit `key` and verifies the proof. `lde` must be `setup.lde(..)`.
///
/// # Errors
/// [`ProverError`].
pub fn prove(
    set: &dyn CircuitSet,
    key: CircuitKey,
    witness: &WitnessVector,
    setup: &SetupKey,
    lde: &SetupLde,
    vks: &dyn VkSource,
    worker: &Worker,
) -> Result<Proof, ProverError> {
    fits(key, witness, setup)?;
    let config = set.proof_config(key)?;
    let assembly = set.proving_assembly(key, &setup.hint, vks)?;
    let proof = catch_unwind(AssertUnwindSafe(|| {
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
    }))
    .map_err(|panic| ProverError::Panicked { key, message: panic_message(&*panic) })?;
    // Through its encoding, which makes every element canonical: that is the form everyone else will see.
    let proof = decode("proof", &encode("proof", &proof)?)?;
    match verify(set, key, &setup.vk, &proof)? {
        Ok(()) => Ok(proof),
        Err(reason) => Err(ProverError::SelfCheck { key, reason }),
    }
}

/// The library indexes the witness vector by the setup key's hints: every index must be there.
fn fits(key: CircuitKey, witness: &WitnessVector, setup: &SetupKey) -> Result<(), ProverError> {
    let error = |part, expected, found| Err(ProverError::Witness { key, part, expected, found });
    let locations = &setup.vk.fixed_parameters.public_inputs_locations;
    if &witness.public_inputs_locations != locations {
        return error("public input locations", locations.len(), witness.public_inputs_locations.len());
    }
    let variables = setup.variables_hint.maps.iter().flatten();
    let witnesses = setup.witness_hint.maps.iter().flatten();
    let last = variables
        .filter(|v| !v.is_placeholder())
        .map(|v| u64::from(v.as_variable_index()))
        .chain(witnesses.filter(|w| !w.is_placeholder()).map(|w| w.as_witness_index()))
        .max();
    let needed = last.map_or(0, |index| usize::try_from(index).unwrap_or(usize::MAX).saturating_add(1));
    if witness.all_values.len() < needed {
        return error("values", needed, witness.all_values.len());
    }
    Ok(())
}
