//! `ingot house-keeper`, `witness-generator`, `witness-vector-generator`, `circuit-prover`, and `up` for all of them.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::{bail, Context as _};
use ingot_house_keeper::engine::Groups;
use ingot_services::{
    component::{run, ComponentName},
    config::Config,
    stop::Stop,
    supervisor::{ChildEvent, EXIT_CONFIG},
    up::UpOptions,
    work::{job_circuits, JobCircuit},
};

use super::work::work;
use crate::{
    args::{ServiceArgs, UpArgs},
    commands::{ready, warn_if_insecure, Resources},
    edition::Chosen,
    exit::Outcome,
    home::Home,
    interrupt,
    ui::Ui,
};

/// How soon a request to stop is noticed.
const LOOK: Duration = Duration::from_millis(50);

/// The configuration: the file, or without one what suits a single host whose data is in `dir`; then `--set`.
pub(crate) fn load(args: &ServiceArgs) -> anyhow::Result<Config> {
    let mut overrides = Vec::new();
    if args.config.is_none() || args.dir.is_some() {
        overrides = single_host(&args.dir.clone().unwrap_or_else(|| PathBuf::from("ingot-data")));
    }
    for pair in &args.set {
        let (key, value) = pair
            .split_once('=')
            .with_context(|| format!("--set {pair}: expected KEY=VALUE, such as circuit-prover.slabs=4"))?;
        overrides.push((key.to_owned(), value.to_owned()));
    }
    Ok(Config::load(args.config.as_deref(), &overrides)?)
}

/// All components on one host, with their data in `dir`.
pub(crate) fn single_host(dir: &Path) -> Vec<(String, String)> {
    let folder = dir.join("house-keeper");
    let socket = socket_in(&folder);
    [
        ("host.state-dir", dir.display().to_string()),
        ("host.house-keeper", format!("unix:{}", socket.display())),
        ("host.shared-artifacts", folder.join("artifacts").display().to_string()),
        ("house-keeper.folder", folder.display().to_string()),
        ("house-keeper.socket", socket.display().to_string()),
        ("proof-data-handler.folder", dir.join("proof-data-handler").display().to_string()),
    ]
    .map(|(key, value)| (key.to_owned(), toml_text(&value)))
    .into()
}

/// Names for the workers of this host that stay the same when one is started again: so the house keeper knows at once that
/// what the process before it held is lost. Names that the configuration gives stay.
pub(crate) fn stable_names(config: &Config) -> Vec<(String, String)> {
    let host = ingot_services::host::host_name();
    [
        ("witness-generator", &config.witness_generator.name),
        ("witness-vector-generator", &config.witness_vector_generator.name),
        ("circuit-prover", &config.circuit_prover.name),
    ]
    .into_iter()
    .filter(|(_, name)| name.is_none())
    .map(|(component, _)| (format!("{component}.name"), toml_text(&format!("{component}-{host}"))))
    .collect()
}

/// Text as TOML, whatever is in it.
fn toml_text(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The socket in a folder, or where its path is too long for the kernel, one in the folder for temporary files.
pub(crate) fn socket_in(folder: &Path) -> PathBuf {
    let path = folder.join("house-keeper.sock");
    if path.as_os_str().len() <= 100 {
        return path;
    }
    let absolute = std::path::absolute(&path).unwrap_or_else(|_| path.clone());
    let hash = ingot_artifacts::Blake3::of(absolute.as_os_str().as_encoded_bytes()).to_string();
    std::env::temp_dir().join(format!("ingot-{}.sock", hash.get(..16).unwrap_or_default()))
}

/// A flag that is raised with the first SIGINT or SIGTERM.
pub(crate) fn stop_when_interrupted() -> anyhow::Result<Stop> {
    let stop = Stop::new();
    let raised = stop.clone();
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            while !interrupt::requested() {
                thread::sleep(LOOK);
            }
            raised.raise();
        })
        .context("cannot start a thread")?;
    Ok(stop)
}

