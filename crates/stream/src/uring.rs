//! Bytes moved by io_uring.
//!
//! The kernel fills slab memory while an operation is in flight. Its buffer is owned by the operation and keeps the slab
//! alive; and no method returns before its operation has: at a deadline the socket is shut down, which completes it.

use std::{future::Future, io, net::Shutdown, pin::pin};

use tokio::time::{sleep_until, Instant};
use tokio_uring::{buf::BoundedBuf, net::TcpStream};

use crate::{
    link::{Kick, Link, LinkError},
    window::{Piece, Window},
};

pub(crate) struct UringLink(TcpStream);

/// Whether this kernel, under this process's limits and filters, gives out rings.
pub(crate) fn probe() -> io::Result<()> {
    tokio_uring::Runtime::new(&tokio_uring::builder()).map(drop)
}

impl UringLink {
    pub(crate) fn new(stream: std::net::TcpStream) -> Self {
        Self(TcpStream::from_std(stream))
    }

    /// Runs an operation to its end, which a deadline or a kick brings about by shutting the socket down.
    async fn guarded<F: Future>(
        &self,
        operation: F,
        deadline: Instant,
        kick: &Kick,
    ) -> (Option<LinkError>, F::Output) {
        let mut operation = pin!(operation);
        let reason = tokio::select! {
            biased;
            () = kick.kicked() => LinkError::Kicked,
            output = &mut operation => return (None, output),
            () = sleep_until(deadline) => LinkError::TimedOut,
        };
        // An error means that the socket is not connected any more, and then the operation completes as well.
        let _ = self.0.shutdown(Shutdown::Both);
        (Some(reason), operation.await)
    }
}

impl Link for UringLink {
    async fn read_some(
        &mut self,
        piece: Piece,
        deadline: Instant,
        kick: &Kick,
    ) -> (Result<(), LinkError>, Window) {
        let (stopped, (result, mut piece)) = self.guarded(self.0.read(piece), deadline, kick).await;
        let result = match (stopped, result) {
            (Some(reason), _) => Err(reason),
            (None, Ok(0)) => Err(LinkError::Closed),
            (None, Ok(bytes)) => {
                piece.window.advance(bytes);
                Ok(())
            }
            (None, Err(error)) => Err(error.into()),
        };
        (result, piece.window)
    }

    async fn read_array<const N: usize>(
        &mut self,
        deadline: Instant,
        kick: &Kick,
    ) -> Result<[u8; N], LinkError> {
        let mut bytes = [0; N];
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let buffer = Vec::with_capacity(rest.len()).slice(..rest.len());
            let (stopped, (result, buffer)) = self.guarded(self.0.read(buffer), deadline, kick).await;
            if let Some(reason) = stopped {
                return Err(reason);
            }
            let read = result?;
            let buffer = buffer.into_inner();
            match (rest.get_mut(..read), buffer.get(..read)) {
                (Some(to), Some(from)) if read > 0 => to.copy_from_slice(from),
                _ => return Err(LinkError::Closed),
            }
            filled += read;
        }
        Ok(bytes)
    }

    async fn write_all(&mut self, bytes: &[u8], deadline: Instant, kick: &Kick) -> Result<(), LinkError> {
        let (stopped, (result, _)) = self.guarded(self.0.write_all(bytes.to_vec()), deadline, kick).await;
        match stopped {
            Some(reason) => Err(reason),
            None => Ok(result?),
        }
    }
}
