//! How witness vectors get from one worker to another, as workers see it. [`StreamSender`] and [`StreamReceiver`]
//! are the ones that ship.
//!
//! [`StreamSender`]: crate::stream_transport::StreamSender
//! [`StreamReceiver`]: crate::stream_transport::StreamReceiver

use std::sync::Arc;

use ingot_house_keeper::protocol::{Grant, Reservation, StreamOffer};
use ingot_job_store::{Lease, Token};
use ingot_stream::SendAdvice;
use ingot_types::{JobKey, RetryClass};
use ingot_wire::Refusal;

use crate::{stop::Stop, work::WitnessSections};

/// Why a witness vector was not delivered. Another prover may take it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct SendError {
    /// What another attempt would be worth.
    pub class: RetryClass,
    /// What happened.
    pub reason: String,
    /// What to do now.
    pub advice: SendAdvice,
}

impl SendError {
    /// How a failed attempt with this error is to be treated.
    pub const fn retry_class(&self) -> RetryClass {
        self.class
    }
}

/// Sends witness vectors.
pub trait VectorSender: Send + Sync + 'static {
    /// Sends one to the prover of the grant, and waits until the prover has taken the job over.
    ///
    /// # Errors
    /// [`SendError`]; also when `stop` is raised.
    fn send(
        &self,
        grant: &Grant,
        lease: &Lease,
        sections: &Arc<WitnessSections>,
        stop: &Stop,
    ) -> Result<(), SendError>;
}

/// A witness vector that was received whole. Dropped, its memory is free for another.
pub trait Vector: Send {
    /// The job.
    fn job(&self) -> JobKey;

    /// The sender's lease.
    fn token(&self) -> Token;

    /// The three sections.
    fn sections(&self) -> [&[u8]; 3];
}

/// What is done with a witness vector that came.
pub type OnVector = Arc<dyn Fn(Box<dyn Vector>) -> Result<(), Refusal> + Send + Sync>;

/// Receives witness vectors.
pub trait VectorReceiver: Send + Sync + 'static {
    /// Where senders find it, and what it has room for.
    fn offer(&self) -> StreamOffer;

    /// Sets a slab aside for one sender; `false` if there is none.
    fn expect(&self, reservation: &Reservation) -> bool;

    /// It will not come.
    fn cancel(&self, ticket: u64);

    /// Slabs that are neither filled nor reserved.
    fn free_slabs(&self) -> u32;
}
