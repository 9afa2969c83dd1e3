//! One thread that owns a home and commits what waits for it together.
//!
//! A durable commit costs a sync of the disk, and it costs the same for one change as for hundreds. Requests that arrive
//! while a commit is under way form the next group; each has its answer only when its group is on disk.
//!
//! **Invariant:** nothing runs while nobody asks. Time passes in the store when [`JobStore::advance`](crate::JobStore) is
//! asked for, as anything else.

use std::{
    panic::{catch_unwind, AssertUnwindSafe},
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc::{sync_channel, Receiver, SyncSender, TryRecvError, TrySendError},
        Arc,
    },
    thread::JoinHandle,
};

use crate::{Home, StoreError};

/// Requests that one commit covers at most, so that the first of them does not wait for long.
const MOST_IN_A_GROUP: usize = 512;
/// Requests that may wait. Further ones are refused as [`StoreError::Busy`].
const MOST_WAITING: usize = 8_192;

/// The thread's owner. Dropping it answers what waits, and ends the thread.
#[derive(Debug)]
pub struct Writer<H: Home + 'static> {
    handle: WriterHandle,
    thread: Option<JoinHandle<H>>,
}

/// Asks the thread for something. Cheap to clone, and neither blocks nor needs an async runtime.
#[derive(Clone, Debug)]
pub struct WriterHandle {
    sender: SyncSender<Message>,
    statements: Arc<AtomicU64>,
    commits: Arc<AtomicU64>,
}

impl<H: Home + 'static> Writer<H> {
    /// Starts the thread. `clock_ms` is read once for each group, in milliseconds since the Unix epoch: what it says is
    /// the time of all that happens in the group.
    ///
    /// # Errors
    /// [`StoreError::Thread`] if the operating system refuses a thread.
    pub fn spawn(home: H, clock_ms: impl Fn() -> u64 + Send + 'static) -> Result<Self, StoreError> {
        let (sender, receiver) = sync_channel(MOST_WAITING);
        let handle = WriterHandle {
            sender,
            statements: Arc::new(AtomicU64::new(home.statements())),
            commits: Arc::default(),
        };
        let (statements, commits) = (Arc::clone(&handle.statements), Arc::clone(&handle.commits));
        let work = move || serve(home, &receiver, &clock_ms, &statements, &commits);
        let thread = std::thread::Builder::new()
            .name("job-store".into())
            .spawn(work)
            .map_err(|source| StoreError::Thread { source })?;
        Ok(Self { handle, thread: Some(thread) })
    }

    /// A way to ask.
    pub fn handle(&self) -> WriterHandle {
        self.handle.clone()
    }

    /// Answers all that was asked so far, ends the thread and returns the home. What is asked later is answered with
    /// [`StoreError::Closed`].
    ///
    /// # Errors
    /// [`StoreError::Panicked`] if the thread itself did.
    pub fn close(mut self) -> Result<H, StoreError> {
        let thread = self.thread.take().ok_or(StoreError::Closed)?;
        // If nobody receives, the thread has ended.
        let _ = self.handle.sender.send(Message::Stop);
        thread.join().map_err(|panic| StoreError::Panicked { reason: reason(panic.as_ref()) })
    }
}

impl<H: Home + 'static> Drop for Writer<H> {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = self.handle.sender.send(Message::Stop);
            let _ = thread.join();
        }
    }
}

impl WriterHandle {
    /// Runs `work` on the home at the time given to it, in milliseconds since the Unix epoch, and calls `reply` once what
    /// it did is on disk. Never waits.
    ///
    /// If `work` fails, nothing that it did stays; the rest of its group does. `reply` runs on the writer's thread and
    /// should only pass the answer on. It is called exactly once: with what `work` returned, or with
    /// [`StoreError::Group`] if its group could not be stored, [`StoreError::Panicked`] if `work` did,
    /// [`StoreError::Busy`] if too many wait, [`StoreError::Closed`] if the writer has ended.
    pub fn submit<T, W, R>(&self, work: W, reply: R)
    where
        T: Send + 'static,
        W: FnOnce(&mut dyn Home, u64) -> Result<T, StoreError> + Send + 'static,
        R: FnOnce(Result<T, StoreError>) + Send + 'static,
    {
        let task = Task { work: Some(work), result: None, reply: Some(reply) };
        if let Err(error) = self.sender.try_send(Message::Task(Box::new(task))) {
            match error {
                TrySendError::Full(Message::Task(mut task)) => task.answer(Some(StoreError::Busy)),
                // Dropped without an answer, it says so.
                TrySendError::Full(Message::Stop) | TrySendError::Disconnected(_) => {}
            }
        }
    }

