//! The configuration: one TOML file for all components, a section each. What it does not say has a default; what it says
//! wrong, or says although no such key exists, is refused by name.
//!
//! Any value can be given from outside as well, as a dotted key and a value (see [`Config::load`]): flags end there.
//! There is no secret in it: tokens are in files of their own, which are named here.

mod gateway;
mod size;

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use ingot_artifacts::Blake3;
use ingot_house_keeper::{client::Address, HouseKeeperConfig};
use ingot_proof_data_handler::ProofDataHandlerConfig;
use ingot_types::{AggregationRound, RetryClass};
use serde::{Deserialize, Serialize};

use crate::observability::LogFormat;
pub use gateway::GatewayConfig;
pub use size::{human_bytes, parse_size, Size};

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It is not what a configuration looks like: the message names the key and the line.
    #[error("{origin}: {reason}")]
    Malformed {
        /// The file, or the flag.
        origin: String,
        /// What is wrong.
        reason: String,
    },
    /// A value that cannot be.
    #[error("configuration: {key} = {found}: expected {expected}")]
    Value {
        /// The dotted key.
        key: &'static str,
        /// What is there.
        found: String,
        /// What could be.
        expected: String,
    },
}

impl ConfigError {
    /// Trying again changes nothing.
    pub const fn retry_class(&self) -> RetryClass {
        RetryClass::Deterministic
    }
}

/// Everything that can be configured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// What all components of a host share.
    pub host: HostConfig,
    /// The house keeper.
    pub house_keeper: HouseKeeperConfig,
    /// The witness generator.
    pub witness_generator: WitnessGeneratorConfig,
    /// The witness vector generator.
    pub witness_vector_generator: WitnessVectorGeneratorConfig,
    /// The circuit prover.
    pub circuit_prover: CircuitProverConfig,
    /// The gateway.
    pub gateway: GatewayConfig,
    /// The proof data handler.
    pub proof_data_handler: ProofDataHandlerConfig,
}

/// What all components of a host share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct HostConfig {
    /// Where the house keeper is: `unix:PATH` or `tcp:HOST:PORT`.
    pub house_keeper: String,
    /// File with the token that all components share; needed for anything but a Unix socket or loopback.
    pub token_file: Option<PathBuf>,
    /// Where this host stands: provers take witness vectors from their own zone.
    pub zone: Option<String>,
    /// The prover group of this host's workers.
    pub group: Option<u8>,
    /// Where components keep what they learn and cache.
    pub state_dir: PathBuf,
    /// A folder of artifacts that the house keeper's node shares with this host; `None`: they go over the connection.
    pub shared_artifacts: Option<PathBuf>,
    /// Room for copies of artifacts that came over the connection, in `state-dir`; nothing is kept by default. Worth it
    /// where several workers of one host read the same files.
    pub artifact_cache: Option<Size>,
    /// Hash of the key manifest that every component must trust; `None`: the one that is built in, whichever it is.
    pub key_manifest: Option<Blake3>,
    /// How log lines are written.
    pub log: LogFormat,
    /// How long a job that is almost done may still take when the process is asked to stop, in milliseconds.
    pub stop_grace_ms: u64,
    /// How often leases are prolonged, in milliseconds: a small part of the house keeper's `lease-ttl-ms`.
    pub heartbeat_ms: u64,
}

impl Default for HostConfig {
    fn default() -> Self {
        Self {
            house_keeper: "unix:/run/ingot/house-keeper.sock".into(),
            token_file: None,
            zone: None,
            group: None,
            state_dir: "/var/lib/ingot".into(),
            shared_artifacts: None,
            artifact_cache: None,
            key_manifest: None,
            log: LogFormat::Auto,
            stop_grace_ms: 300,
            heartbeat_ms: 3_000,
        }
    }
}

impl HostConfig {
    /// [`Self::stop_grace_ms`].
    pub const fn stop_grace(&self) -> Duration {
        Duration::from_millis(self.stop_grace_ms)
    }

    /// Compares the key manifest that a component trusts with the one that it must.
    ///
    /// # Errors
    /// [`ConfigError::Value`], with both hashes.
    pub fn check_key_manifest(&self, trusted: Blake3) -> Result<(), ConfigError> {
        match self.key_manifest {
            Some(pinned) if pinned != trusted => Err(ConfigError::Value {
                key: "host.key-manifest",
                found: format!("\"{pinned}\""),
                expected: format!("\"{trusted}\", the key manifest of this executable"),
            }),
            _ => Ok(()),
        }
    }
}

