//! `ingot import`: a batch that another appliance exported.

use std::{
    fs,
    path::{Component, Path},
    sync::Arc,
};

use anyhow::{bail, ensure, Context as _};
use ingot_artifacts::{read_verified, Blake3};
use ingot_services::work::role;

use super::{
    components::load,
    export::{batch_id, Entry, Index, INDEX_FILE, INDEX_FORMAT},
    operator::{rehearse, PATIENCE},
    Operator,
};
use crate::{args::ImportArgs, edition::Chosen, exit::Outcome, ui::Ui};

/// Stores every file of an exported folder and submits the batch. Files whose content is not what the index says are
/// refused before anything is stored.
pub(crate) fn import(ui: &Arc<Ui>, chosen: &Chosen, args: &ImportArgs) -> anyhow::Result<Outcome> {
    let set = chosen.circuit_set()?;
    let path = args.folder.join(INDEX_FILE);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let index: Index = serde_json::from_str(&text)
        .with_context(|| format!("{} is no index that `ingot export` wrote", path.display()))?;
    ensure!(
        index.format == INDEX_FORMAT,
        "{}: expected format {INDEX_FORMAT}, found {}",
        path.display(),
        index.format
    );
    let version = set.protocol_version();
    ensure!(
        index.protocol_version == version.to_string(),
        "{}: the batch is of protocol version {}, this executable serves {version}",
        path.display(),
        index.protocol_version
    );
    let batch = batch_id(&index.batch).with_context(|| path.display().to_string())?;
    // Everything is verified before anything is stored.
    for entry in &index.files {
        read(&args.folder, entry)?;
    }
    let mut inputs = index.files.iter().filter(|entry| entry.role == role::WITNESS_INPUTS);
    let (Some(witness_inputs), None) = (inputs.next(), inputs.next()) else {
        bail!("{}: expected one file of witness inputs", path.display())
    };
    if args.dry_run {
        let inputs = read(&args.folder, witness_inputs)?;
        return rehearse(ui, &args.service, batch, version, &inputs, args.priority);
    }
    let operator = Operator::connect(&load(&args.service)?, PATIENCE)?;
    // Submitting stores the witness inputs.
    for entry in index.files.iter().filter(|entry| entry.role != role::WITNESS_INPUTS) {
        operator.put(&read(&args.folder, entry)?)?;
    }
    let new = operator.submit(batch, version, &read(&args.folder, witness_inputs)?, args.priority)?;
    ui.note(format!(
        "{} files of batch {} are stored; {}",
        index.files.len(),
        index.batch,
        if new { "it was accepted" } else { "it is there already" }
    ));
    operator.client.close(PATIENCE);
    Ok(Outcome::Done)
}

/// A file of the folder, verified.
fn read(folder: &Path, entry: &Entry) -> anyhow::Result<Vec<u8>> {
    let name = Path::new(&entry.name);
    ensure!(
        name.components().all(|part| matches!(part, Component::Normal(_))),
        "the index names `{}`, which is not inside the folder",
        entry.name
    );
    let hash: Blake3 = entry.blake3.parse().with_context(|| format!("the index's hash of {}", entry.name))?;
    Ok(read_verified(&folder.join(name), hash, entry.size_bytes)?)
}
