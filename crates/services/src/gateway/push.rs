//! The gateway as a server: today's cores hand batches in, and ask for proofs.
//!
//! `POST /submit_request_for_proofs` takes a batch and answers `null` once the house keeper has it;
//! `POST /poll_generated_proofs` answers with the proof of a batch, or `null`. ZKsync's server notes a proof as sent before
//! its answer has arrived, so one that is lost on the way is lost for good; here it stays in the outbox, and may be asked
//! for again, until the core has said that it has it. `POST /ack` is for that: an addition of ours. For cores that never
//! say so, `settled-after-s` takes silence for it: who has a proof does not ask again.

use std::{
    sync::{atomic::Ordering, Arc},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use axum::{
    body::Body,
    extract::State,
    http::{header, HeaderMap, StatusCode},
    routing::post,
    Json, Router,
};
use ingot_core_api::{
    blocking, read_json, AckRequest, PollRequest, PollResponse, Problem, ProofGenerationData, Server,
    ServerOptions,
};
use ingot_house_keeper::{
    client::ClientError,
    protocol::{Answer, OutboxEntry, Request, SubmitOutcome},
};
use ingot_job_store::{DeliveryOutcome, DeliveryState};
use ingot_types::{BatchId, RetryClass};

use super::{unexpected, Gateway, PATIENCE, TICK};
use crate::{
    observability::{GatewayEvent, Systemd},
    ServiceError,
};

/// Longest request that holds no batch, in bytes.
const MOST_REQUEST_BYTES: usize = 1 << 20;
/// How often deliveries are looked at that may be settled.
const SETTLE_EVERY: Duration = Duration::from_secs(10);
/// What the outbox says of a proof that was handed out.
const HANDED_OUT: &str = "handed out; the core has not said that it has it";

type Shared = State<Arc<Gateway>>;

/// `null`: all that there is to say.
type Nothing = Json<()>;

pub(super) fn routes(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/submit_request_for_proofs", post(submit))
        .route("/poll_generated_proofs", post(poll))
        .route("/ack", post(acknowledge))
        .with_state(gateway)
}

impl Gateway {
    /// Serves a core until the process stops.
    pub(super) fn serve_core(
        self: &Arc<Self>,
        options: ServerOptions,
        systemd: &Systemd,
    ) -> Result<(), ServiceError> {
        let address = options.address;
        let server = Server::start(options, routes(self.clone()))
            .map_err(|error| ServiceError::Client(error.to_string()))?;
        self.bound.set(server.address()).map_err(|_| ServiceError::Client("it runs already".into()))?;
        let mut settled = Instant::now();
        while !self.stop.wait_timeout(TICK) {
            if !server.is_alive() {
                return Err(ServiceError::ThreadEnded(format!("server at {address}")));
            }
            self.tell(systemd);
            if settled.elapsed() >= SETTLE_EVERY.min(self.settle_after().unwrap_or(SETTLE_EVERY)) {
                settled = Instant::now();
                self.look_after();
            }
        }
        systemd.stopping();
        drop(server);
        Ok(())
    }

    fn settle_after(&self) -> Option<Duration> {
        self.config.settled_after_s.map(Duration::from_secs)
    }

    /// Sees whether the house keeper answers, and settles what the core has stopped to ask for.
    fn look_after(&self) {
        match self.settle() {
            Ok(()) => self.observed.health.got("house keeper"),
            Err(error) => self.observed.health.wait_for("house keeper", error.to_string()),
        }
    }

    fn settle(&self) -> Result<(), ClientError> {
        let all = match self.house_keeper.call_within(Request::Deliveries, PATIENCE)? {
            Answer::Deliveries(all) => all,
            other => return Err(unexpected(&other)),
        };
        let Some(after) = self.settle_after() else { return Ok(()) };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        for delivery in all {
            let quiet = now.saturating_sub(Duration::from_millis(delivery.changed_at_ms));
            let handed_out = delivery.reason.as_deref() == Some(HANDED_OUT);
            let ours =
                delivery.destination == self.config.destination && delivery.state == DeliveryState::Pending;
            if ours && handed_out && quiet >= after {
                let number = delivery.batch.batch.0;
                tracing::info!(BATCH = number, "nobody asks for the proof of batch {number} any more: sent");
                self.settled(delivery.batch)?;
            }
        }
        Ok(())
    }

    fn settled(&self, batch: BatchId) -> Result<(), ClientError> {
        self.deliver(batch, DeliveryOutcome::Acknowledged)?;
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.observed.metrics.gateway(GatewayEvent::ProofAcknowledged);
        Ok(())
    }

    fn deliver(&self, batch: BatchId, outcome: DeliveryOutcome) -> Result<(), ClientError> {
        self.house_keeper.call_within(Request::Delivered { batch, outcome }, PATIENCE).map(drop)
    }

    /// The proof of a batch that the core asked for, if it is there.
    fn proved(&self, batch: BatchId) -> Result<Option<OutboxEntry>, ClientError> {
        let destination = self.config.destination.clone();
        match self.house_keeper.call_within(Request::FinalProof { destination, batch }, PATIENCE)? {
            Answer::Outbox(entries) => Ok(entries.into_iter().next()),
            other => Err(unexpected(&other)),
        }
    }
}

async fn submit(State(gateway): Shared, headers: HeaderMap, body: Body) -> Result<Nothing, Problem> {
    let most = usize::try_from(gateway.config.most_input_bytes).unwrap_or(usize::MAX);
    // Together, bodies take no more memory than the largest of them may; small ones need not wait for a slow one.
    let room = mib(announced(&headers).unwrap_or(u64::MAX).min(gateway.config.most_input_bytes));
    let _room = gateway.intake.acquire_many(room).await.map_err(Problem::internal)?;
    let data: ProofGenerationData = read_json(&headers, body, most).await?;
    let taking = gateway.clone();
    blocking(move || take(&taking, &data)).await.map(Json)
}

/// The length of a body that says so beforehand.
fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Bytes in MiB, at least one.
pub(super) fn mib(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1 << 20)).unwrap_or(u32::MAX).max(1)
}

