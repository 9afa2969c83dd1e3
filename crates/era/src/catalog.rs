//! The 43 circuits of Era: names, what they cost, how sound their proofs are.

use std::sync::OnceLock;

use ingot_circuit_set::{
    security::{security_bits, ERA100},
    CircuitInfo,
};
use ingot_types::{AggregationRound, CircuitId, CircuitKey, ProtocolVersion};

/// The protocol version whose keys the published crates ship.
pub const PROTOCOL_VERSION: ProtocolVersion = ProtocolVersion { minor: 31, patch: 0 };

/// log2 of the rows of every circuit.
const TRACE_LEN_LOG2: u32 = 20;

/// An upper bound on the openings that a proof batches: the proven security depends on it by its logarithm.
const MAX_OPENINGS: usize = 1 << 10;

const GIB: u64 = 1 << 30;

/// The node circuit.
pub const NODE: CircuitKey = CircuitKey::new(AggregationRound::Node, 2);
/// The recursion tip.
pub const TIP: CircuitKey = CircuitKey::new(AggregationRound::RecursionTip, 255);
/// The scheduler.
pub const SCHEDULER: CircuitKey = CircuitKey::new(AggregationRound::Scheduler, 1);

/// Base circuits: id, name.
const BASE: [(u8, &str); 20] = [
    (1, "Main VM"),
    (2, "Decommitts sorter"),
    (3, "Code decommitter"),
    (4, "Log demuxer"),
    (5, "Keccak"),
    (6, "SHA256"),
    (7, "ECRecover"),
    (8, "RAM permutation"),
    (9, "Storage sorter"),
    (10, "Storage application"),
    (11, "Events sorter"),
    (12, "L1 messages sorter"),
    (13, "L1 messages hasher"),
    (14, "Transient storage sorter"),
    (15, "Secp256r1 verify"),
    (16, "Modexp"),
    (17, "ECAdd"),
    (18, "ECMul"),
    (19, "ECPairing"),
    (255, "EIP4844 repack"),
];

/// Leaf circuits, in the order of the base circuits they verify.
const LEAF: [(u8, &str); 20] = [
    (3, "Leaf Main VM"),
    (4, "Leaf Decommitts sorter"),
    (5, "Leaf Code decommitter"),
    (6, "Leaf Log demuxer"),
    (7, "Leaf Keccak"),
    (8, "Leaf SHA256"),
    (9, "Leaf ECRecover"),
    (10, "Leaf RAM permutation"),
    (11, "Leaf Storage sorter"),
    (12, "Leaf Storage application"),
    (13, "Leaf Events sorter"),
    (14, "Leaf L1 messages sorter"),
    (15, "Leaf L1 messages hasher"),
    (16, "Leaf Transient storage sorter"),
    (17, "Leaf Secp256r1 verify"),
    (19, "Leaf Modexp"),
    (20, "Leaf ECAdd"),
    (21, "Leaf ECMul"),
    (22, "Leaf ECPairing"),
    (18, "Leaf EIP4844 repack"),
];

/// A base circuit.
pub const fn base(id: u8) -> CircuitKey {
    CircuitKey::new(AggregationRound::Basic, id)
}

/// The leaf circuit with id `id` (3 to 22).
pub const fn leaf(id: u8) -> CircuitKey {
    CircuitKey::new(AggregationRound::Leaf, id)
}

/// The id of the leaf that verifies base circuit `base`.
pub fn leaf_of(base: CircuitId) -> Option<CircuitId> {
    let at = BASE.iter().position(|(id, _)| *id == base.0)?;
    Some(CircuitId(LEAF[at].0))
}

/// The id of the base circuit that leaf `leaf` verifies.
pub fn base_of(leaf: CircuitId) -> Option<CircuitId> {
    let at = LEAF.iter().position(|(id, _)| *id == leaf.0)?;
    Some(CircuitId(BASE[at].0))
}

/// All circuits.
pub fn circuits() -> &'static [CircuitInfo] {
    static CIRCUITS: OnceLock<Vec<CircuitInfo>> = OnceLock::new();
    CIRCUITS.get_or_init(|| {
        let security = security_bits(&ERA100, 1 << TRACE_LEN_LOG2, MAX_OPENINGS);
        let info = |key: CircuitKey, name| CircuitInfo {
            key,
            name,
            trace_len_log2: TRACE_LEN_LOG2,
            synthesis_ram_bytes: 4 * GIB,
            setup_ram_bytes: 8 * GIB,
            proving_ram_bytes: 9 * GIB,
            security,
        };
        let mut all: Vec<CircuitInfo> = BASE.iter().map(|(id, name)| info(base(*id), name)).collect();
        all.extend(LEAF.iter().map(|(id, name)| info(leaf(*id), name)));
        all.extend([info(NODE, "Node"), info(TIP, "Recursion tip"), info(SCHEDULER, "Scheduler")]);
        all
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_43_circuits_and_leaves_follow_zksyncs_numbers() {
        assert_eq!(circuits().len(), 43);
        for (base, leaf) in [(1, 3), (15, 17), (255, 18), (16, 19), (19, 22)] {
            assert_eq!(leaf_of(CircuitId(base)), Some(CircuitId(leaf)));
            assert_eq!(base_of(CircuitId(leaf)), Some(CircuitId(base)));
        }
        assert_eq!(leaf_of(CircuitId(20)), None);
    }
}
