//! The outbox: final proofs that a gateway is to bring to whoever waits for them.
//!
//! What waits is in the store, beside the batches; a proof leaves the outbox only when its receiver has acknowledged it,
//! or has said that it never will.

use std::collections::BTreeSet;

use ingot_job_store::{Delivery, Home, StoreError};
use ingot_types::ChainId;

use super::{
    batches::first_job,
    core::{denied, Core, Parked, Wants},
    PeerId,
};
use crate::protocol::{Answer, BatchState, Denial, OutboxEntry, Request};

/// Entries in one answer.
const MOST_ENTRIES: usize = 64;

impl Core {
    /// What is to be sent to a destination, at once or later.
    pub(super) fn outbox(
        &mut self,
        home: &mut dyn Home,
        peer: PeerId,
        id: u64,
        (destination, in_order): (String, bool),
        until_ms: u64,
    ) -> Option<Result<Answer, Denial>> {
        match self.entries(home, &destination, in_order) {
            Err(error) => Some(Err(denied(error))),
            Ok(entries) if !entries.is_empty() => Some(Ok(Answer::Outbox(entries))),
            Ok(_) => {
                let wants = Wants::Outbox { destination, in_order };
                self.parked.push(Parked { peer, id, until_ms, wants });
                None
            }
        }
    }

    /// Answers those for whom something has come.
    pub(super) fn serve_outboxes(&mut self, home: &dyn Home) -> Result<(), StoreError> {
        if !std::mem::take(&mut self.outbox_changed) {
            return Ok(());
        }
        let mut served = Vec::new();
        for parked in &self.parked {
            if let Wants::Outbox { destination, in_order } = &parked.wants {
                let entries = self.entries(home, destination, *in_order)?;
                if !entries.is_empty() {
                    served.push((parked.peer, parked.id, entries));
                }
            }
        }
        for (peer, id, entries) in served {
            self.parked.retain(|parked| (parked.peer, parked.id) != (peer, id));
            self.answer(peer, id, Ok(Answer::Outbox(entries)));
        }
        Ok(())
    }

    fn entries(
        &self,
        home: &dyn Home,
        destination: &str,
        in_order: bool,
    ) -> Result<Vec<OutboxEntry>, StoreError> {
        let (mut entries, mut held_up) = (Vec::new(), BTreeSet::<ChainId>::new());
        for delivery in home.deliveries(Some(destination))? {
            let chain = delivery.batch.chain;
            if entries.len() == MOST_ENTRIES || held_up.contains(&chain) {
                continue;
            }
            match self.entry(home, delivery)? {
                Some(entry) => entries.push(entry),
                None if in_order => drop(held_up.insert(chain)),
                None => {}
            }
        }
        Ok(entries)
    }

    /// `None` if the batch is not proved.
    fn entry(&self, home: &dyn Home, delivery: Delivery) -> Result<Option<OutboxEntry>, StoreError> {
        let batch = delivery.batch;
        let Some(summary) = self.summary(home, batch)? else { return Ok(None) };
        let inputs = match summary.state {
            BatchState::Proved => {
                home.job(&first_job(batch))?.map(|job| job.spec.inputs.clone()).unwrap_or_default()
            }
            BatchState::Archived => home
                .archived()?
                .into_iter()
                .find(|old| old.row.batch == batch)
                .map(|old| old.inputs)
                .unwrap_or_default(),
            BatchState::Proving | BatchState::Stuck => return Ok(None),
        };
        Ok(Some(OutboxEntry {
            batch,
            protocol_version: summary.protocol_version,
            inputs,
            outputs: summary.outputs,
            attempts: delivery.attempts,
            changed_at_ms: delivery.changed_at_ms,
        }))
    }

    /// What gateways report, and what operators ask about it.
    pub(super) fn outbox_request(
        &mut self,
        home: &mut dyn Home,
        request: Request,
        now_ms: u64,
    ) -> Result<Answer, Denial> {
        match request {
            Request::Delivered { batch, outcome } => {
                home.delivered(batch, &outcome, now_ms).map_err(denied)?;
                self.outbox_changed = true;
                Ok(Answer::Done)
            }
            Request::Deliveries => home.deliveries(None).map(Answer::Deliveries).map_err(denied),
            Request::FinalProof { destination, batch } => {
                let known = home.deliveries(None).map_err(denied)?;
                let delivery =
                    known.into_iter().find(|known| known.batch == batch && known.destination == destination);
                let entry =
                    delivery.map(|delivery| self.entry(home, delivery)).transpose().map_err(denied)?;
                Ok(Answer::Outbox(entry.flatten().into_iter().collect()))
            }
            _ => Err(Denial::Refused("no such request".into())),
        }
    }
}
