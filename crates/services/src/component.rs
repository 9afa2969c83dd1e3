//! One component as a process: from its name and a configuration to its end.

use std::{sync::Arc, time::Duration};

use ingot_house_keeper::{HouseKeeper, HouseKeeperError};
use ingot_proof_data_handler::HandlerError;
use ingot_types::RetryClass;

use crate::{
    config::Config,
    observability::{init_logs, Observed, Systemd},
    remote::RemoteHouseKeeper,
    start,
    stop::Stop,
    supervisor::{stop_with_parent, EXIT_CONFIG},
    work::Work,
    ServiceError,
};

/// How often the house keeper looks whether it should stop.
const TICK: Duration = Duration::from_millis(200);

/// The components that are processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComponentName {
    /// Owns the job store.
    HouseKeeper,
    /// Makes circuit inputs.
    WitnessGenerator,
    /// Synthesizes.
    WitnessVectorGenerator,
    /// Proves.
    CircuitProver,
}

impl ComponentName {
    /// All of them, in the order in which `up` starts them.
    pub const ALL: [Self; 4] =
        [Self::HouseKeeper, Self::WitnessGenerator, Self::WitnessVectorGenerator, Self::CircuitProver];

    /// The name of its subcommand.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HouseKeeper => "house-keeper",
            Self::WitnessGenerator => "witness-generator",
            Self::WitnessVectorGenerator => "witness-vector-generator",
            Self::CircuitProver => "circuit-prover",
        }
    }
}

/// Why a component ended before it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ComponentError {
    /// The house keeper.
    #[error(transparent)]
    HouseKeeper(#[from] HouseKeeperError),
    /// A worker.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The proof data handler.
    #[error(transparent)]
    ProofDataHandler(#[from] HandlerError),
    /// Logging.
    #[error("logging: {0}")]
    Logs(String),
    /// The circuits or keys.
    #[error("{reason}")]
    Work {
        /// What is wrong with them.
        reason: String,
        /// Whether starting again could help.
        retry: RetryClass,
    },
    /// A thread of the house keeper has died.
    #[error("the house keeper's engine has died")]
    EngineDied,
}

impl ComponentError {
    /// The exit code: [`EXIT_CONFIG`] if starting again without a change cannot help, else 1.
    pub fn exit_code(&self) -> u8 {
        let class = match self {
            Self::HouseKeeper(error) => error.retry_class(),
            Self::Service(error) => error.retry_class(),
            Self::ProofDataHandler(error) => error.retry_class(),
            Self::Logs(_) => RetryClass::Deterministic,
            Self::Work { retry, .. } => *retry,
            Self::EngineDied => RetryClass::Transient,
        };
        if class == RetryClass::Deterministic {
            EXIT_CONFIG
        } else {
            1
        }
    }
}

/// Runs a component until `stop` is raised. `work` is made for workers only; it may wait for keys, and ends when `stop` is
/// raised. With `with_parent` the process stops when its standard input ends.
///
/// # Errors
/// [`ComponentError`].
pub fn run(
    component: ComponentName,
    config: &Config,
    work: impl FnOnce(&Config, &Stop) -> Result<Arc<dyn Work>, ComponentError>,
    stop: &Stop,
    with_parent: bool,
) -> Result<(), ComponentError> {
    init_logs(config.host.log, component.name()).map_err(ComponentError::Logs)?;
    if with_parent {
        let stop = stop.clone();
        stop_with_parent(move || stop.raise())
            .map_err(|source| ServiceError::Thread { name: "parent".into(), source })?;
    }
    let run = match component {
        ComponentName::HouseKeeper => return house_keeper(config, stop),
        ComponentName::WitnessGenerator => start::witness_generator,
        ComponentName::WitnessVectorGenerator => start::witness_vector_generator,
        ComponentName::CircuitProver => start::circuit_prover,
    };
    let work = match work(config, stop) {
        // It was waiting for something when it was asked to stop.
        Err(_) if stop.is_raised() => return Ok(()),
        work => work?,
    };
    let connect = RemoteHouseKeeper::new(&config.host)?;
    Ok(run(config, work, &connect, stop.clone())?)
}

fn house_keeper(config: &Config, stop: &Stop) -> Result<(), ComponentError> {
    let house_keeper = HouseKeeper::start(&config.house_keeper)?;
    let observed = Arc::new(Observed::default());
    let systemd = Systemd::ready(&observed);
    systemd.status("serving");
    while !stop.wait_timeout(TICK) {
        if !house_keeper.is_alive() {
            return Err(ComponentError::EngineDied);
        }
        observed.health.beat("main loop");
    }
    systemd.stopping();
    house_keeper.stop();
    tracing::info!("stopped");
    Ok(())
}
