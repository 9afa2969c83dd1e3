//! Control frames: any bytes, cut anywhere, are messages or an error, and take no more memory than they are long.
#![no_main]
use ingot_wire::{FrameDecoder, FrameEncoder};
use libfuzzer_sys::fuzz_target;

type Message = (u64, String, Vec<Option<u16>>, [u8; 3]);

fuzz_target!(|input: (u8, Vec<u8>)| {
    let (cut, bytes) = input;
    let mut decoder = FrameDecoder::new(4096);
    for part in bytes.chunks(usize::from(cut) + 1) {
        if decoder.push(part).is_err() {
            return;
        }
        loop {
            match decoder.decode::<Message>() {
                Ok(Some(message)) => {
                    let mut out = Vec::new();
                    FrameEncoder::new(u32::MAX).encode(&message, &mut out).unwrap();
                    let mut again = FrameDecoder::new(u32::MAX);
                    again.push(&out).unwrap();
                    assert_eq!(again.decode::<Message>().unwrap(), Some(message));
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
        assert!(decoder.missing_bytes().unwrap() <= 4096 + 4);
    }
});
