//! Frames on sockets: control messages, the handshake, and the witness stream's headers, chunks and tickets.
//!
//! Everything here is *sans I/O*: bytes in, messages out, so that blocking and asynchronous code speak the same protocol.
//!
//! * [`FrameEncoder`] and [`FrameDecoder`] carry any serde message in length-prefixed, optionally authenticated frames.
//! * [`ClientHandshake`] and [`ServerHandshake`] agree on a version and prove a shared [`Token`] to each other.
//! * [`StreamHeader`], [`ChunkSequence`] and [`Ticket`] are the witness stream (see `ingot-stream` for its transports).
//!
//! **Invariant:** no length that a peer names is believed before it was compared with a limit; nothing is allocated for
//! bytes that have not arrived; no input makes a panic.

mod chunk;
mod control;
mod error;
mod handshake;
mod mac;
mod opening;
mod section;
mod stream_header;
mod ticket;
mod token;

pub use chunk::{ChunkHeader, ChunkSequence, ChunkSpec, ChunkTag, Root, CHUNK_HEADER_BYTES, TRAILER_BYTES};
pub use control::{
    Direction, FrameDecoder, FrameEncoder, CAP_AFTER_HANDSHAKE_BYTES, CAP_BEFORE_HANDSHAKE_BYTES,
};
pub use error::{ChunkError, FrameError, HandshakeError, HeaderError, OpeningError, TokenError};
pub use handshake::{
    client_handshake, server_handshake, AwaitProof, ClientHandshake, Hello, ServerHandshake, Session,
    MAX_NAME_BYTES,
};
pub use mac::MacKey;
pub use opening::{
    Answer, Greeting, Opening, Refusal, StreamAuth, ANSWER_BYTES, GREETING_BYTES, HELLO_BYTES,
    MAX_STREAM_VERSION, MIN_STREAM_VERSION, OPENING_BYTES,
};
pub use section::{bytes_of_u32, bytes_of_u64, u32_of_bytes, u64_of_bytes, NotASection};
pub use stream_header::{
    payload_layout, HeaderLimits, StreamHeader, MAX_CHUNK_LOG2, MIN_CHUNK_LOG2, SECTIONS,
    SECTION_ALIGN_BYTES, STREAM_HEADER_BYTES,
};
pub use ticket::{StreamKeys, Ticket};
pub use token::Token;

/// Fills an array with randomness of the operating system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}
