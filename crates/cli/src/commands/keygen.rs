//! `ingot keygen`.

use std::{fs, path::Path, sync::Arc};

use anyhow::{ensure, Context as _};
use ingot_artifacts::{hash_file, write_atomically};
use ingot_circuit_set::{CircuitSet, VkSource};
use ingot_keystore::{
    check as check_keys, FileRole, KeyError, KeyManifest, KeygenOptions, Progress, MANIFEST_FILE,
    RECEIPT_FILE,
};
use ingot_types::CircuitKey;

use super::keys::{interruptible, make, ready, tell, trusted_vks, warn_if_insecure, Resources, Selection};
use crate::{
    args::KeygenArgs,
    edition::{Chosen, KeyPolicy},
    exit::Outcome,
    home::{keys_folder, Home},
    interrupt::{self, Interrupted},
    ui::{Event, Ui},
};

/// Names the executable that made what is in a folder of keys.
const BUILD_FILE: &str = "build.txt";
/// How far a check got.
const PROGRESS_FILE: &str = "check.progress.toml";

/// Makes keys, or checks them.
pub(crate) fn keygen(ui: &Arc<Ui>, chosen: &Chosen, args: &KeygenArgs) -> anyhow::Result<Outcome> {
    let set = chosen.circuit_set()?;
    warn_if_insecure(ui, &*set);
    let known = |key: &&CircuitKey| set.circuits().iter().all(|info| info.key != **key);
    if let Some(key) = args.circuit.iter().find(known) {
        anyhow::bail!(
            "there is no circuit {key} (round:id); `{} circuits` lists them",
            chosen.edition.executable()
        );
    }
    let resources = Resources::new(chosen, &args.resources);
    if args.check {
        return check(ui, chosen, &set, args, resources);
    }
    let home = Home::open(&args.dir.dir)?;
    if let Some(folder) = &args.write_manifest {
        ensure!(args.circuit.is_empty(), "a manifest is of all circuits: leave --circuit away");
        return write_manifest(ui, chosen, &set, &home, folder, resources);
    }
    if chosen.edition.key_policy() == KeyPolicy::OnDemand {
        return make_some(ui, chosen, &set, &home, args, resources);
    }
    ensure!(args.circuit.is_empty(), "all keys of this circuit set are made together: leave --circuit away");
    let keys = ready(ui, chosen, &home, &set, resources)?;
    let kept = set.circuits().len() - keys.made;
    ui.note(format!("{} keys made, {kept} were there; {}", keys.made, home.keys(&*set).display()));
    Ok(Outcome::Done)
}

/// Where keys are made on demand: makes those that are named ahead of time.
fn make_some(
    ui: &Arc<Ui>,
    chosen: &Chosen,
    set: &Arc<dyn CircuitSet>,
    home: &Home,
    args: &KeygenArgs,
    res: Resources,
) -> anyhow::Result<Outcome> {
    ensure!(
        !args.circuit.is_empty(),
        "the keys of all circuits of this set together exceed most disks: name some with --circuit, check them all with \
         --check, or just prove: keys are made when they are needed"
    );
    let pinned = chosen.pinned()?.context("no key manifest is built in")?;
    let dir = home.keys(&**set);
    let vks = trusted_vks(chosen, &**set, &dir)?.context("no verification keys are built in")?;
    let selection = Selection { only: args.circuit.clone(), pins_alone: false };
    let trusted = Some((pinned.path(), pinned.parse()?));
    let report = make(ui, set, dir.clone(), trusted, Some(Arc::new(vks)), res, selection)?;
    ui.note(format!("{} keys made, {} were there; {}", report.made, report.kept, dir.display()));
    Ok(Outcome::Done)
}

fn check(
    ui: &Arc<Ui>,
    chosen: &Chosen,
    set: &Arc<dyn CircuitSet>,
    args: &KeygenArgs,
    res: Resources,
) -> anyhow::Result<Outcome> {
    let dir = keys_folder(&args.dir.dir, &**set);
    let (path, manifest) = match chosen.pinned()? {
        Some(pinned) => (pinned.path(), pinned.parse()?),
        None => {
            let path = dir.join(MANIFEST_FILE);
            let manifest =
                KeyManifest::load(&path).context("there is no built-in key manifest to check against")?;
            (path, manifest)
        }
    };
    let selection = Selection { only: args.circuit.clone(), pins_alone: false };
    ui.tell(&Event::Keys { total: selection.count(&**set) });
    // A check of all goes on where an interrupted one stopped.
    let progress = if selection.only.is_empty() {
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        Some(Progress::open(&dir.join(PROGRESS_FILE), &this_build()?, &manifest))
    } else {
        None
    };
    let vks = trusted_vks(chosen, &**set, &dir)?;
    let (task_ui, task_set, task_path) = (ui.clone(), set.clone(), path.clone());
    let rows = interruptible(move || {
        let options = KeygenOptions {
            threads: res.threads,
            max_ram_bytes: res.ram_bytes,
            only: &selection.only,
            vks: vks.as_ref().map(|vks| vks as &dyn VkSource),
            keep_setup_keys: false,
            stop: &interrupt::requested,
            on_event: &|event| tell(&task_ui, event),
        };
        check_keys(&*task_set, &task_path, &manifest, options, progress)
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
    chosen: &Chosen,
    set: &Arc<dyn CircuitSet>,
    home: &Home,
    folder: &Path,
    res: Resources,
) -> anyhow::Result<Outcome> {
    let dir = home.keys(&**set);
    let error = |path: &Path| format!("cannot remove {}", path.display());
    // Keys of other circuits must not be taken over, but those of an interrupted run of this build may.
    let build = this_build()?;
    let mark = dir.join(BUILD_FILE);
    if dir.exists() && fs::read_to_string(&mark).ok().as_deref() != Some(build.as_str()) {
        fs::remove_dir_all(&dir).with_context(|| error(&dir))?;
    }
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    write_atomically(&mark, build.as_bytes())?;
    let on_demand = chosen.edition.key_policy() == KeyPolicy::OnDemand;
    let selection = Selection { only: Vec::new(), pins_alone: on_demand };
    let vks = chosen.edition.official_vks()?;
    let report = make(ui, set, dir.clone(), None, vks, res, selection)?;
    fs::remove_file(&mark).with_context(|| error(&mark))?;
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

/// Names this executable: its hash.
fn this_build() -> anyhow::Result<String> {
    let path = std::env::current_exe().context("cannot tell where this executable is")?;
    Ok(hash_file(&path)?.0.to_string())
}
