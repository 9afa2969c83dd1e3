//! The engine: one thread that owns the store, decides who gets what, and wakes who waits.
//!
//! Whatever has come in by the time it looks is handled together and committed once; only then are answers sent. When
//! nothing comes in and nothing is due, it sleeps.

mod arrivals;
mod batches;
mod clock;
mod core;
mod groups;
mod jobs;
mod operator;
mod outbox;
mod peers;
mod slabs;
mod versions;
mod view;

use std::{
    io,
    sync::mpsc::{channel, Receiver, RecvTimeoutError, Sender},
    thread::{Builder, JoinHandle},
    time::Duration,
};

use ingot_job_store::{Home, StoreError};

use crate::protocol::{FromHouseKeeper, Registration, ToHouseKeeper};
pub use batches::{first_job, WITNESS_INPUTS};
pub use clock::Clock;
pub use core::{Core, Input, StoreWork};
pub use groups::{Groups, GroupsError};
pub use view::{EngineView, Failed, First, Requeued, Totals};

/// Inputs that share a commit at most.
const MOST_TOGETHER: usize = 512;

/// How long the engine rests after the store failed.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// A connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub u64);

/// Where answers and notices to a peer go.
pub type Outbox = tokio::sync::mpsc::UnboundedSender<FromHouseKeeper>;

/// What the engine is told at the start.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// How long a lease lasts unless its holder is heard of, in milliseconds.
    pub lease_ttl_ms: u64,
    /// Witness vectors that may be under way in a zone for each slab of its provers.
    pub vectors_per_slab: u32,
    /// How long a prover keeps a slab for a sender that says nothing, in milliseconds.
    pub keep_slab_ms: u64,
    /// How long a prover has to answer that it keeps one, in milliseconds.
    pub prover_answers_ms: u64,
    /// Characters of a failure's reason that are kept.
    pub longest_reason: usize,
    /// Prover groups.
    pub groups: Groups,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            lease_ttl_ms: 15_000,
            vectors_per_slab: 2,
            keep_slab_ms: 20_000,
            prover_answers_ms: 5_000,
            longest_reason: 4_000,
            groups: Groups::default(),
        }
    }
}

// Most are the large one.
#[allow(clippy::large_enum_variant)]
enum Order {
    Input(Input),
    Stop,
}

/// How the rest of the house keeper reaches the engine. Nothing here blocks.
#[derive(Clone, Debug)]
pub struct EngineHandle {
    orders: Sender<Order>,
}

impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Input(input) => input.fmt(f),
            Self::Stop => f.write_str("Stop"),
        }
    }
}

/// Why the engine could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operating system gave no thread.
    #[error("cannot start the engine's thread: {0}")]
    Thread(#[source] io::Error),
}

impl EngineHandle {
    /// Starts the engine over a store that was just opened.
    ///
    /// # Errors
    /// [`EngineError`] if the store cannot be read or repaired.
    pub fn start(
        mut store: Box<dyn Home>,
        options: EngineOptions,
    ) -> Result<(Self, JoinHandle<()>), EngineError> {
        let clock = Clock::start();
        let core = Core::open(&mut *store, options, clock.now_ms())?;
        let (orders, inbox) = channel();
        let thread = Builder::new()
            .name("engine".into())
            .spawn(move || run(core, store, clock, &inbox))
            .map_err(EngineError::Thread)?;
        Ok((Self { orders }, thread))
    }

    fn order(&self, input: Input) {
        // After the engine has stopped there is nobody to tell; the connections end with it.
        let _ = self.orders.send(Order::Input(input));
    }

    /// A peer has introduced itself; `reply` learns its number, or why it is not let in. `origin` says where it comes
    /// from: process and user, or an address.
    pub fn connect(
        &self,
        registration: Registration,
        origin: String,
        outbox: Outbox,
        reply: impl FnOnce(Result<PeerId, String>) + Send + 'static,
    ) {
        self.order(Input::Connect { registration, origin, outbox, reply: Box::new(reply) });
    }

