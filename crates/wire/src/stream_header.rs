//! The 64 bytes that say what a stream carries.

use ingot_types::{AggregationRound, BatchId, BatchNumber, ChainId, CircuitId, JobKey, JobKind};
use zerocopy::{
    little_endian::{U16, U32, U64},
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
};

use crate::{opening::STREAM_VERSIONS, HeaderError};

/// Length of a stream header, in bytes.
pub const STREAM_HEADER_BYTES: usize = 64;
/// How many sections a witness vector has: public input locations, values, multiplicities.
pub const SECTIONS: usize = 3;
/// Sections begin at multiples of this many bytes of the payload; zeros lie between them.
pub const SECTION_ALIGN_BYTES: u64 = 64;
/// Smallest chunk: 2^20 bytes = 1 MiB.
pub const MIN_CHUNK_LOG2: u8 = 20;
/// Largest chunk: 2^26 bytes = 64 MiB.
pub const MAX_CHUNK_LOG2: u8 = 26;

const MAGIC: u32 = u32::from_le_bytes(*b"IWIT");

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Raw {
    magic: U32,
    version: U16,
    round: u8,
    circuit_id: u8,
    chain: U64,
    batch: U32,
    sequence: U32,
    depth: U16,
    chunk_log2: u8,
    flags: u8,
    lease_token: U64,
    section_bytes: [U64; SECTIONS],
    crc: U32,
}

const _: () = assert!(size_of::<Raw>() == STREAM_HEADER_BYTES);

/// What a receiver allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderLimits {
    /// Longest payload, sections and the zeros between them, in bytes: the size of a slab.
    pub max_payload_bytes: u64,
}

/// What a stream carries: the witness vector of one prove job, as sent under one lease.
///
/// Layout, little-endian: magic `IWIT` u32, version u16, round u8, circuit u8, chain u64, batch u32, sequence u32,
/// depth u16, log2 of the chunk size u8, flags u8 (0), lease token u64, three section lengths u64, CRC-32 (IEEE) of
/// the 60 bytes before u32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamHeader {
    /// The prove job.
    pub job: JobKey,
    /// Fencing token of the sender's lease on it.
    pub lease_token: u64,
    /// Binary logarithm of the chunk size in bytes: [`MIN_CHUNK_LOG2`] to [`MAX_CHUNK_LOG2`].
    pub chunk_log2: u8,
    /// Lengths of the sections in bytes: public input locations, values, multiplicities.
    pub section_bytes: [u64; SECTIONS],
}

/// Where each section begins in the payload, and how long the payload is; `None` if that is over 2^64 bytes.
pub fn payload_layout(section_bytes: [u64; SECTIONS]) -> Option<([u64; SECTIONS], u64)> {
    let mut starts = [0; SECTIONS];
    let mut end = 0u64;
    for (start, bytes) in starts.iter_mut().zip(section_bytes) {
        // An empty section takes no room, not even for its alignment.
        *start = if bytes == 0 { end } else { end.checked_next_multiple_of(SECTION_ALIGN_BYTES)? };
        end = start.checked_add(bytes)?;
    }
    Some((starts, end))
}

