//! What is known of batches and proofs: what a proof must say, and whether it does.

use std::{path::Path, sync::Arc};

use ingot_circuit_set::{CircuitSet, VkSource};
use ingot_core_api::BatchFormat;
use ingot_prover::{judge, ContainerError, Judgement, StoredProof};
use ingot_types::{BatchId, ChainId, ProtocolVersion};

/// What is computed of a batch when it comes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchFacts {
    /// Which batch it is.
    pub id: BatchId,
    /// What a proof of it says: limbs of 8 bytes, little-endian.
    pub public_input: Vec<u8>,
    /// Four digests that tie a proof to it.
    pub coordinates: [[u8; 32]; 4],
}

/// Why a proof is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofFault {
    /// These bytes are no proof file at all.
    #[error("{0}")]
    NotAProof(String),
    /// It is one, and does not prove this batch.
    #[error("{0}")]
    Refused(String),
}

/// A circuit set as the proof data handler sees it.
pub trait Checker: Send + Sync + 'static {
    /// The protocol version whose batches and proofs it checks.
    fn protocol_version(&self) -> ProtocolVersion;

    /// How its batches look in messages.
    fn format(&self) -> &dyn BatchFormat;

    /// Commitment to the key that a verifier of final proofs uses, and hash of the manifest that pins all keys.
    fn key_hashes(&self) -> ([u8; 32], [u8; 32]);

    /// Checks witness inputs and computes what a proof of them must say.
    ///
    /// # Errors
    /// Why they cannot be proved.
    fn facts(&self, name: &str, inputs: &[u8], chain: ChainId) -> Result<BatchFacts, String>;

    /// Verifies a final proof of batch `id` against its public input.
    ///
    /// # Errors
    /// [`ProofFault`].
    fn check(&self, id: BatchId, public_input: &[u8], proof: &[u8]) -> Result<(), ProofFault>;
}

/// The checker of a circuit set with trusted keys.
pub struct CircuitChecker {
    /// The set.
    pub set: Arc<dyn CircuitSet>,
    /// Its verification keys: trusted ones.
    pub vks: Arc<dyn VkSource>,
    /// How its batches look in messages.
    pub format: Arc<dyn BatchFormat>,
    /// See [`Checker::key_hashes`].
    pub key_hashes: ([u8; 32], [u8; 32]),
}

impl std::fmt::Debug for CircuitChecker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CircuitChecker").field("set", &self.set.name()).finish_non_exhaustive()
    }
}

impl Checker for CircuitChecker {
    fn protocol_version(&self) -> ProtocolVersion {
        self.set.protocol_version()
    }

    fn format(&self) -> &dyn BatchFormat {
        &*self.format
    }

    fn key_hashes(&self) -> ([u8; 32], [u8; 32]) {
        self.key_hashes
    }

    fn facts(&self, name: &str, inputs: &[u8], chain: ChainId) -> Result<BatchFacts, String> {
        let id = self.format.identify(name, inputs, Some(chain)).map_err(|e| e.to_string())?;
        let coordinates = self.format.coordinates(inputs).map_err(|e| e.to_string())?;
        let limbs = self.set.batch_public_input(inputs, &*self.vks).map_err(|e| format!("{name}: {e}"))?;
        let public_input = limbs.iter().flat_map(|limb| limb.to_reduced_u64().to_le_bytes()).collect();
        Ok(BatchFacts { id, public_input, coordinates })
    }

    fn check(&self, id: BatchId, public_input: &[u8], proof: &[u8]) -> Result<(), ProofFault> {
        let stored = StoredProof::from_bytes(Path::new("the proof"), proof).map_err(|error| match error {
            ContainerError::Magic { .. } | ContainerError::Format { .. } => {
                ProofFault::NotAProof(error.to_string())
            }
            _ => ProofFault::Refused(error.to_string()),
        })?;
        let found: Vec<u8> =
            stored.proof.public_inputs.iter().flat_map(|limb| limb.to_reduced_u64().to_le_bytes()).collect();
        if found != public_input {
            return Err(ProofFault::Refused(format!(
                "the proof is about another batch: expected the public input {}, found {}",
                limbs(public_input),
                limbs(&found)
            )));
        }
        if stored.header.batch != id {
            let named = stored.header.batch;
            return Err(ProofFault::Refused(format!(
                "the file names batch {}/{}: expected {}/{}",
                named.chain.0, named.batch.0, id.chain.0, id.batch.0
            )));
        }
        match judge(&*self.set, &*self.vks, &stored) {
            Judgement::Valid => Ok(()),
            Judgement::Invalid(reason) | Judgement::CannotTell(reason) => Err(ProofFault::Refused(reason)),
        }
    }
}

/// A public input as hexadecimal text, limb by limb.
pub(crate) fn limbs(public_input: &[u8]) -> String {
    let limb =
        |bytes: &[u8]| bytes.iter().rev().fold(String::from("0x"), |text, byte| format!("{text}{byte:02x}"));
    public_input.chunks(8).map(limb).collect::<Vec<_>>().join(" ")
}