/// The witness generator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct WitnessGeneratorConfig {
    /// Its name among workers; `None`: from host name and process id.
    pub name: Option<String>,
    /// The rounds it takes jobs of.
    pub rounds: Vec<u8>,
    /// Jobs at once.
    pub threads: usize,
    /// Where health and metrics are served; `None`: nowhere.
    pub http: Option<SocketAddr>,
}

impl Default for WitnessGeneratorConfig {
    fn default() -> Self {
        Self { name: None, rounds: vec![0, 1, 2, 3, 4], threads: 1, http: None }
    }
}

impl WitnessGeneratorConfig {
    /// The rounds as such. [`Config::validate`] made sure of the numbers.
    pub fn rounds(&self) -> BTreeSet<AggregationRound> {
        self.rounds.iter().filter_map(|&round| AggregationRound::try_from(round).ok()).collect()
    }
}

/// The witness vector generator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct WitnessVectorGeneratorConfig {
    /// Its name among workers; `None`: from host name and process id.
    pub name: Option<String>,
    /// Most circuits synthesized at once; 0: as many as there are processors.
    pub threads: usize,
    /// Memory for synthesis; `auto`: half of what is available at the start.
    pub ram: Size,
    /// How long a synthesized vector waits for a prover before its job is handed back, in seconds.
    pub prover_wait_s: u64,
    /// How often another prover is asked when sending fails.
    pub send_attempts: u32,
    /// How the number of threads is set from the queue, memory and measured costs.
    pub governor: bool,
    /// Whether circuits are proved on this host's processors too, which the governor then shares out.
    pub prover_on_this_host: bool,
    /// How witness vectors are sent: `auto`, `uring`, `epoll`.
    pub transport: String,
    /// Where health and metrics are served; `None`: nowhere.
    pub http: Option<SocketAddr>,
}

impl Default for WitnessVectorGeneratorConfig {
    fn default() -> Self {
        Self {
            name: None,
            threads: 0,
            ram: Size::Auto,
            prover_wait_s: 200,
            send_attempts: 5,
            governor: true,
            prover_on_this_host: true,
            transport: "auto".into(),
            http: None,
        }
    }
}

/// The circuit prover.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct CircuitProverConfig {
    /// Its name among workers; `None`: from host name and process id.
    pub name: Option<String>,
    /// Threads of one proof; 0: as many as there are processors.
    pub threads: usize,
    /// Where witness vectors are received; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Addresses that senders are told; empty: where it listens.
    pub advertise: Vec<SocketAddr>,
    /// Witness vectors that fit in memory: one is proved, the others wait or arrive.
    pub slabs: u32,
    /// Size of each; `auto`: from the largest circuit.
    pub slab_size: Size,
    /// Memory for setup keys; `auto`: a quarter of what is available at the start.
    pub key_cache: Size,
    /// Disk for setup keys, where they are made on demand; `auto`: three quarters of what is free at the start.
    pub key_disk: Size,
    /// Whether the setup key of the next vector is loaded while one is proved.
    pub prefetch_keys: bool,
    /// How witness vectors are received: `auto`, `uring`, `epoll`.
    pub transport: String,
    /// Where health and metrics are served; `None`: nowhere.
    pub http: Option<SocketAddr>,
}

impl Default for CircuitProverConfig {
    fn default() -> Self {
        Self {
            name: None,
            threads: 0,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            advertise: Vec::new(),
            slabs: 3,
            slab_size: Size::Auto,
            key_cache: Size::Auto,
            key_disk: Size::Auto,
            prefetch_keys: true,
            transport: "auto".into(),
            http: None,
        }
    }
}

impl Config {
    /// Reads `file`, if there is one, and puts `overrides` over it: dotted keys and values, such as
    /// `circuit-prover.slabs` and `4`. A value that TOML does not understand is taken as text.
    ///
    /// # Errors
    /// [`ConfigError`], naming file or flag, and key.
    pub fn load(file: Option<&Path>, overrides: &[(String, String)]) -> Result<Self, ConfigError> {
        let text = match file {
            Some(path) => fs::read_to_string(path)
                .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?,
            None => String::new(),
        };
        let origin = file.map_or_else(|| "configuration".to_owned(), |path| path.display().to_string());
        Self::parse(&origin, &text, overrides)
    }

