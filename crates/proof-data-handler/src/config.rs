//! Configuration of the proof data handler.

use std::{net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

/// The proof data handler.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ProofDataHandlerConfig {
    /// Its folder: database and artifacts.
    pub folder: PathBuf,
    /// The chain whose batches it has.
    pub chain: u64,
    /// Where core and gateways reach it.
    pub listen: SocketAddr,
    /// Where anybody who may prove or verify batches reaches it; `None`: nowhere.
    pub external: Option<SocketAddr>,
    /// Whether the external API is open to all, wherever it listens. It gives out witness inputs, and verifying costs time.
    pub external_is_public: bool,
    /// File with the secret that peers show (`Authorization: Bearer`); needed beyond loopback.
    pub token_file: Option<PathBuf>,
    /// How long a gateway that tells what it holds may keep silent before its batches are handed out again, in seconds.
    pub lease_s: u64,
    /// The same for a gateway that does not tell, as ZKsync's: as long as it may need for a batch.
    pub plain_lease_s: u64,
    /// Largest witness inputs, in bytes.
    pub most_input_bytes: u64,
    /// Largest proof, in bytes.
    pub most_proof_bytes: u64,
    /// Proofs verified at once.
    pub verifications: usize,
    /// How long the witness inputs of proved batches are kept, in seconds; proofs are kept for ever.
    pub keep_inputs_s: u64,
}

impl Default for ProofDataHandlerConfig {
    fn default() -> Self {
        Self {
            folder: "/var/lib/ingot/proof-data-handler".into(),
            chain: 0x0001_a607,
            listen: SocketAddr::from(([127, 0, 0, 1], 3320)),
            external: None,
            external_is_public: false,
            token_file: None,
            lease_s: 120,
            plain_lease_s: 3_600,
            most_input_bytes: 4 << 30,
            most_proof_bytes: 64 << 20,
            verifications: 2,
            keep_inputs_s: 30 * 24 * 3_600,
        }
    }
}
