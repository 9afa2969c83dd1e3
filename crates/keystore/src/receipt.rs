//! The receipt beside a manifest: which build made the keys, and when. For people; nothing checks against it.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// The receipt's file name.
pub const RECEIPT_FILE: &str = "keys-receipt.toml";

/// The build that made a folder of keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildReceipt {
    /// Version of the executable.
    pub version: String,
    /// Git commit of its source, if known when it was built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The compiler.
    pub rustc: String,
    /// Versions of the crates that shape keys, by name.
    pub crates: std::collections::BTreeMap<String, String>,
    /// When the keys were complete, in seconds since 1970-01-01 UTC. Filled in by `generate`.
    #[serde(default)]
    pub made_at_unix: u64,
}

impl BuildReceipt {
    /// The receipt as TOML, stamped with the present time.
    pub fn to_toml_now(&self) -> String {
        let made_at_unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let stamped = Self { made_at_unix, ..self.clone() };
        toml::to_string(&stamped).unwrap_or_default()
    }
}
