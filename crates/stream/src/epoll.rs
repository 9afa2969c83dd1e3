//! Bytes moved by tokio, on epoll.

use std::{future::Future, io};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep_until, Instant},
};

use crate::{
    link::{Kick, Link, LinkError},
    window::{Piece, Window},
};

pub(crate) struct EpollLink(TcpStream);

impl EpollLink {
    pub(crate) fn new(stream: std::net::TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self(TcpStream::from_std(stream)?))
    }
}

/// Runs a readiness-based operation, which may be dropped at any point, under a deadline.
async fn guarded<T>(
    operation: impl Future<Output = io::Result<T>>,
    deadline: Instant,
    kick: &Kick,
) -> Result<T, LinkError> {
    tokio::select! {
        biased;
        () = kick.kicked() => Err(LinkError::Kicked),
        result = operation => match result {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(LinkError::Closed),
            result => Ok(result?),
        },
        () = sleep_until(deadline) => Err(LinkError::TimedOut),
    }
}

impl Link for EpollLink {
    async fn read_some(
        &mut self,
        mut piece: Piece,
        deadline: Instant,
        kick: &Kick,
    ) -> (Result<(), LinkError>, Window) {
        let read = guarded(self.0.read(piece.window.unfilled(piece.limit)), deadline, kick).await;
        let result = match read {
            Ok(0) => Err(LinkError::Closed),
            Ok(bytes) => {
                piece.window.advance(bytes);
                Ok(())
            }
            Err(error) => Err(error),
        };
        (result, piece.window)
    }

    async fn read_array<const N: usize>(
        &mut self,
        deadline: Instant,
        kick: &Kick,
    ) -> Result<[u8; N], LinkError> {
        let mut bytes = [0; N];
        guarded(self.0.read_exact(&mut bytes), deadline, kick).await?;
        Ok(bytes)
    }

    async fn write_all(&mut self, bytes: &[u8], deadline: Instant, kick: &Kick) -> Result<(), LinkError> {
        guarded(self.0.write_all(bytes), deadline, kick).await
    }
}
