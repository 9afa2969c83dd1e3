//! The key manifest: one TOML file per protocol version and parameter set, which pins every key file by hash.

use std::{collections::BTreeSet, fs, path::Path};

use ingot_artifacts::Blake3;
use ingot_circuit_set::{encode, field::Vk, CircuitInfo, CircuitSet, SetError, SetupKey};
use ingot_types::{AggregationRound, CircuitId, CircuitKey, ProtocolVersion};
use serde::{Deserialize, Serialize};

use crate::{FilePin, KeyError};

/// Version of the manifest's form.
pub const MANIFEST_FORMAT: u32 = 1;
/// The manifest's file name in a folder of keys.
pub const MANIFEST_FILE: &str = "manifest.toml";

/// What a key file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileRole {
    /// What a prover loads: base polynomials, hints, tree.
    SetupKey,
    /// What a verifier needs.
    VerificationKey,
    /// How rows and columns were finalized; synthesis repeats it.
    FinalizationHint,
}

impl FileRole {
    /// All roles.
    pub const ALL: [Self; 3] = [Self::SetupKey, Self::VerificationKey, Self::FinalizationHint];

    const fn extension(self) -> &'static str {
        match self {
            Self::SetupKey => "setup",
            Self::VerificationKey => "vk",
            Self::FinalizationHint => "hint",
        }
    }
}

/// The three files of one circuit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyEntry {
    /// Aggregation round, 0 to 4.
    pub round: u8,
    /// Circuit id within the round.
    pub circuit_id: u8,
    /// The circuit's name.
    pub name: String,
    /// See [`vk_commitment`].
    pub vk_commitment: Blake3,
    /// The setup key's file.
    pub setup_key: FilePin,
    /// The verification key's file.
    pub verification_key: FilePin,
    /// The finalization hint's file.
    pub finalization_hint: FilePin,
}

/// BLAKE3 of the setup Merkle cap, each element as 8 bytes little-endian: names a verification key by what it commits to,
/// in a way that does not depend on the circuit set.
pub fn vk_commitment(vk: &Vk) -> Blake3 {
    let bytes: Vec<u8> =
        vk.setup_merkle_tree_cap.iter().flatten().flat_map(|x| x.to_reduced_u64().to_le_bytes()).collect();
    Blake3::of(&bytes)
}

/// A circuit's name as part of a file name: letters and digits, all else one dash.
fn file_stem(name: &str) -> String {
    let parts: Vec<&str> =
        name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty()).collect();
    parts.join("-")
}

impl KeyEntry {
    /// The entry of a key that was just made, and the bytes of its files.
    ///
    /// # Errors
    /// [`SetError::Malformed`] if a part cannot be encoded.
    pub fn of(info: &CircuitInfo, key: &SetupKey) -> Result<(Self, [Vec<u8>; 3]), SetError> {
        let files = [
            key.prover_part()?,
            encode("verification key", &key.vk)?,
            encode("finalization hint", &key.hint)?,
        ];
        let [setup_key, verification_key, finalization_hint] = [0, 1, 2].map(|i| {
            let (round, id) = (info.key.round as u8, info.key.circuit_id);
            let name = format!("{round}-{id}-{}.{}", file_stem(info.name), FileRole::ALL[i].extension());
            FilePin::of(name, &files[i])
        });
        let entry = Self {
            round: info.key.round as u8,
            circuit_id: info.key.circuit_id.0,
            name: info.name.to_owned(),
            vk_commitment: vk_commitment(&key.vk),
            setup_key,
            verification_key,
            finalization_hint,
        };
        Ok((entry, files))
    }

    /// The pin of the file with `role`.
    pub fn pin(&self, role: FileRole) -> &FilePin {
        match role {
            FileRole::SetupKey => &self.setup_key,
            FileRole::VerificationKey => &self.verification_key,
            FileRole::FinalizationHint => &self.finalization_hint,
        }
    }

    fn key(&self) -> Option<CircuitKey> {
        let round = AggregationRound::try_from(self.round).ok()?;
        Some(CircuitKey { round, circuit_id: CircuitId(self.circuit_id) })
    }
}

/// Pins of all key files of one protocol version under one parameter set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyManifest {
    /// [`MANIFEST_FORMAT`].
    pub format: u32,
    /// Name of the circuit set.
    pub circuit_set: String,
    /// Protocol version, `0.minor.patch`.
    pub protocol_version: String,
    /// Name of the security parameters.
    pub parameter_set: String,
    /// Why proofs under these keys must not be trusted with money, if they must not be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insecure: Option<String>,
    /// One entry per circuit.
    #[serde(default, rename = "key")]
    pub keys: Vec<KeyEntry>,
}

