//! What the `ingot` executable is made of: its commands, and the appliance that they start or talk to.
//!
//! **Invariant:** only this crate prints, and only it turns errors into text and exit codes.

mod appliance;
mod args;
mod commands;
mod cpu;
mod exit;
mod home;
mod interrupt;
mod memory;
mod pinned;
pub mod ui;

pub use args::run;
