//! The door for the core and for gateways.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::{Path, Query, State},
    http::{header, HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post, put},
    Json, Router,
};
use http_body_util::BodyExt as _;
use ingot_artifacts::{ArtifactRef, Blake3};
use ingot_core_api::{
    blocking, read_json, FetchRequest, FetchResponse, L1VerifierConfig, Problem, ProofForL1,
    ProofGenerationData, SealedAt, SubmitProofRequest, SubmitProofResponse,
};
use ingot_types::ProtocolVersion;
use serde::Deserialize;
use serde_json::{json, Value};

use crate::{
    checker::ProofFault,
    handler::{now_ms, Handler},
    store::{Asking, BatchRecord, LeaseTime, NewBatch, Received},
};

/// Batches in one answer at most.
const MOST_BATCHES: u32 = 16;
/// The longest that an answer is kept back.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How often leases that have run out are looked for while somebody waits.
const LOOK: Duration = Duration::from_secs(1);
/// Batches in a list.
const MOST_LISTED: u32 = 1_000;

type Shared = State<Arc<Handler>>;

pub(crate) fn routes(handler: Arc<Handler>) -> Router {
    Router::new()
        .route("/proof_generation_data", post(proof_generation_data))
        .route("/submit_proof/{number}", post(submit_proof))
        .route("/batches", get(list))
        .route("/batches/{number}", put(receive).get(status))
        .route("/proofs/{number}", get(proof))
        .with_state(handler)
}

/// Hands out batches.
async fn proof_generation_data(
    State(handler): Shared,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let request: FetchRequest = read_json(&headers, body, 1 << 20).await?;
    // ZKsync's gateway says nothing of itself. Whoever says something knows our additions.
    let plain = request == FetchRequest::default();
    let (most, length_s) = match plain {
        true => (1, handler.config.plain_lease_s),
        false => (request.max_batches.unwrap_or(1).min(MOST_BATCHES), handler.config.lease_s),
    };
    let wait = Duration::from_millis(request.wait_ms.unwrap_or_default()).min(LONGEST_WAIT);
    let (start, mut changes) = (Instant::now(), handler.changes());
    let records = loop {
        changes.mark_unchanged();
        let (leasing, asking) = (handler.clone(), request.clone());
        let records = blocking(move || {
            let time = LeaseTime { now_ms: now_ms(), length_ms: length_s.saturating_mul(1000) };
            let version = leasing.checker.protocol_version();
            let asking = Asking { name: asking.gateway.as_deref(), holding: &asking.holding };
            leasing.store.lease(version, asking, most, time).map_err(Problem::internal)
        })
        .await?;
        let left = wait.saturating_sub(start.elapsed());
        if !records.is_empty() || left.is_zero() {
            break records;
        }
        // Either way, it looks again.
        let _ = tokio::time::timeout(left.min(LOOK), changes.changed()).await;
    };
    let batches = blocking(move || Ok(assemble(&handler, &records))).await??;
    Ok(match plain {
        true => Json(FetchResponse::Success(batches.into_iter().next().map(Box::new))).into_response(),
        false if batches.is_empty() => StatusCode::NO_CONTENT.into_response(),
        false => Json(FetchResponse::Batches(batches)).into_response(),
    })
}

/// The messages of leased batches. One that cannot be read holds up none of the others.
fn assemble(handler: &Handler, records: &[BatchRecord]) -> Result<Vec<ProofGenerationData>, Problem> {
    let mut batches = Vec::with_capacity(records.len());
    let mut last_fault = None;
    for record in records {
        match message(handler, record) {
            Ok(data) => batches.push(data),
            Err(reason) => {
                let number = record.batch.number;
                last_fault =
                    Some(Problem::internal(format!("batch {number} cannot be handed out: {reason}")));
            }
        }
    }
    match last_fault {
        Some(problem) if batches.is_empty() => Err(problem),
        _ => Ok(batches),
    }
}

fn message(handler: &Handler, record: &BatchRecord) -> Result<ProofGenerationData, String> {
    let inputs = handler.artifacts.get(&record.batch.inputs).map_err(|e| e.to_string())?;
    Ok(ProofGenerationData {
        l1_batch_number: record.batch.number,
        chain_id: Some(handler.config.chain),
        batch_sealed_at: Some(SealedAt(record.batch.sealed_at_ms)),
        witness_input_data: handler.checker.format().inputs_to_json(&inputs).map_err(|e| e.to_string())?,
        protocol_version: record.batch.protocol_version,
        l1_verifier_config: L1VerifierConfig {
            snark_wrapper_vk_hash: handler.checker.key_hashes().0,
            fflonk_snark_wrapper_vk_hash: None,
        },
    })
}

