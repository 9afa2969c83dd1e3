//! What proving a batch took.

use std::collections::BTreeMap;

use ingot_types::AggregationRound;
use serde::{Serialize, Serializer};

/// Figures of one aggregation round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct RoundStats {
    /// Proofs of the round.
    pub proofs: u64,
    /// Of them, made while it was followed: the others were there.
    pub made_now: u64,
    /// Seconds spent on circuit inputs.
    pub witness_seconds: f64,
    /// Seconds spent on synthesis; in the appliance, waiting for a prover included.
    pub synthesis_seconds: f64,
    /// Seconds spent proving and verifying; in the appliance, waiting for the proof before included.
    pub proving_seconds: f64,
}

/// Figures of a batch.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Stats {
    /// By round.
    #[serde(serialize_with = "by_name")]
    pub rounds: BTreeMap<AggregationRound, RoundStats>,
    /// Seconds from start to end, by the clock on the wall.
    pub seconds: f64,
}

impl Stats {
    /// All proofs.
    pub fn proofs(&self) -> u64 {
        self.rounds.values().map(|r| r.proofs).sum()
    }

    /// Proofs made while it was followed.
    pub fn made_now(&self) -> u64 {
        self.rounds.values().map(|r| r.made_now).sum()
    }
}

fn by_name<S: Serializer>(
    rounds: &BTreeMap<AggregationRound, RoundStats>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(rounds.iter().map(|(round, stats)| (round.name(), stats)))
}
