//! Configuration of the gateway.

use std::{net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

/// The gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct GatewayConfig {
    /// Its name among those the house keeper knows; `None`: from host name and process id.
    pub name: Option<String>,
    /// Where the core is: `http://HOST:PORT` or `https://…`.
    pub core: String,
    /// Where a core reaches this gateway that hands batches in and asks for proofs by itself, as ZKsync's do since v20.3;
    /// `None`: the gateway asks the core.
    pub listen: Option<SocketAddr>,
    /// For a core that asks by itself and never says that it has a proof: silence of so many seconds after it was handed
    /// out is taken for that. `None`: only `POST /ack` is.
    pub settled_after_s: Option<u64>,
    /// Largest batch that such a core may hand in, in bytes.
    pub most_input_bytes: u64,
    /// Name of that core in the house keeper's outbox: one for each core.
    pub destination: String,
    /// File with the secret that the core wants, or that it shows to `listen` (`Authorization: Bearer`).
    pub token_file: Option<PathBuf>,
    /// Chain of batches from a core that does not say, as older ones do not.
    pub chain: Option<u64>,
    /// Batches taken and not yet delivered, at most.
    pub most_batches: u32,
    /// How long the core is asked to wait for a batch, in milliseconds.
    pub poll_wait_ms: u64,
    /// How often a core without batches is asked, in milliseconds, beyond what it waits by itself.
    pub poll_every_ms: u64,
    /// Whether proofs are sent in the order of their batches' numbers, each after the one before it.
    pub in_order: bool,
    /// Priority of the batches: higher goes first.
    pub priority: i32,
    /// Attempts that each job of a batch may fail.
    pub max_attempts: u32,
    /// Where health is served; `None`: nowhere.
    pub http: Option<SocketAddr>,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            name: None,
            core: "http://127.0.0.1:3320".into(),
            listen: None,
            settled_after_s: None,
            most_input_bytes: 4 << 30,
            destination: "core".into(),
            token_file: None,
            chain: None,
            most_batches: 16,
            poll_wait_ms: 20_000,
            poll_every_ms: 500,
            in_order: true,
            priority: 0,
            max_attempts: 5,
            http: None,
        }
    }
}
