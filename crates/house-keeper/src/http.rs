//! What the house keeper tells over HTTP: health, metrics, and the report that autoscalers read.

use std::time::Duration;

use axum::{
    extract::State,
    http::{header, StatusCode},
    response::IntoResponse,
    routing::get,
    Json, Router,
};
use ingot_job_store::{CountKey, StateName};
use ingot_types::{AggregationRound, JobKind};
use serde_json::{json, Value};
use tokio::sync::oneshot;

use crate::{
    config::HouseKeeperConfig,
    engine::{EngineHandle, EngineView},
    metrics::{exposition, Disk},
    retention::least_free,
};

/// How long the engine may take to show itself before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone)]
struct Shown {
    engine: EngineHandle,
    config: HouseKeeperConfig,
}

/// The pages.
pub(crate) fn router(engine: EngineHandle, config: HouseKeeperConfig) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/queue_report", get(queue_report))
        .with_state(Shown { engine, config })
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

async fn metrics(State(shown): State<Shown>) -> Result<impl IntoResponse, (StatusCode, String)> {
    let view = view(&shown).await?;
    let (low, high) = (shown.config.disk_low_bytes, shown.config.disk_high_bytes);
    let folders = [shown.config.artifacts_folder(), shown.config.folder.clone()];
    let disk = Disk { free: least_free(&folders).map(|(free, _)| free), low, high };
    let text = exposition(&view, disk).map_err(|e| (StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use ingot_types::{CircuitId, ProtocolVersion};

    use super::*;

    pub(crate) fn picture() -> EngineView {
        let key = |kind, round, state| CountKey { kind, round, circuit_id: CircuitId(1), state };
        let counts = BTreeMap::from([
            (key(JobKind::Prove, AggregationRound::Basic, StateName::Queued), 7),
            (key(JobKind::Prove, AggregationRound::Leaf, StateName::Leased), 2),
            (key(JobKind::Witness, AggregationRound::Leaf, StateName::Queued), 1),
            (key(JobKind::Witness, AggregationRound::Leaf, StateName::Waiting), 5),
        ]);
        EngineView {
            deliveries: BTreeMap::new(),
            oldest_unsent_ms: None,
            now_ms: 10_000,
            jobs: BTreeMap::from([(ProtocolVersion { minor: 1, patch: 2 }, counts)]),
            oldest_open_batch_ms: Some(4_000),
            open_batches: 1,
            workers: vec![],
            totals: Default::default(),
            oldest: BTreeMap::new(),
            leases: vec![],
            batches: vec![],
            lowest_open_batch: None,
            requeued: BTreeMap::new(),
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
}
