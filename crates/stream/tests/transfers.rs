//! Witness vectors get through: of every size, over every transport, and over connections that break.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{sync::Mutex, thread, time::Duration};

use common::*;
use ingot_stream::{send, ExpectError, Expected, Hashing, SendError, SendOptions, TransportChoice};
use rand::{Rng, SeedableRng};

#[test]
fn every_size_arrives_over_every_transport() {
    for (transport, hashing) in ways() {
        let bench = Bench::new(config(transport, hashing), 1, 6 * CHUNK);
        for bytes in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK + 77] {
            for hash_ahead in [false, true] {
                let data = data(bytes, 1);
                let sections = [&[][..], &data, &[]];
                let header = header(sections);
                let ticket = bench.grant(&header);
                let options = SendOptions { hash_ahead, ..options() };
                let ack = send(&bench.address(), &ticket, &header, sections, &options).unwrap();
                assert_eq!((ack.payload_bytes, ack.connections), (bytes as u64, 1));
                let received = bench.received.recv().unwrap();
                assert_eq!((received.ticket, received.header), (ticket.id, header));
                assert!(received.section(1) == data, "{bytes} bytes over {transport:?}");
                assert!(received.section(0).is_empty() && received.section(3).is_empty());
            }
        }
        assert_eq!(bench.receiver.stats().received, 12);
    }
}

#[test]
fn sections_arrive_aligned_whatever_their_lengths() {
    let mut rng = rand::rngs::StdRng::seed_from_u64(7);
    let bench = Bench::new(config(TransportChoice::Auto, Hashing::Inline), 1, 8 * CHUNK);
    for round in 0..30 {
        let mut section = |seed| {
            let edge = [0, 1, 63, 64, 65, CHUNK - 64, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK];
            let bytes =
                if rng.gen() { edge[rng.gen_range(0..edge.len())] } else { rng.gen_range(0..2 * CHUNK) };
            data(bytes, seed)
        };
        let (a, b, c) = (section(round), section(round + 100), section(round + 200));
        let sections = [&a[..], &b, &c];
        let header = header(sections);
        let ticket = bench.grant(&header);
        send(&bench.address(), &ticket, &header, sections, &options()).unwrap();
        let received = bench.received.recv().unwrap();
        for (i, sent) in sections.iter().enumerate() {
            assert!(received.section(i) == *sent, "section {i} of {:?}", header.section_bytes);
            assert!(sent.is_empty() || (received.section(i).as_ptr() as usize).is_multiple_of(64));
        }
    }
}

#[test]
fn broken_connections_go_on_where_they_broke() {
    let mut rng = rand::rngs::StdRng::seed_from_u64(11);
    for (transport, hashing) in ways() {
        let bench = Bench::new(config(transport, hashing), 1, 8 * CHUNK);
        for round in 0..4 {
            let data = data(7 * CHUNK + 12_345, round);
            let sections = [&[][..], &data, &[]];
            let header = header(sections);
            let ticket = bench.grant(&header);
            let deaf = Cut { up: u64::MAX, down: rng.gen_range(0..80) };
            let cuts: Vec<_> = (0..5)
                .map(|_| Cut { up: rng.gen_range(0..4 * CHUNK as u64), down: u64::MAX })
                .chain([deaf])
                .collect();
            let address = proxy(bench.receiver.local_addr(), cuts);
            let progress = Mutex::new(Vec::new());
            let on_progress = |p| progress.lock().unwrap().push(p);
            let options = SendOptions { on_progress: Some(&on_progress), ..options() };
            let ack = send(&address, &ticket, &header, sections, &options).unwrap();
            assert!(ack.connections > 1, "{ack:?}");
            assert!(bench.received.recv().unwrap().section(1) == data);
            let progress = progress.into_inner().unwrap();
            assert_eq!(progress.last().unwrap().sent_bytes, progress.last().unwrap().total_bytes);
        }
        eventually("slabs come back", || bench.receiver.pool().free() == 1);
    }
}

#[test]
fn a_resumed_stream_sends_only_what_is_missing() {
    for (transport, hashing) in ways() {
        let bench = Bench::new(config(transport, hashing), 1, 8 * CHUNK);
        let data = data(8 * CHUNK, 3);
        let sections = [&[][..], &data, &[]];
        let header = header(sections);
        let ticket = bench.grant(&header);
        // The opening and a little more than five chunks.
        let cut = Cut { up: 128 + 5 * (24 + CHUNK as u64) + 1000, down: u64::MAX };
        let address = proxy(bench.receiver.local_addr(), vec![cut]);
        let ack = send(&address, &ticket, &header, sections, &options()).unwrap();
        assert_eq!((ack.connections, ack.resumed_at), (2, 5), "{transport:?} {hashing:?}");
        assert!(bench.received.recv().unwrap().section(1) == data);
    }
}

