//! What any home must do, as cases to run on it: a second home that passes them behaves as the first.
//!
//! Each case gets a home of its own, empty, and panics if the home does otherwise than it should. Homes are expected to
//! have the default [`Backoff`](crate::Backoff).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // cases are tests

mod homes;
mod jobs;

use crate::{Home, JobStore};

/// A case: its name, and what it does with an empty store.
pub type JobStoreCase = (&'static str, fn(&mut dyn JobStore));
/// A case: its name, and what it does with an empty home.
pub type HomeCase = (&'static str, fn(&mut dyn Home));

/// Cases for everything that keeps jobs.
pub const JOB_STORE: &[JobStoreCase] = jobs::CASES;

/// Cases for homes that outlive processes, beside [`JOB_STORE`].
pub const HOME: &[HomeCase] = homes::CASES;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Backoff, MemoryStore, SqliteStore};

    #[test]
    fn the_home_in_memory_conforms() {
        for (name, case) in JOB_STORE {
            println!("{name}");
            case(&mut MemoryStore::new(Backoff::default()));
        }
    }

    #[test]
    fn the_home_in_memory_with_a_journal_conforms() {
        for (name, case) in JOB_STORE {
            println!("{name}");
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("journal");
            case(&mut MemoryStore::open(&path, Backoff::default(), 0).unwrap().0);
        }
    }

    #[test]
    fn the_database_conforms() {
        for (name, case) in JOB_STORE {
            println!("{name}");
            case(&mut SqliteStore::in_memory(Backoff::default()).unwrap());
        }
        for (name, case) in HOME {
            println!("{name}");
            case(&mut SqliteStore::in_memory(Backoff::default()).unwrap());
        }
    }
}
