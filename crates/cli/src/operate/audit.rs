//! `ingot audit`.

use std::sync::Arc;

use anyhow::bail;
use ingot_house_keeper::protocol::{OperatorAnswer, OperatorRequest};

use super::{args::AuditArgs, desk::Desk, time::utc};
use crate::{exit::Outcome, ui::Ui};

/// Lists what people changed, or wanted to change.
pub(crate) fn audit(ui: &Arc<Ui>, args: &AuditArgs) -> anyhow::Result<Outcome> {
    let desk = Desk::open(&args.service, None)?;
    let OperatorAnswer::Audit(entries) = desk.ask_operator(OperatorRequest::Audit { limit: args.limit })?
    else {
        bail!("the house keeper answers something else")
    };
    if entries.is_empty() {
        ui.note("nobody has changed anything by hand");
    }
    for entry in entries {
        let origin = if entry.origin.is_empty() { String::new() } else { format!(" ({})", entry.origin) };
        let result = if entry.result.is_empty() { String::new() } else { format!(": {}", entry.result) };
        let text =
            format!("{}  {}{origin}  {} {}{result}", utc(entry.at_ms), entry.who, entry.action, entry.target);
        ui.show("audit", &entry, &text);
    }
    Ok(Outcome::Done)
}
