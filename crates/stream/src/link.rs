//! What the protocol needs of a connection, whichever way its bytes are moved.

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
};

use tokio::{sync::Notify, time::Instant};

use crate::window::{Piece, Window};

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    #[error("the peer closed the connection")]
    Closed,
    #[error("the peer was silent for too long")]
    TimedOut,
    #[error("closed to make room, or by order of the owner")]
    Kicked,
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
}

/// Tells one connection to end. One task waits, anyone kicks.
#[derive(Debug, Default)]
pub(crate) struct Kick {
    kicked: AtomicBool,
    notify: Notify,
}

impl Kick {
    pub(crate) fn kick(&self) {
        self.kicked.store(true, Ordering::Release);
        self.notify.notify_one();
    }

    pub(crate) async fn kicked(&self) {
        while !self.kicked.load(Ordering::Acquire) {
            self.notify.notified().await;
        }
    }
}

/// A connection. When a method returns, no operation of it is under way.
pub(crate) trait Link {
    /// Reads some bytes into the window: at least one, at most the piece's limit. They count as filled.
    async fn read_some(
        &mut self,
        piece: Piece,
        deadline: Instant,
        kick: &Kick,
    ) -> (Result<(), LinkError>, Window);

    /// Reads exactly `N` bytes.
    async fn read_array<const N: usize>(
        &mut self,
        deadline: Instant,
        kick: &Kick,
    ) -> Result<[u8; N], LinkError>;

    /// Writes all bytes.
    async fn write_all(&mut self, bytes: &[u8], deadline: Instant, kick: &Kick) -> Result<(), LinkError>;
}
