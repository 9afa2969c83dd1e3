//! How a stream connection begins and ends.
//!
//! ```text
//! receiver → sender   Greeting  magic, versions, nonce
//! sender → receiver   Opening   hello (magic, version, ticket id, nonce, code over all of it) and the stream header
//! receiver → sender   Answer    go on at chunk n | received | refused, and why
//! sender → receiver   chunks, trailer
//! receiver → sender   Answer    received | refused
//! ```
//!
//! The opening's code covers the receiver's nonce, so an opening that was overheard is worth nothing; answers' codes cover
//! both nonces, so a sender knows that it talks to who issued the ticket. To strangers the receiver answers `Unknown`, without a
//! code and without saying whether there is such a ticket.

use std::{fmt, ops::RangeInclusive};

use serde::{Deserialize, Serialize};
use zerocopy::{
    little_endian::{U16, U32, U64},
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
};

use crate::{
    mac::{same, MAC_BYTES},
    random, OpeningError, Ticket, STREAM_HEADER_BYTES,
};

/// Lowest version of the stream spoken here.
pub const MIN_STREAM_VERSION: u16 = 1;
/// Highest version of the stream spoken here.
pub const MAX_STREAM_VERSION: u16 = 1;
pub(crate) const STREAM_VERSIONS: RangeInclusive<u16> = MIN_STREAM_VERSION..=MAX_STREAM_VERSION;

/// Length of a greeting, in bytes.
pub const GREETING_BYTES: usize = 40;
/// Length of the hello in an opening, in bytes.
pub const HELLO_BYTES: usize = 64;
/// Length of an opening, in bytes.
pub const OPENING_BYTES: usize = HELLO_BYTES + STREAM_HEADER_BYTES;
/// Length of an answer, in bytes.
pub const ANSWER_BYTES: usize = 32;

