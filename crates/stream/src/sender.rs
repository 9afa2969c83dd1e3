//! The sender: hands one witness vector over, whatever the connection does meanwhile.
//!
//! It blocks: call it from a thread of your own, and cancel it from another.

use std::{
    io::{self, IoSlice, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc, Arc,
    },
    thread,
    time::{Duration, Instant},
};

use ingot_wire::{
    Answer, ChunkSequence, ChunkSpec, ChunkTag, Greeting, HeaderLimits, Opening, OpeningError, StreamHeader,
    StreamKeys, Ticket, ANSWER_BYTES, GREETING_BYTES, SECTIONS, SECTION_ALIGN_BYTES, STREAM_HEADER_BYTES,
};

use crate::SendError;

/// How often a blocked operation looks whether it was cancelled.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// How many chunks are hashed before they are sent.
const HASHED_AHEAD: usize = 2;
const ZEROS: [u8; SECTION_ALIGN_BYTES as usize] = [0; SECTION_ALIGN_BYTES as usize];

/// Stops a [`send`] from another thread.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Makes the send return [`SendError::Cancelled`] within a fraction of a second.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// How far a send is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Payload handed to the connection or already there, in bytes.
    pub sent_bytes: u64,
    /// Payload in all, in bytes.
    pub total_bytes: u64,
    /// Which connection this is, from 1.
    pub connection: u32,
}

/// How a send works.
pub struct SendOptions<'a> {
    /// How long it may take in all, reconnections included.
    pub deadline: Duration,
    /// How long one connection may take to come about.
    pub connect_timeout: Duration,
    /// How long a connection may stand still while sending.
    pub idle_timeout: Duration,
    /// How long connections may be refused, one after the other, until the receiver counts as gone. Tickets die with it, so
    /// one that comes back at that address does not know this one.
    pub gone_after: Duration,
    /// How long the receiver may take to decide, once all is sent.
    pub answer_timeout: Duration,
    /// Pause before the first reconnection; doubled each time, up to 32-fold, unless there was progress.
    pub backoff: Duration,
    /// Hash on a thread of its own while the chunk before is being sent.
    pub hash_ahead: bool,
    /// Stops it.
    pub cancel: Cancel,
    /// Called after every chunk.
    pub on_progress: Option<&'a (dyn Fn(Progress) + Sync)>,
}

impl Default for SendOptions<'_> {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(600),
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(15),
            gone_after: Duration::from_secs(3),
            answer_timeout: Duration::from_secs(60),
            backoff: Duration::from_millis(100),
            hash_ahead: true,
            cancel: Cancel::default(),
            on_progress: None,
        }
    }
}

impl std::fmt::Debug for SendOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SendOptions").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

/// A witness vector that was handed over: verified and committed at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// Length of the payload, in bytes.
    pub payload_bytes: u64,
    /// How many connections it took.
    pub connections: u32,
    /// The chunk at which the last connection went on; 0 unless an earlier one broke.
    pub resumed_at: u32,
    /// Time that it took.
    pub elapsed: Duration,
}

/// Sends a witness vector to the receiver at `address` (`host:port`) that issued `ticket`, and returns when the receiver's
/// owner has taken it. Broken connections are made again, and go on where they broke, until the deadline.
pub fn send(
    address: &str,
    ticket: &Ticket,
    header: &StreamHeader,
    sections: [&[u8]; SECTIONS],
    options: &SendOptions<'_>,
) -> Result<Ack, SendError> {
    header.check(HeaderLimits { max_payload_bytes: u64::MAX })?;
    for (section, (bytes, expected_bytes)) in sections.iter().zip(header.section_bytes).enumerate() {
        let found_bytes = bytes.len() as u64;
        if found_bytes != expected_bytes {
            return Err(SendError::SectionLength { section, found_bytes, expected_bytes });
        }
    }
    let bytes = header.encode();
    let keys = ticket.stream_keys(&bytes);
    let started = Instant::now();
    let mut attempt =
        Attempt { address, ticket, header, bytes, keys, sections, options, connection: 0, started };
    let mut backoff = options.backoff;
    let mut best = 0;
    let mut refused_since: Option<Instant> = None;
    loop {
        attempt.connection += 1;
        let mut reached = 0;
        let last = match attempt.run(&mut reached) {
            Ok(resumed_at) => {
                return Ok(Ack {
                    payload_bytes: header.payload_bytes(),
                    connections: attempt.connection,
                    resumed_at,
                    elapsed: started.elapsed(),
                });
            }
            Err(Failure::Final(error)) => return Err(error),
            Err(Failure::Broken(reason)) => {
                refused_since = None;
                reason
            }
            Err(Failure::NobodyThere(reason)) => {
                let since = *refused_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= options.gone_after {
                    let (address, connections) = (address.to_owned(), attempt.connection);
                    return Err(SendError::Gone { address, after: options.gone_after, connections });
                }
                reason
            }
        };
        tracing::info!(
            address,
            connection = attempt.connection,
            reason = last,
            "a witness vector's connection broke"
        );
        backoff = if reached > best { options.backoff } else { (backoff * 2).min(options.backoff * 32) };
        best = best.max(reached);
        let pause_until = Instant::now() + backoff;
        loop {
            if options.cancel.is_cancelled() {
                return Err(SendError::Cancelled);
            }
            let now = Instant::now();
            if started + options.deadline <= now {
                return Err(SendError::Deadline {
                    address: address.to_owned(),
                    deadline: options.deadline,
                    connections: attempt.connection,
                    last,
                });
            }
            if pause_until <= now {
                break;
            }
            thread::sleep((pause_until - now).min(LOOK_INTERVAL));
        }
    }
}

