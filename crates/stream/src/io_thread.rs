//! The threads on which bytes move, and what all connections of a receiver share.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{SocketAddr, TcpStream},
    rc::Rc,
    sync::{
        atomic::{AtomicU64, Ordering},
        Arc, Mutex, MutexGuard, PoisonError,
    },
    thread,
};

use ingot_wire::Refusal;
use nix::{
    sched::{sched_setaffinity, CpuSet},
    unistd::Pid,
};
use tokio::{sync::mpsc, task::LocalSet};

use crate::{
    epoll::EpollLink,
    hash_pool::HashPool,
    link::{Kick, Link},
    protocol::Connection,
    receiver::{ReceiverConfig, Stats, Transport},
    tickets::Tickets,
    uring::UringLink,
    SlabPool, StreamError,
};

/// What all connections of a receiver share.
pub(crate) struct Shared {
    pub(crate) config: ReceiverConfig,
    pub(crate) pool: SlabPool,
    pub(crate) tickets: Arc<Tickets>,
    pub(crate) connections: Connections,
    pub(crate) hash_pool: Option<HashPool>,
    pub(crate) stats: Counters,
}

/// Connections by age, and which of them have not authenticated themselves yet.
#[derive(Default)]
pub(crate) struct Connections(Mutex<Open>);

#[derive(Default)]
struct Open {
    all: BTreeMap<u64, Arc<Kick>>,
    pending: BTreeSet<u64>,
}

impl Connections {
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a connection. Strangers over `max_pending` cost the oldest stranger its place, so that holding places
    /// open keeps nobody out; who holds a ticket is never turned away for it.
    pub(crate) fn add(&self, id: u64, kick: Arc<Kick>, max_pending: usize) {
        let mut lock = self.lock();
        let Open { all, pending } = &mut *lock;
        all.insert(id, kick);
        pending.insert(id);
        while pending.len() > max_pending.max(1) {
            let Some(oldest) = pending.pop_first() else { return };
            if let Some(kick) = all.get(&oldest) {
                kick.kick();
            }
        }
    }

    pub(crate) fn authenticated(&self, id: u64) {
        self.lock().pending.remove(&id);
    }

    pub(crate) fn remove(&self, id: u64) {
        let mut lock = self.lock();
        lock.all.remove(&id);
        lock.pending.remove(&id);
    }

    pub(crate) fn kick_all(&self) {
        self.lock().all.values().for_each(|kick| kick.kick());
    }

    fn len(&self) -> usize {
        self.lock().all.len()
    }
}

/// What happened so far.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) accepted: AtomicU64,
    failed: AtomicU64,
    received: AtomicU64,
    refused: AtomicU64,
    bytes: AtomicU64,
}

impl Counters {
    pub(crate) fn decided(&self, bytes: u64, outcome: Result<(), Refusal>) {
        if outcome.is_ok() {
            self.received.fetch_add(1, Ordering::Relaxed);
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
        } else {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn snapshot(&self, connections: &Connections) -> Stats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            connections_accepted: get(&self.accepted),
            connections_failed: get(&self.failed),
            connections_open: connections.len() as u64,
            received: get(&self.received),
            refused: get(&self.refused),
            received_bytes: get(&self.bytes),
        }
    }
}

/// A connection on its way to an I/O thread.
pub(crate) struct Accepted {
    pub(crate) stream: TcpStream,
    pub(crate) peer: SocketAddr,
    pub(crate) id: u64,
    pub(crate) kick: Arc<Kick>,
}

/// Starts an I/O thread; it ends when the queue's sender is dropped and its connections, kicked, have ended.
pub(crate) fn start(
    shared: Arc<Shared>,
    transport: Transport,
    number: usize,
    queue: mpsc::UnboundedReceiver<Accepted>,
) -> Result<thread::JoinHandle<()>, StreamError> {
    let name = format!("stream-{}-{number}", transport.name());
    let core = shared.config.cores.get(number % shared.config.cores.len().max(1)).copied();
    let (ready, started) = std::sync::mpsc::channel();
    let run = move || {
        if let Some(core) = core {
            pin(core);
        }
        match transport {
            Transport::Epoll => match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => {
                    let _ = ready.send(Ok(()));
                    let tasks = LocalSet::new();
                    tasks.block_on(&runtime, serve(shared, queue, EpollLink::new));
                }
                Err(error) => drop(ready.send(Err(error))),
            },
            Transport::Uring => match tokio_uring::Runtime::new(&tokio_uring::builder()) {
                Ok(runtime) => {
                    let _ = ready.send(Ok(()));
                    runtime.block_on(serve(shared, queue, |stream| Ok(UringLink::new(stream))));
                }
                Err(error) => drop(ready.send(Err(error))),
            },
        }
    };
    let failed = |source| StreamError::Thread { name: name.clone(), source };
    let thread = thread::Builder::new().name(name.clone()).spawn(run).map_err(failed)?;
    match started.recv() {
        Ok(Ok(())) => Ok(thread),
        Ok(Err(source)) => Err(failed(source)),
        Err(_) => Err(failed(io::Error::other("it ended at once"))),
    }
}

fn pin(core: usize) {
    let mut set = CpuSet::new();
    let pinned = set.set(core).and_then(|()| sched_setaffinity(Pid::from_raw(0), &set));
    if let Err(reason) = pinned {
        tracing::warn!(core, %reason, "cannot pin a stream thread to its core");
    }
}

/// Serves connections on the current thread, each as a task.
async fn serve<L: Link + 'static>(
    shared: Arc<Shared>,
    mut queue: mpsc::UnboundedReceiver<Accepted>,
    link: impl Fn(TcpStream) -> io::Result<L>,
) {
    let tasks = Rc::new(std::cell::Cell::new(0usize));
    let idle = Rc::new(tokio::sync::Notify::new());
    while let Some(Accepted { stream, peer, id, kick }) = queue.recv().await {
        let link = match link(stream) {
            Ok(link) => link,
            Err(error) => {
                tracing::warn!(%peer, %error, "cannot serve a stream connection");
                shared.connections.remove(id);
                continue;
            }
        };
        tasks.set(tasks.get() + 1);
        let (shared, tasks, idle) = (shared.clone(), tasks.clone(), idle.clone());
        tokio::task::spawn_local(async move {
            let connection = Connection { link, shared: &shared, peer, id, kick };
            if let Err(error) = connection.serve().await {
                shared.stats.failed.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%peer, %error, "stream connection closed");
            }
            shared.connections.remove(id);
            tasks.set(tasks.get() - 1);
            idle.notify_one();
        });
    }
    shared.connections.kick_all();
    while tasks.get() > 0 {
        idle.notified().await;
    }
}
