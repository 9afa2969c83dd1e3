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

/// Waits between attempts.
const RETRY: std::ops::Range<Duration> = Duration::from_millis(50)..Duration::from_secs(1);

/// How far an artifact has got, by what the other side is known to have.
struct Progress {
    /// Bytes that have arrived for good.
    confirmed: u64,
    /// When something last did, or the call began.
    since: Instant,
    /// Bytes were handed to a connection, and nothing says yet whether they arrived.
    unconfirmed: bool,
    /// Time was granted to find that out.
    granted: bool,
    wait: Duration,
}

impl Progress {
    fn new() -> Self {
        let since = Instant::now();
        Self { confirmed: 0, since, unconfirmed: false, granted: false, wait: RETRY.start }
    }

    /// The other side has, or this side got, the first `bytes` bytes.
    fn confirm(&mut self, bytes: u64) {
        self.unconfirmed = false;
        if bytes > self.confirmed {
            *self = Self { confirmed: bytes, ..Self::new() };
        }
    }

    /// After a failure: how long to wait before the next attempt; `None`: nothing has moved for `patience`.
    fn next(&mut self, patience: Duration) -> Option<Duration> {
        if std::mem::take(&mut self.unconfirmed) && !self.granted {
            // A long attempt that was cut has moved something; only the next one tells how much. Once, because what
            // was sent again and again without arriving is no progress.
            self.granted = true;
            self.since = Instant::now();
        }
        let wait = self.wait;
        self.wait = (wait * 2).min(RETRY.end);
        (self.since.elapsed() < patience).then_some(wait)
    }
}

/// Why an attempt ended.
enum Failure {
    /// The connection, or an earlier one that has not ended at the other side: another attempt may do.
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

    /// Tries until it works, the answer is final, or nothing has moved for too long.
    fn persist<T>(
        &self,
        what: &str,
        mut attempt: impl FnMut(&mut ArtifactSession<Socket>, &mut Progress) -> Result<T, Failure>,
    ) -> Result<T, ArtifactError> {
        let mut progress = Progress::new();
        loop {
            let result = self.connect().and_then(|mut session| {
                let value = attempt(&mut session, &mut progress)?;
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
            let Some(wait) = progress.next(self.patience) else {
                let what = format!("{what} at {}", self.address);
                return Err(ArtifactError::Remote { what, reason, retry: RetryClass::Transient });
            };
            thread::sleep(wait);
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
            // The connection before this one holds the part until its end is noticed.
            Some(ArtifactReply::Busy { reason }) => Failure::Connection(reason),
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
        self.persist(&what, |session, progress| {
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
                progress.confirm(bytes.len() as u64);
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
        self.persist(&format!("cannot put artifact {}", artifact.hash), |session, progress| {
            session.send(&ArtifactRequest::Put { artifact })?;
            let offset = match session.receive()? {
                Some(ArtifactReply::Stored) => return Ok(artifact),
                Some(ArtifactReply::Send { offset }) => offset,
                other => return Err(self.answered(&artifact, other)),
            };
            progress.confirm(offset);
            let rest =
                usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
            for piece in rest.chunks(PIECE_BYTES) {
                progress.unconfirmed = true;
                if let Err(error) = session.socket.write_all(piece) {
                    // It may have said why it takes no more before it ended the connection.
                    return Err(match session.receive() {
                        Ok(Some(reply)) => self.answered(&artifact, Some(reply)),
                        Ok(None) | Err(_) => error.into(),
                    });
                }
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

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, sync::mpsc};

    use ingot_wire::{server_handshake, ServerHandshake};

    use super::*;

    /// What to do with one put: the reply to it, the bytes to take, and the reply after them.
    type Script = (ArtifactReply, usize, Option<ArtifactReply>);

    /// A house keeper that follows the script, the last line for ever; tells of each connection.
    fn house_keeper(script: Vec<Script>) -> (Address, mpsc::Receiver<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::Tcp(listener.local_addr().unwrap().to_string());
        let (sender, came) = mpsc::channel();
        thread::spawn(move || {
            for n in 0.. {
                let (mut socket, _) = listener.accept().unwrap();
                if sender.send(()).is_err() {
                    return;
                }
                let server = ServerHandshake::new(VERSION..=VERSION, None);
                let session = server_handshake(&mut socket, &server).unwrap();
                let mut session = ArtifactSession::new(socket, &session);
                let _: Option<ArtifactRequest> = session.receive().unwrap();
                let (first, bytes, last) = &script[script.len().min(n + 1) - 1];
                session.send(first).unwrap();
                session.socket.read_exact(&mut vec![0; *bytes]).unwrap();
                if let Some(last) = last {
                    session.send(last).unwrap();
                }
            }
        });
        (address, came)
    }

    #[test]
    fn a_full_disk_is_told_and_ends_the_put() {
        let full = ArtifactReply::Denied { reason: "the disk is full".into(), retry: RetryClass::Resource };
        let (address, came) = house_keeper(vec![(ArtifactReply::Send { offset: 0 }, 1 << 20, Some(full))]);
        let remote = RemoteArtifacts::new(address, None, "test", Duration::from_secs(60));
        let error = remote.put(&vec![1; 64 << 20]).unwrap_err();
        assert!(error.to_string().contains("the disk is full"), "{error}");
        assert_eq!(error.retry_class(), RetryClass::Resource);
        assert_eq!(came.try_iter().count(), 1, "it is not tried again");
    }

    #[test]
    fn bytes_that_never_arrive_are_no_progress() {
        let (address, came) = house_keeper(vec![(ArtifactReply::Send { offset: 0 }, 1 << 20, None)]);
        let remote = RemoteArtifacts::new(address, None, "test", Duration::from_millis(500));
        let error = remote.put(&vec![1; 64 << 20]).unwrap_err();
        assert_eq!(error.retry_class(), RetryClass::Transient);
        assert!(came.try_iter().count() > 1, "it is tried again, and comes to an end");
    }

    #[test]
    fn a_part_that_an_earlier_connection_holds_is_waited_for() {
        let busy = || (ArtifactReply::Busy { reason: "written by another".into() }, 0, None);
        let (address, came) = house_keeper(vec![busy(), busy(), (ArtifactReply::Stored, 0, None)]);
        let remote = RemoteArtifacts::new(address, None, "test", Duration::from_secs(60));
        remote.put(b"bytes").unwrap();
        assert_eq!(came.try_iter().count(), 3);
        let (address, _came) = house_keeper(vec![busy()]);
        let remote = RemoteArtifacts::new(address, None, "test", Duration::from_millis(200));
        let error = remote.put(b"bytes").unwrap_err();
        assert!(error.to_string().contains("written by another"), "{error}");
        assert_eq!(error.retry_class(), RetryClass::Transient);
    }
}
