//! The receiver: listens, and brings tickets, slabs and connections together.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{atomic::Ordering, Arc},
    thread,
    time::Duration,
};

use ingot_wire::Ticket;
use tokio::{sync::mpsc, sync::Notify, time::Instant};

use crate::{
    hash_pool::HashPool,
    io_thread::{self, Accepted, Shared},
    link::Kick,
    protocol::ACCEPT_PAUSE,
    tickets::{Expected, Owner, Tickets},
    uring, ExpectError, SlabPool, StreamError,
};

/// The transport that the configuration asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransportChoice {
    /// io_uring where the kernel gives it out, else epoll.
    #[default]
    Auto,
    /// io_uring, or an error.
    Uring,
    /// epoll.
    Epoll,
}

/// The transport that is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// tokio-uring on threads of its own.
    Uring,
    /// tokio on threads of its own.
    Epoll,
}

impl Transport {
    /// Its name in configuration and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uring => "uring",
            Self::Epoll => "epoll",
        }
    }
}

/// Where chunks are hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hashing {
    /// On the I/O thread, piece by piece, while the bytes are in the processor's cache: least work.
    Inline,
    /// On so many threads of their own, while the next chunk arrives: most throughput where cores are free.
    Threads(usize),
}

/// How a receiver works.
#[derive(Clone, Debug)]
pub struct ReceiverConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// How bytes are moved.
    pub transport: TransportChoice,
    /// How many threads move them.
    pub io_threads: usize,
    /// Where they are hashed.
    pub hashing: Hashing,
    /// Cores to pin the I/O threads to, in turn; none: not pinned.
    pub cores: Vec<usize>,
    /// How many connections may be open that have not presented a ticket.
    pub max_pending: usize,
    /// How long a connection may take to present one.
    pub handshake_timeout: Duration,
    /// How long half a mebibyte may take to arrive.
    pub idle_timeout: Duration,
    /// How long the outcome of a ticket is remembered, for senders that did not hear it.
    pub remember: Duration,
}

impl ReceiverConfig {
    /// Usual values: one I/O thread, hashing on it, 256 strangers, 5 s to present a ticket, 15 s of silence, outcomes
    /// remembered for 10 minutes.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            transport: TransportChoice::Auto,
            io_threads: 1,
            hashing: Hashing::Inline,
            cores: Vec::new(),
            max_pending: 256,
            handshake_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(15),
            remember: Duration::from_secs(600),
        }
    }
}

/// What a receiver has seen so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections accepted.
    pub connections_accepted: u64,
    /// Of them, how many ended in an error.
    pub connections_failed: u64,
    /// How many are open now.
    pub connections_open: u64,
    /// Witness vectors that the owner took.
    pub received: u64,
    /// Witness vectors that the owner refused.
    pub refused: u64,
    /// Payload of those it took, in bytes.
    pub received_bytes: u64,
}

/// Receives witness vectors into the slabs of a pool, for tickets that its owner registers.
///
/// Dropping it closes every connection and waits for its threads.
pub struct Receiver {
    shared: Arc<Shared>,
    address: SocketAddr,
    transport: Transport,
    stop: Arc<Notify>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Receiver({}, {}, {:?})", self.address, self.transport.name(), self.shared.pool)
    }
}

