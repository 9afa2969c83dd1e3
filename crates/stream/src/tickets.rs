//! What the receiver expects: tickets, the slabs reserved for them, and how they ended.

use std::{
    collections::{hash_map, HashMap},
    fmt,
    net::SocketAddr,
    panic::{catch_unwind, AssertUnwindSafe},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ingot_types::JobKey;
use ingot_wire::{ChunkSequence, Refusal, Root, StreamHeader, Ticket, STREAM_HEADER_BYTES};
use tokio::sync::{oneshot, Notify};

use crate::{link::Kick, pool::Slab, window::SlabWriter, ExpectError};

/// What a ticket is for.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The prove job.
    pub job: JobKey,
    /// Fencing token of the sender's lease on it.
    pub lease_token: u64,
    /// Longest payload, in bytes.
    pub max_bytes: u64,
    /// How long the ticket lasts; with it goes what has arrived.
    pub valid_for: Duration,
}

/// A witness vector that arrived whole. Its slab goes back to the pool when it is dropped.
#[derive(Debug)]
pub struct Received {
    /// The ticket's id.
    pub ticket: u64,
    /// What was sent.
    pub header: StreamHeader,
    /// The root over all of it.
    pub root: Root,
    /// Where it came from.
    pub peer: SocketAddr,
    /// The memory that it lies in.
    pub slab: Slab,
}

impl Received {
    /// A section's bytes (0 public input locations, 1 values, 2 multiplicities), aligned to 64; empty for any other.
    pub fn section(&self, section: usize) -> &[u8] {
        let bounds = || {
            let start = usize::try_from(*self.header.section_starts().get(section)?).ok()?;
            let bytes = usize::try_from(*self.header.section_bytes.get(section)?).ok()?;
            self.slab.get(start..start.checked_add(bytes)?)
        };
        bounds().unwrap_or_default()
    }
}

/// Who owns a receiver: decides about what arrived.
pub trait Owner: Send + Sync + 'static {
    /// A witness vector arrived and was verified. Commit the hand-over, then return: the sender hears the answer, and
    /// hears the same when it asks again. Called on a thread of its own; it may block. A panic counts as
    /// [`Refusal::TryAnother`].
    fn on_received(&self, received: Received) -> Result<(), Refusal>;

    /// A ticket ran out before its witness vector was there; its slab is free again.
    fn on_expired(&self, ticket: u64) {
        let _ = ticket;
    }
}

impl<F: Fn(Received) -> Result<(), Refusal> + Send + Sync + 'static> Owner for F {
    fn on_received(&self, received: Received) -> Result<(), Refusal> {
        self(received)
    }
}

/// What has arrived under a ticket.
pub(crate) struct Progress {
    pub(crate) writer: SlabWriter,
    /// The header under which it arrived, and the chunks that were verified.
    pub(crate) stream: Option<([u8; STREAM_HEADER_BYTES], ChunkSequence)>,
}

enum State {
    /// No connection.
    Idle(Box<Progress>),
    /// A connection has the progress.
    Busy(Arc<Kick>),
    /// The owner has the slab and decides.
    Deciding,
    /// The owner decided.
    Finished(Result<(), Refusal>),
}

struct Entry {
    ticket: Ticket,
    expected: Expected,
    /// When the ticket, or the memory of its outcome, ends.
    until: Instant,
    state: State,
    changed: Arc<Notify>,
}

/// What a connection that presents a ticket gets.
pub(crate) enum Claimed {
    /// The right to go on.
    Claim(Claim),
    /// The outcome: it is all there already.
    Finished(Result<(), Refusal>),
    /// The ticket is gone.
    Unknown,
    /// Another connection, or the owner, did not let go of it in time.
    Busy,
}

/// All tickets of a receiver.
pub(crate) struct Tickets {
    entries: Mutex<HashMap<u64, Entry>>,
    owner: Arc<dyn Owner>,
    remember: Duration,
    /// Deadlines changed.
    pub(crate) changed: Notify,
}

impl Tickets {
    pub(crate) fn new(owner: Arc<dyn Owner>, remember: Duration) -> Self {
        Self { entries: Mutex::default(), owner, remember, changed: Notify::new() }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<u64, Entry>> {
        // Each change is one assignment: the map is whole after any panic.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn insert(&self, ticket: Ticket, expected: Expected, slab: Slab) -> Result<(), ExpectError> {
        let id = ticket.id;
        match self.entries().entry(id) {
            hash_map::Entry::Occupied(_) => return Err(ExpectError::Repeated(id)),
            hash_map::Entry::Vacant(vacant) => {
                let until = Instant::now() + expected.valid_for;
                let progress = Progress { writer: SlabWriter::new(slab), stream: None };
                let state = State::Idle(Box::new(progress));
                vacant.insert(Entry { ticket, expected, until, state, changed: Arc::default() });
            }
        }
        self.changed.notify_one();
        Ok(())
    }

    /// Forgets a ticket, unless the owner has its witness vector already.
    pub(crate) fn cancel(&self, id: u64) -> bool {
        let mut entries = self.entries();
        match entries.get(&id).map(|entry| &entry.state) {
            None | Some(State::Deciding | State::Finished(_)) => return false,
            Some(State::Busy(kick)) => kick.kick(),
            Some(State::Idle(_)) => {}
        }
        let entry = entries.remove(&id);
        drop(entries);
        if let Some(entry) = entry {
            entry.changed.notify_waiters();
        }
        true
    }

    pub(crate) fn ticket(&self, id: u64) -> Option<Ticket> {
        self.entries().get(&id).map(|entry| entry.ticket.clone())
    }

    /// Takes the ticket for a connection; one that has it already is kicked, for its peer came back.
    pub(crate) async fn claim(self: &Arc<Self>, id: u64, kick: &Arc<Kick>, patience: Duration) -> Claimed {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            let Some(changed) = self.entries().get(&id).map(|entry| entry.changed.clone()) else {
                return Claimed::Unknown;
            };
            let mut wake = std::pin::pin!(changed.notified());
            // From here on no change is missed.
            wake.as_mut().enable();
            if let Some(claimed) = self.try_claim(id, kick) {
                return claimed;
            }
            if tokio::time::timeout_at(deadline, wake).await.is_err() {
                return Claimed::Busy;
            }
        }
    }

