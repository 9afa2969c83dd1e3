//! The receiver's side of one connection: the same for every transport.

use std::{collections::VecDeque, net::SocketAddr, sync::Arc, time::Duration};

use ingot_wire::{
    Answer, ChunkError, ChunkSequence, ChunkSpec, ChunkTag, Greeting, HeaderError, HeaderLimits, Opening,
    OpeningError, Refusal, Root, StreamHeader, StreamKeys, Ticket, CHUNK_HEADER_BYTES, STREAM_HEADER_BYTES,
};
use tokio::{sync::oneshot, time::Instant};

use crate::{
    hash_pool::HashPool,
    io_thread::Shared,
    link::{Kick, Link, LinkError},
    tickets::{Claimed, Progress},
    window::{Piece, SlabWriter, Window},
};

/// How much is read before it is hashed on the same thread: it is still in the processor's cache then.
const PIECE_BYTES: usize = 512 << 10;
/// How many chunks of a connection may wait for their hash at once.
const HASHES_IN_FLIGHT: usize = 4;

/// Why a connection was closed; at most one log line comes of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PeerError {
    #[error("{0}")]
    Link(#[from] LinkError),
    #[error("{0}")]
    Opening(#[from] OpeningError),
    #[error("{0}")]
    Header(#[from] HeaderError),
    #[error("{0}")]
    Chunk(#[from] ChunkError),
    #[error("it presents ticket {0:016x}, which is not registered")]
    UnknownTicket(u64),
    #[error("it sends the witness vector of job {found}, ticket {ticket:016x} is for {expected}")]
    WrongJob { ticket: u64, expected: String, found: String },
    #[error("it sends under lease token {found}, ticket {ticket:016x} is for {expected}")]
    WrongLease { ticket: u64, expected: u64, found: u64 },
    #[error("ticket {0:016x} is still in use by an earlier connection")]
    Busy(u64),
    #[error("its witness vector does not fit into the slab")]
    NoRoom,
    #[error("the hashing threads are gone")]
    NoHashing,
    #[error("no randomness for a greeting: {0}")]
    NoRandomness(#[from] getrandom::Error),
}

/// One connection, from greeting to answer.
pub(crate) struct Connection<'a, L> {
    pub(crate) link: L,
    pub(crate) shared: &'a Shared,
    pub(crate) peer: SocketAddr,
    pub(crate) id: u64,
    pub(crate) kick: Arc<Kick>,
}

impl<L: Link> Connection<'_, L> {
    /// Serves the connection to its end.
    pub(crate) async fn serve(mut self) -> Result<(), PeerError> {
        let deadline = Instant::now() + self.shared.config.handshake_timeout;
        let greeting = Greeting::new()?;
        self.link.write_all(greeting.as_bytes(), deadline, &self.kick).await?;
        let opening = Opening::decode(self.link.read_array(deadline, &self.kick).await?)?;
        let id = opening.ticket_id();
        let ticket = self.shared.tickets.ticket(id);
        let auth = match &ticket {
            None => Err(PeerError::UnknownTicket(id)),
            Some(ticket) => opening.authenticate(ticket, &greeting).map_err(PeerError::from),
        };
        let (auth, ticket) = match auth.map(|auth| ticket.map(|ticket| (auth, ticket))) {
            Ok(Some(both)) => both,
            Ok(None) => return Err(PeerError::UnknownTicket(id)),
            Err(error) => {
                let answer = Answer::Unknown.encode_unauthenticated();
                self.link.write_all(&answer, deadline, &self.kick).await?;
                return Err(error);
            }
        };
        self.shared.connections.authenticated(self.id);

        let patience = self.shared.config.idle_timeout;
        let answer = match self.shared.tickets.claim(id, &self.kick, patience).await {
            Claimed::Unknown => Answer::Unknown,
            Claimed::Busy => return Err(PeerError::Busy(id)),
            Claimed::Finished(outcome) => outcome.map_or_else(Answer::Refused, |()| Answer::Received),
            Claimed::Claim(mut claim) => {
                let bytes = opening.header();
                let max_payload_bytes = claim.expected.max_bytes.min(self.shared.pool.slab_bytes() as u64);
                let checked = check_header(&bytes, id, &claim.expected, HeaderLimits { max_payload_bytes });
                let header = match checked {
                    Ok(header) => header,
                    Err((refusal, error)) => {
                        let answer = auth.encode(Answer::Refused(refusal), false);
                        self.link.write_all(&answer, self.idle_deadline(), &self.kick).await?;
                        return Err(error);
                    }
                };
                let Some(progress) = claim.progress() else { return Err(PeerError::Busy(id)) };
                let chunk = begin(progress, &bytes, &header, &ticket)?;
                let answer = auth.encode(Answer::Resume { chunk }, false);
                self.link.write_all(&answer, self.idle_deadline(), &self.kick).await?;
                let keys = ticket.stream_keys(&bytes);
                let root = self.receive(progress, &keys).await?;
                let outcome = claim.decide(header, root, self.peer).await;
                self.shared.stats.decided(header.payload_bytes(), outcome);
                let answer = outcome.map_or_else(Answer::Refused, |()| Answer::Received);
                let answer = auth.encode(answer, true);
                self.link.write_all(&answer, self.idle_deadline(), &self.kick).await?;
                return Ok(());
            }
        };
        self.link.write_all(&auth.encode(answer, false), self.idle_deadline(), &self.kick).await?;
        Ok(())
    }

    fn idle_deadline(&self) -> Instant {
        Instant::now() + self.shared.config.idle_timeout
    }

    /// Receives the chunks that are missing and the trailer.
    async fn receive(&mut self, progress: &mut Progress, keys: &StreamKeys) -> Result<Root, PeerError> {
        let Progress { writer, stream: Some((_, sequence)) } = progress else {
            return Err(PeerError::NoRoom);
        };
        match &self.shared.hash_pool {
            None => self.chunks_hashed_here(writer, sequence, keys).await?,
            Some(pool) => {
                let mut hashing = VecDeque::new();
                let mut result = self.chunks_hashed_there(writer, sequence, keys, pool, &mut hashing).await;
                // Chunks before a broken one are good: a new connection must not send them again. And every hash is
                // awaited, for its window keeps the slab's writer from turning back.
                while let Some(task) = hashing.pop_front() {
                    let accepted = accept(sequence, task).await;
                    result = result.and(accepted);
                }
                result?;
            }
        }
        let trailer = self.link.read_array(self.idle_deadline(), &self.kick).await?;
        Ok(sequence.finish(&trailer)?)
    }

    async fn chunks_hashed_here(
        &mut self,
        writer: &mut SlabWriter,
        sequence: &mut ChunkSequence,
        keys: &StreamKeys,
    ) -> Result<(), PeerError> {
        while sequence.next().is_some() {
            let header = self.link.read_array::<CHUNK_HEADER_BYTES>(self.idle_deadline(), &self.kick).await?;
            let spec = sequence.expect(&header)?;
            let mut window = writer.window(spec.bytes() as usize).ok_or(PeerError::NoRoom)?;
            let mut tag = ChunkTag::new(keys);
            while window.remaining() > 0 {
                let from = window.filled_bytes();
                window = self.fill(window, PIECE_BYTES).await?;
                tag.update(window.filled().get(from..).unwrap_or_default());
            }
            sequence.accept(&spec, &tag.finish(spec.index))?;
        }
        Ok(())
    }

    async fn chunks_hashed_there(
        &mut self,
        writer: &mut SlabWriter,
        sequence: &mut ChunkSequence,
        keys: &StreamKeys,
        pool: &HashPool,
        hashing: &mut VecDeque<Hashing>,
    ) -> Result<(), PeerError> {
        while sequence.accepted() as usize + hashing.len() < sequence.chunks() as usize {
            let header = self.link.read_array::<CHUNK_HEADER_BYTES>(self.idle_deadline(), &self.kick).await?;
            let spec = sequence.expect_ahead(hashing.len() as u32, &header)?;
            let mut window = writer.window(spec.bytes() as usize).ok_or(PeerError::NoRoom)?;
            while window.remaining() > 0 {
                window = self.fill(window, PIECE_BYTES).await?;
            }
            let tag = pool.hash(keys, spec.index, window);
            hashing.push_back((spec, tag));
            if hashing.len() >= HASHES_IN_FLIGHT {
                if let Some(task) = hashing.pop_front() {
                    accept(sequence, task).await?;
                }
            }
        }
        Ok(())
    }

    /// Reads the next `bytes` bytes of a window, or what is left of it; they have one idle deadline, so that a peer which
    /// drips does not live on drops.
    async fn fill(&mut self, mut window: Window, bytes: usize) -> Result<Window, PeerError> {
        let deadline = self.idle_deadline();
        let end = window.filled_bytes() + window.remaining().min(bytes);
        while window.filled_bytes() < end {
            let limit = end - window.filled_bytes();
            let (result, filled) = self.link.read_some(Piece { window, limit }, deadline, &self.kick).await;
            window = filled;
            result?;
        }
        Ok(window)
    }
}

/// A chunk whose hash is being computed.
type Hashing = (ChunkSpec, oneshot::Receiver<[u8; 32]>);

async fn accept(sequence: &mut ChunkSequence, (spec, tag): Hashing) -> Result<(), PeerError> {
    let tag = tag.await.map_err(|_| PeerError::NoHashing)?;
    Ok(sequence.accept(&spec, &tag)?)
}

/// Reads the header and compares it with what the ticket is for.
fn check_header(
    bytes: &[u8; STREAM_HEADER_BYTES],
    ticket: u64,
    expected: &crate::Expected,
    limits: HeaderLimits,
) -> Result<StreamHeader, (Refusal, PeerError)> {
    let header = StreamHeader::decode(bytes, limits).map_err(|error| {
        let too_long = matches!(error, HeaderError::TooLong { .. });
        (if too_long { Refusal::TooLong } else { Refusal::BadContent }, error.into())
    })?;
    if header.job != expected.job {
        let (expected, found) = (expected.job.to_string(), header.job.to_string());
        return Err((Refusal::BadContent, PeerError::WrongJob { ticket, expected, found }));
    }
    if header.lease_token != expected.lease_token {
        let (expected, found) = (expected.lease_token, header.lease_token);
        return Err((Refusal::Stale, PeerError::WrongLease { ticket, expected, found }));
    }
    Ok(header)
}

/// Goes on where an earlier connection with the same header stopped, or begins; says at which chunk.
fn begin(
    progress: &mut Progress,
    bytes: &[u8; STREAM_HEADER_BYTES],
    header: &StreamHeader,
    ticket: &Ticket,
) -> Result<u32, PeerError> {
    match &progress.stream {
        Some((earlier, sequence)) if earlier == bytes => Ok(sequence.accepted()),
        _ => {
            if !progress.writer.rewind(0) {
                return Err(PeerError::NoRoom);
            }
            progress.stream = Some((*bytes, ChunkSequence::new(header, &ticket.stream_keys(bytes))));
            Ok(0)
        }
    }
}

/// How long an acceptor that is out of descriptors waits before it tries again.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
