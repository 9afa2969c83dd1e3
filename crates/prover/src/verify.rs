//! Verifying a proof.

use std::panic::{catch_unwind, AssertUnwindSafe};

use boojum::cs::implementations::pow::NoPow;
use ingot_circuit_set::{
    field::{Proof, Transcript, TreeHasher, Vk},
    CircuitSet, SetError,
};
use ingot_types::CircuitKey;

use crate::{error::panic_message, shape::ProofShape, Rejection};

/// Verifies `proof` of circuit `key` under the pinned `vk`, with the security parameters of `set`.
///
/// The outer error means that nothing could be said; the inner one that the proof is refused, and why.
///
/// # Errors
/// [`SetError::UnknownCircuit`].
pub fn verify(
    set: &dyn CircuitSet,
    key: CircuitKey,
    vk: &Vk,
    proof: &Proof,
) -> Result<Result<(), Rejection>, SetError> {
    let verifier = set.verifier(key)?;
    let config = set.proof_config(key)?;
    // Sizes first: the library's verifier may index out of bounds on others, and goes on with too few queries.
    let checked = catch_unwind(AssertUnwindSafe(|| {
        ProofShape::new(&verifier, vk, &config)?.check(proof)?;
        match verifier.verify::<TreeHasher, Transcript, NoPow>((), vk, proof) {
            true => Ok(()),
            false => Err(Rejection::Invalid),
        }
    }));
    Ok(checked.unwrap_or_else(|panic| Err(Rejection::Panicked(panic_message(&*panic)))))
}