/// Takes a proof back. The answer is an acknowledgement: the proof was verified, and survives a power cut.
async fn submit_proof(
    State(handler): Shared,
    Path(number): Path<u32>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<SubmitProofResponse>, Problem> {
    let record = known(&handler, number).await?;
    // Base64 takes four bytes for three.
    let most = usize::try_from(handler.config.most_proof_bytes.saturating_mul(2)).unwrap_or(usize::MAX);
    let SubmitProofRequest::Proof(submitted) = read_json(&headers, body, most).await? else {
        return Err(Problem::unprocessable(format!(
            "batch {number}: expected a proof, found that it was skipped"
        )));
    };
    let result = accept(&handler, &record, *submitted).await;
    if let Err(problem) = &result {
        tracing::warn!(BATCH = number, "a proof of batch {number} was refused: {}", problem.reason);
        let (noting, reason) = (handler.clone(), problem.reason.clone());
        blocking(move || noting.store.refuse(number, &reason).map_err(Problem::internal)).await?;
    }
    result.map(|()| Json(SubmitProofResponse::Success))
}

async fn accept(handler: &Arc<Handler>, record: &BatchRecord, submitted: ProofForL1) -> Result<(), Problem> {
    let number = record.batch.number;
    let expected = record.batch.protocol_version;
    if submitted.protocol_version != expected {
        return Err(Problem::unprocessable(format!(
            "batch {number}: expected a proof of protocol version {expected}, found {}",
            submitted.protocol_version
        )));
    }
    if submitted.aggregation_result_coords != record.batch.coordinates {
        return Err(Problem::unprocessable(format!(
            "batch {number}: the aggregation result coordinates are not this batch's"
        )));
    }
    let proof = handler
        .checker
        .format()
        .proof_from_json(&submitted.scheduler_proof)
        .map_err(|e| Problem::bad_request(e.to_string()))?;
    let hash = Blake3::of(&proof);
    if record.proof.is_some_and(|known| known.hash == hash) {
        return Ok(());
    }
    let proof = Arc::new(proof);
    match handler.verify(number, record.batch.public_input.clone(), proof.clone()).await? {
        Ok(()) => {}
        Err(ProofFault::NotAProof(reason)) => return Err(Problem::bad_request(reason)),
        Err(ProofFault::Refused(reason)) => return Err(Problem::unprocessable(reason)),
    }
    let storing = handler.clone();
    let received = blocking(move || {
        let artifact = storing.artifacts.put(&proof).map_err(Problem::internal)?;
        storing.store.prove(number, &artifact, now_ms()).map_err(Problem::internal)
    })
    .await?;
    if received == Received::New {
        tracing::info!(BATCH = number, "batch {number} is proved");
        handler.changed();
    }
    Ok(())
}

/// Takes a batch from the core: its witness inputs as they are, streamed to disk.
async fn receive(
    State(handler): Shared,
    Path(number): Path<u32>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let size_bytes: u64 = required(&headers, header::CONTENT_LENGTH.as_str())?;
    let most = handler.config.most_input_bytes;
    if size_bytes > most {
        return Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("batch {number}: expected witness inputs of at most {most} bytes, found {size_bytes}"),
        ));
    }
    let hash: Blake3 = required(&headers, "ingot-blake3")?;
    let protocol_version: ProtocolVersion = required(&headers, "ingot-protocol-version")?;
    let sealed_at_ms: u64 = required(&headers, "ingot-sealed-at-ms")?;
    let served = handler.checker.protocol_version();
    if protocol_version != served {
        return Err(Problem::unprocessable(format!(
            "batch {number}: expected protocol version {served}, found {protocol_version}"
        )));
    }
    let inputs = ArtifactRef { hash, size_bytes };
    let there = find(&handler, number).await?;
    if let Some(there) = there {
        return match there.batch.inputs == inputs && there.batch.protocol_version == protocol_version {
            true => Ok((StatusCode::OK, Json(shown(&there)))),
            false => Err(Problem::conflict(format!("batch {number} is there with other witness inputs"))),
        };
    }
    store_body(&handler, &inputs, body).await?;
    let taking = handler.clone();
    let record = blocking(move || {
        let bytes = taking.artifacts.get(&inputs).map_err(Problem::internal)?;
        // What is refused stays until orphans are collected: another batch may have the same file.
        let chain = taking.id(number).chain;
        let facts = taking
            .checker
            .facts(&format!("batch {number}"), &bytes, chain)
            .map_err(Problem::unprocessable)?;
        if facts.id != taking.id(number) {
            return Err(Problem::unprocessable(format!(
                "expected batch {number}, found witness inputs of batch {}",
                facts.id.batch.0
            )));
        }
        let batch = NewBatch {
            number,
            protocol_version,
            sealed_at_ms,
            inputs,
            public_input: facts.public_input,
            coordinates: facts.coordinates,
        };
        match taking.store.insert(&batch, now_ms()).map_err(Problem::internal)? {
            Received::Other => {
                Err(Problem::conflict(format!("batch {number} is there with other witness inputs")))
            }
            Received::New | Received::Known => taking
                .store
                .batch(number)
                .map_err(Problem::internal)?
                .ok_or_else(|| Problem::internal(format!("batch {number} is gone"))),
        }
    })
    .await?;
    tracing::info!(BATCH = number, "batch {number} came in");
    handler.changed();
    Ok((StatusCode::CREATED, Json(shown(&record))))
}

