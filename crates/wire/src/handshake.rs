//! How a control connection begins: a common version, and each side's proof that it holds the token.
//!
//! ```text
//! client → server   ClientHello  magic, versions, role, name, nonce, payload
//! server → client   ServerReply  version, nonce, proof over (hello, version, nonce) | a refusal
//! client → server   ClientProof  proof over (hello, reply)
//! ```
//!
//! A proof is keyed BLAKE3 under a key derived from the token for that side, over all that was said before: the token never
//! travels, nothing said can be changed, and neither side's proof serves as the other's. The keys of the session come from
//! the token and both nonces. Without a token (a Unix socket with peer credentials, loopback) there are no proofs and no
//! codes; a side that holds a token never talks to one that does not.

use std::{
    io::{self, Read, Write},
    ops::RangeInclusive,
};

use serde::{Deserialize, Serialize};

use crate::{
    mac::{same, MacKey},
    random, Direction, FrameDecoder, FrameEncoder, FrameError, HandshakeError, Token,
    CAP_BEFORE_HANDSHAKE_BYTES,
};

/// Longest name of a client, in bytes.
pub const MAX_NAME_BYTES: usize = 64;
/// Longest payload of a hello, in bytes: what a frame before the handshake leaves free.
const MAX_PAYLOAD_BYTES: usize = CAP_BEFORE_HANDSHAKE_BYTES as usize - 256;

const MAGIC: u32 = u32::from_le_bytes(*b"ICTL");

/// What a client says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Lowest protocol version that it speaks.
    pub min_version: u16,
    /// Highest protocol version that it speaks.
    pub max_version: u16,
    /// What it is; the application gives the numbers their meaning.
    pub role: u8,
    /// Its name, for logs: at most [`MAX_NAME_BYTES`].
    pub name: String,
    /// Anything else that the server needs before it welcomes the client.
    pub payload: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct ClientHello {
    magic: u32,
    nonce: [u8; 32],
    hello: Hello,
}

#[derive(Serialize, Deserialize)]
enum ServerReply {
    Accepted { magic: u32, version: u16, nonce: [u8; 32], proof: Option<[u8; 32]> },
    VersionMismatch { min_version: u16, max_version: u16 },
}

#[derive(Serialize, Deserialize)]
struct ClientProof {
    proof: Option<[u8; 32]>,
}

/// What both sides agreed on.
#[derive(Debug)]
pub struct Session {
    /// The common protocol version: the highest that both speak.
    pub version: u16,
    /// What the client said of itself.
    pub peer: Hello,
    /// Key for what we send; none without a token.
    pub send_key: Option<MacKey>,
    /// Key for what we receive; none without a token.
    pub receive_key: Option<MacKey>,
    send_direction: Direction,
    receive_direction: Direction,
}

impl Session {
    /// The encoder for the rest of the connection.
    pub fn encoder(&self, cap_bytes: u32) -> FrameEncoder {
        FrameEncoder::with_key(cap_bytes, self.send_direction, self.send_key.clone())
    }

    /// The decoder for the rest of the connection.
    pub fn decoder(&self, cap_bytes: u32) -> FrameDecoder {
        FrameDecoder::with_key(cap_bytes, self.receive_direction, self.receive_key.clone())
    }
}

