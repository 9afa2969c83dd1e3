//! `ingot gateway` and `ingot proof-data-handler`.

use std::sync::Arc;

use anyhow::Context as _;
use ingot_artifacts::Blake3;
use ingot_proof_data_handler::CircuitChecker;
use ingot_services::{config::Config, edges, stop::Stop, supervisor::EXIT_CONFIG};
use ingot_types::AggregationRound;

use super::components::{load, stop_when_interrupted};
use crate::{
    args::ServiceArgs,
    commands::{trusted_vks, warn_if_insecure},
    edition::Chosen,
    exit::Outcome,
    home::keys_folder,
    ui::{Event, Ui},
};

/// Runs a gateway.
pub(crate) fn gateway(ui: &Arc<Ui>, chosen: &Chosen, args: &ServiceArgs) -> anyhow::Result<Outcome> {
    let prepare = |_: &Config| chosen.edition.batch_format();
    edge(ui, args, "gateway", prepare, |config, format, stop| {
        edges::gateway(config, format, stop, args.stop_with_parent)
    })
}

/// Runs a proof data handler.
pub(crate) fn proof_data_handler(
    ui: &Arc<Ui>,
    chosen: &Chosen,
    args: &ServiceArgs,
) -> anyhow::Result<Outcome> {
    let prepare = |config: &Config| checker(ui, chosen, config);
    edge(ui, args, "proof-data-handler", prepare, |config, checker, stop| {
        edges::proof_data_handler(config, checker, stop, args.stop_with_parent)
    })
}

/// What verifies: the circuit set with keys that are built in. A key that somebody made here proves nothing to anybody.
fn checker(ui: &Ui, chosen: &Chosen, config: &Config) -> anyhow::Result<Arc<CircuitChecker>> {
    let set = chosen.circuit_set()?;
    warn_if_insecure(ui, &*set);
    let folder = keys_folder(&config.host.state_dir, &*set);
    let store = trusted_vks(chosen, &*set, &folder)?.with_context(|| {
        format!(
            "no key manifest for parameters {} is built in: there is no key to trust",
            set.parameter_set()
        )
    })?;
    let last = store
        .manifest()
        .keys
        .iter()
        .find(|entry| entry.round == AggregationRound::Scheduler as u8)
        .context("the key manifest has no scheduler circuit")?;
    let manifest = Blake3::of(store.manifest().to_toml().as_bytes());
    config.host.check_key_manifest(manifest)?;
    let key_hashes = (*last.vk_commitment.as_bytes(), *manifest.as_bytes());
    let format = chosen.edition.batch_format()?;
    Ok(Arc::new(CircuitChecker { set, vks: Arc::new(store), format, key_hashes }))
}

fn edge<T>(
    ui: &Arc<Ui>,
    args: &ServiceArgs,
    name: &str,
    prepare: impl FnOnce(&Config) -> anyhow::Result<T>,
    run: impl FnOnce(&Config, T, &Stop) -> Result<(), ingot_services::component::ComponentError>,
) -> anyhow::Result<Outcome> {
    let (config, prepared) = match load(args).and_then(|config| Ok((prepare(&config)?, config))) {
        Ok((prepared, config)) => (config, prepared),
        Err(error) => {
            ui.tell(&Event::Error { text: format!("{name}: {error:#}") });
            return Ok(Outcome::Exit(EXIT_CONFIG));
        }
    };
    let stop = stop_when_interrupted()?;
    match run(&config, prepared, &stop) {
        Ok(()) => Ok(Outcome::Done),
        Err(error) => {
            ui.tell(&Event::Error { text: format!("{name}: {error}") });
            Ok(Outcome::Exit(error.exit_code()))
        }
    }
}
