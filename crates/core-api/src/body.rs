//! Bodies of requests, bounded in size and time.

use std::time::Duration;

use axum::{
    body::Body,
    http::{header, HeaderMap, StatusCode},
};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;

use crate::Problem;

/// How long a body may take, however slowly it comes.
const WITHIN: Duration = Duration::from_secs(120);

/// Reads a body of `most_bytes` at most. A longer one is refused by its announced length, before any of it is read, or as
/// soon as it goes beyond.
///
/// # Errors
/// 413, 408, 400.
pub async fn read_body(headers: &HeaderMap, body: Body, most_bytes: usize) -> Result<Vec<u8>, Problem> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<u64>().ok());
    if let Some(found) = announced.filter(|&found| found > most_bytes as u64) {
        return Err(too_large(most_bytes, &format!("{found}")));
    }
    let reading = collect(body, most_bytes);
    match tokio::time::timeout(WITHIN, reading).await {
        Ok(result) => result,
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            format!("expected the whole body within {} s", WITHIN.as_secs()),
        )),
    }
}

async fn collect(mut body: Body, most_bytes: usize) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Problem::bad_request(format!("the body broke off: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > most_bytes {
            return Err(too_large(most_bytes, "more"));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

fn too_large(most_bytes: usize, found: &str) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("expected a body of at most {most_bytes} bytes, found {found}"),
    )
}

/// Reads a body as JSON. The content type is not looked at: cores differ in what they send.
///
/// # Errors
/// As [`read_body`], and 400 with the place in the JSON that is wrong.
pub async fn read_json<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
    most_bytes: usize,
) -> Result<T, Problem> {
    let bytes = read_body(headers, body, most_bytes).await?;
    serde_json::from_slice(&bytes).map_err(|error| Problem::bad_request(format!("the body: {error}")))
}