    /// Does the same with the text of a file, which `origin` names in errors.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn parse(origin: &str, text: &str, overrides: &[(String, String)]) -> Result<Self, ConfigError> {
        let malformed =
            |origin: &str, reason: String| ConfigError::Malformed { origin: origin.to_owned(), reason };
        // Read as a whole first: only this way do errors name lines of the file.
        let checked: Self = toml::from_str(text).map_err(|e| malformed(origin, e.to_string()))?;
        let mut config = checked;
        if !overrides.is_empty() {
            let mut table: toml::Table =
                toml::from_str(text).map_err(|e| malformed(origin, e.to_string()))?;
            for (key, value) in overrides {
                set(&mut table, key, value).map_err(|reason| malformed(&format!("{key}={value}"), reason))?;
                // One at a time, so that the error names the flag.
                config = Self::deserialize(table.clone())
                    .map_err(|e| malformed(&format!("{key}={value}"), e.message().to_owned()))?;
            }
        }
        config.validate()?;
        Ok(config)
    }

    /// Everything as TOML, defaults included.
    pub fn effective(&self) -> String {
        toml::to_string_pretty(self).unwrap_or_else(|error| format!("# cannot be shown: {error}\n"))
    }

    /// Compares values with what they can be.
    ///
    /// # Errors
    /// [`ConfigError::Value`], naming the key.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let check = |ok: bool, key: &'static str, found: String, expected: &str| match ok {
            true => Ok(()),
            false => Err(ConfigError::Value { key, found, expected: expected.to_owned() }),
        };
        let address = &self.host.house_keeper;
        let known = address.parse::<Address>().is_ok();
        check(known, "host.house-keeper", format!("\"{address}\""), "`unix:PATH` or `tcp:HOST:PORT`")?;
        let heartbeat = self.host.heartbeat_ms.to_string();
        check(
            (10..=600_000).contains(&self.host.heartbeat_ms),
            "host.heartbeat-ms",
            heartbeat,
            "10 to 600000",
        )?;
        self.house_keeper.check().map_err(|reason| ConfigError::Malformed {
            origin: "configuration: house-keeper".into(),
            reason,
        })?;
        let wg = &self.witness_generator;
        let rounds =
            !wg.rounds.is_empty() && wg.rounds.iter().all(|&r| AggregationRound::try_from(r).is_ok());
        check(rounds, "witness-generator.rounds", format!("{:?}", wg.rounds), "some of the rounds 0 to 4")?;
        check(
            (1..=1024).contains(&wg.threads),
            "witness-generator.threads",
            wg.threads.to_string(),
            "1 to 1024",
        )?;
        let wvg = &self.witness_vector_generator;
        for (key, http) in [
            ("witness-generator.http", wg.http),
            ("witness-vector-generator.http", wvg.http),
            ("circuit-prover.http", self.circuit_prover.http),
        ] {
            let found = http.map(|http| http.to_string()).unwrap_or_default();
            check(http.is_none_or(|http| http.ip().is_loopback()), key, found, "a loopback address")?;
        }
        let transports = ["auto", "uring", "epoll"];
        for (key, transport) in [
            ("witness-vector-generator.transport", &wvg.transport),
            ("circuit-prover.transport", &self.circuit_prover.transport),
        ] {
            let found = format!("\"{transport}\"");
            check(transports.contains(&transport.as_str()), key, found, "`auto`, `uring` or `epoll`")?;
        }
        let (key, found) = ("witness-vector-generator.threads", wvg.threads.to_string());
        check(wvg.threads <= 1024, key, found, "0 (all processors) to 1024")?;
        let found = wvg.send_attempts.to_string();
        check(wvg.send_attempts >= 1, "witness-vector-generator.send-attempts", found, "at least 1")?;
        let prover = &self.circuit_prover;
        check(
            (1..=1024).contains(&prover.slabs),
            "circuit-prover.slabs",
            prover.slabs.to_string(),
            "1 to 1024",
        )?;
        let (key, found) = ("circuit-prover.threads", prover.threads.to_string());
        check(prover.threads <= 1024, key, found, "0 (all processors) to 1024")
    }
}