const GREETING_MAGIC: u32 = u32::from_le_bytes(*b"IGRT");
const HELLO_MAGIC: u32 = u32::from_le_bytes(*b"IHLO");

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawGreeting {
    magic: U32,
    min_version: U16,
    max_version: U16,
    nonce: [u8; 32],
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawHello {
    magic: U32,
    version: U16,
    reserved: U16,
    ticket: U64,
    nonce: [u8; 32],
    mac: [u8; MAC_BYTES],
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawAnswer {
    kind: u8,
    refusal: u8,
    reserved: U16,
    chunk: U32,
    reserved2: U64,
    mac: [u8; MAC_BYTES],
}

const _: () = assert!(size_of::<RawGreeting>() == GREETING_BYTES);
const _: () = assert!(size_of::<RawHello>() == HELLO_BYTES);
const _: () = assert!(size_of::<RawAnswer>() == ANSWER_BYTES);

/// The receiver's first words on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting([u8; GREETING_BYTES]);

impl Greeting {
    /// A greeting with a fresh nonce.
    pub fn new() -> Result<Self, getrandom::Error> {
        Ok(Self(zerocopy::transmute!(RawGreeting {
            magic: GREETING_MAGIC.into(),
            min_version: MIN_STREAM_VERSION.into(),
            max_version: MAX_STREAM_VERSION.into(),
            nonce: random()?,
        })))
    }

    /// Reads and checks a greeting.
    pub fn decode(bytes: [u8; GREETING_BYTES]) -> Result<Self, OpeningError> {
        let raw: &RawGreeting = zerocopy::transmute_ref!(&bytes);
        check_magic(raw.magic.get(), GREETING_MAGIC)?;
        let (their_min, their_max) = (raw.min_version.get(), raw.max_version.get());
        if MAX_STREAM_VERSION < their_min || their_max < MIN_STREAM_VERSION {
            return Err(mismatch(their_min, their_max));
        }
        Ok(Self(bytes))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; GREETING_BYTES] {
        &self.0
    }
}

fn check_magic(found: u32, expected: u32) -> Result<(), OpeningError> {
    if found != expected {
        return Err(OpeningError::BadMagic { found, expected });
    }
    Ok(())
}

fn mismatch(their_min: u16, their_max: u16) -> OpeningError {
    let (our_min, our_max) = (MIN_STREAM_VERSION, MAX_STREAM_VERSION);
    OpeningError::VersionMismatch { our_min, our_max, their_min, their_max }
}

/// The sender's first words: who it is and what it sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening([u8; OPENING_BYTES]);

impl Opening {
    /// The opening for a ticket and a stream header, and what authenticates the answers to it.
    pub fn new(
        ticket: &Ticket,
        greeting: &Greeting,
        header: &[u8; STREAM_HEADER_BYTES],
    ) -> Result<(Self, StreamAuth), getrandom::Error> {
        let mut raw = RawHello {
            magic: HELLO_MAGIC.into(),
            version: MAX_STREAM_VERSION.into(),
            reserved: 0.into(),
            ticket: ticket.id.into(),
            nonce: random()?,
            mac: [0; MAC_BYTES],
        };
        raw.mac = opening_mac(ticket, greeting, &raw, header);
        let mut bytes = [0; OPENING_BYTES];
        bytes[..HELLO_BYTES].copy_from_slice(raw.as_bytes());
        bytes[HELLO_BYTES..].copy_from_slice(header);
        Ok((Self(bytes), StreamAuth::new(ticket, greeting, raw.nonce)))
    }

    /// Reads an opening. Nothing in it is to be believed before [`authenticate`](Self::authenticate).
    pub fn decode(bytes: [u8; OPENING_BYTES]) -> Result<Self, OpeningError> {
        let opening = Self(bytes);
        let raw = opening.raw();
        check_magic(raw.magic.get(), HELLO_MAGIC)?;
        if !STREAM_VERSIONS.contains(&raw.version.get()) {
            return Err(mismatch(raw.version.get(), raw.version.get()));
        }
        if raw.reserved != 0 {
            let found = raw.reserved.get().into();
            return Err(OpeningError::Malformed { message: "opening", field: "a reserved field of", found });
        }
        Ok(opening)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; OPENING_BYTES] {
        &self.0
    }

    /// The id of the ticket that it claims.
    pub fn ticket_id(&self) -> u64 {
        self.raw().ticket.get()
    }

    /// The stream header's bytes.
    pub fn header(&self) -> [u8; STREAM_HEADER_BYTES] {
        let mut header = [0; STREAM_HEADER_BYTES];
        header.copy_from_slice(&self.0[HELLO_BYTES..]);
        header
    }

    /// Whether the peer holds the ticket and answers this very greeting.
    pub fn authenticate(&self, ticket: &Ticket, greeting: &Greeting) -> Result<StreamAuth, OpeningError> {
        let raw = self.raw();
        if raw.ticket != ticket.id || !same(&raw.mac, &opening_mac(ticket, greeting, &raw, &self.header())) {
            return Err(OpeningError::BadMac);
        }
        Ok(StreamAuth::new(ticket, greeting, raw.nonce))
    }

    fn raw(&self) -> RawHello {
        let mut hello = [0; HELLO_BYTES];
        hello.copy_from_slice(&self.0[..HELLO_BYTES]);
        zerocopy::transmute!(hello)
    }
}

fn opening_mac(
    ticket: &Ticket,
    greeting: &Greeting,
    hello: &RawHello,
    header: &[u8; STREAM_HEADER_BYTES],
) -> [u8; MAC_BYTES] {
    let unsigned = RawHello { mac: [0; MAC_BYTES], ..*hello };
    ticket.opening_key().mac(&[&greeting.0, unsigned.as_bytes(), header])
}

/// Why a receiver does not take a witness vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
#[non_exhaustive]
pub enum Refusal {
    /// The sender's lease is no longer the job's: give it up.
    Stale = 1,
    /// The receiver is shutting down: ask for a grant elsewhere.
    Draining = 2,
    /// The receiver cannot take it now: ask for another grant.
    TryAnother = 3,
    /// What was sent is not what the ticket is for, or makes no sense to the receiver's owner.
    BadContent = 4,
    /// It is longer than was granted.
    TooLong = 5,
}

impl Refusal {
    const ALL: [Self; 5] = [Self::Stale, Self::Draining, Self::TryAnother, Self::BadContent, Self::TooLong];
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stale => "the lease is stale",
            Self::Draining => "the receiver is draining",
            Self::TryAnother => "the receiver cannot take it now",
            Self::BadContent => "the content is not what was expected",
            Self::TooLong => "the content is longer than was granted",
        })
    }
}

