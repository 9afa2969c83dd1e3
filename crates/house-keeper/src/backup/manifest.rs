//! The list of what is in a backup.

use std::{fs, io, path::Path};

use ingot_artifacts::{ArtifactRef, Blake3};
use serde::{Deserialize, Serialize};

use super::{error::context, write_new, BackupError};

/// Version of the manifest's form.
const FORMAT: u32 = 1;
const MANIFEST_FILE: &str = "manifest.json";
/// The manifest's own hash: a line that is missing in it would be seen by nobody.
const CHECKSUM_FILE: &str = "manifest.blake3";
/// No manifest is larger: a hundred bytes for each of a hundred million files.
const LARGEST_BYTES: u64 = 10 << 30;

/// What is in a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this form.
    pub format: u32,
    /// The build that made it.
    pub made_by: String,
    /// When, in milliseconds since the Unix epoch.
    pub made_at_ms: u64,
    /// Schema of the database.
    pub schema: u64,
    /// Batches whose jobs are in it.
    pub batches: u64,
    /// Those of them that are not proved.
    pub unproved: u64,
    /// Batches of which only inputs and proof are kept.
    pub archived: u64,
    /// The copy of the database.
    pub database: FileEntry,
    /// Every artifact that it names and that is here.
    pub artifacts: Vec<FileEntry>,
    /// Artifacts that it names and that were damaged or missing already.
    pub left_out: Vec<LeftOut>,
}

/// A file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Hash of its content.
    pub blake3: Blake3,
    /// Its size, in bytes.
    pub size_bytes: u64,
}

impl From<ArtifactRef> for FileEntry {
    fn from(artifact: ArtifactRef) -> Self {
        Self { blake3: artifact.hash, size_bytes: artifact.size_bytes }
    }
}

/// A file that could not be had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// The hash of what it should hold.
    pub blake3: Blake3,
    /// What was found.
    pub reason: String,
}

impl Manifest {
    /// An empty one of this build.
    pub(super) fn new(made_at_ms: u64, database: FileEntry) -> Self {
        Self {
            format: FORMAT,
            made_by: concat!("ingot ", env!("CARGO_PKG_VERSION")).into(),
            made_at_ms,
            schema: 0,
            batches: 0,
            unproved: 0,
            archived: 0,
            database,
            artifacts: Vec::new(),
            left_out: Vec::new(),
        }
    }

    /// Bytes of all its files.
    pub fn size_bytes(&self) -> u64 {
        let artifacts = self.artifacts.iter().map(|file| file.size_bytes);
        artifacts.fold(self.database.size_bytes, u64::saturating_add)
    }

    pub(super) fn write(&self, folder: &Path) -> Result<(), BackupError> {
        let path = folder.join(MANIFEST_FILE);
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| BackupError::Manifest { path: path.clone(), reason: error.to_string() })?;
        write_new(&path, &text)?;
        write_new(&folder.join(CHECKSUM_FILE), format!("{}\n", Blake3::of(&text)).as_bytes())
    }

    /// Reads the manifest of the backup in `folder`. Its files are not looked at.
    ///
    /// # Errors
    /// [`BackupError::Missing`], [`BackupError::Manifest`], [`BackupError::Io`].
    pub fn read(folder: &Path) -> Result<Self, BackupError> {
        let (path, checksum) = (folder.join(MANIFEST_FILE), folder.join(CHECKSUM_FILE));
        let text = read(&path)?;
        let wrong = |reason: String| BackupError::Manifest { path: path.clone(), reason };
        let expected = String::from_utf8_lossy(&read(&checksum)?).trim().to_owned();
        let found = Blake3::of(&text).to_string();
        if expected != found {
            return Err(wrong(format!(
                "it is damaged: expected BLAKE3 {expected}, as {CHECKSUM_FILE} says, found {found}"
            )));
        }
        let format = serde_json::from_slice::<serde_json::Value>(&text)
            .ok()
            .and_then(|value| value.get("format").and_then(serde_json::Value::as_u64));
        if format != Some(u64::from(FORMAT)) {
            let found = format.map_or_else(|| "none".to_owned(), |format| format.to_string());
            return Err(wrong(format!("expected a backup of format {FORMAT}, found {found}")));
        }
        serde_json::from_slice(&text).map_err(|error| wrong(format!("it cannot be read: {error}")))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, BackupError> {
    match fs::metadata(path) {
        Ok(found) if found.len() > LARGEST_BYTES => Err(BackupError::Manifest {
            path: path.to_owned(),
            reason: format!("expected {LARGEST_BYTES} bytes at most, found {}", found.len()),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(BackupError::Missing { path: path.to_owned() })
        }
        _ => fs::read(path).map_err(context("read", path)),
    }
}