enum Failure {
    /// Trying again helps nothing.
    Final(SendError),
    /// The connection broke, and why.
    Broken(String),
    /// Nobody listens at the address, which the peer's system says by itself.
    NobodyThere(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

struct Attempt<'a> {
    address: &'a str,
    ticket: &'a Ticket,
    header: &'a StreamHeader,
    bytes: [u8; STREAM_HEADER_BYTES],
    keys: StreamKeys,
    sections: [&'a [u8]; SECTIONS],
    options: &'a SendOptions<'a>,
    connection: u32,
    started: Instant,
}

impl Attempt<'_> {
    /// One connection, from its opening to the receiver's answer; says at which chunk it began.
    fn run(&self, reached: &mut u32) -> Result<u32, Failure> {
        let mut stream = self.connect()?;
        let mut greeting = [0; GREETING_BYTES];
        self.read(&mut stream, &mut greeting, self.options.idle_timeout)?;
        let greeting = Greeting::decode(greeting).map_err(|error| self.opening_failed(error))?;
        let (opening, auth) = Opening::new(self.ticket, &greeting, &self.bytes)
            .map_err(|error| Failure::Final(SendError::NoRandomness(error)))?;
        self.write(&mut stream, opening.as_bytes(), &[])?;
        let answer = self.answer(&mut stream, self.options.answer_timeout)?;
        let chunk = match auth.decode(&answer, false).map_err(|error| self.opening_failed(error))? {
            Answer::Resume { chunk } => chunk,
            // An answer that an earlier connection did not bring home.
            Answer::Received => return Ok(0),
            refused => return Err(self.refused(refused)),
        };
        *reached = chunk;
        let sequence = self.send_chunks(&mut stream, chunk)?;
        let trailer = sequence.trailer().map_err(|error| Failure::Broken(error.to_string()))?;
        self.write(&mut stream, &trailer, &[])?;
        *reached = sequence.chunks();
        let answer = self.answer(&mut stream, self.options.answer_timeout)?;
        match auth.decode(&answer, true).map_err(|error| self.opening_failed(error))? {
            Answer::Received => Ok(chunk),
            refused => Err(self.refused(refused)),
        }
    }

    fn connect(&self) -> Result<TcpStream, Failure> {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in self.address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, self.options.connect_timeout) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_read_timeout(Some(LOOK_INTERVAL))?;
                    stream.set_write_timeout(Some(LOOK_INTERVAL))?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        match last.kind() {
            io::ErrorKind::ConnectionRefused => Err(Failure::NobodyThere(last.to_string())),
            _ => Err(last.into()),
        }
    }

    fn opening_failed(&self, source: OpeningError) -> Failure {
        match source {
            OpeningError::VersionMismatch { .. } => {
                Failure::Final(SendError::Version { address: self.address.to_owned(), source })
            }
            source => Failure::Broken(source.to_string()),
        }
    }

    fn refused(&self, answer: Answer) -> Failure {
        let address = self.address.to_owned();
        match answer {
            Answer::Refused(refusal) => Failure::Final(SendError::Refused { address, refusal }),
            Answer::Unknown => Failure::Final(SendError::UnknownTicket { address, ticket: self.ticket.id }),
            Answer::Resume { .. } | Answer::Received => Failure::Broken("an answer out of turn".into()),
        }
    }

    /// The parts of the payload that make up a chunk: of sections, and of the zeros between them.
    fn parts(&self, spec: &ChunkSpec) -> Vec<&[u8]> {
        let mut parts = Vec::with_capacity(2 * SECTIONS);
        let mut at = spec.range.start;
        for (start, section) in self.header.section_starts().into_iter().zip(self.sections) {
            // An alignment is shorter than `ZEROS`.
            let zeros = start.min(spec.range.end).saturating_sub(at) as usize;
            if zeros > 0 && !section.is_empty() {
                parts.push(ZEROS.get(..zeros).unwrap_or_default());
                at += zeros as u64;
            }
            let from = at.saturating_sub(start).min(section.len() as u64) as usize;
            let to = spec.range.end.saturating_sub(start).min(section.len() as u64) as usize;
            if at >= start {
                if let Some(part) = section.get(from..to).filter(|part| !part.is_empty()) {
                    parts.push(part);
                    at += part.len() as u64;
                }
            }
        }
        parts
    }

