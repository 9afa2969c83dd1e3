//! Content-addressed files: written atomically, verified on every read.
//!
//! [`ArtifactStore`] keeps blobs under the BLAKE3 hash of their content; [`write_atomically`] and [`read_verified`] are
//! the two halves of the same promise for files that have names of their own, such as keys.
//!
//! **Invariant:** when a write returns, the bytes and their name survive a power cut; when a read returns, the bytes are
//! the ones that were asked for. This crate knows no job and no circuit.
//!
//! ```
//! # let folder = tempfile::tempdir()?;
//! use ingot_artifacts::ArtifactStore;
//!
//! let store = ArtifactStore::open(folder.path().join("artifacts"))?;
//! let artifact = store.put(b"a proof")?;
//! assert_eq!(artifact.size_bytes, 7);
//! assert_eq!(store.get(&artifact)?, b"a proof");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cache;
mod error;
mod file;
mod hash;
mod home;
mod part;
mod store;

pub use cache::CachedArtifacts;
pub use error::ArtifactError;
pub use file::{hash_file, read_verified, remove_leftovers, write_atomically};
pub use hash::{Blake3, ParseHashError};
pub use home::Artifacts;
pub use part::ArtifactWriter;
pub use store::{ArtifactRef, ArtifactStore, Collected};
