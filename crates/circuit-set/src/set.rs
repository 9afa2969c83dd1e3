//! The trait a protocol version implements.

use std::{collections::BTreeMap, sync::Arc};

use ingot_types::{AggregationRound, CircuitId, CircuitKey, ProtocolVersion};

use crate::{
    field::{
        FinalizationHint, NativeVerifier, Proof, ProofConfig, ProvingAssembly, Vk, WitnessVector, Worker, F,
    },
    AggregationPlan, Arity, GateSet, ProofSlot, SetError, SetupKey,
};

/// What is known about a circuit before it is built.
#[derive(Clone, Debug)]
pub struct CircuitInfo {
    /// Round and id.
    pub key: CircuitKey,
    /// Its name.
    pub name: &'static str,
    /// log2 of the number of rows.
    pub trace_len_log2: u32,
    /// Peak memory of its synthesis into a witness vector, estimated, in bytes.
    pub synthesis_ram_bytes: u64,
    /// Peak memory of making its setup key, estimated, in bytes.
    pub setup_ram_bytes: u64,
    /// Peak memory of proving it on the CPU, estimated, in bytes.
    pub proving_ram_bytes: u64,
    /// Soundness of its proofs.
    pub security: SecurityBits,
}

/// Soundness of a proof, in bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SecurityBits {
    /// Proven, at the Johnson bound.
    pub proven: f64,
    /// Up-to-capacity conjecture, refuted as stated in 2025: for comparison only.
    pub legacy: f64,
}

/// An aggregation proof to prepare.
#[derive(Clone, Debug)]
pub struct AggregationJob {
    /// The proof to make. Its round is never `Basic`.
    pub slot: ProofSlot,
    /// The proofs it verifies, in order.
    pub children: Vec<ProofSlot>,
}

/// Takes the basic circuits of a batch one at a time, so that no more than one is ever in memory.
pub trait CircuitSink {
    /// Stores the circuit input `circuit` of the next instance (sequence counts from 0 per id).
    ///
    /// # Errors
    /// [`SetError::Source`] if it cannot be stored.
    fn basic_circuit(&mut self, circuit_id: CircuitId, sequence: u32, circuit: &[u8])
        -> Result<(), SetError>;
}

/// Gives verification keys.
pub trait VkSource: Send + Sync {
    /// The verification key of `key`.
    ///
    /// # Errors
    /// [`SetError::Source`] if there is none.
    fn vk(&self, key: CircuitKey) -> Result<Arc<Vk>, SetError>;
}

/// Gives the proofs that an aggregation job verifies.
pub trait ProofSource {
    /// The proof in `slot`.
    ///
    /// # Errors
    /// [`SetError::Source`] if there is none.
    fn proof(&mut self, slot: ProofSlot) -> Result<Proof, SetError>;
}

/// A protocol version: its circuits, its witness generation, its recursion.
///
/// Circuit inputs travel as opaque bytes, which only the set that wrote them reads. Every method is safe to call from
/// several threads at once.
pub trait CircuitSet: Send + Sync {
    /// Its name: `ledger`, `era`.
    fn name(&self) -> &'static str;

    /// The protocol version it implements.
    fn protocol_version(&self) -> ProtocolVersion;

    /// Name of the security parameters in use.
    fn parameter_set(&self) -> &'static str;

    /// Why proofs of this set must not be trusted with money, if they must not be (test parameters).
    fn insecure_because(&self) -> Option<&'static str>;

    /// All (round, circuit id) pairs, in the order in which their keys can be made.
    fn circuits(&self) -> &[CircuitInfo];

    /// The circuit that proves jobs of `round` and `circuit_id` (in rounds 1 and 2 the branch).
    fn circuit_of(&self, round: AggregationRound, circuit_id: CircuitId) -> CircuitKey;

    /// The verification keys that setup of `key` needs: keys are made after these.
    fn key_dependencies(&self, key: CircuitKey) -> Vec<CircuitKey>;

    /// Proof parameters of `key`.
    ///
    /// # Errors
    /// [`SetError::UnknownCircuit`].
    fn proof_config(&self, key: CircuitKey) -> Result<ProofConfig, SetError>;

    /// Makes the setup key of `key`. Deterministic.
    ///
    /// # Errors
    /// [`SetError::UnknownCircuit`]; what `vks` says.
    fn setup(&self, key: CircuitKey, vks: &dyn VkSource, worker: &Worker) -> Result<SetupKey, SetError>;

    /// Round 0: hands every basic circuit of the batch described by `witness_inputs` to `sink`, one at a time, and
    /// returns what rounds 1 to 4 will need (the aggregation inputs).
    ///
    /// # Errors
    /// [`SetError::Malformed`], [`SetError::InvalidBatch`]; what `vks` and `sink` say.
    fn basic_circuits(
        &self,
        witness_inputs: &[u8],
        vks: &dyn VkSource,
        sink: &mut dyn CircuitSink,
    ) -> Result<Vec<u8>, SetError>;

    /// How many proofs an aggregation circuit verifies.
    fn arity(&self) -> Arity;

    /// The aggregation proofs of a batch with `basic` circuits of each id.
    fn plan(&self, basic: &BTreeMap<CircuitId, u32>) -> AggregationPlan;

    /// Rounds 1 to 4: the circuit input for `job`.
    ///
    /// # Errors
    /// [`SetError::Malformed`], [`SetError::Inconsistent`]; what `vks` and `proofs` say.
    fn aggregation_circuit(
        &self,
        job: &AggregationJob,
        aggregation_inputs: &[u8],
        vks: &dyn VkSource,
        proofs: &mut dyn ProofSource,
    ) -> Result<Vec<u8>, SetError>;

    /// Synthesizes the circuit input `circuit` into its witness vector.
    ///
    /// # Errors
    /// [`SetError::UnknownCircuit`], [`SetError::Malformed`]; what `vks` says.
    fn synthesize(
        &self,
        key: CircuitKey,
        circuit: &[u8],
        hint: &FinalizationHint,
        vks: &dyn VkSource,
    ) -> Result<WitnessVector, SetError>;

    /// The empty assembly a prover needs beside setup key and witness vector.
    ///
    /// # Errors
    /// [`SetError::UnknownCircuit`]; what `vks` says.
    fn proving_assembly(
        &self,
        key: CircuitKey,
        hint: &FinalizationHint,
        vks: &dyn VkSource,
    ) -> Result<ProvingAssembly, SetError>;

    /// The gates of `key`, as a prover of our own evaluates them.
    ///
    /// # Errors
    /// [`SetError::UnknownCircuit`]; [`SetError::Inconsistent`] if a gate cannot be recorded.
    fn gates(&self, key: CircuitKey) -> Result<GateSet, SetError>;

    /// The native verifier of `key`.
    ///
    /// # Errors
    /// [`SetError::UnknownCircuit`].
    fn verifier(&self, key: CircuitKey) -> Result<NativeVerifier, SetError>;

    /// The public input that the scheduler proof of this batch must have, computed natively from the witness inputs.
    ///
    /// # Errors
    /// [`SetError::Malformed`], [`SetError::InvalidBatch`]; what `vks` says.
    fn batch_public_input(&self, witness_inputs: &[u8], vks: &dyn VkSource) -> Result<Vec<F>, SetError>;
}
