//! The connection: one thread that connects, sends requests and heartbeats, and one for each connection that reads.
//!
//! It does nothing else, so that work on a job cannot keep heartbeats from being sent.

use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write as _},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc, Arc, Condvar, Mutex, MutexGuard, PoisonError,
    },
    thread::Builder,
    time::{Duration, Instant},
};

use ingot_job_store::Token;
use ingot_types::JobKey;
use ingot_wire::{client_handshake, FrameDecoder, FrameEncoder, Hello, CAP_AFTER_HANDSHAKE_BYTES};

use super::{address::Socket, ClientError, ClientOptions};
use crate::protocol::{
    Answer, Channel, Denial, FromHouseKeeper, Notice, ProverLoad, Request, ToHouseKeeper, VERSION,
};

/// How long connecting, the handshake and each write may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long an answer may be overdue.
const SILENCE: Duration = Duration::from_secs(10);
/// Waits between attempts to connect.
const RETRY: std::ops::Range<Duration> = Duration::from_millis(50)..Duration::from_secs(2);
/// The wait between attempts of a process that is about to end: what it holds is to be handed back before.
const RETRY_LEAVING: Duration = Duration::from_millis(100);
/// The wait after the house keeper has said that it does not want this peer.
const AFTER_REFUSAL: Duration = Duration::from_secs(2);

/// How the connection is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// There is none yet, or no more.
    Connecting {
        /// Why not.
        why: String,
    },
    /// It answers.
    Connected,
    /// It answers, and does not want this peer: wrong token, version, keys or name. It is asked again from time to time.
    Refused {
        /// Why.
        why: String,
    },
}

/// A request under way.
#[derive(Debug)]
struct Pending {
    request: Request,
    answer: Option<mpsc::Sender<Result<Answer, ClientError>>>,
    sent: bool,
    sent_at: Option<Instant>,
    /// A connection on which no answer has come by then is dead, whatever the operating system thinks of it.
    due: Option<Instant>,
}

/// A lease that is heartbeaten.
#[derive(Debug)]
pub(super) struct Kept {
    /// Says that it is lost.
    pub lost: Arc<AtomicBool>,
    /// When it was granted, or the last heartbeat that the house keeper has acknowledged was sent.
    pub alive_at: Instant,
}

impl Kept {
    pub fn new(lost: Arc<AtomicBool>) -> Self {
        Self { lost, alive_at: Instant::now() }
    }
}

#[derive(Debug)]
pub(super) struct State {
    pub link: Link,
    next_id: u64,
    pending: BTreeMap<u64, Pending>,
    cancelled: Vec<u64>,
    /// Leases that are heartbeaten.
    pub held: BTreeMap<(JobKey, Token), Kept>,
    /// The connection of this number is broken.
    broken: Option<u64>,
    /// This peer has said that it takes no new work: its process is about to end.
    leaving: bool,
    /// What holds until it is said otherwise: a house keeper that was started again has to be told anew.
    standing: Option<ProverLoad>,
    pub closing: bool,
    /// Until then, answers to what was said last are waited for: what was said before a connection's end may be lost.
    pub linger_until: Option<Instant>,
    pub ended: bool,
}

/// What the client's threads share.
#[derive(Debug)]
pub(super) struct Shared {
    pub options: ClientOptions,
    pub state: Mutex<State>,
    pub changed: Condvar,
    notices: Mutex<mpsc::Sender<Notice>>,
}

