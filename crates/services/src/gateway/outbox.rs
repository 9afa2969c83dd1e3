//! Proofs from the house keeper to the core.

use std::{
    collections::BTreeMap,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use ingot_core_api::{ProofForL1, SubmitProofRequest};
use ingot_house_keeper::{
    client::ClientError,
    protocol::{Answer, OutboxEntry, Request},
};
use ingot_job_store::DeliveryOutcome;
use ingot_types::{BatchId, RetryClass};

use super::{unexpected, Gateway, BACKOFF, PATIENCE};
use crate::{observability::GatewayEvent, work::role};

/// How long the house keeper is asked to wait for a proof.
const WAIT: Duration = Duration::from_secs(20);
/// How often proofs that are to be tried again are looked at.
const LOOK: Duration = Duration::from_millis(200);

impl Gateway {
    /// Sends proofs until the process stops.
    pub(super) fn send_proofs(&self) {
        let mut wait = BACKOFF.start;
        // When each proof that did not get there is tried again.
        let mut later: BTreeMap<BatchId, Instant> = BTreeMap::new();
        while !self.stop.is_raised() {
            let entries = match self.entries() {
                Ok(entries) => entries,
                Err(error) => {
                    tracing::debug!("the outbox: {error}");
                    self.rest(&mut wait);
                    continue;
                }
            };
            wait = BACKOFF.start;
            later.retain(|batch, _| entries.iter().any(|entry| entry.batch == *batch));
            let mut any = false;
            for entry in &entries {
                if self.stop.is_raised() {
                    return;
                }
                let due = later.get(&entry.batch).is_none_or(|at| Instant::now() >= *at);
                if due {
                    any = true;
                    if self.send(entry) {
                        later.remove(&entry.batch);
                        continue;
                    }
                    let doublings = entry.attempts.min(8);
                    later.insert(
                        entry.batch,
                        Instant::now() + (BACKOFF.start * (1 << doublings)).min(BACKOFF.end),
                    );
                }
                if self.config.in_order {
                    // The next one has to wait for this one.
                    break;
                }
            }
            if !any {
                self.stop.wait_timeout(LOOK);
            }
        }
    }

    fn entries(&self) -> Result<Vec<OutboxEntry>, ClientError> {
        let request = Request::Outbox {
            destination: self.config.destination.clone(),
            in_order: self.config.in_order,
            wait_ms: u64::try_from(WAIT.as_millis()).unwrap_or(u64::MAX),
        };
        match self.house_keeper.call_within(request, WAIT + PATIENCE)? {
            Answer::Outbox(entries) => Ok(entries),
            other => Err(unexpected(&other)),
        }
    }

    /// Sends one proof and reports what came of it; whether it is settled.
    fn send(&self, entry: &OutboxEntry) -> bool {
        let number = entry.batch.batch.0;
        let outcome = match self.proof(entry) {
            Ok(proof) => match self.core.submit(number, &SubmitProofRequest::Proof(Box::new(proof))) {
                Ok(()) => DeliveryOutcome::Acknowledged,
                Err(error) if error.retry_class() == RetryClass::Deterministic => {
                    DeliveryOutcome::Refused(error.to_string())
                }
                Err(error) => DeliveryOutcome::Failed(error.to_string()),
            },
            Err(reason) => DeliveryOutcome::Failed(reason),
        };
        match &outcome {
            DeliveryOutcome::Acknowledged => {
                tracing::info!(BATCH = number, "the core has the proof of batch {number}");
            }
            DeliveryOutcome::Refused(reason) => {
                tracing::error!(BATCH = number, "the core refuses the proof of batch {number}: {reason}");
            }
            DeliveryOutcome::Failed(reason) => {
                tracing::warn!(BATCH = number, "the proof of batch {number} was not sent: {reason}");
            }
        }
        self.observed.metrics.gateway(match outcome {
            DeliveryOutcome::Acknowledged => GatewayEvent::ProofAcknowledged,
            DeliveryOutcome::Refused(_) => GatewayEvent::ProofRefused,
            DeliveryOutcome::Failed(_) => GatewayEvent::ProofFailed,
        });
        let settled = !matches!(outcome, DeliveryOutcome::Failed(_));
        let acknowledged = outcome == DeliveryOutcome::Acknowledged;
        let report = Request::Delivered { batch: entry.batch, outcome };
        match self.house_keeper.call_within(report, PATIENCE) {
            Ok(_) => {
                if acknowledged {
                    self.sent.fetch_add(1, Ordering::Relaxed);
                }
                settled
            }
            // It is sent again, and acknowledged again.
            Err(error) => {
                tracing::warn!(BATCH = number, "what became of the proof cannot be noted: {error}");
                false
            }
        }
    }

    /// What the core gets.
    pub(super) fn proof(&self, entry: &OutboxEntry) -> Result<ProofForL1, String> {
        let file = |files: &[ingot_job_store::ArtifactName], role: &str| {
            let name = files.iter().find(|file| file.role == role);
            self.file(name.ok_or_else(|| format!("no file `{role}` is named"))?)
        };
        let inputs = file(&entry.inputs, role::WITNESS_INPUTS)?;
        let proof = file(&entry.outputs, role::PROOF)?;
        let fault = |e: ingot_core_api::FormatError| e.to_string();
        Ok(ProofForL1 {
            aggregation_result_coords: self.format.coordinates(&inputs).map_err(fault)?,
            scheduler_proof: self.format.proof_to_json(&proof).map_err(fault)?,
            protocol_version: entry.protocol_version,
        })
    }
}