    /// [`submit`](Self::submit), and waits for the answer, and for room if too many wait: for threads that may block.
    ///
    /// # Errors
    /// As `submit` answers.
    pub fn call<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&mut dyn Home, u64) -> Result<T, StoreError> + Send + 'static,
    {
        let (sender, receiver) = sync_channel(1);
        let reply = move |result| drop(sender.send(result));
        let task = Task { work: Some(work), result: None, reply: Some(reply) };
        // Dropped without an answer, it says so.
        let _ = self.sender.send(Message::Task(Box::new(task)));
        receiver.recv().unwrap_or(Err(StoreError::Closed))
    }

    /// SQL statements run up to the last commit: stands still while nothing happens.
    pub fn statements(&self) -> u64 {
        self.statements.load(Ordering::Acquire)
    }

    /// Groups that were committed.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Acquire)
    }
}

enum Message {
    Task(Box<dyn Request>),
    Stop,
}

/// A [`Task`] whose types are its own business.
trait Request: Send {
    fn run(&mut self, home: &mut dyn Home, now_ms: u64);
    /// Gives the answer: this error, or what `run` left.
    fn answer(&mut self, failure: Option<StoreError>);
}

struct Task<T, W, R: FnOnce(Result<T, StoreError>)> {
    work: Option<W>,
    result: Option<Result<T, StoreError>>,
    reply: Option<R>,
}

impl<T, W, R> Request for Task<T, W, R>
where
    T: Send,
    W: FnOnce(&mut dyn Home, u64) -> Result<T, StoreError> + Send,
    R: FnOnce(Result<T, StoreError>) + Send,
{
    fn run(&mut self, home: &mut dyn Home, now_ms: u64) {
        let (Some(work), result) = (self.work.take(), &mut self.result) else { return };
        let mut work = Some(work);
        let part = home.part(&mut |home| {
            let Some(work) = work.take() else { return Ok(()) };
            let done = catch_unwind(AssertUnwindSafe(|| work(home, now_ms)));
            *result =
                Some(Ok(done
                    .unwrap_or_else(|panic| Err(StoreError::Panicked { reason: reason(panic.as_ref()) }))?));
            Ok(())
        });
        if let Err(error) = part {
            *result = Some(Err(error));
        }
    }

    fn answer(&mut self, failure: Option<StoreError>) {
        let result = match failure {
            Some(error) => Some(Err(error)),
            None => self.result.take(),
        };
        if let Some(reply) = self.reply.take() {
            // A reply that panics must not take the others with it.
            let _ = catch_unwind(AssertUnwindSafe(|| reply(result.unwrap_or(Err(StoreError::Closed)))));
        }
    }
}

impl<T, W, R: FnOnce(Result<T, StoreError>)> Drop for Task<T, W, R> {
    fn drop(&mut self) {
        if let Some(reply) = self.reply.take() {
            let _ = catch_unwind(AssertUnwindSafe(|| reply(Err(StoreError::Closed))));
        }
    }
}

fn serve<H: Home>(
    mut home: H,
    receiver: &Receiver<Message>,
    clock_ms: &dyn Fn() -> u64,
    statements: &AtomicU64,
    commits: &AtomicU64,
) -> H {
    let mut group: Vec<Box<dyn Request>> = Vec::new();
    let mut open = true;
    while open {
        match receiver.recv() {
            Ok(Message::Task(task)) => group.push(task),
            Ok(Message::Stop) | Err(_) => break,
        }
        while group.len() < MOST_IN_A_GROUP {
            match receiver.try_recv() {
                Ok(Message::Task(task)) => group.push(task),
                Ok(Message::Stop) | Err(TryRecvError::Disconnected) => {
                    open = false;
                    break;
                }
                Err(TryRecvError::Empty) => break,
            }
        }
        let now_ms = clock_ms();
        let mut work = |home: &mut dyn Home| group.iter_mut().for_each(|task| task.run(home, now_ms));
        let stored = catch_unwind(AssertUnwindSafe(|| home.group(&mut work)))
            .unwrap_or_else(|panic| Err(StoreError::Panicked { reason: reason(panic.as_ref()) }));
        statements.store(home.statements(), Ordering::Release);
        match stored {
            Ok(()) => {
                commits.fetch_add(1, Ordering::Release);
                group.drain(..).for_each(|mut task| task.answer(None));
            }
            Err(error) => {
                let error = Arc::new(error);
                for mut task in group.drain(..) {
                    task.answer(Some(StoreError::Group { source: Arc::clone(&error) }));
                }
            }
        }
    }
    home
}

/// What a panic said.
fn reason(panic: &(dyn std::any::Any + Send)) -> String {
    ingot_types::panic_text(panic).unwrap_or_else(|| "no reason given".into())
}
