//! The appliance: components as processes of their own, and those who talk to them.

mod backup;
mod bench;
mod components;
mod edges;
mod export;
mod follow;
mod governor;
mod import;
mod local;
mod operator;
mod stats;
mod work;

pub(crate) use backup::{backup, restore, BackupArgs, RestoreArgs};
pub(crate) use bench::bench;
pub(crate) use components::{component, config, load, up};
pub(crate) use edges::{gateway, proof_data_handler};
pub(crate) use export::export;
pub(crate) use follow::Follower;
pub(crate) use governor::governor;
pub(crate) use import::import;
pub(crate) use local::{LocalAppliance, LocalOptions};
pub(crate) use operator::{named, status, submission, submit, Operator};
pub use stats::Stats;
