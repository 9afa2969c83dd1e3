//! The artifact channel: gets, puts and questions of one peer, one after the other, on a thread of its own.

use std::io::{self, Read, Write};

use ingot_artifacts::{ArtifactError, ArtifactRef, ArtifactStore};

use crate::{
    artifact_session::{ArtifactSession, SessionError, PIECE_BYTES},
    protocol::{ArtifactReply, ArtifactRequest},
};

/// Serves until the peer closes the connection.
pub(super) fn serve<S: Read + Write>(
    session: &mut ArtifactSession<S>,
    store: &ArtifactStore,
    largest_bytes: u64,
) -> Result<(), SessionError> {
    while let Some(request) = session.receive()? {
        match request {
            ArtifactRequest::Get { artifact, offset } => get(session, store, &artifact, offset)?,
            ArtifactRequest::Put { artifact } if artifact.size_bytes > largest_bytes => {
                session.send(&ArtifactReply::Denied {
                    reason: format!("it has {} bytes, and the most is {largest_bytes}", artifact.size_bytes),
                    retry: ingot_types::RetryClass::Deterministic,
                })?;
            }
            ArtifactRequest::Put { artifact } => put(session, store, &artifact)?,
            ArtifactRequest::Contains { artifact } => {
                let reply = match store.contains(&artifact) {
                    Ok(there) => ArtifactReply::Contains(there),
                    Err(error) => told(&error),
                };
                session.send(&reply)?;
            }
        }
    }
    Ok(())
}

fn get<S: Read + Write>(
    session: &mut ArtifactSession<S>,
    store: &ArtifactStore,
    artifact: &ArtifactRef,
    offset: u64,
) -> Result<(), SessionError> {
    let mut file = match store.reader(artifact, offset) {
        Ok(file) => file,
        Err(error) => return session.send(&told(&error)),
    };
    let bytes = artifact.size_bytes.saturating_sub(offset);
    session.send(&ArtifactReply::Content { bytes })?;
    let mut piece = vec![0; PIECE_BYTES];
    let mut left = bytes;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
        let part = piece.get_mut(..most).unwrap_or_default();
        let length = file.read(part)?;
        if length == 0 {
            // Cut meanwhile; the peer sees the connection end, asks again, and is told.
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        session.socket.write_all(part.get(..length).unwrap_or_default())?;
        left -= length as u64;
    }
    Ok(session.socket.flush()?)
}

fn put<S: Read + Write>(
    session: &mut ArtifactSession<S>,
    store: &ArtifactStore,
    artifact: &ArtifactRef,
) -> Result<(), SessionError> {
    // What is there counts only if it is good: a put is also how a damaged artifact is mended.
    if matches!(store.renew(artifact), Ok(true)) {
        return session.send(&ArtifactReply::Stored);
    }
    let mut writer = match store.writer(artifact) {
        Ok(writer) => writer,
        Err(error) => return session.send(&told(&error)),
    };
    session.send(&ArtifactReply::Send { offset: writer.offset() })?;
    let mut piece = vec![0; PIECE_BYTES];
    let mut failed = None;
    while writer.missing() > 0 {
        let most = usize::try_from(writer.missing()).unwrap_or(usize::MAX).min(piece.len());
        let part = piece.get_mut(..most).unwrap_or_default();
        let length = session.socket.read(part)?;
        if length == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        if let Err(error) = writer.write(part.get(..length).unwrap_or_default()) {
            failed = Some(error);
            break;
        }
    }
    match failed {
        // The peer is still sending: only the end of the connection stops it.
        Some(error) => {
            session.send(&told(&error))?;
            Err(io::Error::other(error.to_string()).into())
        }
        None => match writer.finish() {
            Ok(()) => session.send(&ArtifactReply::Stored),
            Err(error) => session.send(&told(&error)),
        },
    }
}

fn told(error: &ArtifactError) -> ArtifactReply {
    match error {
        ArtifactError::Missing { .. } => ArtifactReply::Missing,
        ArtifactError::Corrupt { .. } => ArtifactReply::Corrupt { reason: error.to_string() },
        ArtifactError::Busy { .. } => ArtifactReply::Busy { reason: error.to_string() },
        _ => ArtifactReply::Denied { reason: error.to_string(), retry: error.retry_class() },
    }
}
