//! Control frames: a length, a payload in postcard, and under a session key an authentication code.
//!
//! `u32 length (little-endian) | payload | 16 bytes of keyed BLAKE3 over (direction, counter, payload)`
//!
//! The length is the payload's. The counter is the number of frames sent before in this direction, so that a frame that is
//! repeated, left out or moved is refused.

use serde::{de::DeserializeOwned, Serialize};

use crate::{
    mac::{same, MacKey, MAC_BYTES},
    FrameError,
};

/// Longest payload of a frame before the handshake is through, in bytes.
pub const CAP_BEFORE_HANDSHAKE_BYTES: u32 = 4 << 10;
/// Longest payload of a frame after it, in bytes.
pub const CAP_AFTER_HANDSHAKE_BYTES: u32 = 32 << 20;

const LENGTH_BYTES: usize = 4;

/// Which way a frame goes; part of what its code covers, so that no frame can be sent back to where it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Direction {
    /// From the side that connected.
    ClientToServer = 0,
    /// From the side that accepted.
    ServerToClient = 1,
}

/// Key and position of one direction of a connection.
#[derive(Debug)]
struct Seal {
    key: MacKey,
    direction: Direction,
    counter: u64,
}

impl Seal {
    fn next(&mut self, payload: &[u8]) -> [u8; MAC_BYTES] {
        let mac = self.key.mac(&[&[self.direction as u8], &self.counter.to_le_bytes(), payload]);
        self.counter += 1;
        mac
    }
}

/// Makes frames out of messages.
#[derive(Debug)]
pub struct FrameEncoder {
    cap_bytes: u32,
    seal: Option<Seal>,
}

impl FrameEncoder {
    /// An encoder of frames without authentication.
    pub fn new(cap_bytes: u32) -> Self {
        Self { cap_bytes, seal: None }
    }

    /// An encoder of authenticated frames, if there is a key.
    pub fn with_key(cap_bytes: u32, direction: Direction, key: Option<MacKey>) -> Self {
        Self { cap_bytes, seal: key.map(|key| Seal { key, direction, counter: 0 }) }
    }

    /// Appends the frame of a message to `out`. After an error `out` is as it was.
    pub fn encode<M: Serialize + ?Sized>(
        &mut self,
        message: &M,
        out: &mut Vec<u8>,
    ) -> Result<(), FrameError> {
        let payload = postcard::to_allocvec(message).map_err(FrameError::Encode)?;
        self.encode_payload(&payload, out)
    }

    /// Appends the frame of a message that is encoded already.
    pub fn encode_payload(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), FrameError> {
        let length = u32::try_from(payload.len())
            .ok()
            .filter(|&length| length <= self.cap_bytes)
            .ok_or(FrameError::TooLong { found_bytes: payload.len() as u64, cap_bytes: self.cap_bytes })?;
        out.reserve(LENGTH_BYTES + payload.len() + MAC_BYTES);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(payload);
        if let Some(seal) = &mut self.seal {
            out.extend_from_slice(&seal.next(payload));
        }
        Ok(())
    }
}

/// Finds messages in the bytes of a connection.
///
/// [`push`](Self::push) what arrived, then take messages with [`decode`](Self::decode) until there is none. An error is
/// final: the connection has to be closed.
#[derive(Debug)]
pub struct FrameDecoder {
    cap_bytes: u32,
    seal: Option<Seal>,
    buffer: Vec<u8>,
    /// Where in `buffer` the next frame begins.
    start: usize,
    unusable: bool,
}

impl FrameDecoder {
    /// A decoder of frames without authentication.
    pub fn new(cap_bytes: u32) -> Self {
        Self::with_key(cap_bytes, Direction::ClientToServer, None)
    }

    /// A decoder of authenticated frames, if there is a key.
    pub fn with_key(cap_bytes: u32, direction: Direction, key: Option<MacKey>) -> Self {
        Self {
            cap_bytes,
            seal: key.map(|key| Seal { key, direction, counter: 0 }),
            buffer: Vec::new(),
            start: 0,
            unusable: false,
        }
    }