/// What the receiver says to an opening, and to a stream that is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Send from this chunk on; the ones before it are here.
    Resume {
        /// Index of the first chunk to send.
        chunk: u32,
    },
    /// Verified, and committed by the receiver's owner.
    Received,
    /// Not taken.
    Refused(Refusal),
    /// No such ticket, or the sender does not hold it. The only answer without a code.
    Unknown,
}

/// What authenticates answers on one connection.
#[derive(Debug)]
pub struct StreamAuth {
    key: crate::MacKey,
    nonces: [u8; 64],
}

impl StreamAuth {
    fn new(ticket: &Ticket, greeting: &Greeting, nonce: [u8; 32]) -> Self {
        let raw: &RawGreeting = zerocopy::transmute_ref!(&greeting.0);
        let mut nonces = [0; 64];
        nonces[..32].copy_from_slice(&raw.nonce);
        nonces[32..].copy_from_slice(&nonce);
        Self { key: ticket.answer_key(), nonces }
    }

    /// The bytes of an answer. `closing` tells the answer to a complete stream from the answer to an opening.
    pub fn encode(&self, answer: Answer, closing: bool) -> [u8; ANSWER_BYTES] {
        let mut bytes = answer.encode_unauthenticated();
        if answer != Answer::Unknown {
            let mac = self.mac(&bytes, closing);
            bytes[ANSWER_BYTES - MAC_BYTES..].copy_from_slice(&mac);
        }
        bytes
    }

    /// Reads an answer. `Unknown` is believed without a code: it says no more than a closed connection would.
    pub fn decode(&self, bytes: &[u8; ANSWER_BYTES], closing: bool) -> Result<Answer, OpeningError> {
        let raw: &RawAnswer = zerocopy::transmute_ref!(bytes);
        let bad = |field, found| OpeningError::Malformed { message: "answer", field, found };
        if raw.reserved != 0 || raw.reserved2 != 0 {
            return Err(bad("a reserved field of", raw.reserved2.get().max(raw.reserved.get().into())));
        }
        let answer = match raw.kind {
            1 => Answer::Resume { chunk: raw.chunk.get() },
            2 => Answer::Received,
            3 => {
                let refusal = Refusal::ALL.into_iter().find(|r| *r as u8 == raw.refusal);
                Answer::Refused(refusal.ok_or_else(|| bad("the unknown refusal", raw.refusal.into()))?)
            }
            4 => Answer::Unknown,
            kind => return Err(bad("the unknown kind", kind.into())),
        };
        if self.encode(answer, closing) != *bytes {
            return Err(OpeningError::BadMac);
        }
        Ok(answer)
    }

    fn mac(&self, answer: &[u8; ANSWER_BYTES], closing: bool) -> [u8; MAC_BYTES] {
        self.key.mac(&[&self.nonces, &[closing.into()], &answer[..ANSWER_BYTES - MAC_BYTES]])
    }
}