    fn tag(&self, spec: &ChunkSpec) -> [u8; 32] {
        let mut tag = ChunkTag::new(&self.keys);
        self.parts(spec).into_iter().for_each(|part| tag.update(part));
        tag.finish(spec.index)
    }

    fn send_chunks(&self, stream: &mut TcpStream, first: u32) -> Result<ChunkSequence, Failure> {
        let mut sequence = ChunkSequence::new(self.header, &self.keys);
        if first > sequence.chunks() {
            return Err(Failure::Broken(format!("it wants chunk {first} of {}", sequence.chunks())));
        }
        let specs: Vec<ChunkSpec> = (0..sequence.chunks()).filter_map(|index| sequence.spec(index)).collect();
        if !self.options.hash_ahead || specs.len() < 2 {
            for spec in &specs {
                self.send_chunk(stream, &mut sequence, spec, self.tag(spec), first)?;
            }
            return Ok(sequence);
        }
        thread::scope(|scope| {
            let (tags, hashed) = mpsc::sync_channel(HASHED_AHEAD);
            let all = specs.as_slice();
            let hash = move || {
                for spec in all {
                    if tags.send(self.tag(spec)).is_err() {
                        return;
                    }
                }
            };
            let name = "stream-hash-out".to_owned();
            let thread = thread::Builder::new().name(name).spawn_scoped(scope, hash)?;
            let result = specs.iter().try_for_each(|spec| {
                let tag = hashed.recv().map_err(|_| Failure::Broken("the hashing thread ended".into()))?;
                self.send_chunk(stream, &mut sequence, spec, tag, first)
            });
            drop(hashed);
            let _ = thread.join();
            result.map(|()| sequence)
        })
    }

    /// Sends a chunk, unless it is there already and counts for the root only.
    fn send_chunk(
        &self,
        stream: &mut TcpStream,
        sequence: &mut ChunkSequence,
        spec: &ChunkSpec,
        tag: [u8; 32],
        first: u32,
    ) -> Result<(), Failure> {
        let Some(header) = sequence.push(&tag) else {
            return Err(Failure::Broken("a chunk beyond the end".into()));
        };
        if self.options.cancel.is_cancelled() {
            return Err(Failure::Final(SendError::Cancelled));
        }
        if spec.index >= first {
            let mut parts = self.parts(spec).into_iter();
            self.write(stream, &header, parts.next().unwrap_or_default())?;
            parts.try_for_each(|part| self.write(stream, part, &[]))?;
        }
        if let Some(on_progress) = self.options.on_progress {
            on_progress(Progress {
                sent_bytes: spec.range.end,
                total_bytes: self.header.payload_bytes(),
                connection: self.connection,
            });
        }
        Ok(())
    }

    /// Writes both, in one operation where the kernel takes it.
    fn write(&self, stream: &mut TcpStream, mut a: &[u8], mut b: &[u8]) -> Result<(), Failure> {
        let mut moved = Instant::now();
        while !(a.is_empty() && b.is_empty()) {
            match stream.write_vectored(&[IoSlice::new(a), IoSlice::new(b)]) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                Ok(written) => {
                    moved = Instant::now();
                    b = b.get(written.saturating_sub(a.len())..).unwrap_or_default();
                    a = a.get(written.min(a.len())..).unwrap_or_default();
                }
                Err(error) => self.go_on_after(error, moved, self.options.idle_timeout)?,
            }
        }
        Ok(())
    }

    fn answer(&self, stream: &mut TcpStream, patience: Duration) -> Result<[u8; ANSWER_BYTES], Failure> {
        let mut answer = [0; ANSWER_BYTES];
        self.read(stream, &mut answer, patience)?;
        Ok(answer)
    }

    fn read(&self, stream: &mut TcpStream, mut buffer: &mut [u8], patience: Duration) -> Result<(), Failure> {
        let started = Instant::now();
        while !buffer.is_empty() {
            match stream.read(buffer) {
                Ok(0) => return Err(Failure::Broken("the receiver closed the connection".into())),
                Ok(read) => buffer = buffer.split_at_mut(read.min(buffer.len())).1,
                Err(error) => self.go_on_after(error, started, patience)?,
            }
        }
        Ok(())
    }

    /// Whether an operation that made no progress is to be tried again.
    fn go_on_after(&self, error: io::Error, moved: Instant, patience: Duration) -> Result<(), Failure> {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => {}
            _ => return Err(error.into()),
        }
        if self.options.cancel.is_cancelled() {
            return Err(Failure::Final(SendError::Cancelled));
        }
        if moved.elapsed() > patience || self.started.elapsed() > self.options.deadline {
            return Err(Failure::Broken(format!("nothing moved for {:?}", moved.elapsed())));
        }
        Ok(())
    }
}
