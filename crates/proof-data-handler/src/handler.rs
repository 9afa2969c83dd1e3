//! What both doors share, and the process around them.

use std::{
    fs,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{extract::State, http::header, response::IntoResponse, routing::get, Json, Router};
use ingot_artifacts::ArtifactStore;
use ingot_core_api::{blocking, Bearer, Problem, Server, ServerOptions};
use ingot_types::{BatchId, BatchNumber, ChainId};
use serde_json::json;
use tokio::sync::{watch, Semaphore};

use crate::{
    checker::{Checker, ProofFault},
    config::ProofDataHandlerConfig,
    core_side, external,
    metrics::{exposition, Verifications},
    HandlerError, Store, StoreError,
};

/// Batches and proofs, and what is known of them.
pub struct Handler {
    pub(crate) config: ProofDataHandlerConfig,
    pub(crate) store: Store,
    pub(crate) artifacts: ArtifactStore,
    pub(crate) checker: Arc<dyn Checker>,
    verifications: Semaphore,
    verified: Verifications,
    changes: watch::Sender<u64>,
}

impl std::fmt::Debug for Handler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handler").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Handler {
    /// Opens folder and database.
    ///
    /// # Errors
    /// [`HandlerError`].
    pub fn open(
        config: &ProofDataHandlerConfig,
        checker: Arc<dyn Checker>,
    ) -> Result<Arc<Self>, HandlerError> {
        let folder = &config.folder;
        fs::create_dir_all(folder).map_err(|source| StoreError::Io {
            action: "create",
            path: folder.clone(),
            source,
        })?;
        Ok(Arc::new(Self {
            store: Store::open(&folder.join("batches.db"))?,
            artifacts: ArtifactStore::open(folder.join("artifacts"))?,
            checker,
            verified: Verifications::default(),
            verifications: Semaphore::new(config.verifications.max(1)),
            changes: watch::channel(0).0,
            config: config.clone(),
        }))
    }

    /// The batch of this number on this handler's chain.
    pub(crate) fn id(&self, number: u32) -> BatchId {
        BatchId { chain: ChainId(self.config.chain), batch: BatchNumber(number) }
    }

    /// Something came in: whoever waits looks again.
    pub(crate) fn changed(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Tells of changes from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Verifies a proof, on a thread of its own; not more at once than configured.
    pub(crate) async fn verify(
        self: &Arc<Self>,
        number: u32,
        public_input: Vec<u8>,
        proof: Arc<Vec<u8>>,
    ) -> Result<Result<(), ProofFault>, Problem> {
        let _room = self.verifications.acquire().await.map_err(Problem::internal)?;
        let handler = self.clone();
        let check = move || Ok(handler.checker.check(handler.id(number), &public_input, &proof));
        let checked = blocking(check).await?;
        self.verified.count(checked.is_ok());
        Ok(checked)
    }

    /// Forgets the witness inputs whose time has come, and removes files that no batch names and that are older than
    /// `orphan_age`: longer than a batch takes from its last byte to its row. Returns how many batches' inputs went.
    ///
    /// # Errors
    /// [`HandlerError`].
    pub fn tidy(&self, now_ms: u64, orphan_age: Duration) -> Result<usize, HandlerError> {
        let before = now_ms.saturating_sub(self.config.keep_inputs_s.saturating_mul(1000));
        let gone = self.store.prune(before)?;
        self.artifacts.collect(&self.store.live()?, orphan_age)?;
        Ok(gone)
    }
}

/// The proof data handler, serving. Dropped, it stops.
#[derive(Debug)]
pub struct ProofDataHandler {
    handler: Arc<Handler>,
    core_side: Server,
    external: Option<Server>,
}

impl ProofDataHandler {
    /// Opens its folder and its doors.
    ///
    /// # Errors
    /// [`HandlerError`].
    pub fn start(config: &ProofDataHandlerConfig, checker: Arc<dyn Checker>) -> Result<Self, HandlerError> {
        let bearer = match &config.token_file {
            Some(path) => Some(Bearer::load(path).map_err(|e| HandlerError::Token(e.to_string()))?),
            None => None,
        };
        let handler = Handler::open(config, checker)?;
        let options = ServerOptions {
            name: "proof-data-handler",
            address: config.listen,
            bearer: bearer.clone(),
            public: false,
        };
        let core_side = Server::start(
            options,
            core_side::routes(handler.clone()).merge(health()).merge(figures(handler.clone())),
        )?;
        let external = match config.external {
            Some(address) => {
                let bearer = if config.external_is_public { None } else { bearer };
                let public = config.external_is_public;
                let options = ServerOptions { name: "external-api", address, bearer, public };
                Some(Server::start(options, external::routes(handler.clone()).merge(health()))?)
            }
            None => None,
        };
        Ok(Self { handler, core_side, external })
    }

    /// What it serves.
    pub fn handler(&self) -> &Arc<Handler> {
        &self.handler
    }

    /// Where cores and gateways reach it.
    pub fn address(&self) -> std::net::SocketAddr {
        self.core_side.address()
    }

    /// Where the external API is.
    pub fn external_address(&self) -> Option<std::net::SocketAddr> {
        self.external.as_ref().map(Server::address)
    }

    /// Whether it still serves.
    pub fn is_alive(&self) -> bool {
        self.core_side.is_alive() && self.external.as_ref().is_none_or(Server::is_alive)
    }
}

fn health() -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(|| async { Json(json!({ "ready": true, "waiting_for": [] })) }))
}

fn figures(handler: Arc<Handler>) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(handler)
}

async fn metrics(State(handler): State<Arc<Handler>>) -> Result<impl IntoResponse, Problem> {
    let now_ms = now_ms();
    let reading = handler.clone();
    let figures = blocking(move || reading.store.figures(now_ms).map_err(Problem::internal)).await?;
    let page = exposition(&figures, &handler.verified, now_ms).map_err(Problem::internal)?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page))
}

/// The present, in milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> u64 {
    let since: Duration = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
