//! The sequence of chunks: whatever headers, tags and trailers come, it advances only by the next chunk with its check.
#![no_main]
use ingot_wire::{ChunkSequence, StreamHeader, Ticket};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u32, Vec<(u8, [u8; 24], [u8; 32])>)| {
    let (bytes, steps) = input;
    let header = StreamHeader {
        job: "1/2/prove/0/1/0/3".parse().unwrap(),
        lease_token: 4,
        chunk_log2: 20,
        section_bytes: [0, u64::from(bytes), 0],
    };
    let keys = Ticket { id: 1, key: [9; 32] }.stream_keys(&header.encode());
    let mut sender = ChunkSequence::new(&header, &keys);
    let mut receiver = sender.clone();
    for (kind, chunk, tag) in steps {
        let before = receiver.accepted();
        // A good chunk now and then, so that the sequence gets somewhere; `kind` then says which byte of it to change.
        let (chunk, good) = match (kind & 1, sender.push(&tag)) {
            (1, Some(mut good)) => {
                let change = usize::from(kind >> 1);
                if let Some(byte) = good.get_mut(change) {
                    *byte ^= 1;
                }
                (good, change >= good.len())
            }
            (_, Some(_)) => (chunk, false),
            (_, None) => (chunk, false),
        };
        let accepted = receiver.expect(&chunk).and_then(|spec| {
            assert_eq!(spec.index, before);
            assert!(spec.range.end <= header.payload_bytes());
            receiver.accept(&spec, &tag)
        });
        if accepted.is_ok() {
            assert_eq!(receiver.accepted(), before + 1);
        } else {
            assert_eq!(receiver.accepted(), before);
            assert!(!good || sender.accepted() != before + 1);
            // The sender resumes where the receiver is.
            sender = receiver.clone();
        }
        assert!(receiver.accepted_bytes() <= header.payload_bytes());
        let mut trailer = [0; 40];
        trailer[..24].copy_from_slice(&chunk);
        assert!(receiver.finish(&trailer).is_err());
    }
});