    /// A peer has sent something. Whoever calls this bounds what a peer has under way.
    pub fn receive(&self, peer: PeerId, message: ToHouseKeeper) {
        self.order(Input::Message { peer, message });
    }

    /// A connection has ended.
    pub fn disconnect(&self, peer: PeerId) {
        self.order(Input::Disconnect { peer });
    }

    /// A picture of the whole.
    pub fn view(&self, reply: impl FnOnce(EngineView) + Send + 'static) {
        self.order(Input::View(Box::new(reply)));
    }

    /// Other work on the store; it may share its transaction with requests.
    pub fn with_store(&self, work: impl FnOnce(&mut dyn Home, u64) + Send + 'static) {
        self.order(Input::Store(Box::new(work)));
    }

    /// Whether batches may come in; if not, why.
    pub fn set_intake(&self, intake: Result<(), String>) {
        self.order(Input::Intake(intake));
    }

    /// Says goodbye to everyone and ends the thread, after what has been sent before.
    pub fn stop(&self) {
        let _ = self.orders.send(Order::Stop);
    }
}

fn run(mut core: Core, mut store: Box<dyn Home>, clock: Clock, inbox: &Receiver<Order>) {
    let mut stopping = false;
    while !stopping {
        let mut inputs = Vec::new();
        match wait(inbox, core.next_deadline_ms(&*store), &clock) {
            Woken::By(Order::Input(input)) => inputs.push(input),
            Woken::By(Order::Stop) | Woken::Alone => stopping = true,
            Woken::Late => {}
        }
        while inputs.len() < MOST_TOGETHER && !stopping {
            match inbox.try_recv() {
                Ok(Order::Input(input)) => inputs.push(input),
                Ok(Order::Stop) => stopping = true,
                Err(_) => break,
            }
        }
        if !step(&mut core, &mut *store, inputs, clock.now_ms()) {
            // What is due stays due: a full disk must not keep a processor busy.
            std::thread::sleep(AFTER_FAILURE);
        }
    }
    core.say_goodbye();
}

/// Handles inputs that came together, in one transaction. `false` if the store failed, and nothing was stored.
pub fn step(core: &mut Core, store: &mut dyn Home, inputs: Vec<Input>, now_ms: u64) -> bool {
    let mut inputs = Some(inputs);
    let mut settled = Ok(());
    let committed = store.group(&mut |home| {
        // What comes in is handled all the same: loads and the like are kept in memory only, and are not said again.
        let resumed = core.resume(home, now_ms);
        for input in inputs.take().into_iter().flatten() {
            core.handle(home, input, now_ms);
        }
        settled = resumed.and(core.settle(home, now_ms));
    });
    match committed.and(settled) {
        Ok(()) => {
            core.stored();
            core.flush();
            true
        }
        Err(error) => {
            tracing::error!("nothing was stored: {error}");
            inputs.into_iter().flatten().for_each(|input| core.refuse(input, &error));
            core.rolled_back(store, &error, now_ms);
            false
        }
    }
}

// Most are the large one.
#[allow(clippy::large_enum_variant)]
enum Woken {
    By(Order),
    /// Something is due.
    Late,
    /// Nobody is left who could send anything.
    Alone,
}

fn wait(inbox: &Receiver<Order>, deadline_ms: Option<u64>, clock: &Clock) -> Woken {
    let Some(deadline_ms) = deadline_ms else {
        return inbox.recv().map_or(Woken::Alone, Woken::By);
    };
    let left = Duration::from_millis(deadline_ms.saturating_sub(clock.now_ms()));
    match inbox.recv_timeout(left) {
        Ok(order) => Woken::By(order),
        Err(RecvTimeoutError::Timeout) => Woken::Late,
        Err(RecvTimeoutError::Disconnected) => Woken::Alone,
    }
}
