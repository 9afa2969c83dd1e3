//! How workers, gateways and people reach the house keeper: a blocking interface over one connection that comes back by
//! itself.
//!
//! Requests wait while there is no connection and are repeated after one broke: every request can be repeated, because it
//! either changes nothing the second time or is fenced by a token.

mod address;
mod artifacts;
mod control;
mod error;
mod lease;
mod stop;

use std::{
    sync::{mpsc, Arc, Mutex, PoisonError},
    thread::Builder,
    time::{Duration, Instant},
};

use ingot_job_store::{Filter, Token};
use ingot_types::JobKey;

use crate::protocol::{Answer, Grant, Notice, Registration, Request};
pub use address::{Address, ParseAddressError};
pub use artifacts::RemoteArtifacts;
pub use control::Link;
pub use error::ClientError;
pub use lease::HeldLease;
pub use stop::Stop;

use control::Shared;

/// How often those who wait look whether they should stop.
const LOOK: Duration = Duration::from_millis(100);

/// How long a client that nobody holds any more waits for the last answers.
const FAREWELL: Duration = Duration::from_secs(5);

/// How to reach the house keeper, and as whom.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Where it is.
    pub address: Address,
    /// The token that all components share; not needed on a Unix socket.
    pub token: Option<ingot_wire::Token>,
    /// Who this is.
    pub registration: Registration,
    /// How often leases are prolonged: a small part of how long they last.
    pub heartbeat: Duration,
    /// While the house keeper is away, leases count as lost after this long. By default they do not: a house keeper that
    /// comes back takes up the leases it knew, and work that another has done meanwhile is refused by its token.
    pub lease_ttl: Option<Duration>,
}

impl ClientOptions {
    /// With heartbeats every 3 seconds.
    pub fn new(address: Address, token: Option<ingot_wire::Token>, registration: Registration) -> Self {
        Self { address, token, registration, heartbeat: Duration::from_secs(3), lease_ttl: None }
    }

    fn lease_ttl(&self) -> Duration {
        self.lease_ttl.unwrap_or(Duration::MAX)
    }
}

/// The connection. Clones share it; it ends with the last of them, and of the leases.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
    _last: Arc<Last>,
    notices: Arc<Mutex<Option<mpsc::Receiver<Notice>>>>,
}

/// Ends the control thread, which would otherwise look for the house keeper for ever.
#[derive(Debug)]
struct Last(Arc<Shared>);

impl Drop for Last {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.closing = true;
        state.linger_until = Some(Instant::now() + FAREWELL);
        drop(state);
        self.0.changed.notify_all();
    }
}

impl Client {
    /// Starts connecting, in the background.
    ///
    /// # Errors
    /// [`ClientError::Thread`]; [`ClientError::Options`] if leases would run out between two heartbeats.
    pub fn start(options: ClientOptions) -> Result<Self, ClientError> {
        if options.heartbeat >= options.lease_ttl() {
            return Err(ClientError::Options(format!(
                "a heartbeat every {} ms: expected less than the {} ms that a lease lasts",
                options.heartbeat.as_millis(),
                options.lease_ttl().as_millis()
            )));
        }
        let (sender, receiver) = mpsc::channel();
        let shared = Shared::new(options, sender);
        let control = shared.clone();
        Builder::new()
            .name("control".into())
            .spawn(move || control::run(&control))
            .map_err(|e| ClientError::Thread(e.to_string()))?;
        let last = Arc::new(Last(shared.clone()));
        Ok(Self { shared, _last: last, notices: Arc::new(Mutex::new(Some(receiver))) })
    }

    fn shared(&self) -> &Shared {
        &self.shared
    }

    /// How the connection is.
    pub fn link(&self) -> Link {
        self.shared.lock().link.clone()
    }

    /// Waits until there is a connection, `limit` at most; how it is then.
    pub fn wait_connected(&self, limit: Duration, stop: &Stop) -> Link {
        let start = Instant::now();
        let mut state = self.shared.lock();
        while state.link != Link::Connected && start.elapsed() < limit && !stop.is_raised() {
            if matches!(state.link, Link::Refused { .. }) {
                break;
            }
            let wait = LOOK.min(limit.saturating_sub(start.elapsed()));
            state = self.shared.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.link.clone()
    }

    /// Asks, and waits for the answer as long as it takes.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn call(&self, request: Request) -> Result<Answer, ClientError> {
        let (_, answer) = self.shared.ask(request);
        answer.recv().unwrap_or(Err(ClientError::Closed))
    }

