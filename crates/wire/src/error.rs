//! What a peer, or a file, can get wrong.

use std::{io, path::PathBuf};

use ingot_types::RetryClass;

/// A frame that cannot be sent, or must not be believed. The connection is of no use afterwards.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The frame is longer than allowed.
    #[error("a frame of {found_bytes} bytes is over the cap of {cap_bytes} bytes")]
    TooLong {
        /// The payload's length, in bytes.
        found_bytes: u64,
        /// The most that is allowed, in bytes.
        cap_bytes: u32,
    },
    /// The frame's authentication code is wrong.
    #[error("frame {counter} of this connection has a wrong authentication code")]
    BadMac {
        /// How many frames came before it.
        counter: u64,
    },
    /// The payload is no message of the expected type.
    #[error("a frame of {payload_bytes} bytes is no valid message: {source}")]
    Malformed {
        /// The payload's length, in bytes.
        payload_bytes: usize,
        /// What the decoder says.
        source: postcard::Error,
    },
    /// The payload goes on after the message.
    #[error("a frame of {payload_bytes} bytes goes on for {trailing_bytes} bytes after its message")]
    Trailing {
        /// The payload's length, in bytes.
        payload_bytes: usize,
        /// Bytes left over.
        trailing_bytes: usize,
    },
    /// A message of our own cannot be encoded.
    #[error("cannot encode a message: {0}")]
    Encode(postcard::Error),
    /// An earlier frame was refused: what follows it has no meaning.
    #[error("the connection is unusable after a refused frame")]
    Unusable,
}

impl FrameError {
    /// How a failed attempt with this error is to be treated.
    pub fn retry_class(&self) -> RetryClass {
        match self {
            Self::Encode(_) => RetryClass::Deterministic,
            _ => RetryClass::Transient,
        }
    }
}

/// Why two ends did not come to terms.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// No version is common to both.
    #[error("no common protocol version: we speak {our_min} to {our_max}, the peer speaks {their_min} to {their_max}")]
    VersionMismatch {
        /// Our lowest version.
        our_min: u16,
        /// Our highest version.
        our_max: u16,
        /// The peer's lowest version.
        their_min: u16,
        /// The peer's highest version.
        their_max: u16,
    },
    /// The peer does not know the token.
    #[error("the peer does not hold the same token")]
    BadToken,
    /// The server asks for a token, and this client has none.
    #[error("the server asks for a token, and none is configured here")]
    TokenRequired,
    /// We hold a token, and the server does not prove that it does.
    #[error("a token is configured here, and the server does not authenticate itself with one")]
    ServerUnauthenticated,
    /// A field is longer than allowed.
    #[error("the handshake's {field} is {found_bytes} bytes long, over the limit of {limit_bytes}")]
    TooLong {
        /// Which field.
        field: &'static str,
        /// Its length, in bytes.
        found_bytes: usize,
        /// The limit, in bytes.
        limit_bytes: usize,
    },
    /// The peer speaks another protocol.
    #[error("the peer's greeting begins with {found:#010x} where {expected:#010x} was expected: not an Ingot peer")]
    BadMagic {
        /// What came.
        found: u32,
        /// What should have come.
        expected: u32,
    },
    /// The message cannot be read.
    #[error("the handshake cannot be read: {0}")]
    Frame(#[from] FrameError),
    /// The connection broke off.
    #[error("the connection broke off during the handshake: {0}")]
    Io(#[from] io::Error),
    /// The operating system has no randomness to give.
    #[error("no randomness for the handshake: {0}")]
    NoRandomness(#[from] getrandom::Error),
}

impl HandshakeError {
    /// How a failed attempt with this error is to be treated: what differs in configuration or build fails every time.
    pub fn retry_class(&self) -> RetryClass {
        match self {
            Self::Frame(e) => e.retry_class(),
            Self::Io(_) | Self::NoRandomness(_) => RetryClass::Transient,
            _ => RetryClass::Deterministic,
        }
    }
}

/// Why a token cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The file cannot be read.
    #[error("cannot read the token file {path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why it was refused.
        source: io::Error,
    },
    /// Others may read the file.
    #[error(
        "the token file {path} has mode {mode:04o}: group or others may use it; run `chmod 600 {path}`",
        path = path.display()
    )]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The token is too short to be safe, or too long to be one.
    #[error("a token of {found_bytes} bytes: expected {min_bytes} to {max_bytes} bytes of randomness")]
    Length {
        /// Its length, in bytes.
        found_bytes: usize,
        /// The least, in bytes.
        min_bytes: usize,
        /// The most, in bytes.
        max_bytes: usize,
    },
}

