//! What the `ingot` executable is made of: its commands, and the one-shot driver that proves a batch in one process.
//!
//! **Invariant:** only this crate prints, and only it turns errors into text and exit codes.

mod appliance;
mod args;
mod commands;
mod cpu;
pub mod driver;
mod exit;
mod home;
mod interrupt;
mod memory;
mod pinned;
pub mod ui;

pub use args::run;
