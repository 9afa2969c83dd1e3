//! What the tests of the stream share: a receiver that keeps what it gets, and a proxy that breaks connections.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{mpsc, Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use ingot_stream::{
    Expected, Hashing, Received, Receiver, ReceiverConfig, SendOptions, SlabPool, TransportChoice,
};
use ingot_wire::{Refusal, StreamHeader, Ticket};

pub const CHUNK: usize = 1 << 20;

/// Every way of receiving that this host has.
pub fn ways() -> Vec<(TransportChoice, Hashing)> {
    let mut ways = Vec::new();
    for transport in [TransportChoice::Epoll, TransportChoice::Auto] {
        for hashing in [Hashing::Inline, Hashing::Threads(2)] {
            ways.push((transport, hashing));
        }
    }
    ways
}

pub fn config(transport: TransportChoice, hashing: Hashing) -> ReceiverConfig {
    ReceiverConfig { transport, hashing, ..ReceiverConfig::new(([127, 0, 0, 1], 0).into()) }
}

pub struct Bench {
    pub receiver: Receiver,
    pub received: mpsc::Receiver<Received>,
}

impl Bench {
    /// A receiver that takes everything.
    pub fn new(config: ReceiverConfig, slabs: usize, slab_bytes: usize) -> Self {
        Self::deciding(config, slabs, slab_bytes, |_| Ok(()))
    }

    pub fn deciding(
        config: ReceiverConfig,
        slabs: usize,
        slab_bytes: usize,
        decide: impl Fn(&Received) -> Result<(), Refusal> + Send + Sync + 'static,
    ) -> Self {
        let (arrived, received) = mpsc::channel();
        let arrived = Mutex::new(arrived);
        let owner = move |r: Received| {
            decide(&r)?;
            let _ = arrived.lock().unwrap().send(r);
            Ok(())
        };
        let pool = SlabPool::mmap(slabs, slab_bytes, false).unwrap();
        Self { receiver: Receiver::start(config, pool, Arc::new(owner)).unwrap(), received }
    }

    pub fn address(&self) -> String {
        self.receiver.local_addr().to_string()
    }

    /// Registers a ticket for a header.
    pub fn grant(&self, header: &StreamHeader) -> Ticket {
        let ticket = Ticket::generate().unwrap();
        self.receiver.expect(ticket.clone(), expected(header)).unwrap();
        ticket
    }
}

pub fn expected(header: &StreamHeader) -> Expected {
    Expected {
        job: header.job,
        lease_token: header.lease_token,
        max_bytes: header.payload_bytes(),
        valid_for: Duration::from_secs(120),
    }
}

pub fn header(sections: [&[u8]; 3]) -> StreamHeader {
    StreamHeader {
        job: "270/17/prove/0/1/0/3".parse().unwrap(),
        lease_token: 9,
        chunk_log2: 20,
        section_bytes: sections.map(|s| s.len() as u64),
    }
}

pub fn data(bytes: usize, seed: u32) -> Vec<u8> {
    (0..bytes).map(|i| ((i as u32 ^ seed).wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

pub fn options() -> SendOptions<'static> {
    SendOptions {
        deadline: Duration::from_secs(100),
        backoff: Duration::from_millis(5),
        ..SendOptions::default()
    }
}

/// Waits until something holds; fails after a time that no loaded machine needs.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(60), "never happened: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// What a proxy does with one connection: how many bytes it lets through each way before it cuts.
#[derive(Clone, Copy)]
pub struct Cut {
    pub up: u64,
    pub down: u64,
}

/// Forwards to `target`; the n-th connection is cut as `cuts[n]` says, later ones not at all.
pub fn proxy(target: SocketAddr, cuts: Vec<Cut>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let mut cuts = cuts.into_iter();
        while let Ok((client, _)) = listener.accept() {
            let cut = cuts.next().unwrap_or(Cut { up: u64::MAX, down: u64::MAX });
            let Ok(server) = TcpStream::connect(target) else { return };
            for (from, to, limit) in [(&client, &server, cut.up), (&server, &client, cut.down)] {
                let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                thread::spawn(move || pump(from, to, limit));
            }
        }
    });
    address
}

fn pump(mut from: TcpStream, mut to: TcpStream, mut limit: u64) {
    let mut buffer = vec![0; 64 << 10];
    while limit > 0 {
        let most = buffer.len().min(usize::try_from(limit).unwrap_or(usize::MAX));
        match from.read(&mut buffer[..most]) {
            Ok(read) if read > 0 && to.write_all(&buffer[..read]).is_ok() => limit -= read as u64,
            _ => break,
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
