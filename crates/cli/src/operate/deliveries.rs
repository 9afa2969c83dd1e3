//! `ingot deliveries`: proofs on their way to whoever asked for them.

use std::sync::Arc;

use anyhow::bail;
use ingot_house_keeper::protocol::{Answer, Change, Request};
use ingot_job_store::DeliveryState;

use super::{
    args::{DeliverArgs, DeliveriesArgs},
    desk::{batch_name, Desk},
    time::utc,
};
use crate::{exit::Outcome, ui::Ui};

/// Lists the proofs that are to be delivered, and what became of them.
pub(crate) fn deliveries(ui: &Arc<Ui>, args: &DeliveriesArgs) -> anyhow::Result<Outcome> {
    let desk = Desk::open(&args.service, Some(&args.chain))?;
    let Answer::Deliveries(all) = desk.ask(Request::Deliveries)? else {
        bail!("the house keeper answers something else")
    };
    let shown: Vec<_> = all
        .into_iter()
        .filter(|delivery| args.all || delivery.state != DeliveryState::Sent)
        .filter(|delivery| args.chain.chain.is_none_or(|chain| chain == delivery.batch.chain.0))
        .collect();
    if shown.is_empty() {
        ui.note("nobody waits for a proof");
    }
    for delivery in shown {
        let state = match delivery.state {
            DeliveryState::Pending => "pending",
            DeliveryState::Sent => "sent",
            DeliveryState::Refused => "REFUSED",
        };
        let attempts = match delivery.attempts {
            0 => String::new(),
            attempts => format!(", {attempts} failed"),
        };
        let reason = delivery.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let text = format!(
            "{}  to {}  {state}{attempts}, since {}{reason}",
            batch_name(delivery.batch),
            delivery.destination,
            utc(delivery.changed_at_ms)
        );
        ui.show("delivery", &delivery, &text);
    }
    Ok(Outcome::Done)
}

/// Begins anew with the delivery of a proof, such as one that was refused.
pub(crate) fn deliver(ui: &Arc<Ui>, args: &DeliverArgs) -> anyhow::Result<Outcome> {
    let desk = Desk::open(&args.change.service, Some(&args.change.chain))?;
    let change = Change::RetryDelivery { batch: desk.batch(&args.batch)? };
    desk.change(ui, &change, args.change.dry_run)
}
