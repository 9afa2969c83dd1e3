//! What the house keeper tells over HTTP: health, metrics, and the report that autoscalers read.

use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf, time::Duration};

use axum::{extract::State, http::StatusCode, routing::get, Json, Router};
use ingot_job_store::{CountKey, StateName};
use ingot_types::{AggregationRound, JobKind};
use serde_json::{json, Value};
use tokio::sync::oneshot;

use crate::{
    engine::{EngineHandle, EngineView},
    retention::free_bytes,
};

/// How long the engine may take to show itself before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone)]
struct Shown {
    engine: EngineHandle,
    artifacts: PathBuf,
}

/// The pages.
pub(crate) fn router(engine: EngineHandle, artifacts: PathBuf) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/queue_report", get(queue_report))
        .with_state(Shown { engine, artifacts })
}

async fn view(shown: &Shown) -> Result<EngineView, (StatusCode, String)> {
    let (reply, told) = oneshot::channel();
    shown.engine.view(move |view| drop(reply.send(view)));
    let unavailable = |why: &str| (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n"));
    match tokio::time::timeout(PATIENCE, told).await {
        Ok(Ok(view)) => Ok(view),
        Ok(Err(_)) => Err(unavailable("the store cannot be read")),
        Err(_) => Err(unavailable("the engine does not answer")),
    }
}

async fn livez(State(shown): State<Shown>) -> Result<&'static str, (StatusCode, String)> {
    view(&shown).await.map(|_| "ok\n")
}

async fn readyz(State(shown): State<Shown>) -> (StatusCode, Json<Value>) {
    let waiting_for: Vec<String> = match view(&shown).await {
        Ok(view) => view.intake.err().into_iter().collect(),
        Err((_, why)) => vec![why.trim().to_owned()],
    };
    let status = if waiting_for.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": waiting_for.is_empty(), "waiting_for": waiting_for })))
}

async fn queue_report(State(shown): State<Shown>) -> Result<Json<Value>, (StatusCode, String)> {
    Ok(Json(report(&view(&shown).await?)))
}

/// Queued and running jobs of each protocol version, in the form that ZKsync's autoscaler reads.
fn report(view: &EngineView) -> Value {
    let versions = view.jobs.iter().map(|(version, counts)| {
        let of = |chosen: &dyn Fn(&CountKey) -> bool| {
            let sum = |state: StateName| -> u64 {
                counts
                    .iter()
                    .filter(|(key, _)| key.state == state && chosen(key))
                    .map(|(_, count)| count)
                    .sum()
            };
            json!({ "queued": sum(StateName::Queued), "in_progress": sum(StateName::Leased) })
        };
        let witness = |round| of(&move |key: &CountKey| key.kind == JobKind::Witness && key.round == round);
        json!({
            "version": version.to_string(),
            "basic_witness_jobs": witness(AggregationRound::Basic),
            "leaf_witness_jobs": witness(AggregationRound::Leaf),
            "node_witness_jobs": witness(AggregationRound::Node),
            "recursion_tip_witness_jobs": witness(AggregationRound::RecursionTip),
            "scheduler_witness_jobs": witness(AggregationRound::Scheduler),
            "prover_jobs": of(&|key: &CountKey| key.kind == JobKind::Prove),
            "proof_compressor_jobs": of(&|key: &CountKey| key.kind == JobKind::Compress),
        })
    });
    Value::Array(versions.collect())
}

async fn metrics(State(shown): State<Shown>) -> Result<String, (StatusCode, String)> {
    let view = view(&shown).await?;
    let free = free_bytes(&shown.artifacts).ok();
    exposition(&view, free).map_err(|e| (StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))
}

