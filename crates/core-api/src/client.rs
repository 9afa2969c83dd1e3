//! HTTP from this side: bounded in time and size, with errors that say whether to try again.

use std::time::Duration;

use ingot_types::RetryClass;
use serde::Serialize;
use ureq::{http, Agent};

use crate::{
    Bearer, FetchRequest, FetchResponse, ProofGenerationData, SubmitProofRequest, SubmitProofResponse,
};

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a request or answer may take, beyond what the peer is asked to wait.
const TRANSFER: Duration = Duration::from_secs(120);
/// Most bytes of an answer.
const MOST_BYTES: u64 = 1 << 30;

/// Why a request came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The peer refuses this request, and will again.
    #[error("{url} refuses ({status}): {reason}")]
    Refused {
        /// Where.
        url: String,
        /// Its status.
        status: u16,
        /// Its reason.
        reason: String,
    },
    /// The peer cannot at present, or does not let this process in.
    #[error("{url} cannot ({status}): {reason}")]
    Unavailable {
        /// Where.
        url: String,
        /// Its status.
        status: u16,
        /// Its reason.
        reason: String,
    },
    /// There was no answer.
    #[error("{url}: {reason}")]
    NoAnswer {
        /// Where.
        url: String,
        /// What happened.
        reason: String,
    },
    /// The answer is none that is known.
    #[error("{url} answers something else: {reason}")]
    Unexpected {
        /// Where.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl ClientError {
    /// What another attempt would be worth.
    pub const fn retry_class(&self) -> RetryClass {
        match self {
            Self::Refused { .. } => RetryClass::Deterministic,
            _ => RetryClass::Transient,
        }
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// Where from.
    pub url: String,
    /// Its status, which is good: 2xx.
    pub status: u16,
    /// Its body.
    pub body: Vec<u8>,
}

/// A peer over HTTP or HTTPS.
#[derive(Clone, Debug)]
pub struct HttpClient {
    base: String,
    bearer: Option<Bearer>,
    agent: Agent,
}

impl HttpClient {
    /// The peer at `base`, such as `http://127.0.0.1:3320`.
    pub fn new(base: &str, bearer: Option<Bearer>) -> Self {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT))
            .max_redirects(0)
            .build()
            .new_agent();
        Self { base: base.trim_end_matches('/').to_owned(), bearer, agent }
    }

    /// Where the peer is.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// `GET`; the peer may keep the answer back for `wait`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn get(&self, path: &str, wait: Duration) -> Result<Response, ClientError> {
        self.send("GET", path, &[], Vec::new(), wait)
    }

    /// `POST` of JSON; the peer may keep the answer back for `wait`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn post_json(
        &self,
        path: &str,
        body: &impl Serialize,
        wait: Duration,
    ) -> Result<Response, ClientError> {
        let unexpected =
            |e: serde_json::Error| ClientError::Unexpected { url: self.url(path), reason: e.to_string() };
        let body = serde_json::to_vec(body).map_err(unexpected)?;
        self.send("POST", path, &[("content-type", "application/json")], body, wait)
    }

    /// A request with headers and body.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
        wait: Duration,
    ) -> Result<Response, ClientError> {
        let url = self.url(path);
        let no_answer = |reason: String| ClientError::NoAnswer { url: url.clone(), reason };
        let mut request = http::Request::builder().method(method).uri(&url);
        if let Some(bearer) = &self.bearer {
            request = request.header("authorization", bearer.header());
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).map_err(|e| no_answer(e.to_string()))?;
        let request = self.agent.configure_request(request).timeout_global(Some(wait + TRANSFER)).build();
        let mut response = self.agent.run(request).map_err(|e| no_answer(e.to_string()))?;
        let status = response.status().as_u16();
        let body = response
            .body_mut()
            .with_config()
            .limit(MOST_BYTES)
            .read_to_vec()
            .map_err(|e| no_answer(format!("the answer broke off: {e}")))?;
        match status {
            200..=299 => Ok(Response { url, status, body }),
            // Who is not let in now may be later, when somebody has corrected a token; and these are said to pass.
            401 | 403 | 408 | 425 | 429 | 500.. => {
                Err(ClientError::Unavailable { url, status, reason: reason_in(&body) })
            }
            _ => Err(ClientError::Refused { url, status, reason: reason_in(&body) }),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

/// The reason in an answer that is an error: its `error` field, or the beginning of its text.
pub fn reason_in(body: &[u8]) -> String {
    let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let reason = json.as_ref().and_then(|json| json.get("error")).and_then(|reason| reason.as_str());
    let text = reason.map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned);
    let text: String = text.chars().filter(|c| !c.is_control()).take(500).collect();
    if text.is_empty() {
        "no reason given".into()
    } else {
        text
    }
}

/// A core whose gateway this process is.
#[derive(Clone, Debug)]
pub struct CoreClient {
    http: HttpClient,
}

impl CoreClient {
    /// The core at `base`.
    pub fn new(base: &str, bearer: Option<Bearer>) -> Self {
        Self { http: HttpClient::new(base, bearer) }
    }

    /// Where it is.
    pub fn base(&self) -> &str {
        self.http.base()
    }

    /// The next batches to prove, in order; none if there are none.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn fetch(&self, request: &FetchRequest) -> Result<Vec<ProofGenerationData>, ClientError> {
        let wait = Duration::from_millis(request.wait_ms.unwrap_or_default());
        let response = self.http.post_json("/proof_generation_data", request, wait)?;
        if response.status == 204 || response.body.is_empty() {
            return Ok(Vec::new());
        }
        let Response { url, status, body } = response;
        match serde_json::from_slice(&body) {
            Ok(FetchResponse::Success(batch)) => Ok(batch.map(|batch| *batch).into_iter().collect()),
            Ok(FetchResponse::Batches(batches)) => Ok(batches),
            Ok(FetchResponse::Error(reason)) => Err(ClientError::Unavailable { url, status, reason }),
            Err(error) => Err(ClientError::Unexpected { url, reason: error.to_string() }),
        }
    }

    /// Submits the proof of a batch. `Ok` is the core's acknowledgement, and nothing else is.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn submit(&self, batch: u32, request: &SubmitProofRequest) -> Result<(), ClientError> {
        let path = format!("/submit_proof/{batch}");
        let Response { url, status, body } = self.http.post_json(&path, request, Duration::ZERO)?;
        match serde_json::from_slice(&body) {
            Ok(SubmitProofResponse::Success) => Ok(()),
            Ok(SubmitProofResponse::Error(reason)) => Err(ClientError::Refused { url, status, reason }),
            Err(error) => Err(ClientError::Unexpected { url, reason: error.to_string() }),
        }
    }
}
