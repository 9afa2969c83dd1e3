//! What the house keeper and its peers say to each other: postcard messages in frames of `ingot-wire`.
//!
//! A connection begins with the handshake of `ingot-wire`, whose role byte is a [`Channel`] and whose payload is a
//! postcard [`Registration`] (control) or nothing (artifacts). On a control connection the peer then sends
//! [`ToHouseKeeper`] and receives [`FromHouseKeeper`]; requests carry a number that the answer repeats, any number may be
//! under way at once, and answers come in any order.
//!
//! Enums grow at the end only; a change of what exists is a new [`VERSION`].

mod artifact;
mod backup;
mod batch;
mod control;
mod operator;
mod worker;

pub use artifact::{ArtifactReply, ArtifactRequest};
pub use backup::{BackupAnswer, BackupRequest};
pub use batch::{BatchState, BatchSummary, OutboxEntry, Submission, SubmitOutcome};
pub use control::{Answer, Denial, FromHouseKeeper, Notice, Request, ToHouseKeeper};
pub use operator::{Change, Changed, OperatorAnswer, OperatorRequest, Target, VersionInfo};
pub use worker::{Component, Grant, ProverLoad, Registration, Reservation, Served, StreamOffer, WorkerInfo};

/// Version of these messages.
///
/// | version | changes |
/// |---|---|
/// | 1 | first |
/// | 2 | `Submission::deliver_to`, the outbox; what operators ask; backups |
pub const VERSION: u16 = 2;

/// What a connection is for: the role byte of the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Channel {
    /// Requests about jobs, batches and workers.
    Control = 1,
    /// Getting and putting artifacts, one at a time.
    Artifacts = 2,
}

impl TryFrom<u8> for Channel {
    type Error = u8;
    fn try_from(role: u8) -> Result<Self, u8> {
        match role {
            1 => Ok(Self::Control),
            2 => Ok(Self::Artifacts),
            other => Err(other),
        }
    }
}