fn take(gateway: &Gateway, data: &ProofGenerationData) -> Result<(), Problem> {
    let number = data.l1_batch_number;
    let refused = |problem: Problem| {
        gateway.observed.metrics.gateway(GatewayEvent::BatchRefused);
        tracing::error!(BATCH = number, "batch {number} is not taken: {problem}");
        problem
    };
    let submission = gateway
        .submission(data)
        .map_err(|reason| refused(Problem::unprocessable(format!("batch {number}: {reason}"))))?;
    match gateway.submit(&submission) {
        Ok(SubmitOutcome::Accepted) => {
            gateway.count_taken(number);
            Ok(())
        }
        // Handed in again: its answer was lost.
        Ok(SubmitOutcome::Known) => Ok(()),
        Err(ClientError::Refused(reason)) => {
            Err(refused(Problem::conflict(format!("batch {number}: {reason}"))))
        }
        Err(error) => Err(unavailable(gateway, &error)),
    }
}

async fn poll(
    State(gateway): Shared,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Option<PollResponse>>, Problem> {
    let PollRequest { l1_batch_id } = read_json(&headers, body, MOST_REQUEST_BYTES).await?;
    blocking(move || {
        let batch = BatchId::from(l1_batch_id);
        let Some(entry) = gateway.proved(batch).map_err(|error| unavailable(&gateway, &error))? else {
            return Ok(Json(None));
        };
        let proof = gateway.proof(&entry).map_err(Problem::internal)?;
        // Noted before it is said: that it was handed out must not be lost with the answer. An acknowledged one stays so.
        let known = gateway.deliver(batch, DeliveryOutcome::Failed(HANDED_OUT.into()));
        known.map_err(|error| unavailable(&gateway, &error))?;
        gateway.observed.metrics.gateway(GatewayEvent::ProofHandedOut);
        Ok(Json(Some(PollResponse { l1_batch_id, proof })))
    })
    .await
}

async fn acknowledge(State(gateway): Shared, headers: HeaderMap, body: Body) -> Result<Nothing, Problem> {
    let AckRequest { l1_batch_id } = read_json(&headers, body, MOST_REQUEST_BYTES).await?;
    blocking(move || {
        let batch = BatchId::from(l1_batch_id);
        match gateway.proved(batch).map_err(|error| unavailable(&gateway, &error))? {
            Some(_) => gateway.settled(batch).map_err(|error| unavailable(&gateway, &error)),
            None => {
                Err(Problem::not_found(format!("batch {}: there is no proof to acknowledge", batch.batch.0)))
            }
        }
    })
    .await
    .map(Json)
}

/// What the core may try again.
fn unavailable(gateway: &Gateway, error: &ClientError) -> Problem {
    if error.retry_class() == RetryClass::Deterministic {
        return Problem::internal(error);
    }
    gateway.observed.health.wait_for("house keeper", error.to_string());
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}