/// Runs one component. Its messages go to the log.
pub(crate) fn component(
    ui: &Arc<Ui>,
    chosen: &Chosen,
    component: ComponentName,
    args: &ServiceArgs,
) -> anyhow::Result<Outcome> {
    let config = match load(args) {
        Ok(config) => config,
        Err(error) => {
            ui.tell(&crate::ui::Event::Error { text: format!("{error:#}") });
            return Ok(Outcome::Exit(EXIT_CONFIG));
        }
    };
    if let Err(error) = check_groups(&config, chosen) {
        ui.tell(&crate::ui::Event::Error { text: format!("{error:#}") });
        return Ok(Outcome::Exit(EXIT_CONFIG));
    }
    let stop = stop_when_interrupted()?;
    let make = |config: &Config, stop: &Stop| work(component, chosen, config, stop);
    match run(component, &config, make, &stop, args.stop_with_parent) {
        Ok(()) => Ok(Outcome::Done),
        Err(error) => {
            ui.tell(&crate::ui::Event::Error { text: format!("{}: {error}", component.name()) });
            Ok(Outcome::Exit(error.exit_code()))
        }
    }
}

/// Every pair of round and circuit id has to be in exactly one prover group, or work would wait for ever.
fn check_groups(config: &Config, chosen: &Chosen) -> anyhow::Result<()> {
    let Some(path) = &config.house_keeper.groups else { return Ok(()) };
    let all = job_circuits(&*chosen.circuit_set()?).iter().map(JobCircuit::key).collect();
    Groups::load(path)?.validate(&all).with_context(|| path.display().to_string())
}

/// Prints the configuration as it is in effect.
pub(crate) fn config(args: &ServiceArgs) -> anyhow::Result<Outcome> {
    let text = load(args)?.effective();
    let mut out = std::io::stdout().lock();
    // A closed pipe is no reason to fail.
    let _ = std::io::Write::write_all(&mut out, text.as_bytes());
    Ok(Outcome::Done)
}

/// Makes keys if there are none, then keeps all components of this host running.
pub(crate) fn up(ui: &Arc<Ui>, chosen: &Chosen, args: &UpArgs) -> anyhow::Result<Outcome> {
    let config = load(&args.service)?;
    let set = chosen.circuit_set()?;
    warn_if_insecure(ui, &*set);
    check_groups(&config, chosen)?;
    let home = Home::open(&config.host.state_dir)?;
    drop(ready(ui, chosen, &home, &set, Resources::new(chosen, &args.resources))?);
    let mut after: Vec<OsString> = Vec::new();
    if let Some(path) = &args.service.config {
        after.extend(["--config".into(), path.clone().into()]);
    }
    if let Some(dir) = &args.service.dir {
        after.extend(["--dir".into(), dir.clone().into()]);
    }
    after.extend(args.service.set.iter().flat_map(|pair| ["--set".into(), pair.into()]));
    for (key, value) in stable_names(&config) {
        after.extend(["--set".into(), format!("{key}={value}").into()]);
    }
    let options = UpOptions {
        program: std::env::current_exe().context("cannot tell where this executable is")?,
        before: vec!["--parameters".into(), chosen.parameters.clone().into()],
        after,
        components: ComponentName::ALL.into(),
        logs: None,
    };
    ui.note(format!("house keeper at {}; stop with Ctrl-C", config.host.house_keeper));
    let stop = stop_when_interrupted()?;
    let told = options.run(&stop, |event| tell(ui, event)).context("cannot start the components")?;
    if let Err(reason) = told {
        bail!("{reason}");
    }
    Ok(Outcome::Done)
}

/// Says what happens to the components.
pub(crate) fn tell(ui: &Ui, event: &ChildEvent) {
    match event {
        ChildEvent::Started { name, pid } => ui.note(format!("{name}: process {pid}")),
        ChildEvent::Died { name, status, again_in_ms } => {
            ui.warn(format!("{name} has died ({status}); it is started again in {again_in_ms} ms"));
        }
        ChildEvent::Failed { name, reason } => ui.warn(format!("{name}: {reason}")),
    }
}
