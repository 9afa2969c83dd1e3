//! From a configuration to a running worker: what an executable calls.

use std::{process, sync::Arc};

use ingot_artifacts::Artifacts;
use ingot_house_keeper::protocol::{Component, Registration, StreamOffer};

use crate::{
    circuit_prover::{self, Inbox},
    config::{Config, HostConfig},
    desk::Desk,
    host,
    observability::{HttpServer, Observed},
    queue::JobQueue,
    stop::Stop,
    stream_transport::{StreamReceiver, StreamSender},
    transport::VectorReceiver as _,
    witness_generator, witness_vector_generator,
    work::Work,
    ServiceError,
};

/// What a worker reaches other components through.
#[derive(Clone)]
pub struct Connection {
    /// The house keeper.
    pub queue: Arc<dyn JobQueue>,
    /// The files.
    pub artifacts: Arc<dyn Artifacts>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("link", &self.queue.link()).finish_non_exhaustive()
    }
}

/// Makes connections. It does not wait for the house keeper: that may come later.
pub trait Connect {
    /// A connection of a worker that introduces itself like this.
    ///
    /// # Errors
    /// [`ServiceError`] if no connection can ever come about as things are.
    fn connect(&self, registration: Registration) -> Result<Connection, ServiceError>;
}

/// How a worker introduces itself.
///
/// # Errors
/// [`ServiceError::Client`] if the system has no randomness to give.
pub fn registration(
    component: Component,
    name: Option<&str>,
    host_config: &HostConfig,
    work: &dyn Work,
    stream: Option<StreamOffer>,
) -> Result<Registration, ServiceError> {
    let mut instance = [0; 16];
    getrandom::fill(&mut instance)
        .map_err(|e| ServiceError::Client(format!("no randomness for the instance number: {e}")))?;
    let (host, pid) = (host::host_name(), process::id());
    let name = name.map_or_else(|| format!("{}-{host}-{pid}", component.name()), str::to_owned);
    Ok(Registration {
        component,
        name,
        instance,
        host,
        pid,
        zone: host_config.zone.clone(),
        group: host_config.group,
        serves: Some(work.served()),
        stream,
    })
}

/// A worker that is about to run.
struct Starting {
    observed: Arc<Observed>,
    _http: Option<HttpServer>,
}

impl Starting {
    fn new(component: Component, http: Option<std::net::SocketAddr>) -> Result<Self, ServiceError> {
        let observed = Arc::new(Observed::default());
        let server = http.map(|address| HttpServer::start(address, observed.clone())).transpose()?;
        if let Some(server) = &server {
            tracing::info!("{}: health and metrics on http://{}", component.name(), server.address());
        }
        Ok(Self { observed, _http: server })
    }

    fn desk(
        &self,
        connect: &dyn Connect,
        registration: Registration,
        work: Arc<dyn Work>,
        stop: Stop,
    ) -> Result<Arc<Desk>, ServiceError> {
        tracing::info!("{} `{}` starts", registration.component.name(), registration.name);
        let Connection { queue, artifacts } = connect.connect(registration)?;
        Ok(Desk::new(work, queue, artifacts, self.observed.clone(), stop))
    }
}

/// Runs a witness generator until `stop` is raised.
///
/// # Errors
/// [`ServiceError`].
pub fn witness_generator(
    config: &Config,
    work: Arc<dyn Work>,
    connect: &dyn Connect,
    stop: Stop,
) -> Result<(), ServiceError> {
    let own = &config.witness_generator;
    let starting = Starting::new(Component::WitnessGenerator, own.http)?;
    let registration =
        registration(Component::WitnessGenerator, own.name.as_deref(), &config.host, &*work, None)?;
    let desk = starting.desk(connect, registration, work, stop)?;
    witness_generator::run(&desk, &config.host, own)
}

/// Runs a witness vector generator until `stop` is raised.
///
/// # Errors
/// [`ServiceError`].
pub fn witness_vector_generator(
    config: &Config,
    work: Arc<dyn Work>,
    connect: &dyn Connect,
    stop: Stop,
) -> Result<(), ServiceError> {
    let own = &config.witness_vector_generator;
    let starting = Starting::new(Component::WitnessVectorGenerator, own.http)?;
    let registration =
        registration(Component::WitnessVectorGenerator, own.name.as_deref(), &config.host, &*work, None)?;
    let desk = starting.desk(connect, registration, work, stop)?;
    witness_vector_generator::run(&desk, &config.host, own, Arc::new(StreamSender))
}

/// Runs a circuit prover until `stop` is raised.
///
/// # Errors
/// [`ServiceError`].
pub fn circuit_prover(
    config: &Config,
    work: Arc<dyn Work>,
    connect: &dyn Connect,
    stop: Stop,
) -> Result<(), ServiceError> {
    let own = &config.circuit_prover;
    let starting = Starting::new(Component::CircuitProver, own.http)?;
    let inbox = Inbox::new();
    let receiver = Arc::new(StreamReceiver::start(own, work.vector_bytes(), inbox.on_vector())?);
    let offer = receiver.offer();
    tracing::info!(
        "witness vectors are received on {}, into {} slabs of {}",
        receiver.address(),
        offer.slabs,
        crate::config::human_bytes(offer.slab_bytes)
    );
    let registration =
        registration(Component::CircuitProver, own.name.as_deref(), &config.host, &*work, Some(offer))?;
    let desk = starting.desk(connect, registration, work, stop)?;
    circuit_prover::run(&desk, &config.host, own.prefetch_keys, &inbox, receiver)
}
