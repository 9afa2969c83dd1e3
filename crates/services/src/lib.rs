//! The workers: witness generator, witness vector generator, circuit prover, and the run loop they share.
//!
//! A worker gets jobs from the house keeper ([`queue`]), files from the artifact store, and witness vectors over the
//! stream ([`transport`]); what a circuit is only [`work`] knows. Each worker is one module, and everything they have in
//! common is beside them: the jobs under way ([`desk`]), waiting and stopping ([`run_loop`]), what is told to systemd, to
//! the journal and over HTTP ([`observability`]), the configuration ([`config`]).
//!
//! **Invariant:** nothing that comes from a file, a socket or a flag ends a worker: it fails the attempt, is logged, and
//! the next job is taken. A worker ends when it is asked to, within seconds, and hands back what it has.
#![feature(allocator_api)]

pub mod care;
pub mod circuit_prover;
pub mod component;
pub mod config;
pub mod costs;
pub mod desk;
pub mod edges;
mod error;
pub mod gateway;
pub mod governor;
pub mod host;
pub mod names;
pub mod observability;
pub mod queue;
pub mod remote;
pub mod run_loop;
pub mod start;
pub mod stop;
pub mod stream_transport;
pub mod supervisor;
pub mod transport;
pub mod up;
pub mod witness_generator;
pub mod witness_vector_generator;
pub mod work;

pub use error::ServiceError;
