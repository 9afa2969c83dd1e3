//! An appliance that lasts as long as a command: its components as child processes, in a folder of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::mpsc,
    time::Duration,
};

use anyhow::{bail, Context as _};
use ingot_services::{
    component::ComponentName,
    config::Config,
    supervisor::{ChildEvent, Supervisor},
    up::{UpOptions, STOP},
};

use super::{
    components::{single_host, stable_names, tell},
    Operator,
};
use crate::{
    commands::Resources,
    edition::{Chosen, KeyPolicy},
    memory::peak_rss_of,
    ui::Ui,
};

/// How long the house keeper may take to come up.
const COME_UP: Duration = Duration::from_secs(60);

/// What a local appliance is started with.
#[derive(Debug)]
pub(crate) struct LocalOptions<'a> {
    /// The edition and its parameters.
    pub chosen: &'a Chosen,
    /// Where its data is kept.
    pub folder: &'a Path,
    /// The data folder with the keys.
    pub home: &'a Path,
    /// What may be used.
    pub resources: Resources,
}

/// The components, running.
#[derive(Debug)]
pub(crate) struct LocalAppliance {
    supervisor: Supervisor,
    events: mpsc::Receiver<ChildEvent>,
    logs: PathBuf,
    pub operator: Operator,
}

impl LocalAppliance {
    /// Starts all components, and waits until the house keeper answers.
    pub fn start(ui: &Ui, options: &LocalOptions<'_>) -> anyhow::Result<Self> {
        let folder = options.folder;
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let mut overrides = single_host(folder);
        let policy = options.chosen.edition.key_policy();
        let disk = options.resources.disk_bytes.map_or("\"auto\"".into(), |bytes| format!("\"{bytes}\""));
        let quoted = |text: &Path| format!("\"{}\"", text.display());
        for (key, value) in [
            ("host.state-dir", quoted(options.home)),
            // A demonstration is no rollup's only copy: a nearly full disk need not stop it.
            ("house-keeper.disk-low-bytes", (256u64 << 20).to_string()),
            ("house-keeper.disk-high-bytes", (256u64 << 20).to_string()),
            ("circuit-prover.threads", options.resources.threads.to_string()),
            // A vector of a circuit set whose keys do not fit on a disk is gigabytes large.
            ("circuit-prover.slabs", if policy == KeyPolicy::All { "2" } else { "1" }.into()),
            ("circuit-prover.key-cache", format!("\"{}\"", options.resources.key_cache_bytes())),
            ("circuit-prover.key-disk", disk),
            ("circuit-prover.prefetch-keys", (policy == KeyPolicy::All).to_string()),
            ("witness-vector-generator.ram", format!("\"{}\"", options.resources.synthesis_bytes())),
        ] {
            overrides.push((key.to_owned(), value));
        }
        let config = Config::load(None, &overrides)?;
        overrides.extend(stable_names(&config));
        let mut after = Vec::new();
        for (key, value) in &overrides {
            after.extend(["--set".into(), format!("{key}={value}").into()]);
        }
        // Without a configuration file these are the defaults; what follows overrides them.
        after.splice(0..0, ["--dir".into(), folder.as_os_str().to_owned()]);
        let logs = folder.join("logs");
        let options = UpOptions {
            program: std::env::current_exe().context("cannot tell where this executable is")?,
            before: vec!["--parameters".into(), options.chosen.parameters.clone().into()],
            after,
            components: ComponentName::ALL.into(),
            logs: Some(logs.clone()),
        };
        let (supervisor, events) = options.start().context("cannot start the components")?;
        let appliance = |operator| Self { supervisor, events, logs, operator };
        match Operator::connect(&config, COME_UP) {
            Ok(operator) => {
                let appliance = appliance(operator);
                appliance.check(ui)?;
                Ok(appliance)
            }
            Err(error) => Err(error.context(format!("see the logs in {}", folder.join("logs").display()))),
        }
    }

    /// Tells what happened to components; fails if one of them cannot run.
    pub fn check(&self, ui: &Ui) -> anyhow::Result<()> {
        while let Ok(event) = self.events.try_recv() {
            match &event {
                ChildEvent::Failed { name, reason } => {
                    bail!("{name}: {reason}; see {}", self.logs.join(format!("{name}.log")).display());
                }
                ChildEvent::Started { .. } => {}
                ChildEvent::Died { .. } => tell(ui, &event),
            }
        }
        Ok(())
    }

    /// The sum of the largest resident sets that the components have had, in bytes.
    pub fn peak_rss_bytes(&self) -> u64 {
        self.supervisor.pids().iter().map(|(_, pid)| peak_rss_of(*pid)).sum()
    }

    /// Stops the components.
    pub fn stop(self) {
        self.operator.client.close(Duration::from_secs(2));
        self.supervisor.stop(STOP);
    }
}
