//! Chunks: the pieces of a payload, each with its check, and the root over all of them.
//!
//! Chunk: `index u32 | length u32 | check [16] | data`. Trailer: `"IEND" | chunks u32 | root [32]`.
//!
//! A chunk's *tag* is keyed BLAKE3 over (data, index, length) under a key derived from the ticket and the header; its
//! check is the tag's first 16 bytes. The root is keyed BLAKE3 over all tags in full and their count. Why that is sound: to
//! pass a chunk off for another one has to find the 128-bit code of a key that only the two ends hold; the length is part
//! of what is hashed, and comes last, so that data and suffix cannot be confused; and the root binds order and
//! number through tags of 256 bits, so that even who holds the key cannot make two payloads with one root. The receiver
//! never hashes anything twice: the root costs 32 bytes a chunk.

use std::ops::Range;

use zerocopy::{little_endian::U32, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::{
    mac::{same, truncate, MAC_BYTES},
    ChunkError, StreamHeader, StreamKeys,
};

/// Length of what precedes a chunk's data, in bytes.
pub const CHUNK_HEADER_BYTES: usize = 24;
/// Length of what follows the last chunk, in bytes.
pub const TRAILER_BYTES: usize = 40;

const TRAILER_MAGIC: u32 = u32::from_le_bytes(*b"IEND");

/// What precedes a chunk's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ChunkHeader {
    index: U32,
    length: U32,
    check: [u8; MAC_BYTES],
}

const _: () = assert!(size_of::<ChunkHeader>() == CHUNK_HEADER_BYTES);

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Trailer {
    magic: U32,
    chunks: U32,
    root: [u8; 32],
}

const _: () = assert!(size_of::<Trailer>() == TRAILER_BYTES);

/// The root over all chunks of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Root(pub [u8; 32]);

/// Computes a chunk's tag from its data, piece by piece.
#[derive(Debug)]
pub struct ChunkTag {
    hasher: blake3::Hasher,
    length: u32,
}

impl ChunkTag {
    /// Begins a chunk.
    pub fn new(keys: &StreamKeys) -> Self {
        Self { hasher: keys.chunk.hasher(), length: 0 }
    }

    /// Takes the next piece of data. Pieces of 128 KiB and more are fastest.
    pub fn update(&mut self, data: &[u8]) {
        self.hasher.update(data);
        self.length = self.length.wrapping_add(data.len() as u32);
    }

    /// The tag of the chunk with this index.
    pub fn finish(mut self, index: u32) -> [u8; 32] {
        self.hasher.update(&index.to_le_bytes());
        self.hasher.update(&self.length.to_le_bytes());
        *self.hasher.finalize().as_bytes()
    }
}

/// One chunk as the header of the stream prescribes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkSpec {
    /// Its index.
    pub index: u32,
    /// Where its data lies in the payload, in bytes.
    pub range: Range<u64>,
    check: Option<[u8; MAC_BYTES]>,
}

impl ChunkSpec {
    /// Length of its data, in bytes: at most 64 MiB.
    pub fn bytes(&self) -> u32 {
        (self.range.end - self.range.start) as u32
    }
}

/// The chunks of one stream in their order: what comes next, and the root over what came.
///
/// Both ends drive one. The sender takes [`next`](Self::next), computes the tag and gets the chunk's header from
/// [`push`](Self::push). The receiver passes each chunk header to [`expect`](Self::expect) and each computed tag to
/// [`accept`](Self::accept). Clones are cheap, and what was accepted stays accepted: a connection that continues
/// another goes on with the same sequence.
#[derive(Clone, Debug)]
pub struct ChunkSequence {
    payload_bytes: u64,
    chunk_bytes: u64,
    chunks: u32,
    accepted: u32,
    root: blake3::Hasher,
}

impl ChunkSequence {
    /// The sequence that a (checked) header prescribes, at its beginning.
    pub fn new(header: &StreamHeader, keys: &StreamKeys) -> Self {
        Self {
            payload_bytes: header.payload_bytes(),
            chunk_bytes: header.chunk_bytes(),
            chunks: header.chunks(),
            accepted: 0,
            root: keys.root.hasher(),
        }
    }

    /// How many chunks there are.
    pub fn chunks(&self) -> u32 {
        self.chunks
    }

    /// How many were accepted, which is also the index of the next.
    pub fn accepted(&self) -> u32 {
        self.accepted
    }

    /// How many bytes of the payload were accepted.
    pub fn accepted_bytes(&self) -> u64 {
        (u64::from(self.accepted) * self.chunk_bytes).min(self.payload_bytes)
    }

    /// The chunk with an index.
    pub fn spec(&self, index: u32) -> Option<ChunkSpec> {
        if index >= self.chunks {
            return None;
        }
        let start = u64::from(index) * self.chunk_bytes;
        Some(ChunkSpec {
            index,
            range: start..(start + self.chunk_bytes).min(self.payload_bytes),
            check: None,
        })
    }

