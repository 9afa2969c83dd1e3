//! What may go wrong with processes, files, disks and links, done to real processes over fake work. Whatever it is: every
//! batch ends proved, no job is lost or done twice, none is given up.
//!
//! `INGOT_FAULT_SEEDS` (default 1) is how many seeds each test runs with, `INGOT_KILLS` (default 12) how many kills,
//! `INGOT_HOSTILE` (default 100) how many hostile connections to each port. The end of every process's log is printed when
//! a test fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod support;

mod any_order;
mod backup;
mod clock_jump;
mod damage;
mod disk_full;
mod frozen;
mod hostile;
mod journal;
mod kills;
mod remote_files;
mod sigterm;
mod two_nodes;
