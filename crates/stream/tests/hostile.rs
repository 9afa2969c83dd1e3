//! What a bad peer does costs a connection and a log line, never the process, a slab or a good transfer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use common::*;
use ingot_stream::{send, Hashing, ReceiverConfig, SendAdvice, SendError, TransportChoice};
use ingot_wire::{
    Answer, ChunkSequence, ChunkTag, Greeting, Opening, Refusal, StreamAuth, StreamHeader, Ticket,
    ANSWER_BYTES, GREETING_BYTES,
};
use rand::{Rng, RngCore, SeedableRng};

fn connect(address: SocketAddr) -> (TcpStream, Greeting) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut greeting = [0; GREETING_BYTES];
    stream.read_exact(&mut greeting).unwrap();
    (stream, Greeting::decode(greeting).unwrap())
}

fn open(address: SocketAddr, ticket: &Ticket, header: &[u8; 64]) -> (TcpStream, StreamAuth, Answer) {
    let (mut stream, greeting) = connect(address);
    let (opening, auth) = Opening::new(ticket, &greeting, header).unwrap();
    stream.write_all(opening.as_bytes()).unwrap();
    let answer = answer(&mut stream, &auth, false);
    (stream, auth, answer)
}

fn answer(stream: &mut TcpStream, auth: &StreamAuth, closing: bool) -> Answer {
    let mut answer = [0; ANSWER_BYTES];
    stream.read_exact(&mut answer).unwrap();
    auth.decode(&answer, closing).unwrap()
}