#[test]
fn an_answer_that_was_lost_is_given_again() {
    for (transport, hashing) in ways() {
        let bench = Bench::new(config(transport, hashing), 2, 2 * CHUNK);
        let data = data(CHUNK + 5, 3);
        let sections = [&[][..], &data, &[]];
        let header = header(sections);
        let ticket = bench.grant(&header);
        // The greeting and the first answer come through, the second does not.
        let address = proxy(bench.receiver.local_addr(), vec![Cut { up: u64::MAX, down: 40 + 32 }]);
        let ack = send(&address, &ticket, &header, sections, &options()).unwrap();
        assert_eq!(ack.connections, 2);
        send(&bench.address(), &ticket, &header, sections, &options()).unwrap();
        assert!(bench.received.recv().is_ok());
        assert!(bench.received.try_recv().is_err(), "delivered once");
        assert_eq!(bench.receiver.stats().received, 1);
        assert!(!bench.receiver.cancel(ticket.id), "too late");
    }
}

#[test]
fn many_senders_share_a_few_slabs() {
    let bench = Bench::new(config(TransportChoice::Auto, Hashing::Inline), 3, 2 * CHUNK);
    thread::scope(|scope| {
        for sender in 0..6 {
            let bench = &bench.receiver;
            scope.spawn(move || {
                for round in 0..4 {
                    let data = data(CHUNK + sender, round);
                    let sections = [&[][..], &data, &[]];
                    let header = header(sections);
                    let ticket = ingot_wire::Ticket::generate().unwrap();
                    eventually("a credit", || bench.expect(ticket.clone(), expected(&header)).is_ok());
                    let address = bench.local_addr().to_string();
                    send(&address, &ticket, &header, sections, &options()).unwrap();
                }
            });
        }
        for _ in 0..24 {
            let received = bench.received.recv_timeout(Duration::from_secs(60)).unwrap();
            let found = received.section(1);
            assert!((0..4).any(|round| found == data(found.len(), round)));
        }
    });
    eventually("slabs come back", || bench.receiver.pool().free() == 3);
}

#[test]
fn without_a_free_slab_there_is_no_credit() {
    let bench = Bench::new(config(TransportChoice::Epoll, Hashing::Inline), 1, CHUNK);
    let header = header([&[], &[1], &[]]);
    let ticket = bench.grant(&header);
    let refused = bench.receiver.expect(ingot_wire::Ticket::generate().unwrap(), expected(&header));
    assert_eq!(refused, Err(ExpectError::NoCredit { capacity: 1 }));
    assert!(bench.receiver.cancel(ticket.id));
    assert!(!bench.receiver.cancel(ticket.id));
    let error = send(&bench.address(), &ticket, &header, [&[], &[1], &[]], &options()).unwrap_err();
    assert!(matches!(error, SendError::UnknownTicket { .. }), "{error}");
    let long = Expected { max_bytes: CHUNK as u64 + 1, ..expected(&header) };
    let refused = bench.receiver.expect(ticket, long);
    assert!(matches!(refused, Err(ExpectError::TooLong { .. })));
}

#[test]
fn a_cancelled_send_ends_though_its_peer_is_silent() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let header = header([&[], &[1], &[]]);
    let ticket = ingot_wire::Ticket::generate().unwrap();
    let options = options();
    let cancel = options.cancel.clone();
    let address = silent.local_addr().unwrap().to_string();
    let sender = thread::spawn(move || send(&address, &ticket, &header, [&[], &[1], &[]], &options));
    let _connection = silent.accept().unwrap();
    cancel.cancel();
    assert!(matches!(sender.join().unwrap(), Err(SendError::Cancelled)));
}

#[test]
fn a_receiver_that_is_gone_is_not_waited_for_until_the_deadline() {
    let data = data(CHUNK, 1);
    let sections = [&[][..], &data, &[]];
    let header = header(sections);
    let bench = Bench::new(config(TransportChoice::Auto, Hashing::Inline), 1, CHUNK);
    let (address, ticket) = (bench.address(), bench.grant(&header));
    drop(bench);
    let options = SendOptions {
        deadline: Duration::from_secs(600),
        gone_after: Duration::from_millis(300),
        backoff: Duration::from_millis(20),
        ..options()
    };
    let error = send(&address, &ticket, &header, sections, &options).unwrap_err();
    assert!(matches!(&error, SendError::Gone { connections, .. } if *connections > 1), "{error}");
    assert!(error.to_string().contains("the receiver is gone"), "{error}");
    assert_eq!(error.advice(), ingot_stream::SendAdvice::AnotherGrant);
}

#[test]
fn memory_stays_flat() {
    let resident = || {
        let text = std::fs::read_to_string("/proc/self/statm").unwrap();
        text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
    };
    let bench = Bench::new(config(TransportChoice::Auto, Hashing::Inline), 1, 16 * CHUNK);
    let data = data(16 * CHUNK, 0);
    let sections = [&[][..], &data, &[]];
    let header = header(sections);
    let mut after_first = 0;
    for round in 0..20 {
        let ticket = bench.grant(&header);
        send(&bench.address(), &ticket, &header, sections, &options()).unwrap();
        drop(bench.received.recv().unwrap());
        eventually("the slab comes back", || bench.receiver.pool().free() == 1);
        if round == 0 {
            after_first = resident();
        }
    }
    // Other tests of this process run beside it; a leak would be 20 times 16 MiB.
    assert!(resident() < after_first + 160 * CHUNK, "{} then {}", after_first, resident());
}