impl StreamHeader {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; STREAM_HEADER_BYTES] {
        let mut raw = Raw {
            magic: MAGIC.into(),
            version: (*STREAM_VERSIONS.end()).into(),
            round: self.job.round as u8,
            circuit_id: self.job.circuit_id.0,
            chain: self.job.batch.chain.0.into(),
            batch: self.job.batch.batch.0.into(),
            sequence: self.job.sequence.into(),
            depth: self.job.depth.into(),
            chunk_log2: self.chunk_log2,
            flags: 0,
            lease_token: self.lease_token.into(),
            section_bytes: self.section_bytes.map(U64::new),
            crc: 0.into(),
        };
        raw.crc = crc(raw.as_bytes()).into();
        zerocopy::transmute!(raw)
    }

    /// Reads and checks a header.
    pub fn decode(bytes: &[u8; STREAM_HEADER_BYTES], limits: HeaderLimits) -> Result<Self, HeaderError> {
        let raw: &Raw = zerocopy::transmute_ref!(bytes);
        if raw.magic != MAGIC {
            return Err(HeaderError::BadMagic { found: raw.magic.get(), expected: MAGIC });
        }
        let expected = crc(bytes);
        if raw.crc != expected {
            return Err(HeaderError::BadCrc { found: raw.crc.get(), expected });
        }
        if !STREAM_VERSIONS.contains(&raw.version.get()) {
            let (min, max) = (*STREAM_VERSIONS.start(), *STREAM_VERSIONS.end());
            return Err(HeaderError::Version { found: raw.version.get(), min, max });
        }
        let bad = |field, found: u64, expected| HeaderError::BadField { field, found, expected };
        let round = AggregationRound::try_from(raw.round)
            .map_err(|_| bad("aggregation round", raw.round.into(), "0 to 4"))?;
        if raw.flags != 0 {
            return Err(bad("flags", raw.flags.into(), "0"));
        }
        let header = Self {
            job: JobKey {
                batch: BatchId { chain: ChainId(raw.chain.get()), batch: BatchNumber(raw.batch.get()) },
                kind: JobKind::Prove,
                round,
                circuit_id: CircuitId(raw.circuit_id),
                depth: raw.depth.get(),
                sequence: raw.sequence.get(),
            },
            lease_token: raw.lease_token.get(),
            chunk_log2: raw.chunk_log2,
            section_bytes: raw.section_bytes.map(U64::get),
        };
        header.check(limits)?;
        Ok(header)
    }

    /// Whether chunk size and lengths are within the limits.
    pub fn check(&self, limits: HeaderLimits) -> Result<(), HeaderError> {
        if !(MIN_CHUNK_LOG2..=MAX_CHUNK_LOG2).contains(&self.chunk_log2) {
            let found = self.chunk_log2.into();
            return Err(HeaderError::BadField {
                field: "log2 of the chunk size",
                found,
                expected: "20 to 26",
            });
        }
        let limit_bytes = limits.max_payload_bytes.min(u64::from(u32::MAX) << self.chunk_log2);
        if payload_layout(self.section_bytes).is_none_or(|(_, bytes)| bytes > limit_bytes) {
            return Err(HeaderError::TooLong { sections: self.section_bytes, limit_bytes });
        }
        Ok(())
    }

    /// Length of the payload in bytes: the sections and the zeros between them.
    pub fn payload_bytes(&self) -> u64 {
        payload_layout(self.section_bytes).map_or(u64::MAX, |(_, bytes)| bytes)
    }

    /// Where each section begins in the payload, in bytes.
    pub fn section_starts(&self) -> [u64; SECTIONS] {
        payload_layout(self.section_bytes).map_or([u64::MAX; SECTIONS], |(starts, _)| starts)
    }

    /// Size of every chunk but the last, in bytes.
    pub fn chunk_bytes(&self) -> u64 {
        1 << self.chunk_log2.min(MAX_CHUNK_LOG2)
    }

    /// How many chunks there are; none for an empty payload.
    pub fn chunks(&self) -> u32 {
        u32::try_from(self.payload_bytes().div_ceil(self.chunk_bytes())).unwrap_or(u32::MAX)
    }
}

