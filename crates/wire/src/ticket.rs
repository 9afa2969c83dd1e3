//! Tickets: the right to send one witness vector into one slab.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{mac::MacKey, random, STREAM_HEADER_BYTES};

/// The right to send one stream to one receiver. The receiver's owner makes it and hands it to the sender over an
/// authenticated channel; its `Debug` hides the key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// Names the ticket.
    pub id: u64,
    /// Known to both ends and to nobody else.
    pub key: [u8; 32],
}

impl Ticket {
    /// A ticket with a random id and key.
    pub fn generate() -> Result<Self, getrandom::Error> {
        Ok(Self { id: u64::from_le_bytes(random()?), key: random()? })
    }

    pub(crate) fn opening_key(&self) -> MacKey {
        MacKey::derive("ingot 2026 witness stream: opening", &[&self.key, &self.id.to_le_bytes()])
    }

    pub(crate) fn answer_key(&self) -> MacKey {
        MacKey::derive("ingot 2026 witness stream: answer", &[&self.key, &self.id.to_le_bytes()])
    }

    /// The keys for the chunks of one stream under this ticket. They depend on the header, so that no chunk of a stream
    /// with another header passes.
    pub fn stream_keys(&self, header: &[u8; STREAM_HEADER_BYTES]) -> StreamKeys {
        let material: &[&[u8]] = &[&self.key, &self.id.to_le_bytes(), header];
        StreamKeys {
            chunk: MacKey::derive("ingot 2026 witness stream: chunk", material),
            root: MacKey::derive("ingot 2026 witness stream: root", material),
        }
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ticket({:016x}, ***)", self.id)
    }
}

/// Keys for the chunks and the root of one stream.
#[derive(Clone, Debug)]
pub struct StreamKeys {
    pub(crate) chunk: MacKey,
    pub(crate) root: MacKey,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_differ_and_hide_their_key() {
        let (a, b) = (Ticket::generate().unwrap(), Ticket::generate().unwrap());
        assert_ne!(a, b);
        let text = format!("{:?}", Ticket { id: 5, key: [0xab; 32] });
        assert_eq!(text, "Ticket(0000000000000005, ***)");
    }
}
