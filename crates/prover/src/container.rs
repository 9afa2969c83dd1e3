//! The proof file.
//!
//! `INGOTPRF` | format u32 | header length u32 | proof length u64 | header (postcard) | proof (postcard) | BLAKE3 of all
//! before it. Integers are little-endian.

use std::{fs, path::Path};

use ingot_circuit_set::{decode, encode, field::Proof, CircuitSet, SetError};
use ingot_types::{BatchId, CircuitKey, ProtocolVersion};
use serde::{Deserialize, Serialize};

use crate::ContainerError;

/// The first eight bytes of a proof file.
pub const PROOF_MAGIC: [u8; 8] = *b"INGOTPRF";
/// Version of the file's form.
pub const PROOF_FORMAT: u32 = 1;

const PREFIX: usize = 24;
const TRAILER: usize = 32;

/// What a proof file says of its proof. Claims: a verifier compares them with what it expects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofHeader {
    /// Name of the circuit set.
    pub circuit_set: String,
    /// Its protocol version.
    pub protocol_version: ProtocolVersion,
    /// Name of the security parameters.
    pub parameter_set: String,
    /// Which circuit it proves.
    pub circuit: CircuitKey,
    /// The batch it is about.
    pub batch: BatchId,
    /// Why the proof must not be trusted with money, if it must not be.
    pub insecure: Option<String>,
}

impl ProofHeader {
    /// The header of a proof of `circuit` of `set` about `batch`.
    pub fn new(set: &dyn CircuitSet, circuit: CircuitKey, batch: BatchId) -> Self {
        Self {
            circuit_set: set.name().to_owned(),
            protocol_version: set.protocol_version(),
            parameter_set: set.parameter_set().to_owned(),
            circuit,
            batch,
            insecure: set.insecure_because().map(str::to_owned),
        }
    }
}

/// A proof and its header.
#[derive(Clone, Debug)]
pub struct StoredProof {
    /// What the file says of the proof.
    pub header: ProofHeader,
    /// The proof.
    pub proof: Proof,
}

impl StoredProof {
    /// The file's bytes.
    ///
    /// # Errors
    /// [`SetError::Malformed`] if a part cannot be encoded.
    pub fn to_bytes(&self) -> Result<Vec<u8>, SetError> {
        let header = encode("proof header", &self.header)?;
        let proof = encode("proof", &self.proof)?;
        let header_len = u32::try_from(header.len())
            .map_err(|_| SetError::malformed("proof header", "longer than 4 GiB"))?;
        let mut out = Vec::with_capacity(PREFIX + header.len() + proof.len() + TRAILER);
        out.extend(PROOF_MAGIC);
        out.extend(PROOF_FORMAT.to_le_bytes());
        out.extend(header_len.to_le_bytes());
        out.extend((proof.len() as u64).to_le_bytes());
        out.extend(header);
        out.extend(proof);
        let hash = *blake3::hash(&out).as_bytes();
        out.extend(hash);
        Ok(out)
    }

    /// Reads a proof file's bytes; `path` names it in errors. Safe on any bytes, and accepts one encoding of a proof only.
    ///
    /// # Errors
    /// [`ContainerError`].
    pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self, ContainerError> {
        let found = bytes.len() as u64;
        let magic = bytes.get(..8).unwrap_or(bytes);
        if magic != PROOF_MAGIC {
            let show = |b: &[u8]| format!("\"{}\"", b.escape_ascii());
            let (expected, found) = (show(&PROOF_MAGIC), show(magic));
            return Err(ContainerError::Magic { path: path.to_owned(), expected, found });
        }
        let size = |expected| ContainerError::Size { path: path.to_owned(), expected, found };
        let too_short = || size((PREFIX + TRAILER) as u64);
        let format = u32::from_le_bytes(field(bytes, 8).ok_or_else(too_short)?);
        let header_len = u32::from_le_bytes(field(bytes, 12).ok_or_else(too_short)?);
        let proof_len = u64::from_le_bytes(field(bytes, 16).ok_or_else(too_short)?);
        if format != PROOF_FORMAT {
            return Err(ContainerError::Format {
                path: path.to_owned(),
                expected: PROOF_FORMAT,
                found: format,
            });
        }
        let expected =
            proof_len.saturating_add(u64::from(header_len)).saturating_add((PREFIX + TRAILER) as u64);
        if expected != found {
            return Err(size(expected));
        }
        let (contents, trailer) = bytes.split_at(bytes.len() - TRAILER);
        let hash = blake3::hash(contents);
        if hash.as_bytes() != trailer {
            let expected = trailer.iter().map(|b| format!("{b:02x}")).collect();
            return Err(ContainerError::Hash {
                path: path.to_owned(),
                expected,
                found: hash.to_hex().to_string(),
            });
        }
        let (header, proof_bytes) = contents[PREFIX..].split_at(header_len as usize);
        let contents_error = |source| ContainerError::Contents { path: path.to_owned(), source };
        let header = decode("proof header", header).map_err(contents_error)?;
        let proof: Proof = decode("proof", proof_bytes).map_err(contents_error)?;
        // Field elements have several encodings, of which one is canonical.
        if encode("proof", &proof).map_err(contents_error)? != proof_bytes {
            return Err(contents_error(SetError::malformed("proof", "not in canonical form")));
        }
        Ok(Self { header, proof })
    }

    /// Reads the proof file at `path`.
    ///
    /// # Errors
    /// [`ContainerError`].
    pub fn load(path: &Path) -> Result<Self, ContainerError> {
        let bytes = fs::read(path).map_err(|source| ContainerError::Io { path: path.to_owned(), source })?;
        Self::from_bytes(path, &bytes)
    }
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}
