//! `ingot info`: version, key commitments and paths, and no secret.

use std::{path::Path, sync::Arc};

use serde::Serialize;

use super::protocol::own;
use crate::{
    appliance::load, args::ServiceArgs, edition::Chosen, exit::Outcome, home::keys_folder,
    pinned::build_receipt, ui::Ui,
};

#[derive(Serialize)]
struct Info {
    executable: &'static str,
    build: String,
    commit: Option<String>,
    rustc: String,
    circuit_set: String,
    protocol_version: String,
    parameter_set: String,
    insecure_because: Option<&'static str>,
    key_manifest: Option<String>,
    house_keeper: String,
    state_dir: String,
    keys: String,
    database: String,
    artifacts: String,
    /// Where the token is, and not what it is.
    token_file: Option<String>,
}

#[derive(Serialize)]
struct Commitment {
    circuit: String,
    name: String,
    vk_commitment: String,
}

/// Prints what this executable is, what it trusts and where its data is.
pub(crate) fn info(ui: &Arc<Ui>, chosen: &Chosen, args: &ServiceArgs) -> anyhow::Result<Outcome> {
    let config = load(args)?;
    let set = chosen.circuit_set()?;
    let build = build_receipt();
    let show = |path: &Path| path.display().to_string();
    let keeper = &config.house_keeper;
    let token = config.host.token_file.as_deref().or(keeper.token_file.as_deref());
    let info = Info {
        executable: chosen.edition.executable(),
        build: build.version,
        commit: build.commit,
        rustc: build.rustc,
        circuit_set: set.name().to_owned(),
        protocol_version: set.protocol_version().to_string(),
        parameter_set: set.parameter_set().to_owned(),
        insecure_because: set.insecure_because(),
        key_manifest: own(chosen)?.map(|own| own.key_manifest),
        house_keeper: config.host.house_keeper.clone(),
        state_dir: show(&config.host.state_dir),
        keys: show(&keys_folder(&config.host.state_dir, &*set)),
        database: show(&keeper.folder.join("jobs.db")),
        artifacts: show(&keeper.artifacts.clone().unwrap_or_else(|| keeper.folder.join("artifacts"))),
        token_file: token.map(show),
    };
    let lines = [
        ("executable", format!("{} {}, {}", info.executable, info.build, info.rustc)),
        ("commit", info.commit.clone().unwrap_or_else(|| "unknown".into())),
        ("protocol", format!("{} ({} with {})", info.protocol_version, info.circuit_set, info.parameter_set)),
        ("key manifest", info.key_manifest.clone().unwrap_or_else(|| "none is built in".into())),
        ("house keeper", info.house_keeper.clone()),
        ("state", info.state_dir.clone()),
        ("keys", info.keys.clone()),
        ("job store", info.database.clone()),
        ("artifacts", info.artifacts.clone()),
        ("token", info.token_file.as_ref().map_or("none".into(), |file| format!("(not shown) in {file}"))),
    ];
    let text: Vec<String> = lines.iter().map(|(what, value)| format!("{what:<13} {value}")).collect();
    ui.show("info", &info, &text.join("\n"));
    if let Some(pinned) = chosen.pinned()? {
        let manifest = pinned.parse()?;
        for circuit in set.circuits() {
            let entry = manifest.entry(&pinned.path(), circuit.key)?;
            let shown = Commitment {
                circuit: circuit.key.to_string(),
                name: circuit.name.to_owned(),
                vk_commitment: entry.vk_commitment.to_string(),
            };
            let text = format!("key {:<6} {:<30} {}", shown.circuit, shown.name, shown.vk_commitment);
            ui.show("key_commitment", &shown, &text);
        }
    }
    crate::commands::warn_if_insecure(ui, &*set);
    Ok(Outcome::Done)
}
