//! Sizes as people write and read them.

use serde::{de, Deserialize, Deserializer, Serialize, Serializer};

/// An amount of memory, or `auto`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Size {
    /// Chosen at the start, from what the machine has.
    #[default]
    Auto,
    /// So many bytes.
    Bytes(u64),
}

impl Size {
    /// The bytes, or what `auto` says.
    pub fn or(self, auto: impl FnOnce() -> u64) -> u64 {
        match self {
            Self::Auto => auto(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// A size in bytes as people write it: `4G`, `512M`, `1000000`. Powers of 1024.
///
/// # Errors
/// A sentence that names the text.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let error =
        || format!("`{text}` is no size: expected a number of bytes, or one with K, M or G, such as 4G");
    let upper = text.trim().to_ascii_uppercase();
    let digits = upper.trim_end_matches(['B', 'I']).trim_end_matches(['K', 'M', 'G']);
    let unit = match upper[digits.len()..].chars().next() {
        None | Some('B') => 1u64,
        Some('K') => 1 << 10,
        Some('M') => 1 << 20,
        Some('G') => 1 << 30,
        Some(_) => return Err(error()),
    };
    digits.parse::<u64>().ok().and_then(|n| n.checked_mul(unit)).ok_or_else(error)
}

/// Bytes as people read them.
pub fn human_bytes(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.0} KiB", bytes as f64 / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.2} GiB", bytes as f64 / 1_073_741_824.0),
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Bytes(bytes) => serializer.collect_str(bytes),
        }
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected a size such as \"4G\", a number of bytes, or \"auto\"")]
        enum Written {
            Number(u64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(bytes) => Ok(Self::Bytes(bytes)),
            Written::Text(text) if text == "auto" => Ok(Self::Auto),
            Written::Text(text) => parse_size(&text).map(Self::Bytes).map_err(de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_others_refused() {
        for (text, bytes) in
            [("0", 0), ("17", 17), ("4G", 4 << 30), ("512M", 512 << 20), ("3k", 3072), ("2GiB", 2 << 30)]
        {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for bad in ["", "G", "-1", "4T", "1.5G", "99999999999999999999", "18446744073709551615G"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_are_shown_in_a_fitting_unit() {
        assert_eq!(human_bytes(999), "999 B");
        assert_eq!(human_bytes(5 << 20), "5.0 MiB");
        assert_eq!(human_bytes(3 << 30), "3.00 GiB");
    }
}
