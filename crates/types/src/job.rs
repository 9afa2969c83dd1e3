//! Job keys: what names a unit of work, everywhere.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{AggregationRound, CircuitId};

/// The rollup a batch belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChainId(pub u64);

/// The number of a batch on its chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BatchNumber(pub u32);

/// A batch of one chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BatchId {
    /// The chain.
    pub chain: ChainId,
    /// The batch's number on it.
    pub batch: BatchNumber,
}

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum JobKind {
    /// Generates circuit inputs from witness inputs or child proofs.
    Witness = 0,
    /// Synthesizes a circuit and proves it.
    Prove = 1,
    /// Compresses the scheduler proof into a SNARK.
    Compress = 2,
}

impl JobKind {
    /// The kind's lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Witness => "witness",
            Self::Prove => "prove",
            Self::Compress => "compress",
        }
    }
}

/// The name of a job: (chain, batch, kind, round, circuit id, depth, sequence).
///
/// In rounds 1 and 2 the circuit id is the branch, that is, the leaf circuit whose proofs are merged;
/// the circuit set maps it to the circuit that is proved. Depth counts node levels (0 elsewhere).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobKey {
    /// The batch it belongs to.
    pub batch: BatchId,
    /// What it does.
    pub kind: JobKind,
    /// Aggregation round.
    pub round: AggregationRound,
    /// Circuit id, or branch.
    pub circuit_id: CircuitId,
    /// Node level, 0 in every other round.
    pub depth: u16,
    /// Position among the jobs that agree in all of the above.
    pub sequence: u32,
}

impl fmt::Display for JobKey {
    /// `chain/batch/kind/round/circuit/depth/sequence`, which `FromStr` reads back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{}/{}/{}/{}/{}/{}",
            self.batch.chain.0,
            self.batch.batch.0,
            self.kind.name(),
            self.round as u8,
            self.circuit_id,
            self.depth,
            self.sequence
        )
    }
}

/// Text that is no job key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no job key: expected chain/batch/kind/round/circuit/depth/sequence, such as 270/17/prove/0/1/0/3")]
pub struct ParseJobKeyError(pub String);

impl FromStr for JobKey {
    type Err = ParseJobKeyError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || -> Option<Self> {
            let mut parts = text.split('/');
            let key = Self {
                batch: BatchId {
                    chain: ChainId(parts.next()?.parse().ok()?),
                    batch: BatchNumber(parts.next()?.parse().ok()?),
                },
                kind: match parts.next()? {
                    "witness" => JobKind::Witness,
                    "prove" => JobKind::Prove,
                    "compress" => JobKind::Compress,
                    _ => return None,
                },
                round: AggregationRound::try_from(parts.next()?.parse::<u8>().ok()?).ok()?,
                circuit_id: CircuitId(parts.next()?.parse().ok()?),
                depth: parts.next()?.parse().ok()?,
                sequence: parts.next()?.parse().ok()?,
            };
            parts.next().is_none().then_some(key)
        };
        parse().ok_or_else(|| ParseJobKeyError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_keys_survive_the_round_trip_and_others_are_refused() {
        let text = "270/17/prove/2/3/1/42";
        let key: JobKey = text.parse().unwrap();
        assert_eq!(key.to_string(), text);
        for bad in
            ["", "270/17/prove/2/3/1", "270/17/prove/9/3/1/42", "270/17/bake/2/3/1/42", "1/2/prove/0/1/0/3/4"]
        {
            assert!(bad.parse::<JobKey>().is_err(), "{bad}");
        }
    }
}
