//! The components that meet a rollup's core, as processes: the gateway and the core's own proof data handler.

use std::{
    process,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ingot_core_api::BatchFormat;
use ingot_house_keeper::protocol::{Component, Registration};
use ingot_proof_data_handler::{Checker, ProofDataHandler};

use crate::{
    component::ComponentError,
    config::Config,
    gateway::Gateway,
    host,
    observability::{init_logs, HttpServer, Observed, Systemd},
    remote::RemoteHouseKeeper,
    stop::Stop,
    supervisor::stop_with_parent,
    ServiceError,
};

/// How often the main loop looks around.
const TICK: Duration = Duration::from_millis(200);
/// How often witness inputs whose time has come are looked for, in ticks: hourly.
const TIDY_EVERY: u32 = 18_000;
/// Age from which a file that no batch names is one that none will.
const ORPHAN_AGE: Duration = Duration::from_secs(3_600);

/// Runs a gateway until `stop` is raised.
///
/// # Errors
/// [`ComponentError`].
pub fn gateway(
    config: &Config,
    format: Arc<dyn BatchFormat>,
    stop: &Stop,
    with_parent: bool,
) -> Result<(), ComponentError> {
    begin(config, "gateway", stop, with_parent)?;
    let own = &config.gateway;
    let observed = Arc::new(Observed::default());
    let _http = own.http.map(|address| HttpServer::start(address, observed.clone())).transpose()?;
    let mut instance = [0; 16];
    getrandom::fill(&mut instance)
        .map_err(|e| ServiceError::Client(format!("no randomness for the instance number: {e}")))?;
    let (host, pid) = (host::host_name(), process::id());
    let registration = Registration {
        component: Component::Gateway,
        name: own.name.clone().unwrap_or_else(|| format!("gateway-{host}-{pid}")),
        instance,
        host,
        pid,
        zone: config.host.zone.clone(),
        group: None,
        serves: None,
        stream: None,
    };
    let (client, artifacts) = RemoteHouseKeeper::new(&config.host)?.client(registration)?;
    let gateway = Gateway::new(own.clone(), format, client, artifacts, observed.clone(), stop.clone())?;
    tracing::info!("gateway between {} and the house keeper at {}", own.core, config.host.house_keeper);
    Ok(gateway.run(&Systemd::ready(&observed))?)
}

/// Runs a proof data handler until `stop` is raised.
///
/// # Errors
/// [`ComponentError`].
pub fn proof_data_handler(
    config: &Config,
    checker: Arc<dyn Checker>,
    stop: &Stop,
    with_parent: bool,
) -> Result<(), ComponentError> {
    begin(config, "proof-data-handler", stop, with_parent)?;
    let serving = ProofDataHandler::start(&config.proof_data_handler, checker)?;
    let observed = Arc::new(Observed::default());
    let systemd = Systemd::ready(&observed);
    systemd.status("serving");
    let mut ticks: u32 = 0;
    while !stop.wait_timeout(TICK) {
        if !serving.is_alive() {
            return Err(ServiceError::ThreadEnded("proof-data-handler".into()).into());
        }
        observed.health.beat("main loop");
        if ticks.is_multiple_of(TIDY_EVERY) {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let now_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
            match serving.handler().tidy(now_ms, ORPHAN_AGE) {
                Ok(0) => {}
                Ok(gone) => tracing::info!("the witness inputs of {gone} proved batches are gone"),
                Err(error) => tracing::warn!("old witness inputs are not removed: {error}"),
            }
        }
        ticks = ticks.wrapping_add(1);
    }
    systemd.stopping();
    drop(serving);
    tracing::info!("stopped");
    Ok(())
}

fn begin(config: &Config, name: &'static str, stop: &Stop, with_parent: bool) -> Result<(), ComponentError> {
    init_logs(config.host.log, name).map_err(ComponentError::Logs)?;
    if with_parent {
        let stop = stop.clone();
        stop_with_parent(move || stop.raise())
            .map_err(|source| ServiceError::Thread { name: "parent".into(), source })?;
    }
    Ok(())
}
