//! Deliveries in the database.

use ingot_types::BatchId;
use rusqlite::{OptionalExtension as _, Row};

use super::{
    codes::{batch, clamp, unsigned},
    SqliteStore,
};
use crate::{Delivery, DeliveryOutcome, DeliveryState, Refusal, StoreError};

const DELIVERY: &str =
    "SELECT chain, batch, destination, state, attempts, reason, changed_at_ms FROM deliveries";

fn code(state: DeliveryState) -> u8 {
    match state {
        DeliveryState::Pending => 0,
        DeliveryState::Sent => 1,
        DeliveryState::Refused => 2,
    }
}

fn delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    Ok(Delivery {
        batch: batch(row, 0)?,
        destination: row.get(2)?,
        state: match row.get::<_, u8>(3)? {
            1 => DeliveryState::Sent,
            2 => DeliveryState::Refused,
            // The schema allows three.
            _ => DeliveryState::Pending,
        },
        attempts: row.get(4)?,
        reason: row.get(5)?,
        changed_at_ms: unsigned(row, 6)?,
    })
}

impl SqliteStore {
    pub(super) fn read_delivery(&self, id: BatchId) -> Result<Option<Delivery>, StoreError> {
        self.statement(&format!("{DELIVERY} WHERE chain = ?1 AND batch = ?2"), |statement| {
            statement.query_row((clamp(id.chain.0), id.batch.0), delivery).optional()
        })
    }

    pub(super) fn read_deliveries(&self, pending_for: Option<&str>) -> Result<Vec<Delivery>, StoreError> {
        match pending_for {
            Some(destination) => self.statement(
                &format!("{DELIVERY} WHERE destination = ?1 AND state = 0 ORDER BY chain, batch"),
                |statement| statement.query_map([destination], delivery)?.collect(),
            ),
            None => self.statement(&format!("{DELIVERY} ORDER BY chain, batch"), |statement| {
                statement.query_map([], delivery)?.collect()
            }),
        }
    }

    pub(super) fn begin_delivery(
        &self,
        id: BatchId,
        destination: &str,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        // Who asks again for a proof that was acknowledged has lost it. What was refused stays refused.
        self.run(
            "INSERT INTO deliveries (chain, batch, destination, state, attempts, changed_at_ms)
             VALUES (?1, ?2, ?3, 0, 0, ?4)
             ON CONFLICT (chain, batch) DO UPDATE SET
               destination = excluded.destination,
               state = CASE state WHEN 1 THEN 0 ELSE state END,
               attempts = CASE state WHEN 1 THEN 0 ELSE attempts END,
               changed_at_ms = excluded.changed_at_ms
             WHERE state = 1 OR destination <> excluded.destination",
            (clamp(id.chain.0), id.batch.0, destination, clamp(now_ms)),
        )
    }

    pub(super) fn end_delivery(
        &self,
        id: BatchId,
        outcome: &DeliveryOutcome,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let Some(found) = self.read_delivery(id)? else { return Err(Refusal::UnknownBatch(id).into()) };
        let (state, attempts, reason) = match outcome {
            DeliveryOutcome::Acknowledged => (DeliveryState::Sent, found.attempts, None),
            DeliveryOutcome::Refused(reason) => {
                (DeliveryState::Refused, found.attempts.saturating_add(1), Some(reason))
            }
            // Another gateway may have been luckier meanwhile.
            DeliveryOutcome::Failed(_) if found.state == DeliveryState::Sent => return Ok(()),
            DeliveryOutcome::Failed(reason) => (found.state, found.attempts.saturating_add(1), Some(reason)),
        };
        self.run(
            "UPDATE deliveries SET state = ?3, attempts = ?4, reason = ?5, changed_at_ms = ?6
             WHERE chain = ?1 AND batch = ?2",
            (clamp(id.chain.0), id.batch.0, code(state), attempts, reason, clamp(now_ms)),
        )
    }

    pub(super) fn retry_delivery_row(&self, id: BatchId, now_ms: u64) -> Result<(), StoreError> {
        if self.read_delivery(id)?.is_none() {
            return Err(Refusal::UnknownBatch(id).into());
        }
        self.run(
            "UPDATE deliveries SET state = 0, attempts = 0, reason = NULL, changed_at_ms = ?3
             WHERE chain = ?1 AND batch = ?2",
            (clamp(id.chain.0), id.batch.0, clamp(now_ms)),
        )
    }

    pub(super) fn forget_delivery(&self, id: BatchId) -> Result<(), StoreError> {
        self.run("DELETE FROM deliveries WHERE chain = ?1 AND batch = ?2", (clamp(id.chain.0), id.batch.0))
    }
}
