//! What is said about backups.
//!
//! A backup is made by whoever asks for it, over any connection: the house keeper writes a copy of its database into its
//! artifact store and keeps every file there until the backup ends or is not heard of any more; the peer gets the
//! copy, and then each artifact that the copy names.

use ingot_artifacts::ArtifactRef;
use serde::{Deserialize, Serialize};

/// What the maker of a backup asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BackupRequest {
    /// Begins one → `Snapshot`.
    Begin,
    /// Goes on with it → `Kept`.
    Renew {
        /// Which.
        id: u64,
    },
    /// It is finished, or given up → `Ended`.
    End {
        /// Which.
        id: u64,
    },
}

/// What it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BackupAnswer {
    /// A copy of the database. No file that it names is removed before the backup ends.
    Snapshot {
        /// Names the backup.
        id: u64,
        /// The copy, as an artifact.
        database: ArtifactRef,
        /// How long files are kept unless `Renew` comes, in milliseconds.
        keep_ms: u64,
    },
    /// Files are kept for as long again.
    Kept,
    /// They are not kept any longer.
    Ended,
}
