use std::{os::unix::net::UnixStream, thread};

use proptest::prelude::*;

use super::*;

fn token(text: &str) -> Option<Token> {
    Some(Token::from_bytes(text.repeat(20).as_bytes()).unwrap())
}

fn hello(versions: RangeInclusive<u16>) -> Hello {
    Hello {
        min_version: *versions.start(),
        max_version: *versions.end(),
        role: 3,
        name: "prover-7".into(),
        payload: vec![1, 2, 3],
    }
}

fn unframe(bytes: &[u8]) -> Vec<u8> {
    let mut decoder = FrameDecoder::new(CAP_BEFORE_HANDSHAKE_BYTES);
    decoder.push(bytes).unwrap();
    decoder.decode_payload().unwrap().unwrap()
}

/// Both sides over a real socket: (client's result, server's result).
fn meet(
    hello: Hello,
    client: Option<Token>,
    server: ServerHandshake,
) -> (Result<Session, HandshakeError>, Result<Session, HandshakeError>) {
    let (mut ours, mut theirs) = UnixStream::pair().unwrap();
    let server = thread::spawn(move || server_handshake(&mut theirs, &server));
    let client = client_handshake(&mut ours, hello, client.as_ref());
    drop(ours);
    (client, server.join().unwrap())
}

#[test]
fn the_highest_common_version_is_chosen_and_both_ends_understand_each_other() {
    for token in [None, token("a")] {
        let (client, server) = meet(hello(1..=3), token.clone(), ServerHandshake::new(2..=9, token.clone()));
        let (client, server) = (client.unwrap(), server.unwrap());
        assert_eq!((client.version, server.version), (3, 3));
        assert_eq!(server.peer, hello(1..=3));
        assert_eq!(client.send_key.is_some(), token.is_some());
        for (from, to) in [(&client, &server), (&server, &client)] {
            let (mut encoder, mut decoder) = (from.encoder(100), to.decoder(100));
            let mut bytes = Vec::new();
            encoder.encode("words", &mut bytes).unwrap();
            decoder.push(&bytes).unwrap();
            assert_eq!(decoder.decode::<String>().unwrap().unwrap(), "words");
        }
    }
}

#[test]
fn a_version_mismatch_names_both_ranges_on_both_sides() {
    let (client, server) = meet(hello(1..=2), None, ServerHandshake::new(4..=5, None));
    let text = client.unwrap_err().to_string();
    assert!(text.contains("we speak 1 to 2, the peer speaks 4 to 5"), "{text}");
    let text = server.unwrap_err().to_string();
    assert!(text.contains("we speak 4 to 5, the peer speaks 1 to 2"), "{text}");
    let (client, _) = meet(hello(6..=7), None, ServerHandshake::new(4..=5, None));
    assert!(matches!(client, Err(HandshakeError::VersionMismatch { .. })));
}

#[test]
fn who_does_not_hold_the_token_gets_nowhere() {
    let (client, server) = meet(hello(1..=1), token("a"), ServerHandshake::new(1..=1, token("b")));
    assert!(matches!(client, Err(HandshakeError::BadToken)), "{client:?}");
    assert!(server.is_err());
    let (client, server) = meet(hello(1..=1), None, ServerHandshake::new(1..=1, token("b")));
    assert!(matches!(client, Err(HandshakeError::TokenRequired)), "{client:?}");
    assert!(server.is_err());
    let (client, server) = meet(hello(1..=1), token("a"), ServerHandshake::new(1..=1, None));
    assert!(matches!(client, Err(HandshakeError::ServerUnauthenticated)), "{client:?}");
    assert!(server.is_err());
}

#[test]
fn a_client_that_skips_its_proof_or_repeats_another_is_refused() {
    let server = ServerHandshake::new(1..=1, token("a"));
    let (client, first) = ClientHandshake::start(hello(1..=1), token("a").as_ref()).unwrap();
    let (reply, await_proof) = server.on_hello(&unframe(&first));
    let (_, proof) = client.on_reply(&unframe(&reply)).unwrap();
    assert!(await_proof.unwrap().on_proof(&unframe(&proof)).is_ok());
    // The same hello and the same proof again: the server's nonce is another.
    let (_, await_proof) = server.on_hello(&unframe(&first));
    assert!(matches!(await_proof.unwrap().on_proof(&unframe(&proof)), Err(HandshakeError::BadToken)));
    let (_, none) = frame(&ClientProof { proof: None }).unwrap();
    let (_, await_proof) = server.on_hello(&unframe(&first));
    assert!(matches!(await_proof.unwrap().on_proof(&unframe(&none)), Err(HandshakeError::BadToken)));
}

#[test]
fn long_names_payloads_and_foreign_peers_are_refused() {
    let mut long = hello(1..=1);
    long.name = "n".repeat(MAX_NAME_BYTES + 1);
    let error = ClientHandshake::start(long.clone(), None).unwrap_err();
    assert!(matches!(error, HandshakeError::TooLong { field: "name", found_bytes: 65, .. }), "{error}");
    let server = ServerHandshake::new(1..=1, None);
    let (payload, _) = frame(&ClientHello { magic: MAGIC, nonce: [0; 32], hello: long }).unwrap();
    assert!(matches!(server.on_hello(&payload).1, Err(HandshakeError::TooLong { .. })));
    let mut long = hello(1..=1);
    long.payload = vec![0; MAX_PAYLOAD_BYTES + 1];
    assert!(ClientHandshake::start(long, None).is_err());
    let (payload, _) = frame(&ClientHello { magic: 7, nonce: [0; 32], hello: hello(1..=1) }).unwrap();
    assert!(matches!(server.on_hello(&payload).1, Err(HandshakeError::BadMagic { found: 7, .. })));
    let mut longest = hello(1..=1);
    (longest.name, longest.payload) = ("n".repeat(MAX_NAME_BYTES), vec![0; MAX_PAYLOAD_BYTES]);
    assert!(meet(longest, None, server).1.is_ok());
}

proptest! {
    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let server = ServerHandshake::new(1..=1, token("a"));
        let _ = server.on_hello(&bytes);
        let (client, first) = ClientHandshake::start(hello(1..=1), token("a").as_ref()).unwrap();
        prop_assert!(client.on_reply(&bytes).is_err());
        let (_, await_proof) = server.on_hello(&unframe(&first));
        prop_assert!(await_proof.unwrap().on_proof(&bytes).is_err());
    }

    #[test]
    fn every_changed_bit_of_the_conversation_is_noticed(which in 0..3usize, at: prop::sample::Index) {
        let server = ServerHandshake::new(1..=1, token("a"));
        let flip = |bytes: Vec<u8>, now: bool| {
            let mut payload = unframe(&bytes);
            if now {
                let bit = at.index(payload.len() * 8);
                payload[bit / 8] ^= 1 << (bit % 8);
            }
            payload
        };
        let (client, first) = ClientHandshake::start(hello(1..=1), token("a").as_ref()).unwrap();
        let run = || -> Result<Session, HandshakeError> {
            let (reply, await_proof) = server.on_hello(&flip(first, which == 0));
            let await_proof = await_proof?;
            let (_, proof) = client.on_reply(&flip(reply, which == 1))?;
            await_proof.on_proof(&flip(proof, which == 2))
        };
        prop_assert!(run().is_err());
    }
}