impl KeyManifest {
    /// A manifest for `set` with no entries yet.
    pub fn empty(set: &dyn CircuitSet) -> Self {
        Self {
            format: MANIFEST_FORMAT,
            circuit_set: set.name().to_owned(),
            protocol_version: set.protocol_version().to_string(),
            parameter_set: set.parameter_set().to_owned(),
            insecure: set.insecure_because().map(str::to_owned),
            keys: Vec::new(),
        }
    }

    /// Reads a manifest; `path` names it in errors.
    ///
    /// # Errors
    /// [`KeyError::Manifest`] with the line.
    pub fn parse(path: &Path, text: &str) -> Result<Self, KeyError> {
        let error = |offset: usize, reason: String| {
            let line = 1 + text.bytes().take(offset).filter(|b| *b == b'\n').count();
            KeyError::Manifest { path: path.to_owned(), line, reason }
        };
        let manifest: Self = toml::from_str(text)
            .map_err(|e| error(e.span().map_or(0, |s| s.start), e.message().to_owned()))?;
        // toml's spans are gone now: find what is wrong by its text.
        let at = |needle: &str| text.find(needle).unwrap_or(0);
        if manifest.format != MANIFEST_FORMAT {
            let reason =
                format!("format {} is unknown, this build reads format {MANIFEST_FORMAT}", manifest.format);
            return Err(error(at("format"), reason));
        }
        if let Err(e) = manifest.protocol_version.parse::<ProtocolVersion>() {
            return Err(error(at("protocol_version"), e.to_string()));
        }
        let mut keys = BTreeSet::new();
        let mut files = BTreeSet::new();
        for entry in &manifest.keys {
            let here = at(&entry.setup_key.file);
            let Some(key) = entry.key() else {
                return Err(error(here, format!("round {} is unknown: expected 0 to 4", entry.round)));
            };
            if !keys.insert(key) {
                return Err(error(here, format!("circuit {key} (round:id) appears twice")));
            }
            for role in FileRole::ALL {
                let file = &entry.pin(role).file;
                if file.is_empty() || file.starts_with('.') || file.contains(['/', '\\', '\0']) {
                    return Err(error(at(file), format!("`{file}` is no plain file name")));
                }
                if !files.insert(file) {
                    return Err(error(at(file), format!("file `{file}` appears twice")));
                }
            }
        }
        Ok(manifest)
    }

    /// Reads the manifest file at `path`.
    ///
    /// # Errors
    /// [`KeyError::Io`], [`KeyError::Manifest`].
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let bytes = fs::read(path).map_err(|e| KeyError::io("read", path, e))?;
        match String::from_utf8(bytes) {
            Ok(text) => Self::parse(path, &text),
            Err(e) => {
                let valid = &e.as_bytes()[..e.utf8_error().valid_up_to()];
                let line = 1 + valid.iter().filter(|b| **b == b'\n').count();
                Err(KeyError::Manifest { path: path.to_owned(), line, reason: "no UTF-8 text".into() })
            }
        }
    }

    /// The manifest as TOML.
    pub fn to_toml(&self) -> String {
        let head = "# Key manifest: pins every setup key, verification key and finalization hint by BLAKE3.\n\
                    # Made by `ingot keygen --write-manifest`; `ingot keygen --check` makes the keys again and compares.\n\n";
        let body = toml::to_string(self).unwrap_or_default();
        format!("{head}{body}")
    }

    /// The entry of `key`; `path` names the manifest in the error.
    ///
    /// # Errors
    /// [`KeyError::NoEntry`].
    pub fn entry(&self, path: &Path, key: CircuitKey) -> Result<&KeyEntry, KeyError> {
        self.find(key).ok_or_else(|| KeyError::NoEntry { path: path.to_owned(), key })
    }

    pub(crate) fn find(&self, key: CircuitKey) -> Option<&KeyEntry> {
        self.keys.iter().find(|entry| entry.key() == Some(key))
    }

    /// Checks that the manifest is one of `set`, complete, and as loud about insecurity as the set is.
    ///
    /// # Errors
    /// [`KeyError::OtherSet`], [`KeyError::NoEntry`].
    pub fn fits(&self, path: &Path, set: &dyn CircuitSet) -> Result<(), KeyError> {
        let mine = Self::empty(set);
        let none = || "not marked".to_owned();
        for (field, expected, found) in [
            ("circuit_set", mine.circuit_set, self.circuit_set.clone()),
            ("protocol_version", mine.protocol_version, self.protocol_version.clone()),
            ("parameter_set", mine.parameter_set, self.parameter_set.clone()),
            ("insecure", mine.insecure.unwrap_or_else(none), self.insecure.clone().unwrap_or_else(none)),
        ] {
            if expected != found {
                return Err(KeyError::OtherSet { path: path.to_owned(), field, expected, found });
            }
        }
        for info in set.circuits() {
            self.entry(path, info.key)?;
        }
        Ok(())
    }
}