impl Receiver {
    /// Listens and starts the threads.
    pub fn start(config: ReceiverConfig, pool: SlabPool, owner: Arc<dyn Owner>) -> Result<Self, StreamError> {
        let transport = choose(config.transport)?;
        let refused = |source| StreamError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let hash_pool = match config.hashing {
            Hashing::Inline => None,
            Hashing::Threads(threads) => Some(
                HashPool::start(threads)
                    .map_err(|source| StreamError::Thread { name: "stream-hash".into(), source })?,
            ),
        };
        let tickets = Arc::new(Tickets::new(owner, config.remember));
        let io_threads = config.io_threads.max(1);
        let (connections, stats) = Default::default();
        let shared = Arc::new(Shared { config, pool, tickets, connections, hash_pool, stats });
        let mut queues = Vec::new();
        let mut threads = Vec::new();
        for number in 0..io_threads {
            let (queue, connections) = mpsc::unbounded_channel();
            queues.push(queue);
            threads.push(io_thread::start(shared.clone(), transport, number, connections)?);
        }
        let stop = Arc::new(Notify::new());
        let failed = |source| StreamError::Thread { name: "stream-accept".into(), source };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let accept = {
            let (shared, stop) = (shared.clone(), stop.clone());
            move || runtime.block_on(accept(&shared, listener, queues, &stop))
        };
        threads.push(thread::Builder::new().name("stream-accept".into()).spawn(accept).map_err(failed)?);
        Ok(Self { shared, address, transport, stop, threads })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The transport in use.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// The slabs.
    pub fn pool(&self) -> &SlabPool {
        &self.shared.pool
    }

    /// Registers a ticket and reserves a slab for it.
    pub fn expect(&self, ticket: Ticket, expected: Expected) -> Result<(), ExpectError> {
        let slab_bytes = self.shared.pool.slab_bytes();
        if expected.max_bytes > slab_bytes as u64 {
            return Err(ExpectError::TooLong { max_bytes: expected.max_bytes, slab_bytes });
        }
        let capacity = self.shared.pool.capacity();
        let slab = self.shared.pool.try_acquire().ok_or(ExpectError::NoCredit { capacity })?;
        self.shared.tickets.insert(ticket, expected, slab)
    }

    /// Forgets a ticket and frees its slab. `false`: it is not known, or its witness vector arrived already.
    pub fn cancel(&self, ticket: u64) -> bool {
        self.shared.tickets.cancel(ticket)
    }

    /// What happened so far.
    pub fn stats(&self) -> Stats {
        self.shared.stats.snapshot(&self.shared.connections)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.notify_one();
        for thread in self.threads.drain(..).rev() {
            let _ = thread.join();
        }
    }
}

fn choose(choice: TransportChoice) -> Result<Transport, StreamError> {
    if choice == TransportChoice::Epoll {
        return Ok(Transport::Epoll);
    }
    match uring::probe() {
        Ok(()) => Ok(Transport::Uring),
        Err(error) if choice == TransportChoice::Uring => Err(StreamError::NoUring(error)),
        Err(error) => {
            tracing::warn!(%error, "the kernel refuses io_uring: witness vectors are received through epoll");
            Ok(Transport::Epoll)
        }
    }
}

/// Accepts connections and ends tickets that ran out, until it is stopped. The queues end with it, and with them the
/// I/O threads.
async fn accept(
    shared: &Shared,
    listener: TcpListener,
    queues: Vec<mpsc::UnboundedSender<Accepted>>,
    stop: &Notify,
) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "cannot accept witness vectors");
            return;
        }
    };
    let mut queues = queues.iter().cycle();
    let mut next_id = 0u64;
    loop {
        let sweep = shared.tickets.sweep();
        tokio::select! {
            biased;
            () = stop.notified() => return,
            () = shared.tickets.changed.notified() => {}
            () = until(sweep) => {}
            accepted = listener.accept() => {
                let accepted = accepted.and_then(|(stream, peer)| {
                    stream.set_nodelay(true)?;
                    let stream = stream.into_std()?;
                    // io_uring waits in the kernel; epoll sets its own mode.
                    stream.set_nonblocking(false)?;
                    Ok((stream, peer))
                });
                match accepted {
                    Ok((stream, peer)) => {
                        let kick = Arc::new(Kick::default());
                        next_id += 1;
                        shared.stats.accepted.fetch_add(1, Ordering::Relaxed);
                        shared.connections.add(next_id, kick.clone(), shared.config.max_pending);
                        if let Some(queue) = queues.next() {
                            // Fails only when the thread is gone, and then the connection closes.
                            let _ = queue.send(Accepted { stream, peer, id: next_id, kick });
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                    Err(error) => {
                        // Out of descriptors, most likely: they come back when connections end.
                        tracing::warn!(%error, "cannot accept a stream connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        }
    }
}

async fn until(when: Option<std::time::Instant>) {
    match when {
        Some(when) => tokio::time::sleep_until(Instant::from_std(when)).await,
        None => std::future::pending().await,
    }
}