/// The figures in Prometheus' text form. Written by hand: they are read off one picture, and a registry of live counters
/// would be a second truth beside the store.
fn exposition(view: &EngineView, free: Option<u64>) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    let mut family = |name: &str, kind: &str, help: &str, samples: &[(String, u64)]| -> std::fmt::Result {
        writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}")?;
        samples.iter().try_for_each(|(labels, value)| writeln!(out, "{name}{labels} {value}"))
    };
    let mut jobs = Vec::new();
    for (version, counts) in &view.jobs {
        for (key, count) in counts {
            let labels = format!(
                "{{version=\"{version}\",kind=\"{}\",round=\"{}\",circuit=\"{}\",state=\"{}\"}}",
                key.kind.name(),
                key.round as u8,
                key.circuit_id,
                key.state
            );
            jobs.push((labels, *count));
        }
    }
    family("ingot_jobs", "gauge", "Jobs of batches that are not archived.", &jobs)?;
    let one = |value: u64| vec![(String::new(), value)];
    family("ingot_open_batches", "gauge", "Batches that are not proved.", &one(view.open_batches))?;
    let age = view.oldest_open_batch_ms.map_or(0, |since| view.now_ms.saturating_sub(since) / 1000);
    family(
        "ingot_oldest_open_batch_seconds",
        "gauge",
        "Age of the oldest batch that is not proved.",
        &one(age),
    )?;
    for (name, help, value) in [
        ("ingot_leases_total", "Leases given, hand-overs included.", view.totals.leased),
        ("ingot_completed_total", "Jobs completed.", view.totals.completed),
        ("ingot_failed_total", "Attempts reported as failed.", view.totals.failed),
        (
            "ingot_leases_lost_total",
            "Leases that ended without their holder's doing.",
            view.totals.leases_lost,
        ),
        ("ingot_quarantined_total", "Jobs given up.", view.totals.quarantined),
        ("ingot_bad_files_total", "Damaged or missing files reported.", view.totals.bad_files),
        ("ingot_undone_total", "Done jobs that had to run again.", view.totals.undone),
        ("ingot_statements_total", "SQL statements run.", view.statements),
    ] {
        family(name, "counter", help, &one(value))?;
    }
    family(
        "ingot_parked_requests",
        "gauge",
        "Requests that wait for a job, a slab or a change.",
        &one(view.parked),
    )?;
    let mut workers: BTreeMap<(&str, bool), u64> = BTreeMap::new();
    for worker in &view.workers {
        *workers.entry((worker.registration.component.name(), worker.connected)).or_default() += 1;
    }
    let workers: Vec<(String, u64)> = workers
        .into_iter()
        .map(|((component, connected), count)| {
            (format!("{{component=\"{component}\",connected=\"{connected}\"}}"), count)
        })
        .collect();
    family("ingot_workers", "gauge", "Workers that are connected, or were within a day.", &workers)?;
    let free_slabs = view.workers.iter().map(|worker| u64::from(worker.load.free_slabs)).sum();
    family("ingot_free_slabs", "gauge", "Slabs of connected provers that are free.", &one(free_slabs))?;
    family(
        "ingot_intake_stopped",
        "gauge",
        "1 while no batch is taken.",
        &one(u64::from(view.intake.is_err())),
    )?;
    if let Some(free) = free {
        family("ingot_disk_free_bytes", "gauge", "Bytes free under the artifact store.", &one(free))?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use ingot_types::{CircuitId, ProtocolVersion};

    use super::*;

    fn picture() -> EngineView {
        let key = |kind, round, state| CountKey { kind, round, circuit_id: CircuitId(1), state };
        let counts = BTreeMap::from([
            (key(JobKind::Prove, AggregationRound::Basic, StateName::Queued), 7),
            (key(JobKind::Prove, AggregationRound::Leaf, StateName::Leased), 2),
            (key(JobKind::Witness, AggregationRound::Leaf, StateName::Queued), 1),
            (key(JobKind::Witness, AggregationRound::Leaf, StateName::Waiting), 5),
        ]);
        EngineView {
            now_ms: 10_000,
            jobs: BTreeMap::from([(ProtocolVersion { minor: 1, patch: 2 }, counts)]),
            oldest_open_batch_ms: Some(4_000),
            open_batches: 1,
            workers: vec![],
            totals: Default::default(),
            statements: 9,
            parked: 0,
            intake: Ok(()),
        }
    }

    #[test]
    fn the_report_counts_queued_and_running_jobs_of_each_version() {
        let report = report(&picture());
        assert_eq!(report[0]["version"], "0.1.2");
        assert_eq!(report[0]["prover_jobs"], json!({ "queued": 7, "in_progress": 2 }));
        assert_eq!(report[0]["leaf_witness_jobs"], json!({ "queued": 1, "in_progress": 0 }));
        assert_eq!(report[0]["scheduler_witness_jobs"], json!({ "queued": 0, "in_progress": 0 }));
    }

    #[test]
    fn metrics_are_in_prometheus_form() {
        let text = exposition(&picture(), Some(5)).unwrap();
        assert!(text.contains(
            "ingot_jobs{version=\"0.1.2\",kind=\"prove\",round=\"0\",circuit=\"1\",state=\"queued\"} 7\n"
        ));
        assert!(
            text.contains("\ningot_oldest_open_batch_seconds 6\n")
                && text.contains("ingot_disk_free_bytes 5\n")
        );
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (_, value) = line.rsplit_once(' ').unwrap();
            value.parse::<u64>().unwrap();
        }
    }
}
