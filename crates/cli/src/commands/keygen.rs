//! `ingot keygen`.

use std::{fs, path::Path, sync::Arc};

use anyhow::Context as _;
use ingot_artifacts::write_atomically;
use ingot_circuit_set::CircuitSet;
use ingot_keystore::{
    check as check_keys, FileRole, KeyError, KeyManifest, KeygenOptions, MANIFEST_FILE, RECEIPT_FILE,
};

use super::{
    keys::{interruptible, make, ready, tell, warn_if_insecure, Resources},
    ledger::circuit_set,
};
use crate::{
    args::KeygenArgs,
    exit::Outcome,
    home::{keys_folder, Home},
    interrupt::{self, Interrupted},
    pinned::pinned,
    ui::{Event, Ui},
};

/// Makes keys, or checks them.
pub(crate) fn keygen(ui: &Arc<Ui>, parameters: &str, args: &KeygenArgs) -> anyhow::Result<Outcome> {
    let set = circuit_set(parameters)?;
    warn_if_insecure(ui, &*set);
    let resources = Resources::new(&args.resources);
    if args.check {
        return check(ui, &set, &args.dir.dir, resources);
    }
    let home = Home::open(&args.dir.dir)?;
    if let Some(folder) = &args.write_manifest {
        return write_manifest(ui, &set, &home, folder, resources);
    }
    let keys = ready(ui, &home, &set, resources)?;
    let kept = set.circuits().len() - keys.made;
    ui.note(format!("{} keys made, {kept} were there; {}", keys.made, home.keys(&*set).display()));
    Ok(Outcome::Done)
}

fn check(ui: &Arc<Ui>, set: &Arc<dyn CircuitSet>, dir: &Path, res: Resources) -> anyhow::Result<Outcome> {
    let (path, manifest) = match pinned(set.parameter_set()) {
        Some(pinned) => (pinned.path(), pinned.parse()?),
        None => {
            let path = keys_folder(dir, &**set).join(MANIFEST_FILE);
            let manifest =
                KeyManifest::load(&path).context("there is no built-in key manifest to check against")?;
            (path, manifest)
        }
    };
    ui.tell(&Event::Keys { total: set.circuits().len() as u64 });
    let (task_ui, task_set, task_path) = (ui.clone(), set.clone(), path.clone());
    let rows = interruptible(move || {
        let options = KeygenOptions {
            threads: res.threads,
            max_ram_bytes: res.ram_bytes,
            stop: &interrupt::requested,
            on_event: &|event| tell(&task_ui, event),
        };
        check_keys(&*task_set, &task_path, &manifest, options)
    })?
    .map_err(|error| match error {
        KeyError::Stopped => anyhow::Error::from(Interrupted),
        other => other.into(),
    })?;
    for row in &rows {
        ui.tell(&Event::KeyChecked {
            circuit: row.key.to_string(),
            name: row.name.to_owned(),
            file: row.file.clone(),
            expected: row.expected.to_string(),
            found: row.found.to_string(),
            matches: row.matches(),
        });
    }
    let different = rows.iter().filter(|row| !row.matches()).count();
    ui.note(format!("{} files compared with {}, {different} differ", rows.len(), path.display()));
    Ok(if different == 0 { Outcome::Done } else { Outcome::Refused })
}

/// For maintainers: makes all keys anew and writes what is to be committed of them.
fn write_manifest(
    ui: &Arc<Ui>,
    set: &Arc<dyn CircuitSet>,
    home: &Home,
    folder: &Path,
    res: Resources,
) -> anyhow::Result<Outcome> {
    let dir = home.keys(&**set);
    let error = |path: &Path| format!("cannot remove {}", path.display());
    // Keys of other circuits must not be taken over.
    if dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| error(&dir))?;
    }
    let report = make(ui, set, dir.clone(), None, res)?;
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "vk" || e == "hint") {
            fs::remove_file(&path).with_context(|| error(&path))?;
        }
    }
    for entry in &report.manifest.keys {
        for role in [FileRole::VerificationKey, FileRole::FinalizationHint] {
            let pin = entry.pin(role);
            write_atomically(&folder.join(&pin.file), &pin.read(&dir)?)?;
        }
    }
    for file in [MANIFEST_FILE, RECEIPT_FILE] {
        let bytes =
            fs::read(dir.join(file)).with_context(|| format!("cannot read {}", dir.join(file).display()))?;
        write_atomically(&folder.join(file), &bytes)?;
    }
    ui.note(format!("wrote {}", folder.display()));
    Ok(Outcome::Done)
}
