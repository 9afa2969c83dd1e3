//! Witness vectors over the witness stream.

use std::{
    net::{SocketAddr, TcpStream},
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc,
    },
    thread,
    time::Duration,
};

use ingot_house_keeper::protocol::{Grant, Reservation, StreamOffer};
use ingot_job_store::{Lease, Token};
use ingot_stream::{
    send, Cancel, Expected, Received, Receiver, ReceiverConfig, SendAdvice, SendOptions, SlabPool,
    TransportChoice,
};
use ingot_types::{JobKey, RetryClass};
use ingot_wire::{Refusal, StreamHeader, Ticket, MIN_CHUNK_LOG2};

use crate::{
    config::CircuitProverConfig,
    stop::Stop,
    transport::{OnVector, SendError, Vector, VectorReceiver, VectorSender},
    work::WitnessSections,
    ServiceError,
};

/// Chunks of 4 MiB: few enough to count, small enough to repeat.
const CHUNK_LOG2: u8 = MIN_CHUNK_LOG2 + 2;
/// How long one address of a prover may take to answer, where it has several.
const CONNECT: Duration = Duration::from_secs(3);
/// A send may take this long, and a second more for each [`SLOWEST_BYTES_PER_S`].
const LEAST_DEADLINE: Duration = Duration::from_secs(60);
const SLOWEST_BYTES_PER_S: u64 = 10 << 20;
/// How often a send looks whether it should stop.
const TICK: Duration = Duration::from_millis(100);

/// Sends over the stream.
#[derive(Clone, Copy, Debug, Default)]
pub struct StreamSender;

impl VectorSender for StreamSender {
    fn send(
        &self,
        grant: &Grant,
        lease: &Lease,
        sections: &Arc<WitnessSections>,
        stop: &Stop,
    ) -> Result<(), SendError> {
        let sections = sections.as_bytes();
        let header = StreamHeader {
            job: lease.job.key(),
            lease_token: lease.token.0,
            chunk_log2: CHUNK_LOG2,
            section_bytes: sections.map(|section| section.len() as u64),
        };
        let ticket = Ticket { id: grant.ticket, key: grant.key };
        let address = reachable(&grant.addresses)?;
        let cancel = Cancel::default();
        let size = Duration::from_secs(header.payload_bytes() / SLOWEST_BYTES_PER_S);
        let options =
            SendOptions { deadline: LEAST_DEADLINE + size, cancel: cancel.clone(), ..SendOptions::default() };
        let over = AtomicBool::new(false);
        let sent = thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Acquire) {
                    if stop.wait_timeout(TICK) {
                        cancel.cancel();
                        return;
                    }
                }
            });
            let sent = send(&address.to_string(), &ticket, &header, sections, &options);
            over.store(true, Ordering::Release);
            sent
        });
        sent.map(drop).map_err(|error| SendError {
            class: error.retry_class(),
            reason: error.to_string(),
            advice: error.advice(),
        })
    }
}

/// The first address that answers; the only one without asking.
fn reachable(addresses: &[SocketAddr]) -> Result<SocketAddr, SendError> {
    let mut last = "the prover has no address".to_owned();
    for address in addresses {
        if addresses.len() == 1 {
            return Ok(*address);
        }
        match TcpStream::connect_timeout(address, CONNECT) {
            Ok(_) => return Ok(*address),
            Err(error) => last = format!("{address}: {error}"),
        }
    }
    Err(SendError { class: RetryClass::Transient, reason: last, advice: SendAdvice::AnotherGrant })
}

/// Receives over the stream.
#[derive(Debug)]
pub struct StreamReceiver {
    receiver: Receiver,
    advertised: Vec<SocketAddr>,
}

impl StreamReceiver {
    /// Sets slabs aside and listens. `slab_bytes` is the size of a slab where the configuration says `auto`.
    ///
    /// # Errors
    /// [`ServiceError::Stream`].
    pub fn start(
        config: &CircuitProverConfig,
        slab_bytes: u64,
        on_vector: OnVector,
    ) -> Result<Self, ServiceError> {
        let error = |error: ingot_stream::StreamError| ServiceError::Stream(error.to_string());
        let slab_bytes = usize::try_from(config.slab_size.or(|| slab_bytes)).unwrap_or(usize::MAX);
        let pool =
            SlabPool::mmap(usize::try_from(config.slabs).unwrap_or(1), slab_bytes, false).map_err(error)?;
        let mut options = ReceiverConfig::new(config.listen);
        options.transport = match config.transport.as_str() {
            "uring" => TransportChoice::Uring,
            "epoll" => TransportChoice::Epoll,
            _ => TransportChoice::Auto,
        };
        let owner =
            move |received: Received| -> Result<(), Refusal> { on_vector(Box::new(InSlab(received))) };
        let receiver = Receiver::start(options, pool, Arc::new(owner)).map_err(error)?;
        let advertised = match config.advertise.as_slice() {
            [] => vec![receiver.local_addr()],
            // Where the port was left to chance, it is known only now.
            given => given.iter().map(|a| with_port(*a, receiver.local_addr().port())).collect(),
        };
        Ok(Self { receiver, advertised })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.receiver.local_addr()
    }
}

fn with_port(mut address: SocketAddr, port: u16) -> SocketAddr {
    if address.port() == 0 {
        address.set_port(port);
    }
    address
}

impl VectorReceiver for StreamReceiver {
    fn offer(&self) -> StreamOffer {
        let pool = self.receiver.pool();
        StreamOffer {
            addresses: self.advertised.clone(),
            slabs: u32::try_from(pool.capacity()).unwrap_or(u32::MAX),
            slab_bytes: pool.slab_bytes() as u64,
        }
    }

    fn expect(&self, reservation: &Reservation) -> bool {
        let ticket = Ticket { id: reservation.ticket, key: reservation.key };
        let expected = Expected {
            job: reservation.job,
            lease_token: reservation.token.0,
            max_bytes: reservation.bytes,
            valid_for: Duration::from_millis(reservation.keep_ms),
        };
        match self.receiver.expect(ticket, expected) {
            Ok(()) => true,
            Err(error) => {
                ingot_house_keeper::job_log!(debug, reservation.job, "no slab: {error}");
                false
            }
        }
    }

    fn cancel(&self, ticket: u64) {
        self.receiver.cancel(ticket);
    }

    fn free_slabs(&self) -> u32 {
        u32::try_from(self.receiver.pool().free()).unwrap_or(u32::MAX)
    }
}

struct InSlab(Received);

impl Vector for InSlab {
    fn job(&self) -> JobKey {
        self.0.header.job
    }

    fn token(&self) -> Token {
        Token(self.0.header.lease_token)
    }

    fn sections(&self) -> [&[u8]; 3] {
        [0, 1, 2].map(|section| self.0.section(section))
    }
}
