//! What the house keeper shows of itself: for metrics, reports and health.

use std::collections::BTreeMap;

use ingot_job_store::{CountKey, Home, StoreError};
use ingot_types::ProtocolVersion;

use super::core::Core;
use crate::protocol::WorkerInfo;

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Leases given, hand-overs included.
    pub leased: u64,
    /// Jobs completed.
    pub completed: u64,
    /// Attempts reported as failed.
    pub failed: u64,
    /// Leases that ended without their holder's doing.
    pub leases_lost: u64,
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
    /// Whether batches are taken; if not, why.
    pub intake: Result<(), String>,
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
        let (mut oldest_open_batch_ms, mut open_batches) = (None, 0);
        for row in home.batches()? {
            let counts = jobs.entry(row.protocol_version).or_default();
            for (key, count) in home.counts(Some(row.batch))? {
                *counts.entry(key).or_default() += count;
            }
            if row.done_at_ms.is_none() {
                open_batches += 1;
                let oldest = oldest_open_batch_ms.get_or_insert(row.submitted_at_ms);
                *oldest = row.submitted_at_ms.min(*oldest);
            }
        }
        Ok(EngineView {
            now_ms,
            jobs,
            oldest_open_batch_ms,
            open_batches,
            workers: self.workers(),
            totals: self.totals,
            statements: home.statements(),
            parked: self.parked.len() as u64,
            intake: self.intake.clone(),
        })
    }
}
