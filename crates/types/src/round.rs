//! Aggregation rounds and circuit ids.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One of the five rounds that turn a batch into one proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum AggregationRound {
    /// Round 0: proofs of the batch's own execution.
    Basic = 0,
    /// Round 1: proofs that verify basic proofs of one circuit type.
    Leaf = 1,
    /// Round 2: proofs that merge leaf or node proofs of one circuit type.
    Node = 2,
    /// Round 3: the proof that merges the node proofs of all circuit types.
    RecursionTip = 3,
    /// Round 4: the proof that checks how the instances chain, and outputs the batch's public input.
    Scheduler = 4,
}

/// A number that is no aggregation round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown aggregation round {0}: expected 0 (basic) to 4 (scheduler)")]
pub struct UnknownRound(pub u8);

impl AggregationRound {
    /// All rounds, in proving order.
    pub const ALL: [Self; 5] = [Self::Basic, Self::Leaf, Self::Node, Self::RecursionTip, Self::Scheduler];

    /// The round's lower-case name, as printed and as stored.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Leaf => "leaf",
            Self::Node => "node",
            Self::RecursionTip => "recursion-tip",
            Self::Scheduler => "scheduler",
        }
    }
}

impl fmt::Display for AggregationRound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl TryFrom<u8> for AggregationRound {
    type Error = UnknownRound;
    fn try_from(round: u8) -> Result<Self, UnknownRound> {
        Self::ALL.into_iter().find(|r| *r as u8 == round).ok_or(UnknownRound(round))
    }
}

/// The number of a circuit within its round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CircuitId(pub u8);

impl fmt::Display for CircuitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The pair that names a circuit, and with it a setup key and a verification key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CircuitKey {
    /// The aggregation round the circuit belongs to.
    pub round: AggregationRound,
    /// Its id within that round.
    pub circuit_id: CircuitId,
}

impl CircuitKey {
    /// Shorthand constructor.
    pub const fn new(round: AggregationRound, circuit_id: u8) -> Self {
        Self { round, circuit_id: CircuitId(circuit_id) }
    }
}

impl fmt::Display for CircuitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.round as u8, self.circuit_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_convert_both_ways_and_refuse_the_rest() {
        for round in AggregationRound::ALL {
            assert_eq!(AggregationRound::try_from(round as u8), Ok(round));
        }
        assert_eq!(AggregationRound::try_from(5), Err(UnknownRound(5)));
    }
}
