//! The circuit set.

use std::collections::BTreeMap;

use circuit_definitions::circuit_definitions::recursion_layer::RECURSION_ARITY;
use ingot_circuit_set::{
    field::{
        FinalizationHint, NativeVerifier, Proof, ProofConfig, ProvingAssembly, WitnessVector, Worker, F,
    },
    security::ERA100,
    AggregationJob, AggregationPlan, Arity, CircuitInfo, CircuitSet, CircuitSink, GateSet, ProofSource,
    SetError, SetupKey, VkSource,
};
use ingot_era_circuits::EraCircuit;
use ingot_types::{AggregationRound, CircuitId, CircuitKey, ProtocolVersion};

use crate::{
    catalog::{self, base, base_of, leaf, leaf_of, NODE, SCHEDULER, TIP},
    placeholder,
    recursion::AggregationInputs,
    witness,
};

/// Era at the protocol version whose keys the published crates ship.
#[derive(Clone, Copy, Debug, Default)]
pub struct EraSet;

impl EraSet {
    fn known(key: CircuitKey) -> Result<(), SetError> {
        if catalog::circuits().iter().any(|info| info.key == key) {
            Ok(())
        } else {
            Err(SetError::UnknownCircuit { set: crate::NAME, key })
        }
    }
}

impl CircuitSet for EraSet {
    fn name(&self) -> &'static str {
        crate::NAME
    }

    fn protocol_version(&self) -> ProtocolVersion {
        catalog::PROTOCOL_VERSION
    }

    fn parameter_set(&self) -> &'static str {
        ERA100.name
    }

    fn insecure_because(&self) -> Option<&'static str> {
        None
    }

    fn circuits(&self) -> &[CircuitInfo] {
        catalog::circuits()
    }

    /// Rounds 1 and 2 go by the id of the leaf, as ZKsync's tables do.
    fn circuit_of(&self, round: AggregationRound, circuit_id: CircuitId) -> CircuitKey {
        match round {
            AggregationRound::Node => NODE,
            _ => CircuitKey { round, circuit_id },
        }
    }

    fn key_dependencies(&self, key: CircuitKey) -> Vec<CircuitKey> {
        let all =
            |round| catalog::circuits().iter().map(|info| info.key).filter(move |key| key.round == round);
        match key.round {
            AggregationRound::Basic => Vec::new(),
            AggregationRound::Leaf => base_of(key.circuit_id).map(|id| base(id.0)).into_iter().collect(),
            AggregationRound::Node => vec![leaf(3)],
            AggregationRound::RecursionTip => vec![NODE],
            AggregationRound::Scheduler => {
                all(AggregationRound::Basic).chain(all(AggregationRound::Leaf)).chain([NODE, TIP]).collect()
            }
        }
    }

    fn proof_config(&self, key: CircuitKey) -> Result<ProofConfig, SetError> {
        Self::known(key)?;
        Ok(ERA100.proof_config())
    }

    fn setup(&self, key: CircuitKey, vks: &dyn VkSource, worker: &Worker) -> Result<SetupKey, SetError> {
        placeholder::circuit(key, vks)?.setup_key(&self.proof_config(key)?, worker)
    }

    fn basic_circuits(
        &self,
        witness_inputs: &[u8],
        _vks: &dyn VkSource,
        sink: &mut dyn CircuitSink,
    ) -> Result<Vec<u8>, SetError> {
        let inputs = witness::basic_circuits(witness_inputs, sink)?;
        bincode::serialize(&inputs).map_err(|error| SetError::malformed("aggregation inputs", error))
    }

    fn arity(&self) -> Arity {
        Arity { leaf: RECURSION_ARITY, node: RECURSION_ARITY }
    }

    fn plan(&self, basic: &BTreeMap<CircuitId, u32>) -> AggregationPlan {
        // An id that is none of ours is not planned for as another: it stays what it is, and fails by name.
        let branch = |id| leaf_of(id).unwrap_or(id);
        AggregationPlan::new(basic, self.arity(), branch, TIP.circuit_id, SCHEDULER.circuit_id)
    }

    fn aggregation_circuit(
        &self,
        job: &AggregationJob,
        aggregation_inputs: &[u8],
        vks: &dyn VkSource,
        source: &mut dyn ProofSource,
    ) -> Result<Vec<u8>, SetError> {
        let inputs: AggregationInputs = bincode::deserialize(aggregation_inputs)
            .map_err(|error| SetError::malformed("aggregation inputs", error))?;
        let slot = job.slot;
        let base_id = |leaf_id: CircuitId| {
            base_of(leaf_id)
                .ok_or_else(|| SetError::Inconsistent(format!("there is no leaf circuit {leaf_id}")))
        };
        let mut proofs: Vec<Proof> = Vec::with_capacity(job.children.len());
        for child in &job.children {
            proofs.push(source.proof(*child)?);
        }
        let circuit = match slot.round {
            AggregationRound::Basic => {
                return Err(SetError::Inconsistent("round 0 aggregates nothing".into()));
            }
            AggregationRound::Leaf => inputs.leaf(base_id(slot.circuit_id)?, slot.sequence, proofs, vks)?,
            AggregationRound::Node => inputs.node(base_id(slot.circuit_id)?, &job.children, proofs, vks)?,
            AggregationRound::RecursionTip => {
                let ids = job.children.iter().map(|child| base_id(child.circuit_id));
                let ids = ids.collect::<Result<Vec<_>, _>>()?;
                inputs.tip(ids.into_iter().zip(proofs).collect(), vks)?
            }
            AggregationRound::Scheduler => match <[Proof; 1]>::try_from(proofs) {
                Ok([tip_proof]) => inputs.scheduler(tip_proof, vks)?,
                Err(proofs) => {
                    let reason = format!("the scheduler verifies one proof, not {}", proofs.len());
                    return Err(SetError::Inconsistent(reason));
                }
            },
        };
        circuit.to_bytes()
    }

    fn synthesize(
        &self,
        key: CircuitKey,
        circuit: &[u8],
        hint: &FinalizationHint,
        _vks: &dyn VkSource,
    ) -> Result<WitnessVector, SetError> {
        Self::known(key)?;
        EraCircuit::from_bytes(circuit, key)?.witness_vector(hint)
    }

    fn proving_assembly(
        &self,
        key: CircuitKey,
        hint: &FinalizationHint,
        vks: &dyn VkSource,
    ) -> Result<ProvingAssembly, SetError> {
        Ok(placeholder::circuit(key, vks)?.empty_assembly(hint))
    }

    fn gates(&self, key: CircuitKey) -> Result<GateSet, SetError> {
        ingot_era_circuits::gates(key).ok_or(SetError::UnknownCircuit { set: crate::NAME, key })?
    }

    fn verifier(&self, key: CircuitKey) -> Result<NativeVerifier, SetError> {
        ingot_era_circuits::native_verifier(key).ok_or(SetError::UnknownCircuit { set: crate::NAME, key })
    }

    fn batch_public_input(&self, witness_inputs: &[u8], _vks: &dyn VkSource) -> Result<Vec<F>, SetError> {
        witness::public_input(witness_inputs)
    }
}
