//! `ingot workers`.

use std::{fmt::Write as _, sync::Arc};

use ingot_house_keeper::protocol::{ProverLoad, WorkerInfo};
use serde::Serialize;

use super::{
    args::WorkersArgs,
    desk::Desk,
    time::{now_ms, span},
};
use crate::{exit::Outcome, ui::Ui};

#[derive(Serialize)]
struct Shown {
    name: String,
    component: &'static str,
    state: &'static str,
    host: String,
    pid: u32,
    zone: Option<String>,
    group: Option<u8>,
    version: Option<String>,
    key_manifest: Option<String>,
    slabs: Option<u32>,
    load: ProverLoad,
    seen_at_ms: u64,
    leases: Vec<String>,
    status: String,
}

/// Where a worker stands, in a word.
pub(crate) fn state(worker: &WorkerInfo) -> &'static str {
    match (worker.connected, worker.draining) {
        (false, _) => "gone",
        (true, true) => "draining",
        (true, false) => "there",
    }
}

/// Lists the workers.
pub(crate) fn workers(ui: &Arc<Ui>, args: &WorkersArgs) -> anyhow::Result<Outcome> {
    let desk = Desk::open(&args.service, None)?;
    let workers = desk.workers()?;
    if workers.is_empty() {
        ui.note("no workers");
    }
    for worker in workers {
        let registration = &worker.registration;
        let serves = registration.serves.as_ref();
        let shown = Shown {
            name: registration.name.clone(),
            component: registration.component.name(),
            state: state(&worker),
            host: registration.host.clone(),
            pid: registration.pid,
            zone: registration.zone.clone(),
            group: registration.group,
            version: serves.map(|served| served.protocol_version.to_string()),
            key_manifest: serves.map(|served| served.key_manifest.clone()),
            slabs: registration.stream.as_ref().map(|stream| stream.slabs),
            load: worker.load,
            seen_at_ms: worker.seen_at_ms,
            leases: worker.leases.iter().map(ToString::to_string).collect(),
            status: worker.status.clone(),
        };
        ui.show("worker", &shown, &text(&shown, args.verbose));
    }
    Ok(Outcome::Done)
}

fn text(worker: &Shown, verbose: bool) -> String {
    let mut text = format!("{} {} on {}: {}", worker.component, worker.name, worker.host, worker.state);
    // Writing to a string does not fail.
    if worker.state == "gone" {
        let _ = write!(text, " for {}", span(now_ms().saturating_sub(worker.seen_at_ms)));
    }
    if let Some(version) = &worker.version {
        let _ = write!(text, ", version {version}");
    }
    if let Some(zone) = &worker.zone {
        let _ = write!(text, ", zone {zone}");
    }
    if let Some(group) = worker.group {
        let _ = write!(text, ", group {group}");
    }
    if let Some(slabs) = worker.slabs {
        let ProverLoad { free_slabs, queued, proving } = worker.load;
        let _ = write!(
            text,
            ", {free_slabs} of {slabs} slabs free, {queued} vectors wait, {proving} proofs under way"
        );
    }
    let _ = write!(text, ", {} jobs", worker.leases.len());
    if !worker.status.is_empty() {
        let _ = write!(text, "; {}", worker.status);
    }
    if verbose {
        if let Some(manifest) = &worker.key_manifest {
            let _ = write!(text, "\n  process {}, key manifest {manifest}", worker.pid);
        }
        for lease in &worker.leases {
            let _ = write!(text, "\n  has {lease}");
        }
    }
    text
}