/// Whether the peer closes, however; waits as long as the stream's read timeout says.
fn closes(stream: &mut TcpStream) -> bool {
    loop {
        match stream.read(&mut [0; 100]) {
            Ok(read) => return read == 0,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
}

#[test]
fn strangers_learn_nothing_and_replays_are_refused() {
    for (transport, hashing) in ways() {
        let bench = Bench::new(config(transport, hashing), 1, CHUNK);
        let header = header([&[], &[1, 2, 3], &[]]);
        let ticket = bench.grant(&header);
        let address = bench.receiver.local_addr();
        let wrong_key = Ticket { key: [0; 32], ..ticket.clone() };
        let wrong_id = Ticket { id: ticket.id ^ 1, ..ticket.clone() };
        for ticket in [wrong_key, wrong_id] {
            let error =
                send(&address.to_string(), &ticket, &header, [&[], &[1, 2, 3], &[]], &options()).unwrap_err();
            assert!(matches!(error, SendError::UnknownTicket { .. }), "{error}");
            assert_eq!(error.advice(), SendAdvice::AnotherGrant);
        }
        // A good opening, overheard on one connection and repeated on another.
        let (mut first, greeting) = connect(address);
        let (opening, auth) = Opening::new(&ticket, &greeting, &header.encode()).unwrap();
        let (mut second, _) = connect(address);
        second.write_all(opening.as_bytes()).unwrap();
        let mut refused = [0; ANSWER_BYTES];
        second.read_exact(&mut refused).unwrap();
        assert_eq!(refused, Answer::Unknown.encode_unauthenticated());
        first.write_all(opening.as_bytes()).unwrap();
        assert_eq!(answer(&mut first, &auth, false), Answer::Resume { chunk: 0 });
    }
}

#[test]
fn a_header_that_is_not_the_tickets_is_refused_and_the_ticket_stays_good() {
    let bench = Bench::new(config(TransportChoice::Auto, Hashing::Inline), 1, CHUNK);
    let good = header([&[], &[7; 100], &[]]);
    let ticket = bench.grant(&good);
    let mut other_job = good;
    other_job.job.sequence += 1;
    let cases = [
        (StreamHeader { lease_token: 8, ..good }, Refusal::Stale, SendAdvice::GiveUpLease),
        (other_job, Refusal::BadContent, SendAdvice::FailJob),
    ];
    for (header, refusal, advice) in cases {
        let error = send(&bench.address(), &ticket, &header, [&[], &[7; 100], &[]], &options()).unwrap_err();
        assert!(matches!(error, SendError::Refused { refusal: found, .. } if found == refusal), "{error}");
        assert_eq!(error.advice(), advice);
    }
    let address = bench.receiver.local_addr();
    for lengths in [[0, 101, 0], [u64::MAX; 3], [0, u64::MAX, 0], [1, 1, 1]] {
        let header = StreamHeader { section_bytes: lengths, ..good }.encode();
        assert_eq!(open(address, &ticket, &header).2, Answer::Refused(Refusal::TooLong), "{lengths:?}");
    }
    let mut damaged = good.encode();
    damaged[20] ^= 1;
    assert_eq!(open(address, &ticket, &damaged).2, Answer::Refused(Refusal::BadContent));
    send(&bench.address(), &ticket, &good, [&[], &[7; 100], &[]], &options()).unwrap();
}

#[test]
fn the_owners_refusal_reaches_the_sender_and_is_repeated() {
    for refusal in [Refusal::Stale, Refusal::Draining, Refusal::TryAnother, Refusal::BadContent] {
        let config = config(TransportChoice::Auto, Hashing::Inline);
        let bench = Bench::deciding(config, 1, CHUNK, move |_| Err(refusal));
        let header = header([&[], &[1], &[]]);
        let ticket = bench.grant(&header);
        for _ in 0..2 {
            let error = send(&bench.address(), &ticket, &header, [&[], &[1], &[]], &options()).unwrap_err();
            assert!(matches!(error, SendError::Refused { refusal: r, .. } if r == refusal), "{error}");
        }
        assert_eq!(bench.receiver.pool().free(), 1, "the slab is free again");
        assert_eq!(bench.receiver.stats().refused, 1, "decided once");
    }
}

#[test]
fn an_owner_that_panics_costs_one_witness_vector() {
    let config = config(TransportChoice::Epoll, Hashing::Inline);
    let bench = Bench::deciding(config, 1, CHUNK, |r| {
        assert!(r.section(1) != [13], "planted");
        Ok(())
    });
    let header = header([&[], &[1], &[]]);
    let ticket = bench.grant(&header);
    let error = send(&bench.address(), &ticket, &header, [&[], &[13], &[]], &options()).unwrap_err();
    assert!(matches!(error, SendError::Refused { refusal: Refusal::TryAnother, .. }), "{error}");
    let ticket = bench.grant(&header);
    send(&bench.address(), &ticket, &header, [&[], &[1], &[]], &options()).unwrap();
}

#[test]
fn bad_chunks_close_the_connection_and_good_ones_before_them_stay() {
    for (transport, hashing) in ways() {
        let bench = Bench::new(config(transport, hashing), 1, 3 * CHUNK);
        let data = data(3 * CHUNK, 5);
        let header = header([&[], &data, &[]]);
        let ticket = bench.grant(&header);
        let address = bench.receiver.local_addr();
        let keys = ticket.stream_keys(&header.encode());
        let chunk = |index: u32, sequence: &mut ChunkSequence| {
            let data = &data[index as usize * CHUNK..][..CHUNK];
            let mut tag = ChunkTag::new(&keys);
            tag.update(data);
            [&sequence.push(&tag.finish(index)).unwrap()[..], data].concat()
        };
        let mut sequence = ChunkSequence::new(&header, &keys);
        let (first, second) = (chunk(0, &mut sequence), chunk(1, &mut sequence));
        let third = chunk(2, &mut sequence);
        let at = |which: &[u8], at: usize| {
            let mut bytes = which.to_vec();
            bytes[at] ^= 1;
            bytes
        };
        let (stream, _, answer_0) = open(address, &ticket, &header.encode());
        assert_eq!(answer_0, Answer::Resume { chunk: 0 });
        // A half-open connection that holds the ticket gives way to a new one.
        let (mut stream_1, _, answer_1) = open(address, &ticket, &header.encode());
        drop(stream);
        assert_eq!(answer_1, Answer::Resume { chunk: 0 });
        stream_1.write_all(&first).unwrap();
        stream_1.write_all(&first).unwrap_or_default();
        let _ = stream_1.shutdown(Shutdown::Write);
        assert!(closes(&mut stream_1), "a repeated chunk");
        // Index, length, check, first and last byte of the data.
        for bad in [0, 3, 4, 7, 8, 23, 24, 24 + CHUNK - 1] {
            let (mut stream, _, answer) = open(address, &ticket, &header.encode());
            assert_eq!(answer, Answer::Resume { chunk: 1 }, "{transport:?} {hashing:?} byte {bad}");
            let _ = stream.write_all(&at(&second, bad));
            let _ = stream.write_all(&third);
            let _ = stream.shutdown(Shutdown::Write);
            assert!(closes(&mut stream), "byte {bad}");
        }
        // A wrong root, after chunks that are right.
        let (mut stream, _, answer_2) = open(address, &ticket, &header.encode());
        assert_eq!(answer_2, Answer::Resume { chunk: 1 });
        stream.write_all(&[second, third].concat()).unwrap();
        stream.write_all(&at(&sequence.trailer().unwrap(), 39)).unwrap();
        assert!(closes(&mut stream));
        assert!(bench.received.try_recv().is_err());
        let (mut stream, auth, answer_3) = open(address, &ticket, &header.encode());
        assert_eq!(answer_3, Answer::Resume { chunk: 3 });
        stream.write_all(&sequence.trailer().unwrap()).unwrap();
        assert_eq!(answer(&mut stream, &auth, true), Answer::Received);
        assert!(bench.received.recv().unwrap().section(1) == data);
    }
}

#[test]
fn silence_ends_a_connection_and_a_ticket_that_ran_out_frees_its_slab() {
    for transport in [TransportChoice::Epoll, TransportChoice::Auto] {
        let short = Duration::from_millis(800);
        let config = ReceiverConfig {
            handshake_timeout: short,
            idle_timeout: short,
            ..config(transport, Hashing::Inline)
        };
        let bench = Bench::new(config, 1, CHUNK);
        let address = bench.receiver.local_addr();
        // Before its opening, and in the middle of it.
        let (mut silent, _) = connect(address);
        assert!(closes(&mut silent));
        let (mut half, _) = connect(address);
        half.write_all(&[1; 50]).unwrap();
        assert!(closes(&mut half));
        // With a ticket: before and within a chunk, and dripping.
        let header = header([&[], &[1; 1000], &[]]);
        let ticket = Ticket::generate().unwrap();
        let valid_for = Duration::from_secs(6);
        let expected = ingot_stream::Expected { valid_for, ..expected(&header) };
        bench.receiver.expect(ticket.clone(), expected).unwrap();
        let (mut stalled, ..) = open(address, &ticket, &header.encode());
        assert!(closes(&mut stalled));
        let (mut dripping, ..) = open(address, &ticket, &header.encode());
        dripping.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let mut alive = true;
        eventually("a dripping peer is cut", || {
            alive &= dripping.write_all(&[0]).is_ok();
            !alive || closes(&mut dripping)
        });
        eventually("the slab is free", || bench.receiver.pool().free() == 1);
        assert_eq!(bench.receiver.stats().connections_open, 0);
    }
}

/// One hostile connection of some kind.
fn attack(address: SocketAddr, rng: &mut impl RngCore, held: &mut Vec<TcpStream>) {
    let Ok(mut stream) = TcpStream::connect(address) else { return };
    let mut garbage = vec![0; rng.gen_range(0..400)];
    rng.fill_bytes(&mut garbage);
    let _ = match rng.gen_range(0..6) {
        // Garbage.
        0 => stream.write_all(&garbage),
        // Truncated, with the right magic.
        1 => stream.write_all(b"IHLO\x01\x00\x00\x00"),
        // A whole opening with a wrong token.
        2 => {
            let mut opening = [7u8; 128];
            opening[..8].copy_from_slice(b"IHLO\x01\x00\x00\x00");
            stream.write_all(&opening)
        }
        // Oversized lengths in a well-formed header.
        3 => {
            let mut opening = [0u8; 128];
            opening[..8].copy_from_slice(b"IHLO\x01\x00\x00\x00");
            opening[64..]
                .copy_from_slice(&StreamHeader { section_bytes: [u64::MAX; 3], ..header([&[]; 3]) }.encode());
            stream.write_all(&opening)
        }
        // Half-open.
        4 => stream.shutdown(Shutdown::Write),
        // Stalled.
        _ => {
            held.push(stream);
            return;
        }
    };
    if rng.gen() {
        held.push(stream);
    }
    if held.len() > 600 {
        held.drain(..300);
    }
}

/// `INGOT_HOSTILE` says how many hostile connections (for each way of receiving); 400 unless set.
#[test]
fn good_transfers_go_on_among_hostile_connections() {
    let attacks: usize = std::env::var("INGOT_HOSTILE").map_or(400, |n| n.parse().unwrap());
    for (transport, hashing) in ways() {
        let config = ReceiverConfig { max_pending: 64, ..config(transport, hashing) };
        let bench = Bench::new(config, 2, 2 * CHUNK);
        let address = bench.receiver.local_addr();
        let done = AtomicBool::new(false);
        let started = Instant::now();
        let transfers = thread::scope(|scope| {
            scope.spawn(|| {
                let mut rng = rand::rngs::StdRng::seed_from_u64(1);
                let mut held = Vec::new();
                (0..attacks).for_each(|_| attack(address, &mut rng, &mut held));
                done.store(true, Ordering::Release);
            });
            let data = data(CHUNK + 1, 0);
            let sections = [&[][..], &data, &[]];
            let header = header(sections);
            let mut transfers = 0;
            while !done.load(Ordering::Acquire) || transfers < 3 {
                let ticket = bench.grant(&header);
                send(&bench.address(), &ticket, &header, sections, &options()).unwrap();
                assert!(bench.received.recv().unwrap().section(1) == data);
                transfers += 1;
            }
            transfers
        });
        let seconds = started.elapsed().as_secs_f64();
        assert!(transfers >= 3);
        eventually("all connections end", || bench.receiver.stats().connections_open == 0);
        assert_eq!(bench.receiver.pool().free(), 2);
        let stats = bench.receiver.stats();
        assert!(stats.connections_accepted >= (attacks + transfers) as u64, "{stats:?}");
        assert_eq!(stats.received, transfers as u64);
        eprintln!("{transport:?} {hashing:?}: {transfers} transfers among {attacks} attacks in {seconds:.2} s; {stats:?}");
    }
}
