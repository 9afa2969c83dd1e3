//! The gateway: brings batches from a rollup's core to the house keeper, and proofs back.
//!
//! It asks a core (`intake`, `outbox`), or serves one that hands in and asks by itself (`push`).
//!
//! It keeps nothing of its own. A batch is the house keeper's from the moment it is submitted, and until then the core
//! hands it out again; a proof stays in the house keeper's outbox until the core has acknowledged it. So a gateway may be
//! killed at any moment, and any number of them may serve one core.
//!
//! **Invariant:** a proof is reported as sent only after the core said that it has it.

mod intake;
mod outbox;
mod push;

use std::{
    net::SocketAddr,
    sync::{
        atomic::{AtomicU64, Ordering},
        Arc, OnceLock,
    },
    time::Duration,
};

use ingot_artifacts::{ArtifactRef, Artifacts};
use ingot_core_api::{BatchFormat, Bearer, CoreClient, ServerOptions};
use ingot_house_keeper::{
    client::{Client, ClientError},
    protocol::{Answer, Request},
};
use ingot_job_store::{ArtifactName, DeliveryState};
use tokio::sync::Semaphore;

use crate::{
    config::GatewayConfig,
    observability::{GatewayEvent, Observed, Systemd},
    run_loop::Threads,
    stop::Stop,
    ServiceError,
};

/// How long the house keeper may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// First and longest wait after something failed.
const BACKOFF: std::ops::Range<Duration> = Duration::from_millis(500)..Duration::from_secs(30);
/// How often the main loop looks around.
const TICK: Duration = Duration::from_millis(200);

/// What a gateway works with.
pub struct Gateway {
    pub(crate) config: GatewayConfig,
    pub(crate) format: Arc<dyn BatchFormat>,
    pub(crate) core: CoreClient,
    bearer: Option<Bearer>,
    /// Room for batches that a core hands in, in MiB.
    intake: Semaphore,
    bound: OnceLock<SocketAddr>,
    pub(crate) house_keeper: Client,
    pub(crate) artifacts: Arc<dyn Artifacts>,
    pub(crate) stop: Stop,
    pub(crate) observed: Arc<Observed>,
    pub(crate) taken: AtomicU64,
    pub(crate) sent: AtomicU64,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").field("core", &self.core.base()).finish_non_exhaustive()
    }
}

impl Gateway {
    /// A gateway between the core of `config` and the house keeper that `house_keeper` reaches.
    ///
    /// # Errors
    /// [`ServiceError::File`] if the token file cannot be used.
    pub fn new(
        config: GatewayConfig,
        format: Arc<dyn BatchFormat>,
        house_keeper: Client,
        artifacts: Arc<dyn Artifacts>,
        observed: Arc<Observed>,
        stop: Stop,
    ) -> Result<Arc<Self>, ServiceError> {
        let bearer = match &config.token_file {
            Some(path) => Some(Bearer::load(path).map_err(|error| ServiceError::File {
                action: "use the token file",
                path: path.clone(),
                reason: error.to_string(),
            })?),
            None => None,
        };
        Ok(Arc::new(Self {
            core: CoreClient::new(&config.core, bearer.clone()),
            bearer,
            intake: Semaphore::new(push::mib(config.most_input_bytes) as usize),
            bound: OnceLock::new(),
            config,
            format,
            house_keeper,
            artifacts,
            stop,
            observed,
            taken: AtomicU64::new(0),
            sent: AtomicU64::new(0),
        }))
    }

    /// Where a core reaches it, once it serves one.
    pub fn address(&self) -> Option<SocketAddr> {
        self.bound.get().copied()
    }

    /// Its health.
    pub fn observed(&self) -> &Arc<Observed> {
        &self.observed
    }

    /// Runs until it is to stop.
    ///
    /// # Errors
    /// [`ServiceError::Thread`]; [`ServiceError::Client`] if a core cannot be served at the configured address.
    pub fn run(self: &Arc<Self>, systemd: &Systemd) -> Result<(), ServiceError> {
        match self.config.listen {
            Some(address) => {
                let bearer = self.bearer.clone();
                let options = ServerOptions { name: "gateway", address, bearer, public: false };
                self.serve_core(options, systemd)?;
            }
            None => self.ask_core(systemd)?,
        }
        self.observed.health.rest("main loop");
        // Both are waiting for answers, which may take long; nothing that they do need be finished.
        self.house_keeper.close(Duration::from_secs(1));
        tracing::info!("stopped");
        Ok(())
    }

    /// Asks the core until the process stops.
    fn ask_core(self: &Arc<Self>, systemd: &Systemd) -> Result<(), ServiceError> {
        let mut threads = Threads::new();
        let (taking, sending) = (self.clone(), self.clone());
        threads.start("intake", move || taking.take_batches())?;
        threads.start("outbox", move || sending.send_proofs())?;
        while !self.stop.wait_timeout(TICK) {
            self.tell(systemd);
        }
        systemd.stopping();
        Ok(())
    }

    /// Says how it is.
    fn tell(&self, systemd: &Systemd) {
        self.observed.health.beat("main loop");
        let (taken, sent) = (self.taken.load(Ordering::Relaxed), self.sent.load(Ordering::Relaxed));
        self.observed.health.doing(format!("{taken} batches taken, {sent} proofs sent"));
        systemd.status(&self.observed.health.readiness().line());
    }

    /// Where its batches come from, for people.
    fn source(&self) -> &str {
        match self.config.listen {
            Some(_) => "the core",
            None => self.core.base(),
        }
    }

    fn count_taken(&self, number: u32) {
        self.taken.fetch_add(1, Ordering::Relaxed);
        self.observed.metrics.gateway(GatewayEvent::BatchTaken);
        tracing::info!(BATCH = number, "batch {number} was taken");
    }

    /// The batches whose proofs the core does not have, and whether each is still to be sent.
    fn unsent(&self) -> Result<Vec<(u32, bool)>, ClientError> {
        match self.house_keeper.call_within(Request::Deliveries, PATIENCE)? {
            Answer::Deliveries(all) => Ok(all
                .into_iter()
                .filter(|delivery| {
                    delivery.state != DeliveryState::Sent && delivery.destination == self.config.destination
                })
                .map(|delivery| (delivery.batch.batch.0, delivery.state == DeliveryState::Pending))
                .collect()),
            other => Err(unexpected(&other)),
        }
    }

    fn file(&self, name: &ArtifactName) -> Result<Vec<u8>, String> {
        let hash = name.hash.parse().map_err(|e| format!("file {}: {e}", name.hash))?;
        self.artifacts.get(&ArtifactRef { hash, size_bytes: name.size_bytes }).map_err(|e| e.to_string())
    }

    /// Waits before another attempt; longer each time.
    fn rest(&self, wait: &mut Duration) {
        self.stop.wait_timeout(*wait);
        *wait = (*wait * 2).min(BACKOFF.end);
    }
}

fn unexpected(answer: &Answer) -> ClientError {
    ClientError::Unexpected { found: format!("{answer:?}").chars().take(60).collect() }
}
