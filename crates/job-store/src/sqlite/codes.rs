//! How keys and states are written in columns.

use ingot_types::{AggregationRound, BatchId, BatchNumber, ChainId, CircuitId, JobKey, JobKind};
use rusqlite::Row;

use crate::{JobState, Refusal, StateName};

/// Codes of states: part of the schema.
pub(super) const fn state_code(state: StateName) -> i64 {
    match state {
        StateName::Waiting => 0,
        StateName::Queued => 1,
        StateName::Leased => 2,
        StateName::Failed => 3,
        StateName::Done => 4,
        StateName::Quarantined => 5,
    }
}

/// The state of a code.
pub(super) const fn state_of(code: i64) -> Option<StateName> {
    Some(match code {
        0 => StateName::Waiting,
        1 => StateName::Queued,
        2 => StateName::Leased,
        3 => StateName::Failed,
        4 => StateName::Done,
        5 => StateName::Quarantined,
        _ => return None,
    })
}

/// The kind of a code.
pub(super) const fn kind_of(code: i64) -> Option<JobKind> {
    Some(match code {
        0 => JobKind::Witness,
        1 => JobKind::Prove,
        2 => JobKind::Compress,
        _ => return None,
    })
}

/// All kinds.
pub(super) const KINDS: [JobKind; 3] = [JobKind::Witness, JobKind::Prove, JobKind::Compress];

/// SQLite's integers have a sign: what does not fit is refused when it is inserted.
pub(super) fn signed(key: JobKey, what: &str, value: u64) -> Result<i64, Refusal> {
    i64::try_from(value).map_err(|_| Refusal::BadJob {
        key,
        reason: format!("its {what} {value} is greater than {}", i64::MAX),
    })
}

/// For values that were checked when they were inserted, and for times, which nobody reaches.
pub(super) fn clamp(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The key in seven columns that begin with column `at`.
pub(super) fn key(row: &Row<'_>, at: usize) -> rusqlite::Result<JobKey> {
    let out_of_range = |column: usize, value: i64| rusqlite::Error::IntegralValueOutOfRange(column, value);
    let kind: i64 = row.get(at + 2)?;
    let round: u8 = row.get(at + 3)?;
    Ok(JobKey {
        batch: batch(row, at)?,
        kind: kind_of(kind).ok_or_else(|| out_of_range(at + 2, kind))?,
        round: AggregationRound::try_from(round).map_err(|_| out_of_range(at + 3, i64::from(round)))?,
        circuit_id: CircuitId(row.get(at + 4)?),
        depth: row.get(at + 5)?,
        sequence: row.get(at + 6)?,
    })
}

/// The batch in two columns that begin with column `at`.
pub(super) fn batch(row: &Row<'_>, at: usize) -> rusqlite::Result<BatchId> {
    Ok(BatchId { chain: ChainId(unsigned(row, at)?), batch: BatchNumber(row.get(at + 1)?) })
}

/// A count or a time.
pub(super) fn unsigned(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(at)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(at, value))
}

/// A count or a time that may be absent.
pub(super) fn unsigned_or_none(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<u64>> {
    let value: Option<i64> = row.get(at)?;
    value.map(|v| u64::try_from(v).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(at, v))).transpose()
}

/// The columns of a state: code, missing, token, worker, expiry, retry time.
#[derive(Debug, PartialEq)]
pub(super) struct StateColumns<'a> {
    pub code: i64,
    pub missing: Option<u32>,
    pub token: Option<i64>,
    pub worker: Option<&'a str>,
    pub expires_at_ms: Option<i64>,
    pub retry_at_ms: Option<i64>,
}

/// How a state is written.
pub(super) fn state_columns(state: &JobState) -> StateColumns<'_> {
    let mut columns = StateColumns {
        code: state_code(state.name()),
        missing: None,
        token: None,
        worker: None,
        expires_at_ms: None,
        retry_at_ms: None,
    };
    match state {
        JobState::Waiting { missing } => columns.missing = Some(*missing),
        JobState::Leased { token, worker, expires_at_ms } => {
            columns.token = Some(clamp(token.0));
            columns.worker = Some(worker);
            columns.expires_at_ms = Some(clamp(*expires_at_ms));
        }
        JobState::Failed { retry_at_ms } => columns.retry_at_ms = Some(clamp(*retry_at_ms)),
        JobState::Done { token, .. } => columns.token = Some(clamp(token.0)),
        JobState::Queued | JobState::Quarantined => {}
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_what_the_schema_says() {
        for code in 0..6 {
            assert_eq!(state_of(code).map(state_code), Some(code));
        }
        assert_eq!((state_of(6), state_of(-1), kind_of(3)), (None, None, None));
        assert!(KINDS.iter().enumerate().all(|(code, kind)| kind_of(code as i64) == Some(*kind)));
    }
}
