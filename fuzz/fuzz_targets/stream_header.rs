//! Stream headers: what is accepted is within the limits, and encodes back to the same bytes.
#![no_main]
use ingot_wire::{HeaderLimits, StreamHeader};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: ([u8; 32], [u8; 28], u64)| {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(&input.0);
    bytes[32..60].copy_from_slice(&input.1);
    // With the right magic, version and check, or nothing would get past them.
    bytes[..6].copy_from_slice(b"IWIT\x01\x00");
    let mut crc = u32::MAX;
    for byte in &bytes[..60] {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    bytes[60..].copy_from_slice(&(!crc).to_le_bytes());
    if let Ok(header) = StreamHeader::decode(&bytes, HeaderLimits { max_payload_bytes: input.2 }) {
        assert!(header.payload_bytes() <= input.2);
        assert_eq!(header.encode(), bytes);
        assert_eq!(u64::from(header.chunks()), header.payload_bytes().div_ceil(header.chunk_bytes()));
        for (start, bytes) in header.section_starts().into_iter().zip(header.section_bytes) {
            assert!(start + bytes <= header.payload_bytes());
        }
    }
});