impl Answer {
    /// The bytes without a code: for strangers, who get [`Answer::Unknown`].
    pub fn encode_unauthenticated(self) -> [u8; ANSWER_BYTES] {
        let (kind, refusal, chunk) = match self {
            Self::Resume { chunk } => (1, 0, chunk),
            Self::Received => (2, 0, 0),
            Self::Refused(refusal) => (3, refusal as u8, 0),
            Self::Unknown => (4, 0, 0),
        };
        zerocopy::transmute!(RawAnswer {
            kind,
            refusal,
            reserved: 0.into(),
            chunk: chunk.into(),
            reserved2: 0.into(),
            mac: [0; MAC_BYTES],
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ticket() -> Ticket {
        Ticket { id: 77, key: [3; 32] }
    }

    #[test]
    fn both_ends_authenticate_each_other() {
        let greeting = Greeting::decode(*Greeting::new().unwrap().as_bytes()).unwrap();
        let (opening, sender) = Opening::new(&ticket(), &greeting, &[5; 64]).unwrap();
        let opening = Opening::decode(*opening.as_bytes()).unwrap();
        assert_eq!((opening.ticket_id(), opening.header()), (77, [5; 64]));
        let receiver = opening.authenticate(&ticket(), &greeting).unwrap();
        let answers = [Answer::Resume { chunk: 9 }, Answer::Received, Answer::Unknown]
            .into_iter()
            .chain(Refusal::ALL.map(Answer::Refused));
        for answer in answers {
            for closing in [false, true] {
                let bytes = receiver.encode(answer, closing);
                assert_eq!(sender.decode(&bytes, closing), Ok(answer));
                let confused = sender.decode(&bytes, !closing);
                assert!(confused.is_err() || answer == Answer::Unknown, "an answer to something else");
            }
        }
        assert!(sender.decode(&Answer::Received.encode_unauthenticated(), true).is_err());
    }

    #[test]
    fn a_replayed_opening_and_a_wrong_key_are_refused() {
        let (first, second) = (Greeting::new().unwrap(), Greeting::new().unwrap());
        let (opening, _) = Opening::new(&ticket(), &first, &[5; 64]).unwrap();
        assert!(matches!(opening.authenticate(&ticket(), &second), Err(OpeningError::BadMac)));
        let other = Ticket { key: [4; 32], ..ticket() };
        assert!(matches!(opening.authenticate(&other, &first), Err(OpeningError::BadMac)));
        let other = Ticket { id: 78, ..ticket() };
        assert!(matches!(opening.authenticate(&other, &first), Err(OpeningError::BadMac)));
    }

    #[test]
    fn a_foreign_version_names_both_ranges() {
        let mut bytes = *Greeting::new().unwrap().as_bytes();
        bytes[4..8].copy_from_slice(&[7, 0, 9, 0]);
        let text = Greeting::decode(bytes).unwrap_err().to_string();
        assert!(text.contains("we speak 1 to 1, the peer speaks 7 to 9"), "{text}");
    }

    proptest! {
        #[test]
        fn every_flipped_bit_is_noticed(bit in 0..OPENING_BYTES * 8, answer_bit in 0..ANSWER_BYTES * 8) {
            let greeting = Greeting::new().unwrap();
            let (opening, sender) = Opening::new(&ticket(), &greeting, &[5; 64]).unwrap();
            let mut bytes = *opening.as_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let refused = Opening::decode(bytes).and_then(|o| o.authenticate(&ticket(), &greeting)).is_err();
            prop_assert!(refused);
            let mut bytes = sender.encode(Answer::Received, true);
            bytes[answer_bit / 8] ^= 1 << (answer_bit % 8);
            prop_assert!(sender.decode(&bytes, true).is_err());
        }

        #[test]
        fn any_bytes_are_refused_without_a_panic(a: [u8; 32], b: [u8; 32], c: [u8; 8]) {
            let mut greeting = [0; GREETING_BYTES];
            greeting[..32].copy_from_slice(&a);
            greeting[32..].copy_from_slice(&c);
            let _ = Greeting::decode(greeting);
            greeting[..4].copy_from_slice(b"IGRT");
            let _ = Greeting::decode(greeting);
            let (_, auth) = Opening::new(&ticket(), &Greeting::new().unwrap(), &[0; 64]).unwrap();
            prop_assert!(matches!(auth.decode(&b, false), Err(_) | Ok(Answer::Unknown)));
        }
    }
}
