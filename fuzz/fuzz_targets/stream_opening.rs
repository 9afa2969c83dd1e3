//! Greetings, openings and answers: any bytes are refused, or are a stranger's.
#![no_main]
use ingot_wire::{Answer, Greeting, Opening, Ticket};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: ([u8; 40], [u8; 32], [u8; 32], [u8; 32], [u8; 32])| {
    let ticket = Ticket { id: 1, key: [2; 32] };
    let _ = Greeting::decode(input.0);
    let greeting = Greeting::new().unwrap();
    let mut opening = [0; 128];
    for (to, from) in opening.chunks_mut(32).zip([input.1, input.2, input.3, input.4]) {
        to.copy_from_slice(&from);
    }
    if let Ok(opening) = Opening::decode(opening) {
        assert!(opening.authenticate(&ticket, &greeting).is_err());
    }
    opening[..8].copy_from_slice(b"IHLO\x01\x00\x00\x00");
    opening[8..16].copy_from_slice(&1u64.to_le_bytes());
    assert!(Opening::decode(opening).unwrap().authenticate(&ticket, &greeting).is_err());
    let (_, auth) = Opening::new(&ticket, &greeting, &[0; 64]).unwrap();
    for closing in [false, true] {
        assert!(matches!(auth.decode(&input.1, closing), Err(_) | Ok(Answer::Unknown)));
    }
});
