//! What the house keeper is told.

use std::{net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

/// The house keeper's configuration. Every value has a default but the folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct HouseKeeperConfig {
    /// Folder of the database and, unless told otherwise, of the artifacts.
    pub folder: PathBuf,
    /// Folder of the artifacts; by default `artifacts` in `folder`.
    pub artifacts: Option<PathBuf>,
    /// The Unix socket; by default `house-keeper.sock` in `folder`.
    pub socket: Option<PathBuf>,
    /// TCP addresses to listen on. Other than loopback they need `token-file`.
    pub listen: Vec<SocketAddr>,
    /// A file with the token that all components share, readable by its owner only.
    pub token_file: Option<PathBuf>,
    /// Where `/livez`, `/readyz`, `/metrics` and `/queue_report` are served over HTTP.
    pub http: Option<SocketAddr>,
    /// How long a lease lasts unless its holder is heard of, in milliseconds. Workers send heartbeats five times as often.
    pub lease_ttl_ms: u64,
    /// The file of prover groups.
    pub groups: Option<PathBuf>,
    /// Witness vectors that may be under way for each slab of the provers in a zone.
    pub vectors_per_slab: u32,
    /// How long the jobs of a proved batch are kept, in seconds.
    pub keep_proved_s: u64,
    /// How long the proof of a batch is kept after that, in seconds.
    pub keep_archived_s: u64,
    /// A file that no job names is removed when it is this old, in seconds. It must exceed the time between storing a file
    /// and completing the job that names it.
    pub orphan_age_s: u64,
    /// No batch is taken while less of the disk is free, in bytes.
    pub disk_low_bytes: u64,
    /// Batches are taken again when this much is free, in bytes.
    pub disk_high_bytes: u64,
}

impl Default for HouseKeeperConfig {
    fn default() -> Self {
        const DAY_S: u64 = 24 * 3600;
        Self {
            folder: PathBuf::from("house-keeper"),
            artifacts: None,
            socket: None,
            listen: Vec::new(),
            token_file: None,
            http: None,
            lease_ttl_ms: 15_000,
            groups: None,
            vectors_per_slab: 2,
            keep_proved_s: 2 * DAY_S,
            keep_archived_s: 30 * DAY_S,
            orphan_age_s: 3600,
            disk_low_bytes: 2 << 30,
            disk_high_bytes: 4 << 30,
        }
    }
}

impl HouseKeeperConfig {
    /// Where the artifacts are.
    pub fn artifacts_folder(&self) -> PathBuf {
        self.artifacts.clone().unwrap_or_else(|| self.folder.join("artifacts"))
    }

    /// Where the database is.
    pub fn database(&self) -> PathBuf {
        self.folder.join("jobs.db")
    }

    /// Where the Unix socket is.
    pub fn socket_path(&self) -> PathBuf {
        self.socket.clone().unwrap_or_else(|| self.folder.join("house-keeper.sock"))
    }

    /// Whether leases outlive the pause between two heartbeats of workers that are told to send one every `heartbeat_ms`
    /// milliseconds.
    ///
    /// # Errors
    /// In words, naming the key.
    pub fn check_heartbeat(&self, heartbeat_ms: u64) -> Result<(), String> {
        if heartbeat_ms < self.lease_ttl_ms {
            return Ok(());
        }
        Err(format!(
            "lease-ttl-ms = {}: expected more than the {heartbeat_ms} ms between two heartbeats of a worker, or each of \
             its leases would run out",
            self.lease_ttl_ms
        ))
    }

    /// What cannot be right, naming the key.
    ///
    /// # Errors
    /// In words.
    pub fn check(&self) -> Result<(), String> {
        if !(100..=3_600_000).contains(&self.lease_ttl_ms) {
            return Err(format!("lease-ttl-ms = {}: expected 100 to 3600000", self.lease_ttl_ms));
        }
        if self.vectors_per_slab == 0 {
            return Err("vectors-per-slab = 0: nothing would ever be synthesized".into());
        }
        if self.disk_high_bytes < self.disk_low_bytes {
            return Err(format!(
                "disk-high-bytes = {} is less than disk-low-bytes = {}",
                self.disk_high_bytes, self.disk_low_bytes
            ));
        }
        if let Some(http) = self.http.filter(|http| !http.ip().is_loopback()) {
            return Err(format!(
                "http = {http}: these pages ask for no credential, so expected a loopback address"
            ));
        }
        // The kernel's limit on socket addresses.
        let socket = self.socket_path();
        if socket.as_os_str().len() > 107 {
            return Err(format!(
                "socket = {}: a Unix socket's path has at most 107 bytes, this one {}",
                socket.display(),
                socket.as_os_str().len()
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_and_impossible_values_are_named() {
        let parse = |text: &str| toml::from_str::<HouseKeeperConfig>(text).map_err(|e| e.to_string());
        assert_eq!(parse("").unwrap(), HouseKeeperConfig::default());
        HouseKeeperConfig::default().check().unwrap();
        assert!(parse("lease-tll-ms = 3").unwrap_err().contains("lease-tll-ms"));
        for (text, key) in [
            ("lease-ttl-ms = 1", "lease-ttl-ms"),
            ("vectors-per-slab = 0", "vectors-per-slab"),
            ("disk-low-bytes = 5\ndisk-high-bytes = 4", "disk-high-bytes"),
        ] {
            assert!(parse(text).unwrap().check().unwrap_err().contains(key), "{text}");
        }
        let config = HouseKeeperConfig { lease_ttl_ms: 3_000, ..HouseKeeperConfig::default() };
        config.check_heartbeat(2_999).unwrap();
        let refused = config.check_heartbeat(3_000).unwrap_err();
        assert!(refused.contains("lease-ttl-ms") && refused.contains("heartbeat"), "{refused}");
        let long = HouseKeeperConfig { socket: Some("x".repeat(200).into()), ..HouseKeeperConfig::default() };
        assert!(long.check().unwrap_err().contains("107"));
    }
}
