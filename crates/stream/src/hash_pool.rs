//! Threads that hash chunks where they lie, while the next ones arrive.

use std::{
    io,
    sync::{mpsc, Arc, Mutex, PoisonError},
    thread,
};

use ingot_wire::{ChunkTag, StreamKeys};
use tokio::sync::oneshot;

use crate::window::Window;

struct Task {
    keys: StreamKeys,
    index: u32,
    window: Window,
    tag: oneshot::Sender<[u8; 32]>,
}

/// Threads that end when the pool is dropped.
pub(crate) struct HashPool {
    tasks: Option<mpsc::Sender<Task>>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl HashPool {
    pub(crate) fn start(threads: usize) -> io::Result<Self> {
        let (tasks, queue) = mpsc::channel::<Task>();
        let queue = Arc::new(Mutex::new(queue));
        let work = |queue: Arc<Mutex<mpsc::Receiver<Task>>>| loop {
            let task = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(Task { keys, index, window, tag }) = task else { return };
            let mut hash = ChunkTag::new(&keys);
            hash.update(window.filled());
            // The window goes before the tag does: who got the tag may turn the slab's writer back.
            drop(window);
            // Nobody waits any more: the connection is gone.
            let _ = tag.send(hash.finish(index));
        };
        let threads = (0..threads.max(1))
            .map(|i| {
                let queue = queue.clone();
                thread::Builder::new().name(format!("stream-hash-{i}")).spawn(move || work(queue))
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { tasks: Some(tasks), threads })
    }

    /// Hashes what a window holds. The receiver gets an error only when the pool is gone.
    pub(crate) fn hash(&self, keys: &StreamKeys, index: u32, window: Window) -> oneshot::Receiver<[u8; 32]> {
        let (tag, result) = oneshot::channel();
        if let Some(tasks) = &self.tasks {
            // A refused task drops its sender, which is what the receiver then sees.
            let _ = tasks.send(Task { keys: keys.clone(), index, window, tag });
        }
        result
    }
}

impl Drop for HashPool {
    fn drop(&mut self) {
        self.tasks = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
