//! Protocol versions: `0.minor.patch`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The version of the protocol a batch is proved under, written `0.minor.patch`.
///
/// A different version means different verification keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProtocolVersion {
    /// Changes with the circuits.
    pub minor: u16,
    /// Changes with the keys under unchanged circuits.
    pub patch: u16,
}

/// Text that is no protocol version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no protocol version: expected 0.<minor>.<patch>, such as 0.1.0")]
pub struct ParseProtocolVersionError(pub String);

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0.{}.{}", self.minor, self.patch)
    }
}

impl FromStr for ProtocolVersion {
    type Err = ParseProtocolVersionError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseProtocolVersionError(text.to_owned());
        let (minor, patch) = text.strip_prefix("0.").and_then(|t| t.split_once('.')).ok_or_else(error)?;
        Ok(Self { minor: minor.parse().map_err(|_| error())?, patch: patch.parse().map_err(|_| error())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_survive_the_round_trip_and_others_are_refused() {
        let version = ProtocolVersion { minor: 31, patch: 2 };
        assert_eq!(version.to_string().parse(), Ok(version));
        for bad in ["", "1.2.3", "0.1", "0.1.x", "0.1.2.3", "0.-1.0"] {
            assert!(bad.parse::<ProtocolVersion>().is_err(), "{bad}");
        }
    }
}
