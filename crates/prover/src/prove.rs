//! Making a proof: a prepared setup, a witness vector, a check of the result.

use std::{
    panic::{catch_unwind, AssertUnwindSafe},
    time::{Duration, Instant},
};

use ingot_circuit_set::{
    decode, encode,
    field::{Proof, ProofConfig, Vk, WitnessVector},
    CircuitSet, GateSet, SetupKey,
};
use ingot_types::CircuitKey;

use crate::{
    cpu::{CpuDevice, CpuSetup},
    device::Device,
    error::panic_message,
    prove_on, verify, Layout, ProverError,
};

/// A setup key made ready on a device, for as many proofs as are wanted.
#[derive(Debug)]
pub struct Prepared<D: Device = CpuDevice> {
    device: D,
    key: CircuitKey,
    layout: Layout,
    config: ProofConfig,
    vk: Vk,
    setup: D::Setup,
    values: usize,
}

impl Prepared {
    /// Prepares `setup` of circuit `key` on the CPU.
    ///
    /// # Errors
    /// [`ProverError`].
    pub fn new(set: &dyn CircuitSet, key: CircuitKey, setup: &SetupKey) -> Result<Self, ProverError> {
        Self::on(CpuDevice::new(), set, key, setup)
    }

    /// Bytes that the setup takes.
    pub fn bytes(&self) -> usize {
        let CpuSetup { columns, places, .. } = &self.setup;
        columns.bytes()
            + places.iter().map(|p| p.len() * 4).sum::<usize>()
            + (columns.rows() << self.layout.lde_log2) * 64
    }
}

impl<D: Device> Prepared<D> {
    /// Prepares `setup` of circuit `key` on `device`.
    ///
    /// # Errors
    /// [`ProverError`].
    pub fn on(
        device: D,
        set: &dyn CircuitSet,
        key: CircuitKey,
        setup: &SetupKey,
    ) -> Result<Self, ProverError> {
        Self::with_gates(device, key, &set.gates(key)?, set.proof_config(key)?, setup)
    }

    /// Prepares `setup` of a circuit with `gates`, to be proved under `config`.
    ///
    /// # Errors
    /// [`ProverError`].
    pub fn with_gates(
        device: D,
        key: CircuitKey,
        gates: &GateSet,
        config: ProofConfig,
        setup: &SetupKey,
    ) -> Result<Self, ProverError> {
        let layout = Layout::new(&setup.vk, gates, &config)?;
        let on_device = device.setup(setup, gates, &layout)?;
        let vk = setup.vk.clone();
        Ok(Self { device, key, layout, config, vk, setup: on_device, values: values_needed(setup) })
    }

    /// Sizes and positions of the circuit's polynomials.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Proves `witness`; nothing is verified.
    ///
    /// # Errors
    /// [`ProverError`].
    pub fn prove_unchecked(&self, witness: &WitnessVector) -> Result<Proof, ProverError> {
        let Self { device, key, layout, config, vk, setup, values } = self;
        fits(*key, witness, vk, *values)?;
        catch_unwind(AssertUnwindSafe(|| prove_on(device, layout, setup, vk, witness, config)))
            .map_err(|panic| ProverError::Panicked { key: *key, message: panic_message(&*panic) })?
    }

    /// Proves `witness` and verifies the proof.
    ///
    /// # Errors
    /// [`ProverError`].
    pub fn prove(&self, set: &dyn CircuitSet, witness: &WitnessVector) -> Result<Proof, ProverError> {
        self.prove_timed(set, witness).map(|(proof, _)| proof)
    }

    /// [`Self::prove`], and how long the verification took.
    ///
    /// # Errors
    /// [`ProverError`].
    pub fn prove_timed(
        &self,
        set: &dyn CircuitSet,
        witness: &WitnessVector,
    ) -> Result<(Proof, Duration), ProverError> {
        let proof = self.prove_unchecked(witness)?;
        let start = Instant::now();
        // Through its encoding: that is the form everyone else will see.
        let proof = decode("proof", &encode("proof", &proof)?)?;
        match verify(set, self.key, &self.vk, &proof)? {
            Ok(()) => Ok((proof, start.elapsed())),
            Err(reason) => Err(ProverError::SelfCheck { key: self.key, reason }),
        }
    }
}

/// Values that the hints of `setup` read from a witness vector.
pub(crate) fn values_needed(setup: &SetupKey) -> usize {
    let variables = setup.variables_hint.maps.iter().flatten();
    let witnesses = setup.witness_hint.maps.iter().flatten();
    let last = variables
        .filter(|v| !v.is_placeholder())
        .map(|v| u64::from(v.as_variable_index()))
        .chain(witnesses.filter(|w| !w.is_placeholder()).map(|w| w.as_witness_index()))
        .max();
    last.map_or(0, |index| usize::try_from(index).unwrap_or(usize::MAX).saturating_add(1))
}

/// A witness vector is indexed by the setup key's hints: every index must be there.
pub(crate) fn fits(
    key: CircuitKey,
    witness: &WitnessVector,
    vk: &Vk,
    values: usize,
) -> Result<(), ProverError> {
    let error = |part, expected, found| Err(ProverError::Witness { key, part, expected, found });
    let fixed = &vk.fixed_parameters;
    let locations = &fixed.public_inputs_locations;
    if &witness.public_inputs_locations != locations {
        return error("public input locations", locations.len(), witness.public_inputs_locations.len());
    }
    if witness.all_values.len() < values {
        return error("values", values, witness.all_values.len());
    }
    let (tables, found) = (fixed.total_tables_len, witness.multiplicities.len());
    if fixed.lookup_parameters.lookup_is_allowed() && tables != found as u64 {
        return error("multiplicities", usize::try_from(tables).unwrap_or(usize::MAX), found);
    }
    Ok(())
}
