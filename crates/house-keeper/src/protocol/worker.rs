//! Who a peer is, and what provers offer.

use std::net::SocketAddr;

use ingot_job_store::Token;
use ingot_types::{JobKey, ProtocolVersion};
use serde::{Deserialize, Serialize};

/// What a peer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs)] // the components of the design
pub enum Component {
    WitnessGenerator,
    WitnessVectorGenerator,
    CircuitProver,
    ProofCompressor,
    Gateway,
    /// A person at the command line, or a script.
    Operator,
}

impl Component {
    /// The name of its subcommand.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WitnessGenerator => "witness-generator",
            Self::WitnessVectorGenerator => "witness-vector-generator",
            Self::CircuitProver => "circuit-prover",
            Self::ProofCompressor => "proof-compressor",
            Self::Gateway => "gateway",
            Self::Operator => "operator",
        }
    }
}

/// The circuits and keys that a worker has loaded. Workers of one protocol version must agree in all of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// The protocol version.
    pub protocol_version: ProtocolVersion,
    /// Name of the circuit set.
    pub circuit_set: String,
    /// Name of the security parameters.
    pub parameter_set: String,
    /// BLAKE3 of the key manifest, as hexadecimal text.
    pub key_manifest: String,
}

/// Where a prover receives witness vectors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamOffer {
    /// Addresses to connect to, best first.
    pub addresses: Vec<SocketAddr>,
    /// Slabs in all.
    pub slabs: u32,
    /// Size of each, in bytes.
    pub slab_bytes: u64,
}

/// How a peer introduces itself. Sent anew on every connection; the `instance` tells a reconnection from a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// What it does.
    pub component: Component,
    /// Its name, unique among live workers: what leases are held under.
    pub name: String,
    /// Drawn at random when the process starts.
    pub instance: [u8; 16],
    /// Name of its host.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// Where it stands: provers take witness vectors from their own zone.
    pub zone: Option<String>,
    /// The prover group it belongs to; one that the groups file does not name means every circuit.
    pub group: Option<u8>,
    /// What it can work on; `None`: it takes no jobs.
    pub serves: Option<Served>,
    /// For a circuit prover: where it receives witness vectors.
    pub stream: Option<StreamOffer>,
}

/// How busy a prover is; sent whenever it changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProverLoad {
    /// Slabs that are neither filled nor reserved.
    pub free_slabs: u32,
    /// Witness vectors received that wait to be proved.
    pub queued: u32,
    /// Proofs being made.
    pub proving: u32,
}

/// A slab that the house keeper asks a prover to keep for one sender. The prover answers with `SlabReserved`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// Names the ticket.
    pub ticket: u64,
    /// What both ends authenticate with.
    pub key: [u8; 32],
    /// The job whose witness vector will come.
    pub job: JobKey,
    /// The sender's lease, which the prover swaps for its own when the vector has come.
    pub token: Token,
    /// Size of the witness vector, in bytes.
    pub bytes: u64,
    /// How long to keep the slab for a sender that says nothing, in milliseconds.
    pub keep_ms: u64,
}

impl std::fmt::Debug for Reservation {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reservation")
            .field("ticket", &self.ticket)
            .field("job", &self.job)
            .field("token", &self.token)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

/// Where a sender may send its witness vector.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The prover's name.
    pub prover: String,
    /// Its addresses, best first.
    pub addresses: Vec<SocketAddr>,
    /// Names the ticket.
    pub ticket: u64,
    /// What both ends authenticate with.
    pub key: [u8; 32],
}

impl std::fmt::Debug for Grant {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grant")
            .field("prover", &self.prover)
            .field("addresses", &self.addresses)
            .field("ticket", &self.ticket)
            .finish_non_exhaustive()
    }
}

/// A peer as the registry knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerInfo {
    /// How it introduced itself.
    pub registration: Registration,
    /// Whether it is connected.
    pub connected: bool,
    /// Whether it takes no new work.
    pub draining: bool,
    /// When it was last heard of, in milliseconds since the Unix epoch.
    pub seen_at_ms: u64,
    /// The leases it holds.
    pub leases: Vec<JobKey>,
    /// For a prover: how busy it is.
    pub load: ProverLoad,
    /// What it says it is doing.
    pub status: String,
}
