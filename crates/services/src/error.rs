//! What can go wrong with a worker as a whole. What goes wrong with one job is a
//! [`JobFailure`](crate::work::JobFailure).

use std::{io, net::SocketAddr, path::PathBuf};

use ingot_types::RetryClass;

use crate::{config::ConfigError, queue::QueueError};

/// Why a worker cannot start, or had to end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A thread cannot be had.
    #[error("cannot start the thread `{name}`: {source}")]
    Thread {
        /// Its name.
        name: String,
        /// Why not.
        source: io::Error,
    },
    /// A thread ended although there is work.
    #[error("the thread `{0}` ended before its time")]
    ThreadEnded(String),
    /// An address cannot be listened on.
    #[error("cannot listen on {address} for {what}: {source}")]
    Listen {
        /// What for.
        what: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// A file or folder cannot be used.
    #[error("cannot {action} {path}: {reason}", path = path.display())]
    File {
        /// What was tried, as a verb.
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The house keeper cannot be reached at all.
    #[error("the house keeper's client: {0}")]
    Client(String),
    /// The witness stream cannot be set up.
    #[error("the witness stream: {0}")]
    Stream(String),
    /// A request failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl ServiceError {
    /// Whether starting again may help, as it is.
    pub fn retry_class(&self) -> RetryClass {
        match self {
            Self::Config(_) => RetryClass::Deterministic,
            Self::Thread { .. } => RetryClass::Resource,
            Self::Queue(error) => error.retry_class(),
            _ => RetryClass::Transient,
        }
    }
}
