//! The house keeper's figures in Prometheus' text form. docs/metrics.md has the table of all names.
//!
//! They are read off one picture of the whole: a registry of live counters would be a second truth beside the store.
//! **Invariant:** no label has values that a peer or a batch can make up: their number is bounded by circuits, states,
//! components and chains.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use ingot_job_store::{CountKey, StateName};
use ingot_types::{AggregationRound, JobKind};

use crate::{engine::EngineView, protocol::BatchState, zksync_metrics};

/// What the disk has, and where intake stops.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Disk {
    /// Bytes free, on the fuller of the file systems in use; `None` if they cannot be asked.
    pub free: Option<u64>,
    /// No batch is taken below this.
    pub low: u64,
    /// Batches are taken again above this.
    pub high: u64,
}

/// Families of samples, as text.
#[derive(Debug, Default)]
pub(crate) struct Page(String);

impl Page {
    /// A family with its samples: labels as they are written, and values.
    pub fn family<V: fmt::Display>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        samples: impl IntoIterator<Item = (String, V)>,
    ) -> fmt::Result {
        writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}")?;
        samples.into_iter().try_for_each(|(labels, value)| writeln!(self.0, "{name}{labels} {value}"))
    }

    /// A family with one sample and no labels.
    pub fn one(&mut self, name: &str, kind: &str, help: &str, value: impl fmt::Display) -> fmt::Result {
        self.family(name, kind, help, [(String::new(), value)])
    }
}

/// `{version="0.1.0",kind="prove",round="0",circuit="1",state="queued"}`
fn job_labels(version: &impl fmt::Display, key: &CountKey) -> String {
    format!(
        "{{version=\"{version}\",kind=\"{}\",round=\"{}\",circuit=\"{}\",state=\"{}\"}}",
        key.kind.name(),
        key.round as u8,
        key.circuit_id,
        key.state
    )
}

/// Seconds since a time in milliseconds.
fn age(view: &EngineView, since_ms: u64) -> u64 {
    view.now_ms.saturating_sub(since_ms) / 1000
}

/// All of it.
pub(crate) fn exposition(view: &EngineView, disk: Disk) -> Result<String, fmt::Error> {
    let mut page = Page::default();
    jobs(&mut page, view)?;
    batches(&mut page, view)?;
    deliveries(&mut page, view)?;
    totals(&mut page, view)?;
    workers(&mut page, view)?;
    intake(&mut page, view, disk)?;
    zksync_metrics::write(&mut page, view)?;
    Ok(page.0)
}

fn jobs(page: &mut Page, view: &EngineView) -> fmt::Result {
    let counted = view.jobs.iter().flat_map(|(version, counts)| {
        counts.iter().map(move |(key, count)| (job_labels(version, key), *count))
    });
    page.family("ingot_jobs", "gauge", "Jobs of batches that are not archived.", counted)?;
    let oldest = view.oldest.iter().flat_map(|(version, oldest)| {
        let open = oldest.iter().filter(|(key, _)| key.state != StateName::Done);
        open.map(move |(key, first)| (job_labels(version, key), age(view, first.submitted_at_ms)))
    });
    let help = "Time since the oldest batch came in that has jobs like these; none for jobs that are done.";
    page.family("ingot_jobs_oldest_seconds", "gauge", help, oldest)?;
    let mut leases: BTreeMap<(JobKind, AggregationRound, u8), u64> = BTreeMap::new();
    for (key, since_ms) in &view.leases {
        let longest = leases.entry((key.kind, key.round, key.circuit_id.0)).or_default();
        *longest = age(view, *since_ms).max(*longest);
    }
    let leases = leases.into_iter().map(|((kind, round, circuit), seconds)| {
        (format!("{{kind=\"{}\",round=\"{}\",circuit=\"{circuit}\"}}", kind.name(), round as u8), seconds)
    });
    let help = "Time since the longest lease of such jobs was granted, or the house keeper was started.";
    page.family("ingot_lease_oldest_seconds", "gauge", help, leases)
}

fn batches(page: &mut Page, view: &EngineView) -> fmt::Result {
    let states = [
        (BatchState::Proving, "proving"),
        (BatchState::Stuck, "stuck"),
        (BatchState::Proved, "proved"),
        (BatchState::Archived, "archived"),
    ];
    let counted = states.map(|(state, name)| {
        let count = view.batches.iter().find(|(of, _)| *of == state).map_or(0, |(_, count)| *count);
        (format!("{{state=\"{name}\"}}"), count)
    });
    page.family("ingot_batches", "gauge", "Batches by where they stand.", counted)?;
    page.one("ingot_open_batches", "gauge", "Batches that are not proved.", view.open_batches)?;
    page.one(
        "ingot_oldest_open_batch_seconds",
        "gauge",
        "Age of the oldest batch that is not proved.",
        view.oldest_open_batch_ms.map_or(0, |since| age(view, since)),
    )
}

