//! Finding the first queued job that a worker takes.

use ingot_types::{AggregationRound, CircuitId, JobKey, JobKind, ProtocolVersion};
use rusqlite::{Row, Rows};

use super::{
    codes::{key, unsigned, KINDS},
    SqliteStore,
};
use crate::{Filter, JobSpec, QueuePlace, StoreError};

const QUEUE: &str =
    "SELECT chain, batch, kind, round, circuit, depth, sequence, version_minor, version_patch, priority, sealed_at_ms,
     prover_group, zone FROM jobs INDEXED BY queue WHERE state = 1 AND kind = ?1 AND round = ?2
     ORDER BY priority DESC, sealed_at_ms, circuit, sequence, chain, batch, depth";

const QUEUE_OF_CIRCUIT: &str =
    "SELECT chain, batch, kind, round, circuit, depth, sequence, version_minor, version_patch, priority, sealed_at_ms,
     prover_group, zone FROM jobs INDEXED BY queue_of_circuit
     WHERE state = 1 AND kind = ?1 AND round = ?2 AND circuit = ?3
     ORDER BY priority DESC, sealed_at_ms, sequence, chain, batch, depth";

impl SqliteStore {
    /// The first job in queue order that the filter takes.
    ///
    /// One look into an index for each kind and round, or for each circuit that the worker takes: within them it has the
    /// queue's order, so that the first row that fits is the one, and rows of other rounds or circuits are never read.
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
                let Some(circuits) = &filter.circuits else {
                    first = [first, self.first_of(kind, round, None, filter)?].into_iter().flatten().min();
                    continue;
                };
                for circuit in circuits.iter().filter(|circuit| circuit.round == round) {
                    let place = self.first_of(kind, round, Some(circuit.circuit_id), filter)?;
                    first = [first, place].into_iter().flatten().min();
                }
            }
        }
        Ok(first.map(|place| place.key()))
    }

    fn first_of(
        &self,
        kind: JobKind,
        round: AggregationRound,
        circuit: Option<CircuitId>,
        filter: &Filter,
    ) -> Result<Option<QueuePlace>, StoreError> {
        let first = |mut rows: Rows<'_>| {
            while let Some(row) = rows.next()? {
                let spec = outline(row)?;
                if filter.matches(&spec) {
                    return Ok(Some(QueuePlace::of(&spec)));
                }
            }
            Ok(None)
        };
        let (kind, round) = (kind as u8, round as u8);
        match circuit {
            None => self.statement(QUEUE, |statement| first(statement.query((kind, round))?)),
            Some(circuit) => self
                .statement(QUEUE_OF_CIRCUIT, |statement| first(statement.query((kind, round, circuit.0))?)),
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Backoff;

    #[test]
    fn the_queue_is_read_in_the_order_of_an_index() {
        let store = SqliteStore::in_memory(Backoff::default()).unwrap();
        for sql in [QUEUE, QUEUE_OF_CIRCUIT] {
            let mut explained = store.connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let params = vec![0; explained.parameter_count()];
            let steps =
                explained.query_map(rusqlite::params_from_iter(params), |row| row.get::<_, String>(3));
            let steps: Vec<String> = steps.unwrap().map(Result::unwrap).collect();
            assert_eq!(steps.len(), 1, "no sorting: {steps:?}");
            assert!(steps[0].starts_with("SEARCH jobs USING INDEX queue"), "{steps:?}");
        }
    }
}
