//! `ingot governor`: what the governor of this host would do now, and why.

use std::sync::Arc;

use anyhow::anyhow;
use ingot_house_keeper::protocol::Component;
use ingot_services::{
    component::ComponentName,
    remote::RemoteHouseKeeper,
    start::{registration, Connect as _},
    stop::Stop,
    witness_vector_generator::dry_run,
};

use super::{components::load, operator::PATIENCE, work::work};
use crate::{args::ServiceArgs, edition::Chosen, exit::Outcome, ui::Ui};

/// Explains, and changes nothing.
pub(crate) fn governor(ui: &Arc<Ui>, chosen: &Chosen, args: &ServiceArgs) -> anyhow::Result<Outcome> {
    let config = load(args)?;
    let name = ComponentName::WitnessVectorGenerator;
    let work = work(name, chosen, &config, &Stop::new()).map_err(|error| anyhow!("{error}"))?;
    let registration = registration(Component::Operator, None, &config.host, &*work, None)?;
    let connection = RemoteHouseKeeper::new(&config.host)?.connect(registration)?;
    let own = &config.witness_vector_generator;
    let decision = dry_run(&*work, &*connection.queue, own, &config.host.state_dir)?;
    ui.note(format!(
        "{} threads for synthesis, {} for proving",
        decision.wvg_threads, decision.prover_threads
    ));
    for why in decision.why {
        ui.note(format!("  {why}"));
    }
    connection.queue.close(PATIENCE);
    Ok(Outcome::Done)
}
