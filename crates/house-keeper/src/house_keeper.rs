//! The house keeper as a whole: store, engine, doors, retention, pages.

use std::{io, net::SocketAddr, thread::JoinHandle, time::Duration};

use ingot_artifacts::{ArtifactError, ArtifactStore};
use ingot_job_store::{Backoff, SqliteStore, StoreError};
use ingot_types::RetryClass;
use ingot_wire::{Token, TokenError};

use crate::{
    config::HouseKeeperConfig,
    engine::{EngineError, EngineHandle, EngineOptions, Groups, GroupsError},
    http,
    retention::Retention,
    server::{Backups, Limits, Server, ServerError},
};

/// Why it cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HouseKeeperError {
    /// A value of the configuration.
    #[error("configuration: {0}")]
    Config(String),
    /// The token's file.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The prover groups.
    #[error(transparent)]
    Groups(#[from] GroupsError),
    /// The artifacts' folder.
    #[error(transparent)]
    Artifacts(#[from] ArtifactError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// An address to listen on.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The address of its pages.
    #[error("cannot serve HTTP on {address}: {source}")]
    Http {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The operating system.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why it was refused.
        source: io::Error,
    },
}

impl HouseKeeperError {
    /// Whether starting again without a change could help.
    pub fn retry_class(&self) -> RetryClass {
        match self {
            Self::Config(_) | Self::Token(_) | Self::Groups(_) => RetryClass::Deterministic,
            Self::Server(ServerError::NoToken { .. } | ServerError::NoSocket { .. }) => {
                RetryClass::Deterministic
            }
            Self::Artifacts(error) => error.retry_class(),
            Self::Store(error) | Self::Engine(EngineError::Store(error)) => error.retry_class(),
            Self::Engine(_) | Self::Server(_) | Self::Http { .. } | Self::System { .. } => {
                RetryClass::Transient
            }
        }
    }
}

/// All but the engine.
struct Doors {
    runtime: tokio::runtime::Runtime,
    server: Server,
    retention: Retention,
    http: Option<SocketAddr>,
}

/// A running house keeper.
#[derive(Debug)]
pub struct HouseKeeper {
    runtime: tokio::runtime::Runtime,
    engine: EngineHandle,
    thread: JoinHandle<()>,
    server: Server,
    retention: Retention,
    http: Option<SocketAddr>,
}

impl HouseKeeper {
    /// Starts it.
    ///
    /// # Errors
    /// [`HouseKeeperError`], naming what is wrong.
    pub fn start(config: &HouseKeeperConfig) -> Result<Self, HouseKeeperError> {
        config.check().map_err(HouseKeeperError::Config)?;
        let token = config.token_file.as_deref().map(Token::load).transpose()?;
        let groups = config.groups.as_deref().map(Groups::load).transpose()?.unwrap_or_default();
        let artifacts = ArtifactStore::open(config.artifacts_folder())?;
        let system = |what| move |source| HouseKeeperError::System { what, source };
        std::fs::create_dir_all(&config.folder).map_err(system("create the folder"))?;
        let store = SqliteStore::open(&config.database(), Backoff::default())?;
        let options = EngineOptions {
            lease_ttl_ms: config.lease_ttl_ms,
            vectors_per_slab: config.vectors_per_slab,
            groups,
            ..EngineOptions::default()
        };
        let (engine, thread) = EngineHandle::start(Box::new(store), options)?;
        match Self::open_doors(config, &engine, artifacts, token) {
            Ok(Doors { runtime, server, retention, http }) => {
                Ok(Self { runtime, engine, thread, server, retention, http })
            }
            Err(error) => {
                engine.stop();
                // It gives the database back.
                let _ = thread.join();
                Err(error)
            }
        }
    }

    fn open_doors(
        config: &HouseKeeperConfig,
        engine: &EngineHandle,
        artifacts: ArtifactStore,
        token: Option<Token>,
    ) -> Result<Doors, HouseKeeperError> {
        let system = |what| move |source| HouseKeeperError::System { what, source };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            // One for each artifact connection.
            .max_blocking_threads(2_048)
            .thread_name("house-keeper")
            .enable_all()
            .build()
            .map_err(system("start the runtime"))?;
        let socket = config.socket_path();
        let backups = Backups::new(config.database(), artifacts.clone());
        let server = runtime.block_on(Server::open(
            engine.clone(),
            artifacts.clone(),
            backups.clone(),
            token,
            Limits::default(),
            Some(&socket),
            &config.listen,
        ))?;
        let http = match config.http {
            None => None,
            Some(address) => {
                let failed = |source| HouseKeeperError::Http { address, source };
                let listener = runtime.block_on(tokio::net::TcpListener::bind(address)).map_err(failed)?;
                let bound = listener.local_addr().map_err(failed)?;
                let router = http::router(engine.clone(), config.clone());
                runtime.spawn(async move {
                    if let Err(error) = axum::serve(listener, router).await {
                        tracing::error!("HTTP has ended: {error}");
                    }
                });
                Some(bound)
            }
        };
        let retention =
            Retention::start(config, engine.clone(), artifacts, backups).map_err(system("start a thread"))?;
        tracing::info!("house keeper: unix:{}, tcp {:?}", socket.display(), server.tcp);
        Ok(Doors { runtime, server, retention, http })
    }

    /// The TCP addresses, with the ports that were chosen.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.server.tcp
    }

    /// Where its pages are.
    pub fn http(&self) -> Option<SocketAddr> {
        self.http
    }

    /// The engine, for what is in the same process.
    pub fn engine(&self) -> &EngineHandle {
        &self.engine
    }

    /// Whether it still works: a thread that died would leave it deaf.
    pub fn is_alive(&self) -> bool {
        !self.thread.is_finished()
    }

    /// Says goodbye, stores what has come in, and ends.
    pub fn stop(self) {
        self.retention.stop();
        self.engine.stop();
        // It ends after what was sent before; if it died, there is nothing to wait for.
        let _ = self.thread.join();
        self.server.close();
        self.runtime.shutdown_timeout(Duration::from_secs(2));
    }
}
