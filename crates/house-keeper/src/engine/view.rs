//! What the house keeper shows of itself: for metrics, reports and health.

use std::collections::BTreeMap;

use ingot_job_store::{CountKey, DeliveryState, Home, StateName, StoreError};
use ingot_types::{AggregationRound, JobKey, JobKind, ProtocolVersion, RetryClass};

use super::core::Core;
use crate::protocol::{BatchState, WorkerInfo};

/// Attempts that failed, by what another would be worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // beside RetryClass
pub struct Failed {
    pub transient: u64,
    pub resource: u64,
    pub deterministic: u64,
}

impl Failed {
    pub(super) fn count(&mut self, class: RetryClass) {
        *match class {
            RetryClass::Transient => &mut self.transient,
            RetryClass::Resource => &mut self.resource,
            RetryClass::Deterministic => &mut self.deterministic,
        } += 1;
    }
}

/// Of some jobs: the first among their batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct First {
    /// When the oldest came in, in milliseconds since the Unix epoch.
    pub submitted_at_ms: u64,
    /// The lowest number.
    pub lowest_batch: u32,
}

/// Jobs that went back to the queue, by kind, round and chain.
pub type Requeued = BTreeMap<(JobKind, AggregationRound, u64), u64>;

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Leases given, hand-overs included.
    pub leased: u64,
    /// Jobs completed.
    pub completed: u64,
    /// Attempts that failed.
    pub failed: Failed,
    /// Leases that ended without their holder's doing.
    pub leases_lost: u64,
    /// Those of them that ran out.
    pub expired: u64,
    /// Jobs given up.
    pub quarantined: u64,
    /// Damaged or missing files reported.
    pub bad_files: u64,
    /// Done jobs that had to run again.
    pub undone: u64,
}

/// A picture of the whole.
#[derive(Clone, Debug)]
pub struct EngineView {
    /// When it was taken, in milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// Jobs by what they are counted by, for each protocol version.
    pub jobs: BTreeMap<ProtocolVersion, BTreeMap<CountKey, u64>>,
    /// When the oldest batch that is not proved came in, in milliseconds since the Unix epoch.
    pub oldest_open_batch_ms: Option<u64>,
    /// Batches in the store that are not proved.
    pub open_batches: u64,
    /// Everyone who is connected, or was.
    pub workers: Vec<WorkerInfo>,
    /// Counts since the start.
    pub totals: Totals,
    /// Statements that the store has run since the start.
    pub statements: u64,
    /// Requests that wait.
    pub parked: u64,
    /// The first batches that have such jobs.
    pub oldest: BTreeMap<ProtocolVersion, BTreeMap<CountKey, First>>,
    /// Every lease, and since when it is known, in milliseconds since the Unix epoch.
    pub leases: Vec<(JobKey, u64)>,
    /// Batches by where they stand.
    pub batches: Vec<(BatchState, u64)>,
    /// The lowest number of a batch that is not proved.
    pub lowest_open_batch: Option<u32>,
    /// Jobs that went back to the queue since the start.
    pub requeued: Requeued,
    /// Whether batches are taken; if not, why.
    pub intake: Result<(), String>,
    /// Proofs that somebody waits for, by where they stand.
    pub deliveries: BTreeMap<&'static str, u64>,
    /// Since when the oldest proof is there that was to be sent and is not, in milliseconds since the Unix epoch.
    pub oldest_unsent_ms: Option<u64>,
}

impl Core {
    pub(super) fn workers(&self) -> Vec<WorkerInfo> {
        self.peers
            .all()
            .map(|(_, peer)| WorkerInfo {
                registration: peer.registration.clone(),
                connected: peer.is_connected(),
                draining: peer.draining,
                seen_at_ms: peer.seen_at_ms,
                leases: self
                    .leases
                    .iter()
                    .filter(|(_, lease)| lease.worker == peer.registration.name)
                    .map(|(key, _)| *key)
                    .collect(),
                load: peer.load,
                status: peer.status.clone(),
            })
            .collect()
    }

    pub(super) fn view(&self, home: &dyn Home, now_ms: u64) -> Result<EngineView, StoreError> {
        let mut jobs: BTreeMap<ProtocolVersion, BTreeMap<CountKey, u64>> = BTreeMap::new();
        let mut oldest: BTreeMap<ProtocolVersion, BTreeMap<CountKey, First>> = BTreeMap::new();
        let (mut oldest_open_batch_ms, mut open_batches, mut lowest_open_batch) = (None, 0, None);
        let (mut proving, mut stuck, mut proved) = (0, 0, 0);
        let mut done_at_ms = BTreeMap::new();
        for row in home.batches()? {
            let counts = jobs.entry(row.protocol_version).or_default();
            let oldest = oldest.entry(row.protocol_version).or_default();
            let (number, submitted_at_ms) = (row.batch.batch.0, row.submitted_at_ms);
            done_at_ms.insert(row.batch, row.done_at_ms);
            let mut quarantined = false;
            for (key, count) in home.counts(Some(row.batch))? {
                *counts.entry(key).or_default() += count;
                quarantined |= key.state == StateName::Quarantined;
                let first = oldest.entry(key).or_insert(First { submitted_at_ms, lowest_batch: number });
                first.submitted_at_ms = first.submitted_at_ms.min(submitted_at_ms);
                first.lowest_batch = first.lowest_batch.min(number);
            }
            if row.done_at_ms.is_none() {
                open_batches += 1;
                let oldest = oldest_open_batch_ms.get_or_insert(submitted_at_ms);
                *oldest = submitted_at_ms.min(*oldest);
                let lowest = lowest_open_batch.get_or_insert(number);
                *lowest = number.min(*lowest);
            }
            *match (row.done_at_ms, quarantined) {
                (Some(_), _) => &mut proved,
                (None, true) => &mut stuck,
                (None, false) => &mut proving,
            } += 1;
        }
        let mut deliveries = BTreeMap::from([("pending", 0), ("sent", 0), ("refused", 0)]);
        let mut oldest_unsent_ms = None;
        for delivery in home.deliveries(None)? {
            let name = match delivery.state {
                DeliveryState::Pending => "pending",
                DeliveryState::Sent => "sent",
                DeliveryState::Refused => "refused",
            };
            *deliveries.entry(name).or_default() += 1;
            // Of an archived batch it is no longer known when it was proved.
            let since = done_at_ms.get(&delivery.batch).copied().unwrap_or(Some(delivery.changed_at_ms));
            if let (DeliveryState::Pending, Some(since)) = (delivery.state, since) {
                let oldest = oldest_unsent_ms.get_or_insert(since);
                *oldest = since.min(*oldest);
            }
        }
        let archived = home.archived_count()?;
        Ok(EngineView {
            now_ms,
            deliveries,
            oldest_unsent_ms,
            jobs,
            oldest_open_batch_ms,
            open_batches,
            workers: self.workers(),
            totals: self.totals,
            statements: home.statements(),
            parked: self.parked.len() as u64,
            oldest,
            leases: self.leases.iter().map(|(key, lease)| (*key, lease.since_ms)).collect(),
            batches: vec![
                (BatchState::Proving, proving),
                (BatchState::Stuck, stuck),
                (BatchState::Proved, proved),
                (BatchState::Archived, archived),
            ],
            lowest_open_batch,
            requeued: self.requeued.clone(),
            intake: self.intake.clone(),
        })
    }
}
