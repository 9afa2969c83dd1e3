//! Constraint checking for tests: is this witness, true or false, satisfied by the circuit's gates?
//!
//! The witness is made under the proving configuration, in which the proof library asserts nothing natively, and then
//! laid into an assembly that was made from an honest instance. Lookups are not covered: circuits with tables are also
//! tested by proving.

use std::{
    alloc::Global,
    panic::{catch_unwind, AssertUnwindSafe},
};

use boojum::{
    config::{DevCSConfig, ProvingCSConfig},
    cs::implementations::reference_cs::CSReferenceAssembly,
};
use ingot_circuit_set::{
    field::{FinalizationHint, WitnessVector, Worker, F},
    finalization_hint, synthesize_with, SetCircuit, SetError,
};

/// A circuit laid out for checking.
pub struct Checker {
    assembly: CSReferenceAssembly<F, F, DevCSConfig, Global>,
    hint: FinalizationHint,
    worker: Worker,
}

impl std::fmt::Debug for Checker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checker").finish_non_exhaustive()
    }
}

impl Checker {
    /// Lays out the circuit of `honest`, whose values must be satisfying.
    ///
    /// # Errors
    /// [`SetError::Inconsistent`] if the library made no finalization hint.
    pub fn new<C: SetCircuit>(honest: &C) -> Result<Self, SetError> {
        let hint = finalization_hint(honest)?;
        let (assembly, _) = synthesize_with::<C, DevCSConfig, F>(honest, None);
        Ok(Self { assembly, hint, worker: Worker::new_with_num_threads(1) })
    }

    /// The values of `instance`, unchecked.
    ///
    /// # Errors
    /// [`SetError::Inconsistent`] if the library made no witness.
    pub fn witness<C: SetCircuit>(&self, instance: &C) -> Result<WitnessVector, SetError> {
        let (mut assembly, _) = synthesize_with::<C, ProvingCSConfig, F>(instance, Some(&self.hint));
        assembly.witness.take().ok_or_else(|| SetError::Inconsistent("synthesis made no witness".into()))
    }

    /// Whether the gates are satisfied by `witness`. The library reports the first gate that is not by a panic, which
    /// is told from any other by its text.
    ///
    /// # Errors
    /// [`SetError::Inconsistent`] with the panic's text if it was about something else.
    pub fn is_satisfied(&mut self, witness: WitnessVector) -> Result<bool, SetError> {
        self.assembly.witness = Some(witness);
        let check = AssertUnwindSafe(|| self.assembly.check_if_satisfied(&self.worker));
        catch_unwind(check).or_else(|panic| {
            let text = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()))
                .unwrap_or_default();
            if text.starts_with("Unsatisfied at row") {
                Ok(false)
            } else {
                Err(SetError::Inconsistent(format!("the constraint check itself failed: {text}")))
            }
        })
    }

    /// Synthesizes `instance` and checks it: (satisfied, public input).
    ///
    /// # Errors
    /// As [`Checker::witness`] and [`Checker::is_satisfied`].
    pub fn check<C: SetCircuit>(&mut self, instance: &C) -> Result<(bool, Vec<F>), SetError> {
        let witness = self.witness(instance)?;
        let public_input = self.public_input(&witness);
        Ok((self.is_satisfied(witness)?, public_input))
    }

    /// The public input within `witness`.
    pub fn public_input(&self, witness: &WitnessVector) -> Vec<F> {
        let value = |&(column, row): &(usize, usize)| {
            let variable = self.assembly.copy_permutation_data[column][row];
            witness.all_values[variable.as_variable_index() as usize]
        };
        witness.public_inputs_locations.iter().map(value).collect()
    }
}
