//! Keys: the manifest that pins them by hash, making them ([`generate`], [`check`]), and loading them ([`KeyStore`]).
//!
//! **Invariant:** no byte of a setup key, verification key or finalization hint is used before its size and BLAKE3 have
//! been compared with a manifest.

mod cache;
mod error;
mod keygen;
mod manifest;
mod on_demand;
mod pin;
mod progress;
mod receipt;
mod schedule;
mod store;

pub use error::KeyError;
pub use keygen::{check, generate, CheckRow, KeygenEvent, KeygenOptions, KeygenReport};
pub use manifest::{vk_commitment, FileRole, KeyEntry, KeyManifest, MANIFEST_FILE, MANIFEST_FORMAT};
pub use on_demand::OnDemandKeys;
pub use pin::FilePin;
pub use progress::Progress;
pub use receipt::{BuildReceipt, RECEIPT_FILE};
pub use store::{EmbeddedFiles, FileSource, KeyStore};
