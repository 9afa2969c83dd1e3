//! The hash that names content.

use std::{fmt, str::FromStr};

use serde::{de, Deserialize, Deserializer, Serialize, Serializer};

/// A BLAKE3 hash of 32 bytes, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Blake3([u8; 32]);

/// Text that is no BLAKE3 hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no BLAKE3 hash: expected 64 lower-case hexadecimal digits")]
pub struct ParseHashError(pub String);

impl Blake3 {
    /// The hash of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// A hash computed elsewhere.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Blake3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(blake3::Hash::from_bytes(self.0).to_hex().as_str())
    }
}

impl fmt::Debug for Blake3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blake3({self})")
    }
}

impl FromStr for Blake3 {
    type Err = ParseHashError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // One spelling per hash: the text is a file name and a manifest entry, compared as text elsewhere.
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(ParseHashError(text.to_owned()));
        }
        let hash = blake3::Hash::from_hex(text).map_err(|_| ParseHashError(text.to_owned()))?;
        Ok(Self(*hash.as_bytes()))
    }
}

impl Serialize for Blake3 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Blake3 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
        } else {
            <[u8; 32]>::deserialize(deserializer).map(Self)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_nothing_is_the_published_one() {
        let text = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        assert_eq!(Blake3::of(b"").to_string(), text);
        assert_eq!(text.parse(), Ok(Blake3::of(b"")));
    }

    #[test]
    fn other_text_is_refused() {
        let good = Blake3::of(b"x").to_string();
        for bad in [
            "".to_owned(),
            good.to_uppercase(),
            good[1..].to_owned(),
            format!("{good}0"),
            good.replace('a', "g"),
        ] {
            assert_eq!(bad.parse::<Blake3>(), Err(ParseHashError(bad.clone())));
        }
    }

    #[test]
    fn encodings_survive_the_round_trip() {
        let hash = Blake3::of(b"x");
        let json = serde_json::to_string(&hash).unwrap();
        assert_eq!(json, format!("\"{hash}\""));
        assert_eq!(serde_json::from_str::<Blake3>(&json).unwrap(), hash);
        let bytes = postcard::to_stdvec(&hash).unwrap();
        assert_eq!(bytes.len(), 32);
        assert_eq!(postcard::from_bytes::<Blake3>(&bytes).unwrap(), hash);
    }
}
