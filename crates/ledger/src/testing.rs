//! Constraint checking for tests: is this witness, true or false, satisfied by the circuit's gates?
//!
//! The witness is made under the proving configuration, in which the proof library asserts nothing natively, and then
//! laid into an assembly that was made from an honest instance. Lookups are not covered: circuits with tables are also
//! tested by proving.

use std::{
    alloc::Global,
    cell::Cell,
    panic::{catch_unwind, AssertUnwindSafe},
};

use boojum::{
    config::{DevCSConfig, ProvingCSConfig},
    cs::implementations::reference_cs::CSReferenceAssembly,
    field::Field,
};
use ingot_circuit_set::{
    field::{FinalizationHint, WitnessVector, Worker, F},
    synthesize_with, SetCircuit, SetError,
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
        let (assembly, hint) = synthesize_with::<C, DevCSConfig, F>(honest, None);
        let hint = hint.ok_or_else(|| SetError::Inconsistent("setup made no finalization hint".into()))?;
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
            let text = ingot_types::panic_text(&*panic).unwrap_or_default();
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

    /// Whether value `index` sits in a general-purpose copied column, where a gate sees it. Others are a gate's
    /// intermediates, the inverse that a zero check takes as a witness (free where the checked value is zero), or stand
    /// in lookups alone.
    pub fn is_seen_by_a_gate<C: SetCircuit>(&self, index: usize) -> bool {
        let columns = C::geometry().num_columns_under_copy_permutation;
        self.assembly.copy_permutation_data[..columns]
            .iter()
            .flatten()
            .any(|variable| !variable.is_placeholder() && variable.as_variable_index() as usize == index)
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

/// What a dishonest prover changes during synthesis; everything downstream is then computed from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tamper {
    /// Adds `delta` to the `index`-th witness value that the circuit takes from its input.
    Allocation {
        /// In order of synthesis.
        index: usize,
        /// Added in the field.
        delta: u64,
    },
    /// Flips bits of output `output` of the `index`-th hint (bits, carries, borrows, words).
    Hint {
        /// In order of synthesis.
        index: usize,
        /// Modulo the number of outputs.
        output: usize,
        /// The bits.
        flip: u64,
    },
}

thread_local! {
    static TAMPER: Cell<Option<Tamper>> = const { Cell::new(None) };
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static HINTS: Cell<usize> = const { Cell::new(0) };
}

/// Runs `synthesize` under `tamper`; returns its result and how many (allocations, hints) there were.
pub fn tampered<T>(tamper: Option<Tamper>, synthesize: impl FnOnce() -> T) -> (T, usize, usize) {
    TAMPER.set(tamper);
    ALLOCATIONS.set(0);
    HINTS.set(0);
    let result = synthesize();
    TAMPER.set(None);
    (result, ALLOCATIONS.get(), HINTS.get())
}

/// Called with every witness value that a circuit takes from its input.
pub(crate) fn tamper_allocation(mut value: F) -> F {
    let at = ALLOCATIONS.replace(ALLOCATIONS.get() + 1);
    if let Some(Tamper::Allocation { index, delta }) = TAMPER.get() {
        if index == at {
            value.add_assign(&F::from_u64_with_reduction(delta));
        }
    }
    value
}

/// Called with every hint.
pub(crate) fn tamper_hint<const I: usize, const N: usize>(
    compute: impl FnOnce([u64; I]) -> [u64; N] + 'static + Send + Sync,
) -> impl FnOnce([u64; I]) -> [u64; N] + 'static + Send + Sync {
    let at = HINTS.replace(HINTS.get() + 1);
    let change = match TAMPER.get() {
        Some(Tamper::Hint { index, output, flip }) if index == at => Some((output % N, flip)),
        _ => None,
    };
    move |inputs| {
        let mut outputs = compute(inputs);
        if let Some((output, flip)) = change {
            outputs[output] ^= flip;
        }
        outputs
    }
}
