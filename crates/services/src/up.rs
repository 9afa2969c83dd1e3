//! `up`: the children of one host.

use std::{ffi::OsString, io, path::PathBuf, sync::mpsc, time::Duration};

use crate::{
    component::ComponentName,
    stop::Stop,
    supervisor::{ChildEvent, ChildSpec, Supervisor},
};

/// How long children may take to stop before they are killed.
pub const STOP: Duration = Duration::from_secs(8);

/// What the children are started with.
#[derive(Clone, Debug)]
pub struct UpOptions {
    /// The executable, whose subcommands are the components.
    pub program: PathBuf,
    /// Arguments before the subcommand.
    pub before: Vec<OsString>,
    /// Arguments after it: the configuration.
    pub after: Vec<OsString>,
    /// The components to run.
    pub components: Vec<ComponentName>,
    /// A folder for a log file of each; `None`: where this process writes.
    pub logs: Option<PathBuf>,
}

impl UpOptions {
    fn children(&self) -> Vec<ChildSpec> {
        let child = |component: &ComponentName| {
            let mut args = self.before.clone();
            args.push(component.name().into());
            args.extend(self.after.iter().cloned());
            args.push("--stop-with-parent".into());
            ChildSpec {
                name: component.name().to_owned(),
                program: self.program.clone(),
                args,
                log: self.logs.as_ref().map(|folder| folder.join(format!("{}.log", component.name()))),
            }
        };
        self.components.iter().map(child).collect()
    }

    /// Starts the children, which are kept running.
    ///
    /// # Errors
    /// If a thread or the folder of logs cannot be had.
    pub fn start(&self) -> io::Result<(Supervisor, mpsc::Receiver<ChildEvent>)> {
        if let Some(folder) = &self.logs {
            std::fs::create_dir_all(folder)?;
        }
        Supervisor::start(self.children())
    }

    /// Runs the children until `stop` is raised, telling what happens to them. `Err`: a child cannot run.
    ///
    /// # Errors
    /// As for [`Self::start`]; and the child's name and reason.
    pub fn run(&self, stop: &Stop, mut tell: impl FnMut(&ChildEvent)) -> io::Result<Result<(), String>> {
        let (supervisor, events) = self.start()?;
        let mut failed = None;
        while failed.is_none() && !stop.wait_timeout(Duration::from_millis(50)) {
            while let Ok(event) = events.try_recv() {
                tell(&event);
                if let ChildEvent::Failed { name, reason } = event {
                    failed = Some(format!("{name}: {reason}"));
                }
            }
        }
        supervisor.stop(STOP);
        Ok(failed.map_or(Ok(()), Err))
    }
}