    /// Asks, and waits for the answer `limit` at most.
    ///
    /// # Errors
    /// [`ClientError::NoAnswer`] says how the connection is.
    pub fn call_within(&self, request: Request, limit: Duration) -> Result<Answer, ClientError> {
        let (id, answer) = self.shared.ask(request);
        match answer.recv_timeout(limit) {
            Ok(result) => result,
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(ClientError::Closed),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                self.shared.cancel(id);
                let why = match self.link() {
                    Link::Connected => "it is connected, but busy".into(),
                    Link::Connecting { why } | Link::Refused { why } => why,
                };
                Err(ClientError::NoAnswer { address: self.shared.options.address.to_string(), why })
            }
        }
    }

    /// Asks, and waits until the answer is there or `stop` is raised.
    fn call_until(&self, request: Request, stop: &Stop) -> Result<Option<Answer>, ClientError> {
        let (id, answer) = self.shared.ask(request);
        loop {
            match answer.recv_timeout(LOOK) {
                Ok(result) => return result.map(Some),
                Err(mpsc::RecvTimeoutError::Disconnected) => return Err(ClientError::Closed),
                Err(mpsc::RecvTimeoutError::Timeout) if stop.is_raised() => {
                    // An answer that comes from now on is seen to by the control thread.
                    self.shared.cancel(id);
                    return match answer.try_recv() {
                        Ok(result) => result.map(Some),
                        Err(_) => Ok(None),
                    };
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// The first job that fits, waiting up to `wait` for one, or until `stop` is raised.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn lease_within(
        &self,
        filter: Filter,
        wait: Duration,
        stop: &Stop,
    ) -> Result<Option<HeldLease>, ClientError> {
        match self.call_until(Request::Lease { filter, wait_ms: millis(wait) }, stop)? {
            Some(Answer::Lease(Some(lease))) => Ok(Some(HeldLease::new(self.clone(), *lease))),
            Some(Answer::Lease(None)) | None => Ok(None),
            Some(other) => Err(unexpected(&other)),
        }
    }

    /// A slab for a witness vector of `bytes` bytes, waiting up to `wait` for one, or until `stop` is raised.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn slab(
        &self,
        key: JobKey,
        token: Token,
        bytes: u64,
        wait: Duration,
        stop: &Stop,
    ) -> Result<Option<Grant>, ClientError> {
        match self.call_until(Request::Slab { key, token, bytes, wait_ms: millis(wait) }, stop)? {
            Some(Answer::Grant(grant)) => Ok(grant),
            None => Ok(None),
            Some(other) => Err(unexpected(&other)),
        }
    }

    /// Swaps a sender's lease for one of this process.
    ///
    /// # Errors
    /// [`ClientError::Stale`] if the sender no longer had it.
    pub fn hand_over(&self, key: JobKey, token: Token) -> Result<HeldLease, ClientError> {
        match self.call(Request::HandOver { key, token })? {
            // Another sender's vector of this job has come before: this one is of no use.
            Answer::Lease(Some(lease)) if self.shared.lock().held.contains_key(&(key, lease.token)) => Err(
                ClientError::Stale(format!("job {key} is in hand already, under token {}", lease.token.0)),
            ),
            Answer::Lease(Some(lease)) => Ok(HeldLease::new(self.clone(), *lease)),
            other => Err(unexpected(&other)),
        }
    }

    /// Says something whose answer nobody waits for.
    pub fn tell(&self, request: Request) {
        self.shared.tell(request);
    }

    /// What the house keeper says unasked; once.
    pub fn notices(&self) -> Option<mpsc::Receiver<Notice>> {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Hands back what is held, and ends the connection after what was said has been sent and answered, or after `limit`. While the house keeper is away,
    /// it is waited for only if a lease is to be ended.
    pub fn close(&self, limit: Duration) {
        let start = Instant::now();
        let mut state = self.shared.lock();
        state.release_held();
        self.shared.changed.notify_all();
        while state.has_pending() && start.elapsed() < limit {
            let wait = LOOK.min(limit.saturating_sub(start.elapsed()));
            state = self.shared.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.closing = true;
        drop(state);
        self.shared.changed.notify_all();
    }
}

fn unexpected(answer: &Answer) -> ClientError {
    let found: String = format!("{answer:?}").chars().take(60).collect();
    ClientError::Unexpected { found }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
