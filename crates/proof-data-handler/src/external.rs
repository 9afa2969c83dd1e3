//! The external API: witness inputs for whoever wants to prove a batch, and verdicts on proofs.

use std::{io::SeekFrom, sync::Arc};

use axum::{
    body::Body,
    extract::{DefaultBodyLimit, FromRequest as _, Multipart, Path, Request, State},
    http::{header, HeaderMap, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
    Json, Router,
};
use ingot_artifacts::Blake3;
use ingot_core_api::{blocking, read_body, Problem};
use serde_json::{json, Value};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use crate::{
    checker::{limbs, ProofFault},
    core_side::known,
    handler::Handler,
    range::{wanted, Wanted},
    store::BatchRecord,
};

/// What a form may have around the proof.
const FORM_BYTES: usize = 64 << 10;

type Shared = State<Arc<Handler>>;

pub(crate) fn routes(handler: Arc<Handler>) -> Router {
    let most = most_bytes(&handler).saturating_add(FORM_BYTES);
    Router::new()
        .route("/proof_generation_data", get(latest))
        .route("/proof_generation_data/{number}", get(inputs))
        .route("/verify_proof/{number}", post(verify))
        .route("/verify_batch/{number}", post(verify))
        .layer(DefaultBodyLimit::max(most))
        .with_state(handler)
}

fn most_bytes(handler: &Handler) -> usize {
    usize::try_from(handler.config.most_proof_bytes).unwrap_or(usize::MAX)
}

/// The last batch that is proved.
async fn latest(State(handler): Shared, headers: HeaderMap) -> Result<Response, Problem> {
    let looking = handler.clone();
    let record = blocking(move || looking.store.last_proved().map_err(Problem::internal)).await?;
    match record {
        Some(record) => send_inputs(&handler, &record, &headers).await,
        None => Err(Problem::not_found("no batch is proved yet")),
    }
}

/// A batch's witness inputs.
async fn inputs(
    State(handler): Shared,
    Path(number): Path<u32>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let record = known(&handler, number).await?;
    send_inputs(&handler, &record, &headers).await
}

async fn send_inputs(
    handler: &Arc<Handler>,
    record: &BatchRecord,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let number = record.batch.number;
    if record.pruned {
        return Err(Problem::gone(format!("the witness inputs of batch {number} are not kept any more")));
    }
    let inputs = record.batch.inputs;
    let etag = format!("\"{}\"", inputs.hash);
    let of = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if of(header::IF_NONE_MATCH).is_some_and(|tags| tags.split(',').any(|tag| tag.trim() == etag)) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response());
    }
    // A part of something else than the peer has begun with is of no use to it.
    let same = of(header::IF_RANGE).is_none_or(|tag| tag == etag);
    let range = match wanted(of(header::RANGE).filter(|_| same), inputs.size_bytes) {
        Wanted::Unsatisfiable => {
            let length = format!("bytes */{}", inputs.size_bytes);
            let problem = Problem::new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                format!("batch {number}: expected a range within {} bytes", inputs.size_bytes),
            );
            return Ok(([(header::CONTENT_RANGE, length)], problem).into_response());
        }
        Wanted::Whole => None,
        Wanted::Part { first, bytes } => Some((first, bytes)),
    };
    let (first, bytes) = range.unwrap_or((0, inputs.size_bytes));
    let path = handler.artifacts.path(&inputs);
    let unreadable = |e: std::io::Error| Problem::internal(format!("{}: {e}", path.display()));
    let mut file = match tokio::fs::File::open(&path).await {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(Problem::gone(format!("the witness inputs of batch {number} are not there any more")))
        }
        Err(e) => return Err(unreadable(e)),
    };
    file.seek(SeekFrom::Start(first)).await.map_err(unreadable)?;
    let mut response = Body::from_stream(ReaderStream::new(file.take(bytes))).into_response();
    let (vk, manifest) = handler.checker.key_hashes();
    let name = format!(
        "attachment; filename=\"witness_inputs_{number}_{}.{}\"",
        handler.config.chain,
        handler.checker.format().extension()
    );
    let fields = [
        (header::CONTENT_TYPE.as_str(), "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH.as_str(), bytes.to_string()),
        (header::CONTENT_DISPOSITION.as_str(), name),
        (header::ACCEPT_RANGES.as_str(), "bytes".into()),
        (header::ETAG.as_str(), etag),
        ("ingot-blake3", inputs.hash.to_string()),
        ("ingot-protocol-version", record.batch.protocol_version.to_string()),
        ("ingot-vk-commitment", hex(&vk)),
        ("ingot-key-manifest", hex(&manifest)),
    ];
    for (field, value) in fields {
        if let (Ok(field), Ok(value)) =
            (header::HeaderName::try_from(field), HeaderValue::try_from(value.as_str()))
        {
            response.headers_mut().insert(field, value);
        }
    }
    if range.is_some() {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let value = format!("bytes {first}-{}/{}", first + bytes - 1, inputs.size_bytes);
        if let Ok(value) = HeaderValue::try_from(value.as_str()) {
            response.headers_mut().insert(header::CONTENT_RANGE, value);
        }
    }
    Ok(response)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// Verifies a proof against a batch, and says whether it is the one that is stored.
async fn verify(
    State(handler): Shared,
    Path(number): Path<u32>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let record = known(&handler, number).await?;
    let proof = Arc::new(proof_in(&handler, request).await?);
    if proof.is_empty() {
        return Err(Problem::bad_request("expected a proof, found an empty body"));
    }
    let same = record.proof.is_some_and(|stored| stored.hash == Blake3::of(&proof));
    match handler.verify(number, record.batch.public_input.clone(), proof).await? {
        Ok(()) => Ok(Json(json!({
            "valid": true,
            "batch": number,
            "chain": handler.config.chain,
            "protocol_version": record.batch.protocol_version.to_string(),
            "public_input": limbs(&record.batch.public_input),
            "same_as_stored": same,
        }))),
        Err(ProofFault::NotAProof(reason)) => Err(Problem::bad_request(reason)),
        Err(ProofFault::Refused(reason)) => Err(Problem::unprocessable(reason)),
    }
}

/// The proof in a request: the field `proof` of a form, or the body as it is.
async fn proof_in(handler: &Handler, request: Request) -> Result<Vec<u8>, Problem> {
    let most = most_bytes(handler);
    let kind = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("application/octet-stream")
        .to_ascii_lowercase();
    if kind.starts_with("multipart/form-data") {
        return form(request, most).await;
    }
    if kind.contains("json") || kind.starts_with("text/") {
        return Err(Problem::bad_request(format!(
            "expected a proof as application/octet-stream or in a form, found {kind}"
        )));
    }
    let (parts, body) = request.into_parts();
    read_body(&parts.headers, body, most).await
}

async fn form(request: Request, most: usize) -> Result<Vec<u8>, Problem> {
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if announced.and_then(|text| text.parse::<usize>().ok()).is_some_and(|found| found > most + FORM_BYTES) {
        return Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("expected a proof of at most {most} bytes"),
        ));
    }
    let bad = |e: axum::extract::multipart::MultipartError| Problem::new(e.status(), e.body_text());
    let mut form =
        Multipart::from_request(request, &()).await.map_err(|e| Problem::new(e.status(), e.body_text()))?;
    while let Some(field) = form.next_field().await.map_err(bad)? {
        if field.name() == Some("proof") {
            return Ok(field.bytes().await.map_err(bad)?.to_vec());
        }
    }
    Err(Problem::bad_request("expected a form with the field `proof`, found none"))
}
