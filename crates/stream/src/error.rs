//! What can go wrong with a stream, at either end.

use std::{io, net::SocketAddr, time::Duration};

use ingot_types::RetryClass;
use ingot_wire::{HeaderError, OpeningError, Refusal};
use nix::errno::Errno;

/// Why a receiver or a slab pool cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// No memory for a slab.
    #[error("cannot map a slab of {len_bytes} bytes: {source}")]
    Map {
        /// Length of the slab, in bytes.
        len_bytes: usize,
        /// Why it was refused.
        source: Errno,
    },
    /// A limit of this process cannot be read.
    #[error("cannot read the limit on locked memory: {source}")]
    Limit {
        /// Why not.
        source: Errno,
    },
    /// The address cannot be listened on.
    #[error("cannot listen for witness vectors on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why it was refused.
        source: io::Error,
    },
    /// A thread cannot be started.
    #[error("cannot start the thread {name}: {source}")]
    Thread {
        /// Its name.
        name: String,
        /// Why not.
        source: io::Error,
    },
    /// io_uring was asked for, and the kernel refuses it.
    #[error("transport = uring, but the kernel refuses io_uring: {0}")]
    NoUring(io::Error),
}

impl StreamError {
    /// How a failed attempt with this error is to be treated.
    pub fn retry_class(&self) -> RetryClass {
        match self {
            Self::Map { .. } | Self::Thread { .. } => RetryClass::Resource,
            Self::Listen { .. } => RetryClass::Transient,
            Self::Limit { .. } | Self::NoUring(_) => RetryClass::Deterministic,
        }
    }
}

/// Why a ticket cannot be registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExpectError {
    /// Every slab is taken.
    #[error("no free slab: all {capacity} are taken")]
    NoCredit {
        /// How many slabs there are.
        capacity: usize,
    },
    /// The ticket's id is in use.
    #[error("ticket {0:016x} is registered already")]
    Repeated(u64),
    /// The witness vector is longer than a slab.
    #[error("{max_bytes} bytes do not fit into a slab of {slab_bytes} bytes")]
    TooLong {
        /// What was asked for, in bytes.
        max_bytes: u64,
        /// Length of a slab, in bytes.
        slab_bytes: usize,
    },
}

impl ExpectError {
    /// How a failed attempt with this error is to be treated.
    pub fn retry_class(&self) -> RetryClass {
        match self {
            Self::NoCredit { .. } => RetryClass::Resource,
            Self::Repeated(_) => RetryClass::Transient,
            Self::TooLong { .. } => RetryClass::Deterministic,
        }
    }
}

/// What a sender does after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendAdvice {
    /// Keep the lease and the witness vector, and ask for another grant.
    AnotherGrant,
    /// The lease is worth nothing any more: drop the witness vector.
    GiveUpLease,
    /// Report the job as failed with the error's retry class.
    FailJob,
}

/// Why a witness vector was not handed over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The sections are not the ones of the header, or out of its limits.
    #[error("nothing was sent: {0}")]
    Header(#[from] HeaderError),
    /// A section's length is not the one in the header.
    #[error(
        "nothing was sent: section {section} is {found_bytes} bytes long, the header says {expected_bytes}"
    )]
    SectionLength {
        /// Which section.
        section: usize,
        /// Its length, in bytes.
        found_bytes: u64,
        /// The header's, in bytes.
        expected_bytes: u64,
    },
    /// The receiver does not take it.
    #[error("{address} refused the witness vector: {refusal}")]
    Refused {
        /// The receiver.
        address: String,
        /// Why.
        refusal: Refusal,
    },
    /// The receiver does not know the ticket: expired, cancelled, or never there.
    #[error("{address} does not know ticket {ticket:016x} (any more)")]
    UnknownTicket {
        /// The receiver.
        address: String,
        /// The ticket's id.
        ticket: u64,
    },
    /// The receiver speaks another version.
    #[error("{address}: {source}")]
    Version {
        /// The receiver.
        address: String,
        /// Both ranges of versions.
        source: OpeningError,
    },
    /// The deadline passed.
    #[error(
        "the witness vector did not get to {address} within {deadline:?}, in {connections} connections; the last failed with: {last}"
    )]
    Deadline {
        /// The receiver.
        address: String,
        /// The time that there was.
        deadline: Duration,
        /// How many connections were tried.
        connections: u32,
        /// What ended the last one.
        last: String,
    },
    /// Nobody listens there any more.
    #[error("{address} has refused connections for {after:?}, {connections} of them: the receiver is gone")]
    Gone {
        /// The receiver.
        address: String,
        /// How long it was waited for.
        after: Duration,
        /// How many connections were tried.
        connections: u32,
    },
    /// The caller cancelled.
    #[error("cancelled")]
    Cancelled,
    /// The operating system has no randomness to give.
    #[error("no randomness for the opening: {0}")]
    NoRandomness(#[from] getrandom::Error),
}

impl SendError {
    /// What to do next.
    pub fn advice(&self) -> SendAdvice {
        match self {
            Self::Refused { refusal: Refusal::Stale, .. } => SendAdvice::GiveUpLease,
            Self::Refused { refusal: Refusal::BadContent | Refusal::TooLong, .. }
            | Self::Header(_)
            | Self::SectionLength { .. } => SendAdvice::FailJob,
            _ => SendAdvice::AnotherGrant,
        }
    }

    /// How a failed attempt with this error is to be treated.
    pub fn retry_class(&self) -> RetryClass {
        match self {
            Self::Header(_) | Self::SectionLength { .. } => RetryClass::Deterministic,
            Self::Refused { refusal: Refusal::TooLong, .. } => RetryClass::Deterministic,
            _ => RetryClass::Transient,
        }
    }
}
