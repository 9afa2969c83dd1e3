//! The first 256 bytes of a CRS file.

use std::path::Path;

use super::CrsError;

/// The first eight bytes of a CRS file.
pub const CRS_MAGIC: [u8; 8] = *b"INGOTCRS";
/// Version of the file's form.
pub const CRS_FORMAT: u32 = 1;
/// The most powers that a file may hold, as log2: those of the largest ceremonies in use.
pub const MAX_DEGREE_LOG2: u32 = 28;

/// Bytes of a header.
pub(super) const HEADER_BYTES: usize = 256;
/// Bytes of a point of G1.
pub(super) const G1_BYTES: usize = 64;
/// Bytes of a point of G2.
pub(super) const G2_BYTES: usize = 128;

const CURVE_BN254: u32 = 1;
const TEXT_AT: usize = 28;
const HASH_AT: usize = HEADER_BYTES - 32;
const MAX_TEXT: usize = HASH_AT - TEXT_AT;

/// Where the secret of a CRS comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Derived from this public text: everybody can forge proofs.
    InsecureSeed(String),
    /// A ceremony of this name. The file does not prove it: what counts is the pinned hash.
    Ceremony(String),
}

impl Origin {
    /// Why proofs must not be trusted with money, if they must not be.
    pub fn insecure_because(&self) -> Option<String> {
        match self {
            Self::InsecureSeed(seed) => {
                Some(format!("its CRS is made from the public seed {seed:?}: anyone can forge proofs"))
            }
            Self::Ceremony(_) => None,
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::InsecureSeed(text) | Self::Ceremony(text) => text,
        }
    }
}

/// What a CRS file says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrsHeader {
    /// log2 of the number of powers in G1.
    pub degree_log2: u32,
    /// Where the secret comes from.
    pub origin: Origin,
    /// BLAKE3 of everything after the header.
    pub body_blake3: [u8; 32],
}

impl CrsHeader {
    /// Bytes of the body.
    pub(super) fn body_bytes(&self) -> u64 {
        (G1_BYTES as u64) * (1 << self.degree_log2) + 2 * G2_BYTES as u64
    }

    /// Refuses what no header can hold.
    pub(super) fn check_request(degree_log2: u32, origin: &Origin) -> Result<(), CrsError> {
        if !(1..=MAX_DEGREE_LOG2).contains(&degree_log2) {
            return Err(CrsError::Request(format!(
                "expected 2^1 to 2^{MAX_DEGREE_LOG2} powers, found 2^{degree_log2}"
            )));
        }
        let text = origin.text();
        if text.is_empty() || text.len() > MAX_TEXT || text.contains('\0') {
            return Err(CrsError::Request(format!(
                "expected a seed or a ceremony's name of 1 to {MAX_TEXT} bytes without zeros, found {} bytes",
                text.len()
            )));
        }
        Ok(())
    }

    /// Its bytes. The header was checked with [`Self::check_request`].
    pub(super) fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend(CRS_MAGIC);
        let (kind, text) = match &self.origin {
            Origin::InsecureSeed(text) => (0u32, text),
            Origin::Ceremony(text) => (1, text),
        };
        for word in [CRS_FORMAT, CURVE_BN254, self.degree_log2, kind, text.len() as u32] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(text.as_bytes().iter().take(MAX_TEXT));
        bytes.resize(HASH_AT, 0);
        bytes.extend(self.body_blake3);
        let mut header = [0; HEADER_BYTES];
        header.copy_from_slice(&bytes);
        header
    }

    /// Reads a header; accepts one encoding of each only.
    ///
    /// # Errors
    /// [`CrsError::Header`].
    pub(super) fn from_bytes(path: &Path, bytes: &[u8; HEADER_BYTES]) -> Result<Self, CrsError> {
        let refuse = |part, expected: String, found: String| {
            Err(CrsError::Header { path: path.to_owned(), part, expected, found })
        };
        let (magic, rest) = bytes.split_at(CRS_MAGIC.len());
        if magic != CRS_MAGIC {
            let show = |b: &[u8]| format!("\"{}\"", b.escape_ascii());
            return refuse("magic", show(&CRS_MAGIC), show(magic));
        }
        let mut words = [0u32; 5];
        for (word, bytes) in words.iter_mut().zip(rest.chunks_exact(4)) {
            *word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        let [format, curve, degree_log2, kind, text_len] = words;
        if format != CRS_FORMAT {
            return refuse("format", CRS_FORMAT.to_string(), format.to_string());
        }
        if curve != CURVE_BN254 {
            return refuse("curve", format!("{CURVE_BN254} (BN254)"), curve.to_string());
        }
        if !(1..=MAX_DEGREE_LOG2).contains(&degree_log2) {
            return refuse("degree", format!("1 to {MAX_DEGREE_LOG2}"), degree_log2.to_string());
        }
        let text_len = text_len as usize;
        if text_len == 0 || text_len > MAX_TEXT {
            return refuse("length of the origin", format!("1 to {MAX_TEXT}"), text_len.to_string());
        }
        let (text, padding) = bytes[TEXT_AT..HASH_AT].split_at(text_len);
        let Ok(text) = std::str::from_utf8(text) else {
            return refuse("origin", "UTF-8".into(), format!("\"{}\"", text.escape_ascii()));
        };
        if text.contains('\0') || padding.iter().any(|byte| *byte != 0) {
            return refuse(
                "origin",
                "text, then zeros only".into(),
                "zeros in it, or something after it".into(),
            );
        }
        let origin = match kind {
            0 => Origin::InsecureSeed(text.to_owned()),
            1 => Origin::Ceremony(text.to_owned()),
            other => return refuse("kind of origin", "0 or 1".into(), other.to_string()),
        };
        let mut body_blake3 = [0; 32];
        body_blake3.copy_from_slice(&bytes[HASH_AT..]);
        Ok(Self { degree_log2, origin, body_blake3 })
    }
}
