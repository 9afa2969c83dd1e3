//! One side of an artifact connection: frames, with raw content between them. Blocking.

use std::io::{self, Read, Write};

use ingot_wire::{FrameDecoder, FrameEncoder, FrameError, Session};
use serde::{de::DeserializeOwned, Serialize};

/// Longest frame on an artifact connection, in bytes: requests and answers are small.
const CAP_BYTES: u32 = 64 << 10;
/// Content moves in pieces of this size, in bytes.
pub(crate) const PIECE_BYTES: usize = 256 << 10;

/// What goes wrong on the way.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// An artifact connection after the handshake.
pub(crate) struct ArtifactSession<S> {
    pub socket: S,
    encoder: FrameEncoder,
    decoder: FrameDecoder,
}

impl<S: Read + Write> ArtifactSession<S> {
    pub fn new(socket: S, session: &Session) -> Self {
        Self { socket, encoder: session.encoder(CAP_BYTES), decoder: session.decoder(CAP_BYTES) }
    }

    pub fn send(&mut self, message: &impl Serialize) -> Result<(), SessionError> {
        let mut bytes = Vec::new();
        self.encoder.encode(message, &mut bytes)?;
        self.socket.write_all(&bytes)?;
        Ok(self.socket.flush()?)
    }

    /// The next message; `None` if the peer has closed the connection between two.
    pub fn receive<M: DeserializeOwned>(&mut self) -> Result<Option<M>, SessionError> {
        let mut first = true;
        loop {
            if let Some(message) = self.decoder.decode()? {
                return Ok(Some(message));
            }
            // No more than the frame: what follows it may be content.
            let mut part = vec![0; self.decoder.missing_bytes()?.min(PIECE_BYTES)];
            match self.socket.read(&mut part)? {
                0 if first => return Ok(None),
                0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                length => self.decoder.push(part.get(..length).unwrap_or_default())?,
            }
            first = false;
        }
    }
}
