//! `ingot bench`: what parts of the appliance can do on this machine.

use std::sync::Arc;

use ingot_stream::bench::{run, BenchOptions};

use crate::{args::BenchCommand, exit::Outcome, ui::Ui};

/// Measures, and prints a table.
pub(crate) fn bench(ui: &Arc<Ui>, command: &BenchCommand) -> anyhow::Result<Outcome> {
    match command {
        BenchCommand::Stream { bytes } => {
            ui.note(run(&BenchOptions::new(*bytes))?.to_string());
        }
    }
    Ok(Outcome::Done)
}
