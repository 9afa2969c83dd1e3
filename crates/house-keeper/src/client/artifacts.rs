//! The artifacts of the house keeper's node, from anywhere.

use std::{
    io::{Read as _, Write as _},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use ingot_artifacts::{ArtifactError, ArtifactRef, Artifacts, Blake3};
use ingot_types::RetryClass;
use ingot_wire::{client_handshake, Hello, Token};

use super::{address::Socket, Address};
use crate::{
    artifact_session::{ArtifactSession, SessionError, PIECE_BYTES},
    protocol::{ArtifactReply, ArtifactRequest, Channel, VERSION},
};

/// How long a connection may be silent.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections kept for the next caller.
const MOST_KEPT: usize = 4;

/// The artifact store of the house keeper's node. A broken connection is made again, and goes on where it was.
pub struct RemoteArtifacts {
    address: Address,
    token: Option<Token>,
    name: String,
    /// How long one artifact may take to get anywhere at all: an attempt that moves nothing for this long is the last.
    patience: Duration,
    kept: Mutex<Vec<ArtifactSession<Socket>>>,
}

impl std::fmt::Debug for RemoteArtifacts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteArtifacts").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Why an attempt ended.
enum Failure {
    /// The connection: another may do.
    Connection(String),
    /// The answer: another attempt would get the same.
    Answer(ArtifactError),
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        Self::Connection(error.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Connection(error.to_string())
    }
}

impl RemoteArtifacts {
    /// The store behind the house keeper at `address`. Calls give up after `patience` without progress.
    pub fn new(address: Address, token: Option<Token>, name: &str, patience: Duration) -> Self {
        let name = name.chars().take(48).collect();
        Self { address, token, name, patience, kept: Mutex::default() }
    }

    fn connect(&self) -> Result<ArtifactSession<Socket>, Failure> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(session) = kept {
            return Ok(session);
        }
        let mut socket = Socket::connect(&self.address, PATIENCE)?;
        let hello = Hello {
            min_version: VERSION,
            max_version: VERSION,
            role: Channel::Artifacts as u8,
            name: self.name.clone(),
            payload: Vec::new(),
        };
        let session = client_handshake(&mut socket, hello, self.token.as_ref())
            .map_err(|error| Failure::Connection(error.to_string()))?;
        Ok(ArtifactSession::new(socket, &session))
    }

    /// Tries until it works, the answer is final, or nothing has moved for too long. `moved` tells how much has.
    fn persist<T>(
        &self,
        what: &str,
        mut attempt: impl FnMut(&mut ArtifactSession<Socket>, &mut u64) -> Result<T, Failure>,
    ) -> Result<T, ArtifactError> {
        let mut moved = 0;
        let mut since = Instant::now();
        let mut wait = Duration::from_millis(50);
        loop {
            let before = moved;
            let result = self.connect().and_then(|mut session| {
                let value = attempt(&mut session, &mut moved)?;
                let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
                if kept.len() < MOST_KEPT {
                    kept.push(session);
                }
                Ok(value)
            });
            let reason = match result {
                Ok(value) => return Ok(value),
                Err(Failure::Answer(error)) => return Err(error),
                Err(Failure::Connection(reason)) => reason,
            };
            if moved > before {
                since = Instant::now();
                wait = Duration::from_millis(50);
            }
            if since.elapsed() >= self.patience {
                let what = format!("{what} at {}", self.address);
                return Err(ArtifactError::Remote { what, reason, retry: RetryClass::Transient });
            }
            thread::sleep(wait);
            wait = (wait * 2).min(Duration::from_secs(1));
        }
    }

    fn answered(&self, artifact: &ArtifactRef, reply: Option<ArtifactReply>) -> Failure {
        let what = format!("artifact {} at {}", artifact.hash, self.address);
        match reply {
            Some(ArtifactReply::Missing) => Failure::Answer(ArtifactError::Missing {
                path: what.into(),
                expected: artifact.hash,
                expected_size: artifact.size_bytes,
            }),
            Some(ArtifactReply::Corrupt { reason }) => {
                Failure::Answer(ArtifactError::Damaged { what, reason })
            }
            Some(ArtifactReply::Denied { reason, retry }) => {
                Failure::Answer(ArtifactError::Remote { what, reason, retry })
            }
            Some(other) => Failure::Connection(format!("it answered {other:?}")),
            None => Failure::Connection("it closed the connection".into()),
        }
    }
}

impl Artifacts for RemoteArtifacts {
    fn get(&self, artifact: &ArtifactRef) -> Result<Vec<u8>, ArtifactError> {
        let size = usize::try_from(artifact.size_bytes).unwrap_or(usize::MAX);
        // Grows with what arrives: a size in a name must not decide how much memory is taken.
        let mut bytes: Vec<u8> = Vec::with_capacity(size.min(64 << 20));
        let what = format!("cannot get artifact {}", artifact.hash);
        self.persist(&what, |session, moved| {
            let request = ArtifactRequest::Get { artifact: *artifact, offset: bytes.len() as u64 };
            session.send(&request)?;
            match session.receive()? {
                Some(ArtifactReply::Content { bytes: left })
                    if left == artifact.size_bytes - bytes.len() as u64 => {}
                other => return Err(self.answered(artifact, other)),
            }
            let mut piece = vec![0; PIECE_BYTES];
            while bytes.len() < size {
                let most = piece.len().min(size - bytes.len());
                let part = piece.get_mut(..most).unwrap_or_default();
                let length = session.socket.read(part)?;
                if length == 0 {
                    return Err(Failure::Connection("it broke".into()));
                }
                bytes.extend_from_slice(part.get(..length).unwrap_or_default());
                *moved += length as u64;
            }
            if Blake3::of(&bytes) != artifact.hash {
                let reason = format!("expected BLAKE3 {}, found {}", artifact.hash, Blake3::of(&bytes));
                bytes.clear();
                return Err(Failure::Answer(ArtifactError::Damaged { what: what.clone(), reason }));
            }
            Ok(())
        })?;
        Ok(bytes)
    }

    fn put(&self, bytes: &[u8]) -> Result<ArtifactRef, ArtifactError> {
        let artifact = ArtifactRef { hash: Blake3::of(bytes), size_bytes: bytes.len() as u64 };
        self.persist(&format!("cannot put artifact {}", artifact.hash), |session, moved| {
            session.send(&ArtifactRequest::Put { artifact })?;
            let offset = match session.receive()? {
                Some(ArtifactReply::Stored) => return Ok(artifact),
                Some(ArtifactReply::Send { offset }) => offset,
                other => return Err(self.answered(&artifact, other)),
            };
            let rest =
                usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
            for piece in rest.chunks(PIECE_BYTES) {
                session.socket.write_all(piece)?;
                *moved += piece.len() as u64;
            }
            match session.receive()? {
                Some(ArtifactReply::Stored) => Ok(artifact),
                other => Err(self.answered(&artifact, other)),
            }
        })
    }

    fn contains(&self, artifact: &ArtifactRef) -> Result<bool, ArtifactError> {
        self.persist(&format!("cannot ask for artifact {}", artifact.hash), |session, _| {
            session.send(&ArtifactRequest::Contains { artifact: *artifact })?;
            match session.receive()? {
                Some(ArtifactReply::Contains(there)) => Ok(there),
                other => Err(self.answered(artifact, other)),
            }
        })
    }
}