/// The check over all but the last four bytes of a header.
fn crc(header: &[u8]) -> u32 {
    crc32fast::hash(header.get(..STREAM_HEADER_BYTES - 4).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NO_LIMIT: HeaderLimits = HeaderLimits { max_payload_bytes: u64::MAX };

    fn header(section_bytes: [u64; 3]) -> StreamHeader {
        let job = "270/17/prove/2/3/1/42".parse().unwrap();
        StreamHeader { job, lease_token: 0xfeed, chunk_log2: 22, section_bytes }
    }

    /// The bytes with the check made right again.
    fn resealed(mut bytes: [u8; 64]) -> [u8; 64] {
        let crc = crc(&bytes);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let bytes = header([16, 8, 4]).encode();
        assert_eq!(&bytes[..8], b"IWIT\x01\x00\x02\x03");
        assert_eq!(bytes[8..16], 270u64.to_le_bytes());
        assert_eq!(bytes[16..20], 17u32.to_le_bytes());
        assert_eq!(bytes[20..24], 42u32.to_le_bytes());
        assert_eq!(bytes[24..28], [1, 0, 22, 0]);
        assert_eq!(bytes[28..36], 0xfeedu64.to_le_bytes());
        assert_eq!(bytes[36..44], 16u64.to_le_bytes());
        assert_eq!(bytes[52..60], 4u64.to_le_bytes());
        // An independent CRC-32 (reflected 0xEDB88320).
        let mut crc = u32::MAX;
        for byte in &bytes[..60] {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
            }
        }
        assert_eq!(bytes[60..], (!crc).to_le_bytes());
    }

    #[test]
    fn sections_are_aligned_and_lengths_add_up() {
        let h = header([16, 100, 4]);
        assert_eq!(h.section_starts(), [0, 64, 192]);
        assert_eq!(h.payload_bytes(), 196);
        assert_eq!(h.chunks(), 1);
        assert_eq!(header([0, 0, 0]).chunks(), 0);
        assert_eq!(header([0, (4 << 20) + 1, 0]).chunks(), 2);
    }

    #[test]
    fn oversized_and_overflowing_lengths_are_refused() {
        let limits = HeaderLimits { max_payload_bytes: 1000 };
        assert!(StreamHeader::decode(&header([0, 1000, 0]).encode(), limits).is_ok());
        for sections in [[0, 1001, 0], [u64::MAX; 3], [u64::MAX, 1, 0], [u64::MAX - 10, 0, 0], [1, 0, 1000]] {
            let error = StreamHeader::decode(&header(sections).encode(), limits).unwrap_err();
            assert!(matches!(error, HeaderError::TooLong { .. }), "{sections:?}: {error}");
        }
        // More chunks than an index can count.
        assert!(header([u64::MAX / 2, 0, 0]).check(NO_LIMIT).is_err());
    }

    #[test]
    fn fields_out_of_range_are_refused_though_the_crc_is_right() {
        let good = header([8, 8, 4]).encode();
        for (at, value, text) in
            [(6, 5, "round"), (27, 1, "flags"), (26, 19, "chunk"), (26, 27, "chunk"), (4, 9, "version")]
        {
            let mut bytes = good;
            bytes[at] = value;
            let error = StreamHeader::decode(&resealed(bytes), NO_LIMIT).unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
        }
    }

    proptest! {
        #[test]
        fn headers_survive_the_round_trip(chain: u64, lease_token: u64, a in 0..1u64 << 40, b in 0..1u64 << 40,
                                          c in 0..1u64 << 40, chunk_log2 in 20..=26u8) {
            let mut h = StreamHeader { lease_token, chunk_log2, ..header([a, b, c]) };
            h.job.batch.chain = ChainId(chain);
            prop_assert_eq!(StreamHeader::decode(&h.encode(), NO_LIMIT), Ok(h));
        }

        #[test]
        fn every_flipped_bit_is_noticed(bit in 0..512usize) {
            let mut bytes = header([8, 8, 4]).encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(StreamHeader::decode(&bytes, NO_LIMIT).is_err());
        }

        #[test]
        fn any_bytes_decode_to_what_encodes_back_or_to_an_error(bytes: [u8; 32], tail: [u8; 32], limit: u64) {
            let mut all = [0; 64];
            all[..32].copy_from_slice(&bytes);
            all[32..].copy_from_slice(&tail);
            all[..6].copy_from_slice(b"IWIT\x01\x00");
            let all = resealed(all);
            if let Ok(header) = StreamHeader::decode(&all, HeaderLimits { max_payload_bytes: limit }) {
                prop_assert!(header.payload_bytes() <= limit);
                prop_assert_eq!(header.encode(), all);
            }
        }
    }
}
