//! Finding the first queued job that a worker takes.

use ingot_types::{AggregationRound, CircuitKey, JobKey, JobKind, ProtocolVersion};
use rusqlite::Row;

use super::{
    codes::{key, unsigned, KINDS},
    SqliteStore,
};
use crate::{Filter, JobSpec, QueuePlace, StoreError};

impl SqliteStore {
    /// The first job in queue order that the filter takes.
    ///
    /// One look into the index for each kind and round: within them it has the queue's order, so that the first row that
    /// fits is the one, and rows of other rounds are never read.
    pub(super) fn first_queued(&self, filter: &Filter) -> Result<Option<JobKey>, StoreError> {
        let mut first: Option<QueuePlace> = None;
        for kind in KINDS {
            if filter.kinds.as_ref().is_some_and(|kinds| !kinds.contains(&kind)) {
                continue;
            }
            for round in AggregationRound::ALL {
                if filter.rounds.as_ref().is_some_and(|rounds| !rounds.contains(&round)) {
                    continue;
                }
                let of_round = |circuit: &CircuitKey| circuit.round == round;
                if filter.circuits.as_ref().is_some_and(|circuits| !circuits.iter().any(of_round)) {
                    continue;
                }
                let place = self.first_of(kind, round, filter)?;
                first = [first, place].into_iter().flatten().min();
            }
        }
        Ok(first.map(|place| place.key()))
    }

    fn first_of(
        &self,
        kind: JobKind,
        round: AggregationRound,
        filter: &Filter,
    ) -> Result<Option<QueuePlace>, StoreError> {
        self.statement(
            "SELECT chain, batch, kind, round, circuit, depth, sequence, version_minor, version_patch, priority,
             sealed_at_ms, prover_group, zone FROM jobs INDEXED BY queue WHERE state = 1 AND kind = ?1 AND round = ?2
             ORDER BY priority DESC, sealed_at_ms, circuit, sequence, chain, batch, depth",
            |statement| {
                let mut rows = statement.query((kind as u8, round as u8))?;
                while let Some(row) = rows.next()? {
                    let spec = outline(row)?;
                    if filter.matches(&spec) {
                        return Ok(Some(QueuePlace::of(&spec)));
                    }
                }
                Ok(None)
            },
        )
    }
}

/// As much of a job as the order and filters look at.
fn outline(row: &Row<'_>) -> rusqlite::Result<JobSpec> {
    Ok(JobSpec {
        key: key(row, 0)?,
        protocol_version: ProtocolVersion { minor: row.get(7)?, patch: row.get(8)? },
        priority: row.get(9)?,
        sealed_at_ms: unsigned(row, 10)?,
        max_attempts: 1,
        group: row.get(11)?,
        zone: row.get(12)?,
        depends_on: Vec::new(),
        inputs: Vec::new(),
    })
}
