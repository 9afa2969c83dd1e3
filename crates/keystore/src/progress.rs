//! How far a check of keys got, on disk: so that one that takes an hour goes on after an interruption.

use std::{
    collections::BTreeMap,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use ingot_artifacts::{write_atomically, Blake3};
use ingot_types::{AggregationRound, CircuitId, CircuitKey};
use serde::{Deserialize, Serialize};

use crate::{KeyError, KeyManifest};

/// What was made so far by one build and compared with one manifest.
#[derive(Debug)]
pub struct Progress {
    path: PathBuf,
    file: ProgressFile,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct ProgressFile {
    /// Names the executable: another one has to begin anew.
    build: String,
    /// The manifest that is checked.
    manifest: Blake3,
    #[serde(default)]
    circuits: Vec<Made>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Made {
    round: u8,
    circuit_id: u8,
    /// Setup key, verification key, finalization hint.
    blake3: [Blake3; 3],
}

impl Progress {
    /// Progress in the file `path` of a check of `manifest` by `build`. What another build or a check of another manifest
    /// left is not taken over, nor is a file that cannot be read.
    pub fn open(path: &Path, build: &str, manifest: &KeyManifest) -> Self {
        let fresh = ProgressFile {
            build: build.to_owned(),
            manifest: Blake3::of(manifest.to_toml().as_bytes()),
            circuits: Vec::new(),
        };
        let found = fs::read_to_string(path).ok().and_then(|text| toml::from_str::<ProgressFile>(&text).ok());
        let file =
            found.filter(|f| (&f.build, f.manifest) == (&fresh.build, fresh.manifest)).unwrap_or(fresh);
        Self { path: path.to_owned(), file }
    }

    /// The circuits that are done.
    pub fn circuits(&self) -> usize {
        self.file.circuits.len()
    }

    /// What was made of `key`.
    pub(crate) fn found(&self, key: CircuitKey) -> Option<[Blake3; 3]> {
        let all: BTreeMap<CircuitKey, [Blake3; 3]> = (self.file.circuits.iter())
            .filter_map(|made| {
                let round = AggregationRound::try_from(made.round).ok()?;
                Some((CircuitKey { round, circuit_id: CircuitId(made.circuit_id) }, made.blake3))
            })
            .collect();
        all.get(&key).copied()
    }

    /// Notes that `key` is done.
    pub(crate) fn add(&mut self, key: CircuitKey, blake3: [Blake3; 3]) -> Result<(), KeyError> {
        let made = Made { round: key.round as u8, circuit_id: key.circuit_id.0, blake3 };
        self.file.circuits.push(made);
        let text = toml::to_string(&self.file).unwrap_or_default();
        Ok(write_atomically(&self.path, text.as_bytes())?)
    }

    /// Removes the file: the next check begins anew.
    pub(crate) fn remove(self) -> Result<(), KeyError> {
        match fs::remove_file(&self.path) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(KeyError::io("remove", &self.path, e)),
            _ => Ok(()),
        }
    }
}