impl Shared {
    pub fn new(options: ClientOptions, notices: mpsc::Sender<Notice>) -> Arc<Self> {
        let link = Link::Connecting { why: "not tried yet".into() };
        let state = State {
            link,
            next_id: 1,
            pending: BTreeMap::new(),
            cancelled: Vec::new(),
            held: BTreeMap::new(),
            broken: None,
            leaving: false,
            standing: None,
            closing: false,
            linger_until: None,
            ended: false,
        };
        Arc::new(Self {
            options,
            state: Mutex::new(state),
            changed: Condvar::new(),
            notices: Mutex::new(notices),
        })
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a request; its answer comes through the channel.
    pub fn ask(&self, request: Request) -> (u64, mpsc::Receiver<Result<Answer, ClientError>>) {
        let (sender, receiver) = mpsc::channel();
        let mut state = self.lock();
        if state.ended {
            // The receiver learns it by the sender's end.
            return (0, receiver);
        }
        let id = state.push(request, Some(sender));
        drop(state);
        self.changed.notify_all();
        (id, receiver)
    }

    /// Waits; `false` at once when the client is closed.
    pub fn wait_unless_closing(&self, wait: Duration) -> bool {
        let state = self.lock();
        let wait = self.changed.wait_timeout_while(state, wait, |state| !state.closing && !state.leaving);
        let state = wait.unwrap_or_else(PoisonError::into_inner).0;
        !state.closing && !state.leaving
    }

    /// Queues a request whose answer nobody waits for.
    pub fn tell(&self, request: Request) {
        let mut state = self.lock();
        if !state.ended {
            state.push(request, None);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Nobody waits for this answer any more. If it grants a lease all the same, that is handed back.
    pub fn cancel(&self, id: u64) {
        let mut state = self.lock();
        if let Some(pending) = state.pending.remove(&id) {
            if pending.sent {
                state.cancelled.push(id);
            }
        }
        drop(state);
        self.changed.notify_all();
    }

    fn set_link(&self, link: Link) {
        let mut state = self.lock();
        if state.link != link {
            match &link {
                Link::Connected => {
                    tracing::info!("connected to the house keeper at {}", self.options.address)
                }
                Link::Connecting { why } => {
                    tracing::warn!("no house keeper at {}: {why}", self.options.address)
                }
                Link::Refused { why } => tracing::error!("the house keeper does not want this peer: {why}"),
            }
        }
        state.link = link;
        drop(state);
        self.changed.notify_all();
    }

    fn dispatch(&self, message: FromHouseKeeper) {
        match message {
            FromHouseKeeper::Notice(Notice::LeaseLost { key, token }) => {
                self.lock().lose(&(key, token));
                self.changed.notify_all();
            }
            FromHouseKeeper::Notice(notice) => {
                // Nobody may be listening.
                let _ = self.notices.lock().unwrap_or_else(PoisonError::into_inner).send(notice);
            }
            FromHouseKeeper::Answer { id, result } => self.answered(id, result),
        }
    }

    fn answered(&self, id: u64, result: Result<Answer, Denial>) {
        let mut state = self.lock();
        let pending = state.pending.remove(&id);
        if let Ok(Answer::Lost(leases)) = &result {
            leases.iter().for_each(|lease| state.lose(lease));
            if let Some(Pending { request: Request::Heartbeat { leases }, sent_at: Some(sent_at), .. }) =
                &pending
            {
                for lease in leases {
                    if let Some(kept) = state.held.get_mut(lease) {
                        kept.alive_at = kept.alive_at.max(*sent_at);
                    }
                }
            }
        }
        let delivered = match pending.and_then(|pending| pending.answer) {
            Some(answer) => answer.send(result.clone().map_err(ClientError::from)).is_ok(),
            None => false,
        };
        if let (false, Ok(Answer::Lease(Some(lease)))) = (delivered, result) {
            // It was asked for by somebody who does not wait any more.
            state.push(Request::Release { key: lease.job.key(), token: lease.token }, None);
        }
        drop(state);
        self.changed.notify_all();
    }
}

impl State {
    fn push(&mut self, request: Request, answer: Option<mpsc::Sender<Result<Answer, ClientError>>>) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.leaving |= matches!(request, Request::Draining);
        if let Request::Load(load) = &request {
            self.standing = Some(*load);
        }
        self.pending.insert(id, Pending { request, answer, sent: false, sent_at: None, due: None });
        id
    }

    /// A lease is this process's no more.
    pub fn lose(&mut self, lease: &(JobKey, Token)) {
        if let Some(kept) = self.held.remove(lease) {
            kept.lost.store(true, Ordering::SeqCst);
        }
    }

    /// Whether a lease has to be taken for lost although nobody has said so: the house keeper is away, and what it last
    /// acknowledged has run out.
    pub fn has_run_out(&self, lease: &(JobKey, Token), ttl: Duration) -> bool {
        self.link != Link::Connected
            && self.held.get(lease).is_some_and(|kept| kept.alive_at.elapsed() >= ttl)
    }

    /// Hands back what is held, unless its end is being said already.
    pub fn release_held(&mut self) {
        let ending: Vec<(JobKey, Token)> = self
            .pending
            .values()
            .filter_map(|pending| match &pending.request {
                Request::Complete { key, token, .. }
                | Request::Fail { key, token, .. }
                | Request::Release { key, token }
                | Request::BadFile { key, token, .. } => Some((*key, *token)),
                _ => None,
            })
            .collect();
        let held: Vec<(JobKey, Token)> =
            self.held.keys().filter(|lease| !ending.contains(lease)).copied().collect();
        for (key, token) in held {
            self.lose(&(key, token));
            self.push(Request::Release { key, token }, None);
        }
    }

    /// Says again what the house keeper knows only from this connection's predecessor.
    fn repeat_standing(&mut self, worker: bool) {
        if worker {
            // Whatever else is leased under this name was lost with an answer, or with the process before this one.
            let leases = self.held.keys().copied().collect();
            self.push(Request::Heartbeat { leases }, None);
        }
        let unsaid = |pending: &Pending| matches!(pending.request, Request::Load(_));
        if let Some(load) = self.standing.filter(|_| !self.pending.values().any(unsaid)) {
            self.push(Request::Load(load), None);
        }
        let unsaid = |pending: &Pending| matches!(pending.request, Request::Draining);
        if self.leaving && !self.pending.values().any(unsaid) {
            self.push(Request::Draining, None);
        }
    }

    /// When the first answer is overdue.
    fn first_due(&self) -> Option<Instant> {
        self.pending.values().filter(|pending| pending.sent).filter_map(|pending| pending.due).min()
    }

    /// Whether something should still be said. While there is no connection, only what ends or moves a lease is worth
    /// waiting for one.
    pub fn has_pending(&self) -> bool {
        let ends_a_lease = |pending: &Pending| {
            matches!(
                pending.request,
                Request::Complete { .. }
                    | Request::Fail { .. }
                    | Request::Release { .. }
                    | Request::HandOver { .. }
                    | Request::BadFile { .. }
            )
        };
        match self.link {
            Link::Connected => !self.pending.is_empty(),
            Link::Connecting { .. } => self.pending.values().any(ends_a_lease),
            Link::Refused { .. } => false,
        }
    }

    /// What is to be sent now.
    fn unsent(&mut self) -> Vec<ToHouseKeeper> {
        let mut messages: Vec<ToHouseKeeper> =
            self.cancelled.drain(..).map(|id| ToHouseKeeper::Cancel { id }).collect();
        for (id, pending) in self.pending.iter_mut().filter(|(_, pending)| !pending.sent) {
            pending.sent = true;
            pending.sent_at = Some(Instant::now());
            pending.due = Some(Instant::now() + SILENCE + waits(&pending.request));
            messages.push(ToHouseKeeper::Request { id: *id, request: pending.request.clone() });
        }
        messages
    }
}

/// How long the house keeper may keep the answer back.
fn waits(request: &Request) -> Duration {
    match request {
        Request::Lease { wait_ms, .. }
        | Request::Slab { wait_ms, .. }
        | Request::WatchBatch { wait_ms, .. }
        | Request::Outbox { wait_ms, .. } => Duration::from_millis(*wait_ms),
        _ => Duration::ZERO,
    }
}

/// The control thread: until the client is closed.
pub(super) fn run(shared: &Arc<Shared>) {
    let mut wait = RETRY.start;
    let mut connection = 0;
    while !shared.lock().closing {
        connection += 1;
        let rest = match connect(shared) {
            Ok((socket, encoder, decoder)) => {
                wait = RETRY.start;
                shared.set_link(Link::Connected);
                shared.lock().repeat_standing(shared.options.registration.serves.is_some());
                let why = serve(shared, connection, socket, encoder, decoder);
                let mut state = shared.lock();
                state.pending.values_mut().for_each(|pending| (pending.sent, pending.due) = (false, None));
                state.cancelled.clear();
                drop(state);
                if !shared.lock().closing {
                    shared.set_link(Link::Connecting { why });
                }
                wait
            }
            Err(Failure::Refused(why)) => {
                shared.set_link(Link::Refused { why });
                AFTER_REFUSAL
            }
            Err(Failure::Connection(why)) => {
                shared.set_link(Link::Connecting { why });
                wait = (wait * 2).min(RETRY.end);
                wait
            }
        };
        rest_for(shared, jittered(rest));
    }
    let mut state = shared.lock();
    state.ended = true;
    // Whoever waits for an answer learns that none will come.
    state.pending.clear();
    for kept in std::mem::take(&mut state.held).into_values() {
        kept.lost.store(true, Ordering::SeqCst);
    }
    drop(state);
    shared.changed.notify_all();
}

/// Between half of a wait and all of it: workers that lost their house keeper together do not come back together.
fn jittered(wait: Duration) -> Duration {
    use std::hash::{BuildHasher as _, Hasher as _};
    // Its keys are random, and new for each.
    let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
    let share = u32::try_from(random % 1_024).unwrap_or_default();
    wait / 2 + wait / 2 * share / 1_024
}

/// Waits between two attempts to connect; a process that is about to end waits less.
fn rest_for(shared: &Shared, rest: Duration) {
    let (start, mut state) = (Instant::now(), shared.lock());
    while !state.closing {
        let rest = if state.leaving { rest.min(RETRY_LEAVING) } else { rest };
        let left = rest.saturating_sub(start.elapsed());
        if left.is_zero() {
            return;
        }
        state = shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
    }
}

enum Failure {
    Connection(String),
    Refused(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Connection(error.to_string())
    }
}

fn connect(shared: &Shared) -> Result<(Socket, FrameEncoder, FrameDecoder), Failure> {
    use ingot_wire::HandshakeError;
    let options = &shared.options;
    let mut socket = Socket::connect(&options.address, PATIENCE)?;
    let payload = postcard::to_stdvec(&options.registration).map_err(|e| Failure::Refused(e.to_string()))?;
    let name: String = options.registration.name.chars().take(48).collect();
    let hello =
        Hello { min_version: VERSION, max_version: VERSION, role: Channel::Control as u8, name, payload };
    let session =
        client_handshake(&mut socket, hello, options.token.as_ref()).map_err(|error| match error {
            HandshakeError::Io(error) => Failure::Connection(error.to_string()),
            other => Failure::Refused(other.to_string()),
        })?;
    let mut decoder = session.decoder(CAP_AFTER_HANDSHAKE_BYTES);
    // The first answer says whether the registration is welcome.
    let welcome = loop {
        let message: Option<FromHouseKeeper> =
            decoder.decode().map_err(|error| Failure::Connection(error.to_string()))?;
        match message {
            Some(FromHouseKeeper::Answer { id: 0, result }) => break result,
            Some(_) => return Err(Failure::Connection("it said something before its welcome".into())),
            None => read_some(&mut socket, &mut decoder)?,
        }
    };
    welcome.map_err(|denial| Failure::Refused(denial.to_string()))?;
    Ok((socket, session.encoder(CAP_AFTER_HANDSHAKE_BYTES), decoder))
}

fn read_some(socket: &mut Socket, decoder: &mut FrameDecoder) -> Result<(), Failure> {
    let mut buffer = vec![0; 1 << 16];
    let length = socket.read(&mut buffer)?;
    if length == 0 {
        return Err(Failure::Connection("it closed the connection".into()));
    }
    decoder
        .push(buffer.get(..length).unwrap_or_default())
        .map_err(|error| Failure::Connection(error.to_string()))
}

/// Sends what is to be sent until the connection breaks or the client is closed; says why.
fn serve(
    shared: &Arc<Shared>,
    connection: u64,
    mut socket: Socket,
    mut encoder: FrameEncoder,
    decoder: FrameDecoder,
) -> String {
    if let Err(error) = start_reader(shared, connection, &socket, decoder) {
        return error.to_string();
    }
    let heartbeat = shared.options.heartbeat;
    let mut next_heartbeat = Instant::now() + heartbeat;
    let mut bytes = Vec::new();
    loop {
        let mut state = shared.lock();
        loop {
            if state.broken == Some(connection) {
                return "the connection broke".into();
            }
            let idle = state.pending.values().all(|pending| pending.sent) && state.cancelled.is_empty();
            let linger = state.linger_until.filter(|until| Instant::now() < *until && state.has_pending());
            if state.closing && idle && linger.is_none() {
                drop(state);
                socket.shutdown();
                return "closed".into();
            }
            let now = Instant::now();
            if !idle || (now >= next_heartbeat && !state.held.is_empty()) {
                break;
            }
            let due = state.first_due();
            if due.is_some_and(|due| now >= due) {
                socket.shutdown();
                return format!("no answer for {} s", SILENCE.as_secs());
            }
            // Without leases and requests there is nothing to wake up for.
            let heartbeat = (!state.held.is_empty()).then_some(next_heartbeat);
            state = match [heartbeat, due, linger].into_iter().flatten().min() {
                None => shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(wake) => {
                    let wait = wake.saturating_duration_since(now);
                    shared.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        if Instant::now() >= next_heartbeat && !state.held.is_empty() {
            let leases = state.held.keys().copied().collect();
            state.push(Request::Heartbeat { leases }, None);
            next_heartbeat = Instant::now() + heartbeat;
        }
        let messages = state.unsent();
        drop(state);
        bytes.clear();
        for message in &messages {
            if let Err(error) = encoder.encode(message, &mut bytes) {
                // Too large: it would be on every connection.
                if let ToHouseKeeper::Request { id, .. } = message {
                    shared.answered(*id, Err(Denial::Refused(error.to_string())));
                }
            }
        }
        if let Err(error) = socket.write_all(&bytes) {
            socket.shutdown();
            return error.to_string();
        }
    }
}

fn start_reader(
    shared: &Arc<Shared>,
    connection: u64,
    socket: &Socket,
    mut decoder: FrameDecoder,
) -> io::Result<()> {
    let mut socket = socket.try_clone()?;
    // The writer notices a dead connection by its heartbeats; an idle one may be silent as long as it likes.
    socket.set_timeouts(None, Some(PATIENCE))?;
    let shared = shared.clone();
    Builder::new().name("control-reader".into()).spawn(move || {
        let mut read = || -> Result<(), Failure> {
            loop {
                let message: Option<FromHouseKeeper> =
                    decoder.decode().map_err(|error| Failure::Connection(error.to_string()))?;
                match message {
                    Some(message) => shared.dispatch(message),
                    None => read_some(&mut socket, &mut decoder)?,
                }
            }
        };
        if let Err(Failure::Connection(why) | Failure::Refused(why)) = read() {
            tracing::debug!("connection to the house keeper: {why}");
        }
        socket.shutdown();
        shared.lock().broken = Some(connection);
        shared.changed.notify_all();
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_differ_and_stay_within_bounds() {
        let wait = Duration::from_secs(2);
        let waits: std::collections::BTreeSet<Duration> = (0..100).map(|_| jittered(wait)).collect();
        assert!(waits.len() > 10, "{waits:?}");
        assert!(waits.iter().all(|jittered| (wait / 2..=wait).contains(jittered)), "{waits:?}");
    }
}
