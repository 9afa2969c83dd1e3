//! Round 4, the scheduler: the statement about the batch, backed by the tip's proof.

use boojum::{
    cs::{
        cs_builder::{CsBuilder, CsBuilderImpl},
        traits::{circuit::CircuitBuilder, cs::ConstraintSystem},
        CSGeometry, GateConfigurationHolder, LookupParameters, StaticToolboxHolder,
    },
    gadgets::{boolean::Boolean, traits::allocatable::CSAllocatable},
};
use ingot_circuit_set::{
    field::{Digest, Proof, ProofConfig, Vk, F},
    SetCircuit, SetError,
};
use serde::{Deserialize, Serialize};

use super::{
    geometry::RecursionGates,
    input::{vk_commitment, RecursionKeys},
    shape::ProofShape,
    statement::{self, StatementWitness},
    verify::{InCircuitVerifier, VerifiedCircuit, VkVar},
    TRACE_LEN,
};
use crate::basic::closed_form::{reserve_public_input, set_public_input};

/// Every key below the scheduler: its constants.
#[derive(Clone, Debug)]
pub struct SchedulerConstants {
    keys: RecursionKeys,
    tip_vk: Vk,
    verified: VerifiedCircuit,
}

impl SchedulerConstants {
    /// From the commitments below the tip, the tip's key and the parameters of the tip's proofs.
    ///
    /// # Errors
    /// [`SetError::Inconsistent`] if proofs of the tip cannot be verified in-circuit.
    pub fn new(keys: RecursionKeys, tip_vk: Vk, config: &ProofConfig) -> Result<Self, SetError> {
        let verified = VerifiedCircuit::new(&tip_vk.fixed_parameters, config)?;
        ProofShape::new::<RecursionGates>(&verified)?.check("tip key", &tip_vk.setup_merkle_tree_cap, [])?;
        Ok(Self { keys, tip_vk, verified })
    }

    /// Every key below the tip.
    pub fn keys(&self) -> RecursionKeys {
        self.keys
    }

    /// Commitment to the tip's key.
    pub fn tip_vk_commitment(&self) -> Digest {
        vk_commitment(&self.tip_vk.setup_merkle_tree_cap)
    }

    /// `vk_set`, as the header has it.
    pub fn vk_set(&self) -> Digest {
        self.keys.vk_set(&self.tip_vk_commitment())
    }
}

/// What the scheduler is made from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SchedulerWitness {
    /// The batch.
    pub statement: StatementWitness,
    /// The tip's proof.
    pub tip_proof: Proof,
}

/// The scheduler.
#[derive(Clone, Debug)]
pub struct SchedulerCircuit {
    constants: SchedulerConstants,
    witness: Option<SchedulerWitness>,
}

impl SchedulerCircuit {
    /// The scheduler without values.
    pub fn for_setup(constants: SchedulerConstants) -> Self {
        Self { constants, witness: None }
    }

    /// The scheduler that makes `witness` true.
    ///
    /// # Errors
    /// [`SetError::InvalidBatch`] if there are too many instances, [`SetError::Inconsistent`] if the proof has another
    /// shape.
    pub fn new(constants: SchedulerConstants, witness: SchedulerWitness) -> Result<Self, SetError> {
        witness.statement.check_capacity()?;
        ProofShape::new::<RecursionGates>(&constants.verified)?.check(
            "scheduler",
            &constants.tip_vk.setup_merkle_tree_cap,
            [&witness.tip_proof],
        )?;
        Ok(Self { constants, witness: Some(witness) })
    }
}

impl CircuitBuilder<F> for SchedulerCircuit {
    fn geometry() -> CSGeometry {
        RecursionGates::geometry()
    }

    fn lookup_parameters() -> LookupParameters {
        RecursionGates::lookup_parameters()
    }

    fn configure_builder<T: CsBuilderImpl<F, T>, GC: GateConfigurationHolder<F>, TB: StaticToolboxHolder>(
        builder: CsBuilder<T, F, GC, TB>,
    ) -> CsBuilder<T, F, impl GateConfigurationHolder<F>, impl StaticToolboxHolder> {
        RecursionGates::configure_builder(builder)
    }
}

impl SetCircuit for SchedulerCircuit {
    fn trace_len(&self) -> usize {
        TRACE_LEN
    }

    fn synthesize<CS: ConstraintSystem<F> + 'static>(&self, cs: &mut CS) {
        reserve_public_input(cs);
        let SchedulerConstants { keys, tip_vk, verified } = &self.constants;
        let placeholder;
        let batch = match &self.witness {
            Some(witness) => &witness.statement,
            None => {
                placeholder = StatementWitness::placeholder();
                &placeholder
            }
        };
        let statement = statement::synthesize(cs, keys, &self.constants.tip_vk_commitment(), batch);

        let vk = VkVar::allocate_constant(cs, tip_vk.clone());
        let verifier = InCircuitVerifier::new::<RecursionGates>(cs, verified);
        let always = Boolean::allocated_constant(cs, true);
        let proof = self.witness.as_ref().map(|witness| &witness.tip_proof);
        verifier.verify_if(cs, always, &vk, proof, &statement.tip_public_input);

        set_public_input(cs, &statement.public_input);
    }
}