    /// The chunk that comes next, until all were accepted.
    pub fn next(&self) -> Option<ChunkSpec> {
        self.spec(self.accepted)
    }

    /// Sender: the header of the next chunk, whose tag this is; the chunk counts as accepted.
    pub fn push(&mut self, tag: &[u8; 32]) -> Option<[u8; CHUNK_HEADER_BYTES]> {
        let spec = self.next()?;
        self.root.update(tag);
        self.accepted += 1;
        let check = truncate(&blake3::Hash::from_bytes(*tag));
        Some(zerocopy::transmute!(ChunkHeader {
            index: spec.index.into(),
            length: spec.bytes().into(),
            check
        }))
    }

    /// Receiver: whether this header is the one of the next chunk. Its data is to be read into the range given.
    pub fn expect(&self, header: &[u8; CHUNK_HEADER_BYTES]) -> Result<ChunkSpec, ChunkError> {
        self.expect_ahead(0, header)
    }

    /// As [`expect`](Self::expect), when `ahead` chunks before this one have arrived and are still being hashed.
    pub fn expect_ahead(
        &self,
        ahead: u32,
        header: &[u8; CHUNK_HEADER_BYTES],
    ) -> Result<ChunkSpec, ChunkError> {
        let header: &ChunkHeader = zerocopy::transmute_ref!(header);
        let expected = self.accepted.saturating_add(ahead);
        let wrong = ChunkError::WrongIndex { found: header.index.get(), expected, chunks: self.chunks };
        let Some(mut spec) = self.spec(expected) else { return Err(wrong) };
        if header.index != spec.index {
            return Err(wrong);
        }
        if header.length != spec.bytes() {
            return Err(ChunkError::WrongLength {
                index: spec.index,
                found_bytes: header.length.get(),
                expected_bytes: spec.bytes(),
            });
        }
        spec.check = Some(header.check);
        Ok(spec)
    }

    /// Receiver: takes the tag computed over the data of a chunk that [`expect`](Self::expect) returned.
    pub fn accept(&mut self, spec: &ChunkSpec, tag: &[u8; 32]) -> Result<(), ChunkError> {
        if spec.index != self.accepted || self.accepted >= self.chunks {
            let (found, expected, chunks) = (spec.index, self.accepted, self.chunks);
            return Err(ChunkError::WrongIndex { found, expected, chunks });
        }
        let computed = truncate(&blake3::Hash::from_bytes(*tag));
        if !spec.check.is_some_and(|check| same(&check, &computed)) {
            return Err(ChunkError::BadCheck { index: spec.index });
        }
        self.root.update(tag);
        self.accepted += 1;
        Ok(())
    }

    /// The root, once all chunks were accepted.
    pub fn root(&self) -> Result<Root, ChunkError> {
        if self.accepted != self.chunks {
            return Err(ChunkError::Incomplete { found: self.accepted, expected: self.chunks });
        }
        Ok(Root(*self.root.clone().update(&self.chunks.to_le_bytes()).finalize().as_bytes()))
    }

    /// Sender: the trailer.
    pub fn trailer(&self) -> Result<[u8; TRAILER_BYTES], ChunkError> {
        let root = self.root()?.0;
        Ok(zerocopy::transmute!(Trailer { magic: TRAILER_MAGIC.into(), chunks: self.chunks.into(), root }))
    }

    /// Receiver: the root, if the trailer has the same.
    pub fn finish(&self, trailer: &[u8; TRAILER_BYTES]) -> Result<Root, ChunkError> {
        let root = self.root()?;
        let trailer: &Trailer = zerocopy::transmute_ref!(trailer);
        if trailer.magic != TRAILER_MAGIC {
            return Err(ChunkError::BadTrailer("magic"));
        }
        if trailer.chunks != self.chunks {
            return Err(ChunkError::BadTrailer("number of chunks"));
        }
        if !same(&trailer.root, &root.0) {
            return Err(ChunkError::BadTrailer("root"));
        }
        Ok(root)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Ticket;

    const CHUNK: usize = 1 << 20;

    fn stream(bytes: usize) -> (StreamHeader, StreamKeys, Vec<u8>) {
        let job = "1/2/prove/0/1/0/3".parse().unwrap();
        let header =
            StreamHeader { job, lease_token: 4, chunk_log2: 20, section_bytes: [0, bytes as u64, 0] };
        let keys = Ticket { id: 1, key: [9; 32] }.stream_keys(&header.encode());
        (header, keys, (0..bytes).map(|i| (i / 7) as u8).collect())
    }

    fn tag(keys: &StreamKeys, spec: &ChunkSpec, data: &[u8]) -> [u8; 32] {
        let mut tag = ChunkTag::new(keys);
        tag.update(&data[spec.range.start as usize..spec.range.end as usize]);
        tag.finish(spec.index)
    }

    #[test]
    fn what_one_end_sends_the_other_accepts() {
        for bytes in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5] {
            let (header, keys, data) = stream(bytes);
            let (mut sender, mut receiver) =
                (ChunkSequence::new(&header, &keys), ChunkSequence::new(&header, &keys));
            while let Some(spec) = sender.next() {
                let tag = tag(&keys, &spec, &data);
                let chunk_header = sender.push(&tag).unwrap();
                let expected = receiver.expect(&chunk_header).unwrap();
                assert_eq!(expected.range, spec.range);
                receiver.accept(&expected, &tag).unwrap();
                assert_eq!(receiver.accepted_bytes(), spec.range.end);
            }
            assert_eq!(receiver.accepted_bytes(), bytes as u64);
            assert_eq!(receiver.finish(&sender.trailer().unwrap()), sender.root());
        }
    }