    /// Takes bytes that arrived. Memory grows with what has arrived only, never with what a length announces; a length
    /// over the cap is refused here, before the payload is awaited.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), FrameError> {
        if self.unusable {
            return Err(FrameError::Unusable);
        }
        if self.start > 0 && self.start >= self.buffer.len() / 2 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
        self.length().map(|_| ())
    }

    /// How many more bytes the next frame needs at least; 0 when it is there.
    ///
    /// A blocking reader that reads just this many never reads past the end of a frame.
    pub fn missing_bytes(&mut self) -> Result<usize, FrameError> {
        let have = self.buffer.len() - self.start;
        Ok(match self.length()? {
            None => LENGTH_BYTES - have,
            Some(length) => (LENGTH_BYTES + length + self.mac_bytes()).saturating_sub(have),
        })
    }

    /// The next message, if it is there.
    pub fn decode<M: DeserializeOwned>(&mut self) -> Result<Option<M>, FrameError> {
        let Some((from, to)) = self.frame()? else { return Ok(None) };
        let payload = self.buffer.get(from..to).unwrap_or_default();
        let result = match postcard::take_from_bytes::<M>(payload) {
            Ok((message, [])) => Ok(Some(message)),
            Ok((_, rest)) => {
                Err(FrameError::Trailing { payload_bytes: payload.len(), trailing_bytes: rest.len() })
            }
            Err(source) => Err(FrameError::Malformed { payload_bytes: payload.len(), source }),
        };
        self.unusable |= result.is_err();
        result
    }

    /// The payload of the next frame, if it is there, undecoded.
    pub fn decode_payload(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        Ok(self.frame()?.and_then(|(from, to)| self.buffer.get(from..to)).map(<[u8]>::to_vec))
    }

    /// Bytes that arrived and belong to no message taken so far.
    pub fn pending(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    fn mac_bytes(&self) -> usize {
        if self.seal.is_some() {
            MAC_BYTES
        } else {
            0
        }
    }

    /// The next frame's payload length, once it is known and allowed.
    fn length(&mut self) -> Result<Option<usize>, FrameError> {
        if self.unusable {
            return Err(FrameError::Unusable);
        }
        let Some(bytes) = self.buffer.get(self.start..).and_then(|b| b.first_chunk::<LENGTH_BYTES>()) else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*bytes);
        if length > self.cap_bytes {
            self.unusable = true;
            return Err(FrameError::TooLong { found_bytes: length.into(), cap_bytes: self.cap_bytes });
        }
        Ok(Some(length as usize))
    }

    /// Where in the buffer the next payload lies, once it is whole and its code is right; the frame counts as taken.
    fn frame(&mut self) -> Result<Option<(usize, usize)>, FrameError> {
        let Some(length) = self.length()? else { return Ok(None) };
        let from = self.start + LENGTH_BYTES;
        let to = from + length;
        let end = to + self.mac_bytes();
        if self.buffer.len() < end {
            return Ok(None);
        }
        if let Some(seal) = &mut self.seal {
            let payload = self.buffer.get(from..to).unwrap_or_default();
            let found = self.buffer.get(to..end).and_then(|b| b.first_chunk::<MAC_BYTES>());
            let counter = seal.counter;
            let expected = seal.next(payload);
            if !found.is_some_and(|found| same(found, &expected)) {
                self.unusable = true;
                return Err(FrameError::BadMac { counter });
            }
        }
        self.start = end;
        Ok(Some((from, to)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> Option<MacKey> {
        Some(MacKey::derive("ingot test", &[b"key"]))
    }

    fn pair(keyed: bool) -> (FrameEncoder, FrameDecoder) {
        let direction = Direction::ClientToServer;
        let key = if keyed { key() } else { None };
        (FrameEncoder::with_key(1000, direction, key.clone()), FrameDecoder::with_key(1000, direction, key))
    }

    proptest! {
        #[test]
        fn messages_arrive_whole_and_in_order_however_the_bytes_are_cut(
            messages in prop::collection::vec((any::<u32>(), ".{0,40}"), 0..8),
            cuts in prop::collection::vec(1usize..40, 1..40),
            keyed: bool,
        ) {
            let (mut encoder, mut decoder) = pair(keyed);
            let mut bytes = Vec::new();
            for message in &messages {
                encoder.encode(message, &mut bytes).unwrap();
            }
            let mut found: Vec<(u32, String)> = Vec::new();
            let (mut rest, mut cuts) = (bytes.as_slice(), cuts.iter().cycle());
            while !rest.is_empty() {
                let (now, later) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                decoder.push(now).unwrap();
                while let Some(message) = decoder.decode().unwrap() {
                    found.push(message);
                }
                rest = later;
            }
            prop_assert_eq!(found, messages);
            prop_assert_eq!(decoder.pending(), &[] as &[u8]);
        }

        #[test]
        fn any_bytes_are_frames_or_errors(bytes in prop::collection::vec(any::<u8>(), 0..2000), keyed: bool) {
            let (_, mut decoder) = pair(keyed);
            if decoder.push(&bytes).is_ok() {
                while let Ok(Some(_)) = decoder.decode::<(u64, String, Vec<u16>)>() {}
            }
        }

        #[test]
        fn every_flipped_bit_of_an_authenticated_frame_is_refused(text in ".{1,30}", at: prop::sample::Index) {
            let (mut encoder, mut decoder) = pair(true);
            let mut bytes = Vec::new();
            encoder.encode(&text, &mut bytes).unwrap();
            let bit = at.index((bytes.len() - LENGTH_BYTES) * 8) + LENGTH_BYTES * 8;
            bytes[bit / 8] ^= 1 << (bit % 8);
            decoder.push(&bytes).unwrap();
            let is_bad_mac = matches!(decoder.decode::<String>(), Err(FrameError::BadMac { .. }));
            prop_assert!(is_bad_mac);
            prop_assert!(matches!(decoder.decode::<String>(), Err(FrameError::Unusable)));
        }
    }

    #[test]
    fn a_length_over_the_cap_is_refused_before_its_payload_comes() {
        let (mut encoder, mut decoder) = pair(false);
        let error = decoder.push(&u32::MAX.to_le_bytes()).unwrap_err();
        assert!(
            matches!(error, FrameError::TooLong { found_bytes: 0xffff_ffff, cap_bytes: 1000 }),
            "{error}"
        );
        assert!(matches!(decoder.push(b"x"), Err(FrameError::Unusable)));
        let mut out = vec![1];
        assert!(encoder.encode_payload(&[0; 1001], &mut out).is_err());
        assert_eq!(out, [1], "nothing half-written");
    }

    #[test]
    fn an_announced_length_allocates_nothing() {
        let mut decoder = FrameDecoder::new(CAP_AFTER_HANDSHAKE_BYTES);
        decoder.push(&CAP_AFTER_HANDSHAKE_BYTES.to_le_bytes()).unwrap();
        assert!(decoder.buffer.capacity() < 100);
        assert_eq!(decoder.missing_bytes().unwrap(), CAP_AFTER_HANDSHAKE_BYTES as usize);
    }

    #[test]
    fn trailing_bytes_are_refused() {
        let (mut encoder, mut decoder) = pair(false);
        let mut bytes = Vec::new();
        encoder.encode_payload(&[1, 2], &mut bytes).unwrap();
        decoder.push(&bytes).unwrap();
        assert!(matches!(
            decoder.decode::<u8>(),
            Err(FrameError::Trailing { payload_bytes: 2, trailing_bytes: 1 })
        ));
    }

    #[test]
    fn repeated_moved_and_returned_frames_are_refused() {
        let (mut encoder, mut decoder) = pair(true);
        let (mut first, mut second) = (Vec::new(), Vec::new());
        encoder.encode(&1u32, &mut first).unwrap();
        encoder.encode(&2u32, &mut second).unwrap();
        decoder.push(&first).unwrap();
        assert_eq!(decoder.decode::<u32>().unwrap(), Some(1));
        decoder.push(&first).unwrap();
        assert!(matches!(decoder.decode::<u32>(), Err(FrameError::BadMac { counter: 1 })), "repeated");
        let (_, mut decoder) = pair(true);
        decoder.push(&second).unwrap();
        assert!(matches!(decoder.decode::<u32>(), Err(FrameError::BadMac { counter: 0 })), "left out");
        let mut decoder = FrameDecoder::with_key(1000, Direction::ServerToClient, key());
        decoder.push(&first).unwrap();
        assert!(decoder.decode::<u32>().is_err(), "sent back");
    }
}