/// Writes a body to its artifact as it comes. What an interrupted attempt has left is written anew.
async fn store_body(handler: &Arc<Handler>, inputs: &ArtifactRef, mut body: Body) -> Result<(), Problem> {
    let (opening, wanted) = (handler.clone(), *inputs);
    let mut writer = blocking(move || {
        if opening.artifacts.renew(&wanted).map_err(Problem::internal)? {
            return Ok(None);
        }
        let writer = opening.artifacts.writer(&wanted).map_err(|e| Problem::unavailable(e.to_string()))?;
        Ok(Some(writer))
    })
    .await?;
    // What is there already comes once more.
    let mut skip = writer.as_ref().map_or(u64::MAX, |writer| writer.offset());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Problem::bad_request(format!("the body broke off: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        let skipped = skip.min(data.len() as u64);
        skip -= skipped;
        let rest = data.slice(usize::try_from(skipped).unwrap_or(usize::MAX).min(data.len())..);
        if let (Some(open), false) = (writer.take(), rest.is_empty()) {
            writer = Some(
                blocking(move || {
                    let mut open = open;
                    open.write(&rest).map_err(|e| Problem::bad_request(e.to_string()))?;
                    Ok(open)
                })
                .await?,
            );
        }
    }
    match writer {
        Some(open) => blocking(move || open.finish().map_err(|e| Problem::bad_request(e.to_string()))).await,
        None => Ok(()),
    }
}

/// One batch.
async fn status(
    State(handler): Shared,
    Path(number): Path<u32>,
    Query(wait): Query<Wait>,
) -> Result<Json<Value>, Problem> {
    let (start, mut changes) = (Instant::now(), handler.changes());
    let wait_for = Duration::from_millis(wait.wait_ms.unwrap_or_default()).min(LONGEST_WAIT);
    loop {
        changes.mark_unchanged();
        let record = known(&handler, number).await?;
        let left = wait_for.saturating_sub(start.elapsed());
        if record.proof.is_some() || left.is_zero() {
            return Ok(Json(shown(&record)));
        }
        // Either way, it looks again.
        let _ = tokio::time::timeout(left, changes.changed()).await;
    }
}

#[derive(Deserialize)]
struct Wait {
    /// How long to wait for a proof, in milliseconds.
    wait_ms: Option<u64>,
}

#[derive(Deserialize)]
struct From {
    /// The first number.
    from: Option<u32>,
}

/// All batches, a thousand at a time.
async fn list(State(handler): Shared, Query(query): Query<From>) -> Result<Json<Value>, Problem> {
    let from = query.from.unwrap_or_default();
    let records =
        blocking(move || handler.store.batches(from, MOST_LISTED).map_err(Problem::internal)).await?;
    Ok(Json(Value::Array(records.iter().map(shown).collect())))
}

/// The proof of a batch.
async fn proof(State(handler): Shared, Path(number): Path<u32>) -> Result<Response, Problem> {
    let record = known(&handler, number).await?;
    let Some(artifact) = record.proof else {
        return Err(Problem::not_found(format!("batch {number} is not proved")));
    };
    let bytes = blocking(move || handler.artifacts.get(&artifact).map_err(Problem::internal)).await?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response())
}

pub(crate) async fn find(handler: &Arc<Handler>, number: u32) -> Result<Option<BatchRecord>, Problem> {
    let handler = handler.clone();
    blocking(move || handler.store.batch(number).map_err(Problem::internal)).await
}

pub(crate) async fn known(handler: &Arc<Handler>, number: u32) -> Result<BatchRecord, Problem> {
    find(handler, number).await?.ok_or_else(|| Problem::not_found(format!("there is no batch {number}")))
}

fn required<T: std::str::FromStr<Err: std::fmt::Display>>(
    headers: &HeaderMap,
    name: &str,
) -> Result<T, Problem> {
    let text = headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .ok_or_else(|| Problem::bad_request(format!("expected the header {name}")))?;
    text.parse().map_err(|e| Problem::bad_request(format!("header {name}: {e}")))
}

fn shown(record: &BatchRecord) -> Value {
    let state = match record.proof {
        Some(_) => "proved",
        None if record.leased_until_ms > now_ms() => "proving",
        None => "ready",
    };
    json!({
        "number": record.batch.number,
        "state": state,
        "protocol_version": record.batch.protocol_version.to_string(),
        "sealed_at_ms": record.batch.sealed_at_ms,
        "received_at_ms": record.received_at_ms,
        "inputs_blake3": record.batch.inputs.hash.to_string(),
        "inputs_bytes": record.batch.inputs.size_bytes,
        "inputs_kept": !record.pruned,
        "times_leased": record.times_leased,
        "proved_at_ms": record.proved_at_ms,
        "proof_blake3": record.proof.map(|proof| proof.hash.to_string()),
        "proof_bytes": record.proof.map(|proof| proof.size_bytes),
        "proofs_refused": record.refused,
        "refused_reason": record.refused_reason,
    })
}