    fn try_claim(self: &Arc<Self>, id: u64, kick: &Arc<Kick>) -> Option<Claimed> {
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(&id) else { return Some(Claimed::Unknown) };
        match &entry.state {
            State::Finished(outcome) => return Some(Claimed::Finished(*outcome)),
            State::Deciding => return None,
            State::Busy(other) => {
                other.kick();
                return None;
            }
            State::Idle(_) => {}
        }
        match std::mem::replace(&mut entry.state, State::Busy(kick.clone())) {
            State::Idle(progress) => Some(Claimed::Claim(Claim {
                tickets: self.clone(),
                id,
                expected: entry.expected.clone(),
                progress: Some(progress),
            })),
            // The match above leaves no other state.
            _ => None,
        }
    }

    fn set(&self, id: u64, state: State, remember: Option<Duration>) {
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(&id) else { return };
        entry.state = state;
        if let Some(remember) = remember {
            entry.until = Instant::now() + remember;
        }
        let changed = entry.changed.clone();
        drop(entries);
        changed.notify_waiters();
        self.changed.notify_one();
    }

    /// Removes what ran out; says when to look again.
    pub(crate) fn sweep(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut gone = Vec::new();
        let next = {
            let mut entries = self.entries();
            entries.retain(|id, entry| {
                let ends = entry.until <= now && !matches!(entry.state, State::Deciding);
                if ends {
                    if let State::Busy(kick) = &entry.state {
                        kick.kick();
                    }
                    entry.changed.notify_waiters();
                    if !matches!(entry.state, State::Finished(_)) {
                        gone.push(*id);
                    }
                }
                !ends
            });
            let waiting = entries.values().filter(|entry| !matches!(entry.state, State::Deciding));
            waiting.map(|entry| entry.until).min()
        };
        for id in gone {
            tracing::warn!(
                ticket = format_args!("{id:016x}"),
                "a ticket ran out before its witness vector was there"
            );
            self.owner.on_expired(id);
        }
        next
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tickets({})", self.entries().len())
    }
}

/// A connection's hold on a ticket. When it is dropped, what was verified stays for the next connection.
pub(crate) struct Claim {
    tickets: Arc<Tickets>,
    id: u64,
    pub(crate) expected: Expected,
    progress: Option<Box<Progress>>,
}

impl Claim {
    /// What has arrived; `None` never, while the claim is in use.
    pub(crate) fn progress(&mut self) -> Option<&mut Progress> {
        self.progress.as_deref_mut()
    }

    /// Gives the witness vector to the owner and waits for the decision, which stands even if nobody waits.
    pub(crate) async fn decide(
        mut self,
        header: StreamHeader,
        root: Root,
        peer: SocketAddr,
    ) -> Result<(), Refusal> {
        let Some(slab) = self.progress.take().and_then(|progress| progress.writer.finish()) else {
            // Only with a window still out, which no path leaves; the drop below lets the slab go.
            tracing::error!(
                ticket = format_args!("{:016x}", self.id),
                "a received slab is still being written"
            );
            return Err(Refusal::TryAnother);
        };
        let (tickets, id) = (self.tickets.clone(), self.id);
        tickets.set(id, State::Deciding, None);
        let received = Received { ticket: id, header, root, peer, slab };
        let (answer, decided) = oneshot::channel();
        let decide = {
            let tickets = tickets.clone();
            move || {
                let outcome = catch_unwind(AssertUnwindSafe(|| tickets.owner.on_received(received)))
                    .unwrap_or_else(|_| {
                        tracing::error!(ticket = format_args!("{id:016x}"), "the receiver's owner panicked");
                        Err(Refusal::TryAnother)
                    });
                tickets.set(id, State::Finished(outcome), Some(tickets.remember));
                let _ = answer.send(outcome);
            }
        };
        if let Err(reason) = std::thread::Builder::new().name("stream-decide".into()).spawn(decide) {
            tracing::error!(%reason, "no thread for the receiver's owner");
            tickets.set(id, State::Finished(Err(Refusal::TryAnother)), Some(tickets.remember));
        }
        decided.await.unwrap_or(Err(Refusal::TryAnother))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let Some(mut progress) = self.progress.take() else { return };
        let verified = progress.stream.as_ref().map_or(0, |(_, sequence)| sequence.accepted_bytes());
        if progress.writer.rewind(usize::try_from(verified).unwrap_or(0)) {
            // A ticket that ended meanwhile has no entry, and the slab goes with `progress`.
            self.tickets.set(self.id, State::Idle(progress), None);
        } else {
            tracing::error!(
                ticket = format_args!("{:016x}", self.id),
                "a broken stream is still being written"
            );
            self.tickets.entries().remove(&self.id);
        }
    }
}
