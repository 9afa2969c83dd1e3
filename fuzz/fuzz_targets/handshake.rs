//! The handshake: no bytes make a side believe that a stranger holds the token.
#![no_main]
use ingot_wire::{ClientHandshake, FrameDecoder, Hello, ServerHandshake, Token};
use libfuzzer_sys::fuzz_target;

fn payload(frame: &[u8]) -> Vec<u8> {
    let mut decoder = FrameDecoder::new(4096);
    decoder.push(frame).unwrap();
    decoder.decode_payload().unwrap().unwrap()
}

fuzz_target!(|bytes: &[u8]| {
    let token = Token::from_bytes(&[7; 32]).unwrap();
    let server = ServerHandshake::new(1..=3, Some(token.clone()));
    let (_, next) = server.on_hello(bytes);
    if let Ok(next) = next {
        assert!(next.hello().name.len() <= ingot_wire::MAX_NAME_BYTES);
        assert!(next.on_proof(bytes).is_err());
    }
    let hello = Hello { min_version: 1, max_version: 2, role: 0, name: "n".into(), payload: vec![] };
    let (client, first) = ClientHandshake::start(hello.clone(), Some(&token)).unwrap();
    assert!(client.on_reply(bytes).is_err());
    let (_, next) = server.on_hello(&payload(&first));
    assert!(next.unwrap().on_proof(bytes).is_err());
    // Without a token anything well-formed may pass, within the versions that were offered.
    let (client, _) = ClientHandshake::start(hello, None).unwrap();
    if let Ok((session, _)) = client.on_reply(bytes) {
        assert!((1..=2).contains(&session.version));
    }
});
