//! Why a request came to nothing.

use ingot_types::RetryClass;

use crate::protocol::Denial;

/// An error of the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The lease is no longer this worker's.
    #[error("{0}")]
    Stale(String),
    /// The house keeper said no.
    #[error("{0}")]
    Refused(String),
    /// The house keeper cannot at present.
    #[error("{reason}")]
    Unavailable {
        /// Why.
        reason: String,
        /// What another attempt would be worth.
        retry: RetryClass,
    },
    /// There was no answer in time.
    #[error("no answer from the house keeper at {address}: {why}")]
    NoAnswer {
        /// Where it should be.
        address: String,
        /// How the connection is.
        why: String,
    },
    /// The client was closed.
    #[error("the connection to the house keeper was closed")]
    Closed,
    /// It answered something that does not fit the request.
    #[error("the house keeper answered {found}, which does not fit the request")]
    Unexpected {
        /// What.
        found: String,
    },
    /// The client's options contradict each other.
    #[error("{0}")]
    Options(String),
    /// The client's thread could not be started.
    #[error("cannot start the thread that talks to the house keeper: {0}")]
    Thread(String),
}

impl ClientError {
    /// How a failed attempt with this error is to be treated.
    pub fn retry_class(&self) -> RetryClass {
        match self {
            Self::Refused(_) | Self::Unexpected { .. } | Self::Options(_) => RetryClass::Deterministic,
            Self::Unavailable { retry, .. } => *retry,
            Self::Thread(_) => RetryClass::Resource,
            Self::Stale(_) | Self::NoAnswer { .. } | Self::Closed => RetryClass::Transient,
        }
    }
}

impl From<Denial> for ClientError {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::Stale(reason) => Self::Stale(reason),
            Denial::Refused(reason) => Self::Refused(reason),
            Denial::Unavailable(reason) => Self::Unavailable { reason, retry: RetryClass::Resource },
            Denial::Store { reason, retry } => Self::Unavailable { reason, retry },
        }
    }
}
