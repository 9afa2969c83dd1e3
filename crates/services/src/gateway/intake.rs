//! Batches from the core to the house keeper.

use std::{collections::BTreeSet, time::Duration};

use ingot_core_api::{FetchRequest, ProofGenerationData};
use ingot_house_keeper::{
    client::ClientError,
    protocol::{Answer, Request, Submission, SubmitOutcome},
};
use ingot_types::ChainId;

use super::{unexpected, Gateway, BACKOFF, PATIENCE};
use crate::{
    observability::GatewayEvent,
    work::{put, role},
};

impl Gateway {
    /// Asks the core for batches until the process stops.
    pub(super) fn take_batches(&self) {
        let mut wait = BACKOFF.start;
        // The same after it was started again: then it holds what its predecessor has submitted, and nothing else.
        let host = crate::host::host_name();
        let name = self.config.name.clone().unwrap_or(format!("{} on {host}", self.config.destination));
        // Batches that cannot be submitted. They are held, lest the core hands them out again and again.
        let mut refused = BTreeSet::new();
        while !self.stop.is_raised() {
            let unsent = match self.unsent() {
                Ok(unsent) => unsent,
                Err(error) => {
                    self.observed.health.wait_for("house keeper", error.to_string());
                    self.rest(&mut wait);
                    continue;
                }
            };
            self.observed.health.got("house keeper");
            let under_way = unsent.iter().filter(|(_, pending)| *pending).count();
            let under_way = u32::try_from(under_way).unwrap_or(u32::MAX);
            let room = self.config.most_batches.saturating_sub(under_way);
            // Even without room it asks: what it holds is its own for another while.
            let wait_ms = if room > 0 { self.config.poll_wait_ms } else { 0 };
            let request = FetchRequest {
                max_batches: Some(room),
                wait_ms: Some(wait_ms),
                gateway: Some(name.clone()),
                holding: unsent
                    .into_iter()
                    .map(|(number, _)| number)
                    .chain(refused.iter().copied())
                    .collect(),
            };
            match self.core.fetch(&request) {
                Ok(batches) => {
                    self.observed.health.got("core");
                    wait = BACKOFF.start;
                    let none = batches.is_empty();
                    for data in batches {
                        let number = data.l1_batch_number;
                        if !self.take(data) {
                            self.observed.metrics.gateway(GatewayEvent::BatchRefused);
                            refused.insert(number);
                        }
                    }
                    if none {
                        // A core that knows nothing of waiting answers at once.
                        self.stop.wait_timeout(Duration::from_millis(self.config.poll_every_ms));
                    }
                }
                Err(error) => {
                    tracing::warn!("no batches: {error}");
                    self.observed.health.wait_for("core", error.to_string());
                    self.rest(&mut wait);
                }
            }
        }
    }

    /// Submits a batch, however often that takes; `false` if it cannot be submitted at all.
    fn take(&self, data: ProofGenerationData) -> bool {
        let number = data.l1_batch_number;
        let submission = match self.submission(&data) {
            Ok(submission) => submission,
            Err(reason) => {
                tracing::error!(BATCH = number, "batch {number} is not taken: {reason}");
                return false;
            }
        };
        let mut wait = BACKOFF.start;
        while !self.stop.is_raised() {
            match self.submit(&submission) {
                Ok(outcome) => {
                    self.observed.health.got("house keeper");
                    if outcome == SubmitOutcome::Accepted {
                        self.count_taken(number);
                    }
                    return true;
                }
                Err(ClientError::Refused(reason)) => {
                    tracing::error!(BATCH = number, "batch {number} is refused: {reason}");
                    return false;
                }
                Err(error) => {
                    self.observed.health.wait_for("house keeper", error.to_string());
                    self.rest(&mut wait);
                }
            }
        }
        true
    }

    pub(super) fn submit(&self, submission: &Submission) -> Result<SubmitOutcome, ClientError> {
        match self.house_keeper.call_within(Request::Submit(submission.clone()), PATIENCE)? {
            Answer::Submitted(outcome) => Ok(outcome),
            other => Err(unexpected(&other)),
        }
    }

    /// What is submitted; its witness inputs are stored by then.
    pub(super) fn submission(&self, data: &ProofGenerationData) -> Result<Submission, String> {
        let number = data.l1_batch_number;
        let inputs = self.format.inputs_from_json(&data.witness_input_data).map_err(|e| e.to_string())?;
        let chain = data.chain_id.or(self.config.chain).map(ChainId);
        let id = self
            .format
            .identify(&format!("batch {number} from {}", self.source()), &inputs, chain)
            .map_err(|e| e.to_string())?;
        if id.batch.0 != number {
            return Err(format!("it holds the witness inputs of batch {}", id.batch.0));
        }
        let witness_inputs =
            put(&*self.artifacts, role::WITNESS_INPUTS, &inputs).map_err(|e| e.to_string())?;
        Ok(Submission {
            batch: id,
            protocol_version: data.protocol_version,
            witness_inputs,
            priority: self.config.priority,
            sealed_at_ms: data.batch_sealed_at.map_or(0, |time| time.0),
            max_attempts: self.config.max_attempts,
            deliver_to: Some(self.config.destination.clone()),
        })
    }
}
