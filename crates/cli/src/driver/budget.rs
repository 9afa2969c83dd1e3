//! A memory budget: each job takes its estimate for its whole life, so what has begun can always finish.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The budget.
#[derive(Debug)]
pub(crate) struct Budget {
    max_bytes: u64,
    used: Mutex<u64>,
    freed: Condvar,
}

/// Memory that a job may use; given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Budget {
    pub fn new(max_bytes: u64) -> Arc<Self> {
        Arc::new(Self { max_bytes, used: Mutex::new(0), freed: Condvar::new() })
    }

    /// Waits until `bytes` fit. One job alone always fits: refusing it would not make it smaller.
    pub fn take(self: &Arc<Self>, bytes: u64) -> Permit {
        let mut used = lock(&self.used);
        while *used > 0 && used.saturating_add(bytes) > self.max_bytes {
            used = self.freed.wait(used).unwrap_or_else(PoisonError::into_inner);
        }
        *used = used.saturating_add(bytes);
        Permit { budget: self.clone(), bytes }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut used = lock(&self.budget.used);
        *used = used.saturating_sub(self.bytes);
        self.budget.freed.notify_all();
    }
}

fn lock(used: &Mutex<u64>) -> MutexGuard<'_, u64> {
    used.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU64, Ordering},
        thread,
    };

    use super::*;

    #[test]
    fn the_sum_stays_within_the_budget_except_for_one_job_alone() {
        let budget = Budget::new(10);
        let (used, peak) = (AtomicU64::new(0), AtomicU64::new(0));
        thread::scope(|scope| {
            for i in 0..8u64 {
                let (budget, used, peak) = (&budget, &used, &peak);
                scope.spawn(move || {
                    for round in 0..200 {
                        let bytes = if round == 77 && i == 3 { 25 } else { 1 + (i + round) % 7 };
                        let permit = budget.take(bytes);
                        let now = used.fetch_add(bytes, Ordering::SeqCst) + bytes;
                        if bytes == 25 {
                            assert_eq!(now, 25, "alone");
                        } else {
                            peak.fetch_max(now, Ordering::SeqCst);
                        }
                        used.fetch_sub(bytes, Ordering::SeqCst);
                        drop(permit);
                    }
                });
            }
        });
        assert!(peak.into_inner() <= 10);
    }
}
