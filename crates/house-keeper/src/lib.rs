//! The house keeper: owns the job store and serves workers; and the client that they reach it through.
//!
//! * [`engine`]: one thread that owns the store and decides; no sockets.
//! * [`server`]: the doors, and [`client`]: how others come to them; [`protocol`]: what is said.
//! * [`backup`]: copies of all that it keeps, and the way back.
//! * [`HouseKeeper`]: all of it, with retention and the pages for people and machines.
//!
//! **Invariant:** it knows no circuit. What a job is about are bytes that it never reads.

mod artifact_session;
pub mod backup;
pub mod client;
mod config;
pub mod engine;
mod house_keeper;
mod http;
mod log;
mod metrics;
pub mod protocol;
mod retention;
pub mod server;
mod zksync_metrics;

pub use config::HouseKeeperConfig;
pub use house_keeper::{HouseKeeper, HouseKeeperError};
