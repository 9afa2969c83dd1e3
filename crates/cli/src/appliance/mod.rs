//! The appliance: components as processes of their own, and those who talk to them.

mod bench;
mod components;
mod export;
mod follow;
mod governor;
mod import;
mod local;
mod operator;
mod stats;
mod work;

pub(crate) use bench::bench;
pub(crate) use components::{component, config, up};
pub(crate) use export::export;
pub(crate) use follow::Follower;
pub(crate) use governor::governor;
pub(crate) use import::import;
pub(crate) use local::{LocalAppliance, LocalOptions};
pub(crate) use operator::{status, submit, Operator};
pub use stats::Stats;
