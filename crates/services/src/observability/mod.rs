//! What a worker tells: to systemd, to the journal or a terminal, over HTTP.

mod health;
mod http;
mod logs;
mod metrics;
mod systemd;
mod timed;

pub use health::{Health, Readiness};
pub use http::HttpServer;
pub use logs::{init as init_logs, LogFormat, LOG_FILTER_VARIABLE};
pub use metrics::{GatewayEvent, JobLabels, Metrics};
pub use systemd::Systemd;
pub use timed::Timed;

/// Health and metrics of one process.
#[derive(Debug, Default)]
pub struct Observed {
    /// What it waits for, and whether it makes progress.
    pub health: Health,
    /// What it counts.
    pub metrics: Metrics,
}
