//! The ledger's circuits: names, sizes, what they cost and how sound their proofs are.

use ingot_circuit_set::CircuitInfo;
use ingot_types::{AggregationRound, CircuitKey, ProtocolVersion};

use crate::security::{security_bits, ParameterSet};

/// The protocol version this crate implements. Any change of a circuit changes it.
pub const PROTOCOL_VERSION: ProtocolVersion = ProtocolVersion { minor: 1, patch: 0 };

/// What is measured of a circuit. Memory is at LDE factor 16, on two threads.
struct Entry {
    key: CircuitKey,
    name: &'static str,
    trace_len_log2: u32,
    /// Openings that a proof batches (checked against real proofs in the end-to-end test).
    openings: usize,
    synthesis_mib: u64,
    setup_mib: u64,
    proving_mib: u64,
}

const fn entry(
    (round, id, name): (AggregationRound, u8, &'static str),
    trace_len_log2: u32,
    openings: usize,
    [synthesis_mib, setup_mib, proving_mib]: [u64; 3],
) -> Entry {
    let key = CircuitKey::new(round, id);
    Entry { key, name, trace_len_log2, openings, synthesis_mib, setup_mib, proving_mib }
}

const BASIC_MIB: [u64; 3] = [250, 900, 900];
const RECURSION_MIB: [u64; 3] = [500, 1500, 1500];
const TIP_MIB: [u64; 3] = [900, 3000, 3000];

/// In the order in which their keys are made.
const ENTRIES: [Entry; 9] = [
    entry((AggregationRound::Basic, 1, "TransactionExecutor"), 14, 222, BASIC_MIB),
    entry((AggregationRound::Basic, 2, "SignatureVerifier"), 14, 213, BASIC_MIB),
    entry((AggregationRound::Basic, 3, "PubdataHasher"), 14, 297, BASIC_MIB),
    entry((AggregationRound::Leaf, 1, "LeafTransactionExecutor"), 14, 403, RECURSION_MIB),
    entry((AggregationRound::Leaf, 2, "LeafSignatureVerifier"), 14, 403, RECURSION_MIB),
    entry((AggregationRound::Leaf, 3, "LeafPubdataHasher"), 14, 403, RECURSION_MIB),
    entry((AggregationRound::Node, 1, "Node"), 14, 403, RECURSION_MIB),
    entry((AggregationRound::RecursionTip, 1, "RecursionTip"), 15, 403, TIP_MIB),
    entry((AggregationRound::Scheduler, 1, "Scheduler"), 14, 403, RECURSION_MIB),
];

/// Openings that a proof of `key` batches: what the proven security depends on beside the parameters.
pub fn openings(key: CircuitKey) -> Option<usize> {
    ENTRIES.iter().find(|entry| entry.key == key).map(|entry| entry.openings)
}

/// All circuits under `parameters`, in the order in which their keys are made.
pub fn circuits(parameters: &ParameterSet) -> Vec<CircuitInfo> {
    ENTRIES
        .iter()
        .map(|entry| CircuitInfo {
            key: entry.key,
            name: entry.name,
            trace_len_log2: entry.trace_len_log2,
            synthesis_ram_bytes: entry.synthesis_mib << 20,
            setup_ram_bytes: entry.setup_mib << 20,
            proving_ram_bytes: entry.proving_mib << 20,
            security: security_bits(parameters, 1 << entry.trace_len_log2, entry.openings),
        })
        .collect()
}
