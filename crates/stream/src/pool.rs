//! The slab pool: memory that is allocated once; a free slab is a credit.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    slice,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use crate::{memory::SlabMemory, MmapSlab, StreamError};

struct Shared {
    free: Mutex<Vec<Box<dyn SlabMemory>>>,
    /// How many are free, for those who wait for a credit.
    count: watch::Sender<usize>,
    capacity: usize,
    slab_bytes: usize,
}

impl Shared {
    fn free(&self) -> MutexGuard<'_, Vec<Box<dyn SlabMemory>>> {
        // A list of slabs is whole after any panic.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number of slabs of one size, allocated once.
#[derive(Clone)]
pub struct SlabPool(Arc<Shared>);

impl SlabPool {
    /// Maps `slabs` slabs of `slab_bytes` bytes each (see [`MmapSlab::new`]).
    pub fn mmap(slabs: usize, slab_bytes: usize, huge_pages: bool) -> Result<Self, StreamError> {
        let memory = (0..slabs)
            .map(|_| MmapSlab::new(slab_bytes, huge_pages).map(|m| Box::new(m) as Box<dyn SlabMemory>))
            .collect::<Result<_, _>>()?;
        Ok(Self::from_memory(memory))
    }

    /// A pool of the given memory. All slabs count as long as the shortest.
    pub fn from_memory(memory: Vec<Box<dyn SlabMemory>>) -> Self {
        let slab_bytes = memory.iter().map(|m| m.len_bytes()).min().unwrap_or(0);
        let capacity = memory.len();
        Self(Arc::new(Shared {
            free: Mutex::new(memory),
            count: watch::Sender::new(capacity),
            capacity,
            slab_bytes,
        }))
    }

    /// A free slab, if there is one. It goes back when it is dropped.
    pub fn try_acquire(&self) -> Option<Slab> {
        let memory = {
            let mut free = self.0.free();
            let memory = free.pop();
            self.0.count.send_replace(free.len());
            memory
        }?;
        Some(Slab(Arc::new(Held { memory: Some(memory), home: self.0.clone() })))
    }

    /// How many slabs are free: credits to grant.
    pub fn free(&self) -> usize {
        self.0.free().len()
    }

    /// How many slabs there are.
    pub fn capacity(&self) -> usize {
        self.0.capacity
    }

    /// Length of a slab, in bytes.
    pub fn slab_bytes(&self) -> usize {
        self.0.slab_bytes
    }

    /// The number of free slabs as it changes, for who has credits to announce.
    pub fn watch_free(&self) -> watch::Receiver<usize> {
        self.0.count.subscribe()
    }
}

impl fmt::Debug for SlabPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SlabPool({} of {} slabs free, {} bytes each)",
            self.free(),
            self.capacity(),
            self.slab_bytes()
        )
    }
}

/// A slab that is out of its pool: alive as long as anything may touch its memory, and back in the pool afterwards.
pub(crate) struct Held {
    /// Taken in `drop` only.
    memory: Option<Box<dyn SlabMemory>>,
    home: Arc<Shared>,
}

impl Held {
    pub(crate) fn memory(&self) -> Option<&dyn SlabMemory> {
        self.memory.as_deref()
    }

    pub(crate) fn len_bytes(&self) -> usize {
        self.home.slab_bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            let mut free = self.home.free();
            free.push(memory);
            self.home.count.send_replace(free.len());
        }
    }
}

/// The only handle to a slab's memory; dropping it gives the slab back.
pub struct Slab(pub(crate) Arc<Held>);

impl Deref for Slab {
    type Target = [u8];
    #[allow(unsafe_code)]
    fn deref(&self) -> &[u8] {
        let Some(memory) = self.0.memory() else { return &[] };
        // SAFETY: `SlabMemory` promises so many initialised bytes there while `self.0` lives; nobody writes them: a `Slab`
        // exists only while no window does (`SlabWriter::finish`), and it is not `Clone`.
        unsafe { slice::from_raw_parts(memory.as_ptr().as_ptr(), self.0.len_bytes()) }
    }
}

impl DerefMut for Slab {
    #[allow(unsafe_code)]
    fn deref_mut(&mut self) -> &mut [u8] {
        let Some(memory) = self.0.memory() else { return &mut [] };
        // SAFETY: as in `deref`; `&mut self` makes this the only view.
        unsafe { slice::from_raw_parts_mut(memory.as_ptr().as_ptr(), self.0.len_bytes()) }
    }
}

impl fmt::Debug for Slab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.0.memory().map_or("", |m| m.kind());
        write!(f, "Slab({} bytes, {kind})", self.0.len_bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_slab_is_a_credit_and_comes_back_when_dropped() {
        let pool = SlabPool::mmap(2, 1000, false).unwrap();
        let mut changes = pool.watch_free();
        let (mut a, b) = (pool.try_acquire().unwrap(), pool.try_acquire().unwrap());
        assert!(pool.try_acquire().is_none());
        assert_eq!((a.len(), pool.free(), pool.capacity()), (1000, 0, 2));
        a.fill(7);
        assert!(a.iter().all(|&x| x == 7) && b.iter().all(|&x| x == 0), "slabs do not overlap");
        drop(a);
        assert_eq!((pool.free(), *changes.borrow_and_update()), (1, 1));
        drop(b);
        assert_eq!(pool.free(), 2);
    }

    #[test]
    fn no_two_threads_hold_one_slab() {
        let pool = SlabPool::mmap(3, 64, false).unwrap();
        thread::scope(|scope| {
            for id in 1..=8u8 {
                let pool = &pool;
                scope.spawn(move || {
                    let mut held = 0;
                    while held < 500 {
                        let Some(mut slab) = pool.try_acquire() else {
                            thread::yield_now();
                            continue;
                        };
                        slab.fill(id);
                        thread::yield_now();
                        assert!(slab.iter().all(|&x| x == id));
                        held += 1;
                    }
                });
            }
        });
        assert_eq!(pool.free(), 3);
    }

    #[test]
    fn huge_pages_fall_back_and_impossible_sizes_are_errors() {
        assert_eq!(SlabPool::mmap(1, 100, true).unwrap().slab_bytes(), 100);
        assert!(SlabPool::mmap(1, usize::MAX - 5, false).is_err());
        assert!(crate::memlock_limit_bytes().is_ok());
    }
}
