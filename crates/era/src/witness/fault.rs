//! The first thing that went wrong while the published witness generation ran. It has no way to return an error from its
//! storage or its tree: what they find is noted here, and they panic.

use std::sync::{Arc, Mutex, PoisonError};

/// Shared by storage, tree and whoever runs them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fault(Arc<Mutex<Option<String>>>);

impl Fault {
    /// Notes `what`, unless something came before, and panics.
    #[allow(clippy::panic)] // The only way out of the published traits; caught in `run`.
    pub fn raise(&self, what: String) -> ! {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| what.clone());
        panic!("{what}");
    }

    /// What was noted.
    pub fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