impl TokenError {
    /// How a failed attempt with this error is to be treated: someone has to change the file.
    pub fn retry_class(&self) -> RetryClass {
        RetryClass::Deterministic
    }
}

/// Why 64 bytes are no stream header that we accept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// Other bytes than those of a stream header.
    #[error("the stream header begins with {found:#010x}, expected {expected:#010x}")]
    BadMagic {
        /// What came.
        found: u32,
        /// What should have come.
        expected: u32,
    },
    /// The check over the header differs.
    #[error("the stream header's CRC is {found:#010x}, expected {expected:#010x}")]
    BadCrc {
        /// What the header says.
        found: u32,
        /// What its bytes give.
        expected: u32,
    },
    /// A version that is not spoken here.
    #[error("stream header version {found}, expected {min} to {max}")]
    Version {
        /// The header's version.
        found: u16,
        /// Our lowest version.
        min: u16,
        /// Our highest version.
        max: u16,
    },
    /// A field has a value that it cannot have.
    #[error("the stream header's {field} is {found}: expected {expected}")]
    BadField {
        /// Which field.
        field: &'static str,
        /// Its value.
        found: u64,
        /// The values that it can have.
        expected: &'static str,
    },
    /// More bytes than the receiver has room for.
    #[error("the stream's payload is over {limit_bytes} bytes (sections of {sections:?} bytes)")]
    TooLong {
        /// The sections' lengths, in bytes.
        sections: [u64; 3],
        /// The room there is, in bytes.
        limit_bytes: u64,
    },
}

impl HeaderError {
    /// How a failed attempt with this error is to be treated. A damaged header is the connection's fault; what is wrong
    /// in an intact one is wrong again next time.
    pub fn retry_class(&self) -> RetryClass {
        match self {
            Self::BadMagic { .. } | Self::BadCrc { .. } => RetryClass::Transient,
            _ => RetryClass::Deterministic,
        }
    }
}

/// What is wrong with a chunk, or with the end of a stream. The chunks accepted before it stay good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChunkError {
    /// Not the chunk that comes next: skipped, repeated, or beyond the end.
    #[error("chunk {found} where chunk {expected} of {chunks} was expected")]
    WrongIndex {
        /// The chunk's index.
        found: u32,
        /// The index that comes next.
        expected: u32,
        /// How many chunks there are.
        chunks: u32,
    },
    /// Every chunk's length follows from the header; this one has another.
    #[error("chunk {index} is {found_bytes} bytes long, expected {expected_bytes}")]
    WrongLength {
        /// The chunk's index.
        index: u32,
        /// The length it names, in bytes.
        found_bytes: u32,
        /// The length it must have, in bytes.
        expected_bytes: u32,
    },
    /// The data does not have the announced check.
    #[error("chunk {index} does not have the announced check: damaged, or made with another key")]
    BadCheck {
        /// The chunk's index.
        index: u32,
    },
    /// The stream ends too early.
    #[error("the stream ends after chunk {found} of {expected}")]
    Incomplete {
        /// Chunks that are there.
        found: u32,
        /// Chunks that should be.
        expected: u32,
    },
    /// The trailer is none, or its root is not the one that was computed here.
    #[error("the trailer's {0} is wrong")]
    BadTrailer(&'static str),
}

impl ChunkError {
    /// How a failed attempt with this error is to be treated.
    pub fn retry_class(&self) -> RetryClass {
        RetryClass::Transient
    }
}

/// Why a stream connection was not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpeningError {
    /// The peer speaks another protocol.
    #[error("the connection begins with {found:#010x}, expected {expected:#010x}: not an Ingot stream")]
    BadMagic {
        /// What came.
        found: u32,
        /// What should have come.
        expected: u32,
    },
    /// No version is common to both.
    #[error("no common stream version: we speak {our_min} to {our_max}, the peer speaks {their_min} to {their_max}")]
    VersionMismatch {
        /// Our lowest version.
        our_min: u16,
        /// Our highest version.
        our_max: u16,
        /// The peer's lowest version.
        their_min: u16,
        /// The peer's highest version.
        their_max: u16,
    },
    /// The peer does not hold the ticket's key, or repeats what somebody else said.
    #[error("a wrong authentication code: the peer does not hold the ticket's key")]
    BadMac,
    /// A message with a field that it cannot have.
    #[error("the stream's {message} has {field} {found}")]
    Malformed {
        /// Which message.
        message: &'static str,
        /// Which field.
        field: &'static str,
        /// Its value.
        found: u64,
    },
}

impl OpeningError {
    /// How a failed attempt with this error is to be treated.
    pub fn retry_class(&self) -> RetryClass {
        match self {
            Self::VersionMismatch { .. } => RetryClass::Deterministic,
            _ => RetryClass::Transient,
        }
    }
}
