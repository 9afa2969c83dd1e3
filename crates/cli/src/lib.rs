//! What the `ingot` executable is made of: its commands, and the appliance that they start or talk to.
//!
//! **Invariant:** only this crate prints, and only it turns errors into text and exit codes.

mod appliance;
mod args;
mod commands;
mod cpu;
mod edition;
mod exit;
mod home;
mod interrupt;
mod ledger;
mod ledger_format;
mod memory;
mod operate;
mod pinned;
pub mod ui;

pub use args::run;
pub use edition::{Edition, KeyPolicy, LeastMemory, LoadedBatch, Sample};
pub use ledger::Ledger;
pub use pinned::Pinned;