/// Hash of what was said; each part with its length, so that no two conversations look alike.
fn transcript(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

fn server_proof(token: &Token, client_hello: &[u8], version: u16, nonce: &[u8; 32]) -> [u8; 32] {
    let said = transcript(&[client_hello, &version.to_le_bytes(), nonce]);
    *token.derive("ingot 2026 control handshake: server's proof", b"").hash(&[&said]).as_bytes()
}

fn client_proof(token: &Token, client_hello: &[u8], reply: &[u8]) -> [u8; 32] {
    let said = transcript(&[client_hello, reply]);
    *token.derive("ingot 2026 control handshake: client's proof", b"").hash(&[&said]).as_bytes()
}

fn session(
    token: Option<&Token>,
    sides: (&[u8], &[u8]),
    version: u16,
    peer: Hello,
    we: Direction,
) -> Session {
    let said = transcript(&[sides.0, sides.1]);
    let to_server = token.map(|t| t.derive("ingot 2026 control session: client to server", &said));
    let to_client = token.map(|t| t.derive("ingot 2026 control session: server to client", &said));
    let (c, s) = (Direction::ClientToServer, Direction::ServerToClient);
    let (send_key, receive_key, send_direction, receive_direction) = match we {
        Direction::ClientToServer => (to_server, to_client, c, s),
        Direction::ServerToClient => (to_client, to_server, s, c),
    };
    Session { version, peer, send_key, receive_key, send_direction, receive_direction }
}

fn frame<M: Serialize>(message: &M) -> Result<(Vec<u8>, Vec<u8>), HandshakeError> {
    let payload = postcard::to_allocvec(message).map_err(FrameError::Encode)?;
    let mut bytes = Vec::new();
    FrameEncoder::new(CAP_BEFORE_HANDSHAKE_BYTES).encode_payload(&payload, &mut bytes)?;
    Ok((payload, bytes))
}

fn parse<'a, M: Deserialize<'a>>(payload: &'a [u8]) -> Result<M, HandshakeError> {
    let payload_bytes = payload.len();
    match postcard::take_from_bytes(payload) {
        Ok((message, [])) => Ok(message),
        Ok((_, rest)) => Err(FrameError::Trailing { payload_bytes, trailing_bytes: rest.len() }.into()),
        Err(source) => Err(FrameError::Malformed { payload_bytes, source }.into()),
    }
}

fn check_hello(hello: &Hello) -> Result<(), HandshakeError> {
    let check = |field, found_bytes, limit_bytes| {
        if found_bytes > limit_bytes {
            return Err(HandshakeError::TooLong { field, found_bytes, limit_bytes });
        }
        Ok(())
    };
    check("name", hello.name.len(), MAX_NAME_BYTES)?;
    check("payload", hello.payload.len(), MAX_PAYLOAD_BYTES)
}

fn check_magic(found: u32) -> Result<(), HandshakeError> {
    if found != MAGIC {
        return Err(HandshakeError::BadMagic { found, expected: MAGIC });
    }
    Ok(())
}

/// The client's side, waiting for the server's reply.
#[derive(Debug)]
pub struct ClientHandshake {
    token: Option<Token>,
    hello: Hello,
    said: Vec<u8>,
}

impl ClientHandshake {
    /// Begins; the bytes are the first frame to send.
    pub fn start(hello: Hello, token: Option<&Token>) -> Result<(Self, Vec<u8>), HandshakeError> {
        check_hello(&hello)?;
        let message = ClientHello { magic: MAGIC, nonce: random()?, hello };
        let (said, bytes) = frame(&message)?;
        Ok((Self { token: token.cloned(), hello: message.hello, said }, bytes))
    }

    /// Takes the payload of the server's frame; the bytes are the last frame to send before the session.
    pub fn on_reply(self, payload: &[u8]) -> Result<(Session, Vec<u8>), HandshakeError> {
        let mismatch = |their_min, their_max| HandshakeError::VersionMismatch {
            our_min: self.hello.min_version,
            our_max: self.hello.max_version,
            their_min,
            their_max,
        };
        let (version, nonce, proof) = match parse(payload)? {
            ServerReply::VersionMismatch { min_version, max_version } => {
                return Err(mismatch(min_version, max_version));
            }
            ServerReply::Accepted { magic, version, nonce, proof } => {
                check_magic(magic)?;
                (version, nonce, proof)
            }
        };
        match (&self.token, &proof) {
            (None, None) => {}
            (None, Some(_)) => return Err(HandshakeError::TokenRequired),
            (Some(_), None) => return Err(HandshakeError::ServerUnauthenticated),
            (Some(token), Some(proof)) => {
                if !same(proof, &server_proof(token, &self.said, version, &nonce)) {
                    return Err(HandshakeError::BadToken);
                }
            }
        }
        if !(self.hello.min_version..=self.hello.max_version).contains(&version) {
            return Err(mismatch(version, version));
        }
        let token = self.token.as_ref();
        let (_, bytes) = frame(&ClientProof { proof: token.map(|t| client_proof(t, &self.said, payload)) })?;
        let session = session(token, (&self.said, payload), version, self.hello, Direction::ClientToServer);
        Ok((session, bytes))
    }
}

/// The server's side, waiting for a client's hello.
#[derive(Clone, Debug)]
pub struct ServerHandshake {
    versions: RangeInclusive<u16>,
    token: Option<Token>,
}

impl ServerHandshake {
    /// A server that speaks these versions and, with a token, only to those who hold it.
    pub fn new(versions: RangeInclusive<u16>, token: Option<Token>) -> Self {
        Self { versions, token }
    }

    /// Takes the payload of the client's first frame. Send the bytes in either case; after an error close the
    /// connection.
    pub fn on_hello(&self, payload: &[u8]) -> (Vec<u8>, Result<AwaitProof, HandshakeError>) {
        match self.try_on_hello(payload) {
            Ok((bytes, next)) => (bytes, Ok(next)),
            Err(error) => {
                let bytes = match &error {
                    HandshakeError::VersionMismatch { our_min, our_max, .. } => {
                        frame(&ServerReply::VersionMismatch { min_version: *our_min, max_version: *our_max })
                            .map(|(_, bytes)| bytes)
                            .unwrap_or_default()
                    }
                    _ => Vec::new(),
                };
                (bytes, Err(error))
            }
        }
    }

    fn try_on_hello(&self, payload: &[u8]) -> Result<(Vec<u8>, AwaitProof), HandshakeError> {
        let ClientHello { magic, nonce: _, hello } = parse(payload)?;
        check_magic(magic)?;
        check_hello(&hello)?;
        let version = hello.max_version.min(*self.versions.end());
        if version < hello.min_version || version < *self.versions.start() {
            return Err(HandshakeError::VersionMismatch {
                our_min: *self.versions.start(),
                our_max: *self.versions.end(),
                their_min: hello.min_version,
                their_max: hello.max_version,
            });
        }
        let nonce = random()?;
        let proof = self.token.as_ref().map(|token| server_proof(token, payload, version, &nonce));
        let (reply, bytes) = frame(&ServerReply::Accepted { magic: MAGIC, version, nonce, proof })?;
        let next = AwaitProof { token: self.token.clone(), said: (payload.to_vec(), reply), version, hello };
        Ok((bytes, next))
    }
}

/// The server's side, waiting for the client's proof.
#[derive(Debug)]
pub struct AwaitProof {
    token: Option<Token>,
    said: (Vec<u8>, Vec<u8>),
    version: u16,
    hello: Hello,
}

impl AwaitProof {
    /// What the client says of itself; not proved yet.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Takes the payload of the client's second frame.
    pub fn on_proof(self, payload: &[u8]) -> Result<Session, HandshakeError> {
        let ClientProof { proof } = parse(payload)?;
        if let Some(token) = &self.token {
            let expected = client_proof(token, &self.said.0, &self.said.1);
            if !proof.is_some_and(|proof| same(&proof, &expected)) {
                return Err(HandshakeError::BadToken);
            }
        }
        let said = (self.said.0.as_slice(), self.said.1.as_slice());
        Ok(session(self.token.as_ref(), said, self.version, self.hello, Direction::ServerToClient))
    }
}

/// Reads exactly one frame.
fn read_frame(stream: &mut impl Read) -> Result<Vec<u8>, HandshakeError> {
    let mut decoder = FrameDecoder::new(CAP_BEFORE_HANDSHAKE_BYTES);
    let mut buffer = [0; CAP_BEFORE_HANDSHAKE_BYTES as usize];
    loop {
        if let Some(payload) = decoder.decode_payload()? {
            return Ok(payload);
        }
        let missing = decoder.missing_bytes()?.min(buffer.len());
        let part = buffer.get_mut(..missing).unwrap_or_default();
        stream.read_exact(part)?;
        decoder.push(part)?;
    }
}

/// The client's side over a blocking stream. It reads nothing beyond the handshake. Set timeouts on the stream before.
pub fn client_handshake(
    stream: &mut (impl Read + Write),
    hello: Hello,
    token: Option<&Token>,
) -> Result<Session, HandshakeError> {
    let (client, bytes) = ClientHandshake::start(hello, token)?;
    stream.write_all(&bytes)?;
    let reply = read_frame(stream)?;
    let (session, bytes) = client.on_reply(&reply)?;
    stream.write_all(&bytes)?;
    stream.flush()?;
    Ok(session)
}

/// The server's side over a blocking stream. It reads nothing beyond the handshake. Set timeouts on the stream before.
pub fn server_handshake(
    stream: &mut (impl Read + Write),
    server: &ServerHandshake,
) -> Result<Session, HandshakeError> {
    let (bytes, next) = server.on_hello(&read_frame(stream)?);
    let written = stream.write_all(&bytes).and_then(|()| stream.flush());
    let next = next?;
    written.map_err(|e: io::Error| HandshakeError::Io(e))?;
    next.on_proof(&read_frame(stream)?)
}

#[cfg(test)]
#[path = "handshake_tests.rs"]
mod tests;