/// Puts a value at a dotted key.
fn set(table: &mut toml::Table, key: &str, value: &str) -> Result<(), String> {
    let value = toml::from_str::<toml::Table>(&format!("value = {value}"))
        .ok()
        .filter(|t| t.len() == 1)
        .and_then(|mut t| t.remove("value"))
        .unwrap_or_else(|| toml::Value::String(value.to_owned()));
    let (section, key) =
        key.split_once('.').ok_or("expected a section and a key, such as circuit-prover.slabs")?;
    let entry = table.entry(section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
    let section = entry.as_table_mut().ok_or_else(|| format!("`{section}` is no section"))?;
    section.insert(key.to_owned(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overridden(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let pairs: Vec<_> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Config::parse("ingot.toml", "[circuit-prover]\nslabs = 5\n", &pairs)
    }

    #[test]
    fn what_is_printed_reads_back_as_the_same() {
        let text = "[host]\nzone = \"b\"\n[witness-vector-generator]\nram = \"4G\"\n[circuit-prover]\n\
                    advertise = [\"10.0.0.1:3316\"]\nhttp = \"127.0.0.1:9\"";
        let config = Config::parse("ingot.toml", text, &[]).unwrap();
        assert_eq!(config.witness_vector_generator.ram, Size::Bytes(4 << 30));
        assert_eq!(Config::parse("printed", &config.effective(), &[]).unwrap(), config);
        let defaults = Config::default().effective();
        assert_eq!(Config::parse("defaults", &defaults, &[]).unwrap(), Config::default());
        for key in ["state-dir", "prover-wait-s", "slabs", "rounds"] {
            assert!(defaults.contains(key), "{key} is not in\n{defaults}");
        }
    }

    #[test]
    fn unknown_keys_and_wrong_values_are_refused_by_name() {
        for (text, named) in [
            ("[circuit-prover]\nslab = 3", &["slab", "line 2"][..]),
            ("[prover]\n", &["prover"]),
            ("[circuit-prover]\nslabs = \"x\"", &["slabs", "line 2"]),
            ("[circuit-prover]\nslabs = 0", &["circuit-prover.slabs", "1 to 1024"]),
            ("[witness-generator]\nrounds = [0, 7]", &["witness-generator.rounds", "7"]),
            ("[host]\nhouse-keeper = \"localhost\"", &["host.house-keeper", "unix:PATH"]),
            ("[witness-vector-generator]\nram = \"4X\"", &["4X", "line 2"]),
            ("[circuit-prover]\ntransport = \"udp\"", &["circuit-prover.transport", "udp", "epoll"]),
            ("[host]\nkey-manifest = \"e51f\"", &["e51f", "line 2"]),
        ] {
            let error = Config::parse("ingot.toml", text, &[]).unwrap_err().to_string();
            assert!(named.iter().all(|part| error.contains(part)), "{text}: {error}");
        }
    }

    #[test]
    fn another_key_manifest_than_the_pinned_one_is_refused() {
        let (pinned, other) = (Blake3::of(b"pinned"), Blake3::of(b"other"));
        let text = format!("[host]\nkey-manifest = \"{pinned}\"");
        let host = Config::parse("ingot.toml", &text, &[]).unwrap().host;
        host.check_key_manifest(pinned).unwrap();
        let error = host.check_key_manifest(other).unwrap_err().to_string();
        for part in ["host.key-manifest", &pinned.to_string(), &other.to_string()] {
            assert!(error.contains(part), "{error}");
        }
        HostConfig::default().check_key_manifest(other).unwrap();
    }

    #[test]
    fn flags_win_over_the_file_and_wrong_ones_are_named() {
        assert_eq!(overridden(&[]).unwrap().circuit_prover.slabs, 5);
        let config = overridden(&[
            ("circuit-prover.slabs", "7"),
            ("host.zone", "north"),
            ("host.house-keeper", "tcp:node:3310"),
            ("witness-generator.rounds", "[0]"),
            ("witness-vector-generator.ram", "512M"),
            ("circuit-prover.listen", "0.0.0.0:3316"),
        ])
        .unwrap();
        assert_eq!(config.circuit_prover.slabs, 7);
        assert_eq!(config.host.zone.as_deref(), Some("north"));
        assert_eq!(config.host.house_keeper, "tcp:node:3310");
        assert_eq!(config.witness_generator.rounds, [0]);
        assert_eq!(config.circuit_prover.listen.port(), 3316);
        for (key, value, named) in [
            ("circuit-prover.slab", "7", "circuit-prover.slab=7"),
            ("slabs", "7", "a section and a key"),
            ("circuit-prover.listen", "here", "circuit-prover.listen=here"),
        ] {
            let error = overridden(&[(key, value)]).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
