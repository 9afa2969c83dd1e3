//! The witness stream: slabs, credits, tickets, and the transports that carry chunks.
//!
//! A circuit prover owns a [`SlabPool`] and a [`Receiver`]; for each grant it registers a [`Ticket`](ingot_wire::Ticket),
//! which reserves a slab. A witness vector generator that was handed the ticket calls [`send`]. Bytes go from the socket
//! into the slab, and are hashed there; when all of them are verified the receiver's [`Owner`] decides, and only then the
//! sender hears of it. A broken connection goes on where it broke.
//!
//! **Invariant:** a slab is with the pool, with a ticket, or with the owner, and its memory is never written by two; what a peer
//! sends costs at most its connection.

mod epoll;
mod error;
mod hash_pool;
mod io_thread;
mod link;
mod memory;
mod pool;
mod protocol;
mod receiver;
mod sender;
mod tickets;
mod uring;
mod window;

pub mod bench;

pub use error::{ExpectError, SendAdvice, SendError, StreamError};
pub use memory::{memlock_limit_bytes, MmapSlab, SlabMemory};
pub use pool::{Slab, SlabPool};
pub use receiver::{Hashing, Receiver, ReceiverConfig, Stats, Transport, TransportChoice};
pub use sender::{send, Ack, Cancel, Progress, SendOptions};
pub use tickets::{Expected, Owner, Received};
