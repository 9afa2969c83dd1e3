//! Artifacts over a connection: requests and answers in frames, content as raw bytes between them.
//!
//! * get: `Get` → `Content`, then exactly `size_bytes - offset` raw bytes, or `Denied`.
//! * put: `Put` → `Send`, the peer then sends exactly `size_bytes - offset` raw bytes, → `Stored` after the whole was
//!   verified and survives a power cut; or `Stored` at once if it is there; or `Busy`; or `Denied`, which
//!   can also come while the peer is sending: the connection ends after it.
//!
//! Whoever gets an artifact verifies the whole of it. A connection that breaks keeps what came: `offset` goes on there.

use ingot_artifacts::ArtifactRef;
use ingot_types::RetryClass;
use serde::{Deserialize, Serialize};

/// What a peer asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ArtifactRequest {
    /// Sends the artifact from a byte on.
    Get {
        /// Which.
        artifact: ArtifactRef,
        /// The first byte wanted.
        offset: u64,
    },
    /// Takes an artifact.
    Put {
        /// Which.
        artifact: ArtifactRef,
    },
    /// Asks whether it is there.
    Contains {
        /// Which.
        artifact: ArtifactRef,
    },
}

/// What the house keeper's node answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ArtifactReply {
    /// Raw bytes follow.
    Content {
        /// How many.
        bytes: u64,
    },
    /// The peer is to send the artifact from this byte on, raw.
    Send {
        /// The first byte wanted.
        offset: u64,
    },
    /// It is stored.
    Stored,
    /// Whether it is there.
    Contains(bool),
    /// There is no such artifact.
    Missing,
    /// What is there, or what was sent, is not what its name says.
    Corrupt {
        /// What was found, in words.
        reason: String,
    },
    /// It cannot be done.
    Denied {
        /// Why.
        reason: String,
        /// What another attempt would be worth.
        retry: RetryClass,
    },
    /// Another connection is sending the same artifact, or was cut a moment ago: ask again shortly.
    Busy {
        /// What is under way.
        reason: String,
    },
}
