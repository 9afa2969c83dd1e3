//! A flag that ends waiting.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Duration,
};

/// A stop flag: raised once, seen by all clones.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<(Mutex<bool>, Condvar)>);

impl Stop {
    /// A flag that is not raised.
    pub fn new() -> Self {
        Self::default()
    }

    /// Raises it.
    pub fn raise(&self) {
        *self.0 .0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0 .1.notify_all();
    }

    /// Whether it is raised.
    pub fn is_raised(&self) -> bool {
        *self.0 .0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it is raised, `limit` at most; whether it is.
    pub fn wait_timeout(&self, limit: Duration) -> bool {
        let raised = self.0 .0.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = self.0 .1.wait_timeout_while(raised, limit, |raised| !*raised);
        *wait.unwrap_or_else(PoisonError::into_inner).0
    }
}