    #[test]
    fn pieces_give_the_tag_of_the_whole() {
        let (header, keys, data) = stream(CHUNK);
        let spec = ChunkSequence::new(&header, &keys).next().unwrap();
        let mut pieces = ChunkTag::new(&keys);
        data.chunks(100_001).for_each(|piece| pieces.update(piece));
        assert_eq!(pieces.finish(0), tag(&keys, &spec, &data));
    }

    #[test]
    fn skipped_repeated_resized_and_damaged_chunks_are_refused() {
        let (header, keys, data) = stream(3 * CHUNK);
        let mut sender = ChunkSequence::new(&header, &keys);
        let mut receiver = sender.clone();
        let tags: Vec<_> = (0..3).map(|i| tag(&keys, &sender.spec(i).unwrap(), &data)).collect();
        let headers: Vec<_> = tags.iter().map(|tag| sender.push(tag).unwrap()).collect();
        assert!(matches!(
            receiver.expect(&headers[1]),
            Err(ChunkError::WrongIndex { found: 1, expected: 0, chunks: 3 })
        ));
        let first = receiver.expect(&headers[0]).unwrap();
        assert_eq!(receiver.accept(&first, &tags[1]), Err(ChunkError::BadCheck { index: 0 }));
        assert_eq!(receiver.accepted(), 0, "a bad chunk is not accepted");
        receiver.accept(&first, &tags[0]).unwrap();
        assert!(receiver.expect(&headers[0]).is_err(), "repeated");
        assert!(receiver.accept(&first, &tags[0]).is_err(), "repeated");
        let mut short = headers[1];
        short[4..8].copy_from_slice(&5u32.to_le_bytes());
        assert!(matches!(receiver.expect(&short), Err(ChunkError::WrongLength { found_bytes: 5, .. })));
        assert_eq!(receiver.expect_ahead(1, &headers[2]).unwrap().index, 2);
        assert!(receiver.expect_ahead(1, &headers[1]).is_err(), "repeated while it is hashed");
        assert!(receiver.expect_ahead(2, &headers[2]).is_err(), "beyond the end");
        assert!(receiver.finish(&sender.trailer().unwrap()).is_err(), "too early");
        assert!(receiver.trailer().is_err(), "too early");
    }

    #[test]
    fn the_root_depends_on_every_chunk_the_header_and_the_ticket() {
        let (header, keys, data) = stream(2 * CHUNK);
        let root = |header: &StreamHeader, keys: &StreamKeys, data: &[u8]| {
            let mut sequence = ChunkSequence::new(header, keys);
            while let Some(spec) = sequence.next() {
                sequence.push(&tag(keys, &spec, data)).unwrap();
            }
            sequence.root().unwrap()
        };
        let good = root(&header, &keys, &data);
        for at in [0, CHUNK - 1, CHUNK, 2 * CHUNK - 1] {
            let mut other = data.clone();
            other[at] ^= 1;
            assert_ne!(root(&header, &keys, &other), good);
        }
        let other = StreamHeader { lease_token: 5, ..header };
        let ticket = Ticket { id: 1, key: [9; 32] };
        assert_ne!(root(&other, &ticket.stream_keys(&other.encode()), &data), good);
        let other = Ticket { id: 2, key: [9; 32] }.stream_keys(&header.encode());
        assert_ne!(root(&header, &other, &data), good);
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_as_chunks_and_trailers(chunk: [u8; CHUNK_HEADER_BYTES], trailer: [u8; 32], n in 0..9u8) {
            let (header, keys, _) = stream(usize::from(n));
            let sequence = ChunkSequence::new(&header, &keys);
            if let Ok(spec) = sequence.expect(&chunk) {
                prop_assert!(sequence.clone().accept(&spec, &[0; 32]).is_err());
            }
            let mut bytes = [0; TRAILER_BYTES];
            bytes[..4].copy_from_slice(b"IEND");
            bytes[8..].copy_from_slice(&trailer);
            prop_assert!(sequence.finish(&bytes).is_err());
        }
    }
}
