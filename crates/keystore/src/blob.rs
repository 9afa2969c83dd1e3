//! Files by hash: pins, checked reads, atomic writes.

use std::{
    fmt, fs,
    io::Write,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use crate::KeyError;

/// A BLAKE3 hash, written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Blake3Hash(pub [u8; 32]);

impl Blake3Hash {
    /// The hash of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl fmt::Display for Blake3Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Blake3Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blake3Hash({self})")
    }
}

impl FromStr for Blake3Hash {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        blake3::Hash::from_hex(text)
            .map(|hash| Self(*hash.as_bytes()))
            .map_err(|_| format!("`{text}` is no BLAKE3 hash: expected 64 hexadecimal digits"))
    }
}

impl TryFrom<String> for Blake3Hash {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Blake3Hash> for String {
    fn from(hash: Blake3Hash) -> Self {
        hash.to_string()
    }
}

/// A file that is pinned: its name beside the manifest, its size and its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilePin {
    /// File name, without folders.
    pub file: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Hash of its contents.
    pub blake3: Blake3Hash,
}

impl FilePin {
    /// The pin of `bytes` under `file`.
    pub fn of(file: String, bytes: &[u8]) -> Self {
        Self { file, size_bytes: bytes.len() as u64, blake3: Blake3Hash::of(bytes) }
    }

    /// Compares `bytes`, which came from `path`, with the pin.
    ///
    /// # Errors
    /// [`KeyError::Size`], [`KeyError::Hash`].
    pub fn verify(&self, path: &Path, bytes: &[u8]) -> Result<(), KeyError> {
        let found = bytes.len() as u64;
        if found != self.size_bytes {
            return Err(KeyError::Size { path: path.to_owned(), expected: self.size_bytes, found });
        }
        let found = Blake3Hash::of(bytes);
        if found != self.blake3 {
            return Err(KeyError::Hash { path: path.to_owned(), expected: self.blake3, found });
        }
        Ok(())
    }

    /// Reads the file from `dir` and verifies it. A file of the wrong size is not read.
    ///
    /// # Errors
    /// [`KeyError::Missing`], [`KeyError::Io`], [`KeyError::Size`], [`KeyError::Hash`].
    pub fn read(&self, dir: &Path) -> Result<Vec<u8>, KeyError> {
        let path = dir.join(&self.file);
        let found = fs::metadata(&path).map_err(|e| KeyError::io("read", &path, e))?.len();
        if found != self.size_bytes {
            return Err(KeyError::Size { path, expected: self.size_bytes, found });
        }
        let bytes = fs::read(&path).map_err(|e| KeyError::io("read", &path, e))?;
        self.verify(&path, &bytes)?;
        Ok(bytes)
    }
}

/// Writes `bytes` to `path` so that after a crash at any instant the file is whole or not there: temporary file, fsync,
/// rename, fsync of the folder.
///
/// # Errors
/// [`KeyError::Io`].
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), KeyError> {
    let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary: PathBuf = dir.join(name);
    let write = || -> std::io::Result<()> {
        let mut file = fs::File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        fs::File::open(dir)?.sync_all()
    };
    write().map_err(|source| {
        // Best effort: the error that matters is the first one.
        let _ = fs::remove_file(&temporary);
        KeyError::Io { action: "write", path: path.to_owned(), source }
    })
}