fn deliveries(page: &mut Page, view: &EngineView) -> fmt::Result {
    let counted = view.deliveries.iter().map(|(state, count)| (format!("{{state=\"{state}\"}}"), *count));
    page.family("ingot_deliveries", "gauge", "Proofs that a core waits for, by where they stand.", counted)?;
    page.one(
        "ingot_oldest_unsent_proof_seconds",
        "gauge",
        "Age of the oldest proof that is to be sent to a core; 0 if there is none.",
        view.oldest_unsent_ms.map_or(0, |since| age(view, since)),
    )
}

fn totals(page: &mut Page, view: &EngineView) -> fmt::Result {
    let totals = &view.totals;
    for (name, help, value) in [
        ("ingot_leases_total", "Leases given, hand-overs included.", totals.leased),
        ("ingot_completed_total", "Jobs completed.", totals.completed),
        (
            "ingot_leases_lost_total",
            "Leases that ended without their holder's doing: they ran out, or their job was taken away.",
            totals.leases_lost,
        ),
        ("ingot_leases_expired_total", "Leases that ran out: their holder was not heard of.", totals.expired),
        ("ingot_quarantined_total", "Jobs given up.", totals.quarantined),
        ("ingot_bad_files_total", "Damaged or missing files reported.", totals.bad_files),
        ("ingot_undone_total", "Done jobs that had to run again.", totals.undone),
        ("ingot_statements_total", "SQL statements run.", view.statements),
    ] {
        page.one(name, "counter", help, value)?;
    }
    let failed = totals.failed;
    let classes = [
        ("transient", failed.transient),
        ("resource", failed.resource),
        ("deterministic", failed.deterministic),
    ];
    let failed = classes.map(|(class, count)| (format!("{{class=\"{class}\"}}"), count));
    page.family("ingot_failed_total", "counter", "Attempts that failed, by class.", failed)?;
    page.one(
        "ingot_parked_requests",
        "gauge",
        "Requests that wait for a job, a slab or a change.",
        view.parked,
    )
}

fn workers(page: &mut Page, view: &EngineView) -> fmt::Result {
    let mut workers: BTreeMap<(&str, bool), u64> = BTreeMap::new();
    for worker in &view.workers {
        *workers.entry((worker.registration.component.name(), worker.connected)).or_default() += 1;
    }
    let workers = workers.into_iter().map(|((component, connected), count)| {
        (format!("{{component=\"{component}\",connected=\"{connected}\"}}"), count)
    });
    page.family("ingot_workers", "gauge", "Workers that are connected, or were within a day.", workers)?;
    let connected = || view.workers.iter().filter(|worker| worker.connected);
    let draining = connected().filter(|worker| worker.draining).count();
    page.one("ingot_workers_draining", "gauge", "Connected workers that take no new work.", draining)?;
    let provers = || connected().filter(|worker| worker.registration.stream.is_some());
    let slabs: u64 = provers()
        .filter_map(|worker| worker.registration.stream.as_ref())
        .map(|stream| u64::from(stream.slabs))
        .sum();
    page.one("ingot_slabs", "gauge", "Slabs of connected provers.", slabs)?;
    let free: u64 = provers().map(|worker| u64::from(worker.load.free_slabs)).sum();
    page.one("ingot_free_slabs", "gauge", "Slabs of connected provers that are free.", free)?;
    let queued: u64 = provers().map(|worker| u64::from(worker.load.queued)).sum();
    let help = "Witness vectors at connected provers that wait to be proved.";
    page.one("ingot_vectors_queued", "gauge", help, queued)?;
    let proving = provers().filter(|worker| worker.load.proving > 0).count();
    page.one("ingot_provers_busy", "gauge", "Connected provers that make a proof now.", proving)
}

fn intake(page: &mut Page, view: &EngineView, disk: Disk) -> fmt::Result {
    let stopped = u64::from(view.intake.is_err());
    page.one("ingot_intake_stopped", "gauge", "1 while no batch is taken.", stopped)?;
    let free = disk.free.map(|free| (String::new(), free));
    let help = "Bytes free under the database and the artifacts, whichever has less.";
    page.family("ingot_disk_free_bytes", "gauge", help, free)?;
    page.one("ingot_disk_low_bytes", "gauge", "Below this no batch is taken.", disk.low)?;
    page.one("ingot_disk_high_bytes", "gauge", "Above this batches are taken again.", disk.high)
}
