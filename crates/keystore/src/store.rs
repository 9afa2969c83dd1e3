//! Loading keys: verified against the manifest on every load.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ingot_artifacts::ArtifactError;
use ingot_circuit_set::{
    decode,
    field::{FinalizationHint, SetupLde, Vk, Worker},
    CircuitSet, SetError, SetupKey, VkSource,
};
use ingot_types::CircuitKey;

use crate::{cache::Cache, FilePin, FileRole, KeyEntry, KeyError, KeyManifest};

/// Where key files come from.
pub enum FileSource {
    /// A folder.
    Folder(PathBuf),
    /// Files that are part of the executable: name and contents. Verified all the same.
    Embedded(&'static [(&'static str, &'static [u8])]),
}

impl FileSource {
    fn path(&self, file: &str) -> PathBuf {
        match self {
            Self::Folder(dir) => dir.join(file),
            Self::Embedded(_) => PathBuf::from(format!("(built in) {file}")),
        }
    }

    fn read(&self, pin: &FilePin) -> Result<Cow<'static, [u8]>, ArtifactError> {
        match self {
            Self::Folder(dir) => pin.read(dir).map(Cow::Owned),
            Self::Embedded(files) => {
                let path = self.path(&pin.file);
                let Some((_, bytes)) = files.iter().find(|(name, _)| *name == pin.file) else {
                    return Err(ArtifactError::Missing {
                        path,
                        expected: pin.blake3,
                        expected_size: pin.size_bytes,
                    });
                };
                pin.verify(&path, bytes)?;
                Ok(Cow::Borrowed(bytes))
            }
        }
    }
}

/// A setup key and its polynomials on all cosets: what proving one circuit takes.
pub struct DecodedKey {
    /// The setup key.
    pub setup: SetupKey,
    /// Its polynomials on all cosets.
    pub lde: SetupLde,
}

impl fmt::Debug for DecodedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DecodedKey").field(&self.setup).finish()
    }
}

/// The keys of one circuit set. Verification keys and hints stay in memory, setup keys in a cache bounded in bytes.
pub struct KeyStore {
    manifest_path: PathBuf,
    manifest: KeyManifest,
    files: FileSource,
    vks: Mutex<BTreeMap<CircuitKey, Arc<Vk>>>,
    hints: Mutex<BTreeMap<CircuitKey, Arc<FinalizationHint>>>,
    setup_keys: Mutex<Cache<DecodedKey>>,
}

impl fmt::Debug for KeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyStore").field("manifest", &self.manifest_path).finish_non_exhaustive()
    }
}

impl KeyStore {
    /// The keys of `set` that `manifest` (named `manifest_path` in errors) pins. At most `cache_bytes` of setup keys
    /// are kept in memory.
    ///
    /// # Errors
    /// [`KeyError::OtherSet`], [`KeyError::NoEntry`] if the manifest is not one of `set`.
    pub fn new(
        set: &dyn CircuitSet,
        manifest_path: &Path,
        manifest: KeyManifest,
        files: FileSource,
        cache_bytes: u64,
    ) -> Result<Self, KeyError> {
        manifest.fits(manifest_path, set)?;
        Ok(Self {
            manifest_path: manifest_path.to_owned(),
            manifest,
            files,
            vks: Mutex::default(),
            hints: Mutex::default(),
            setup_keys: Mutex::new(Cache::new(cache_bytes)),
        })
    }

    /// The manifest.
    pub fn manifest(&self) -> &KeyManifest {
        &self.manifest
    }

    /// The verification key of `key`.
    ///
    /// # Errors
    /// [`KeyError`]: the file, what was expected, what was found.
    pub fn verification_key(&self, key: CircuitKey) -> Result<Arc<Vk>, KeyError> {
        let mut vks = lock(&self.vks);
        if let Some(vk) = vks.get(&key) {
            return Ok(vk.clone());
        }
        let vk: Arc<Vk> = Arc::new(self.decoded(key, FileRole::VerificationKey)?);
        vks.insert(key, vk.clone());
        Ok(vk)
    }

    /// The finalization hint of `key`.
    ///
    /// # Errors
    /// [`KeyError`]: the file, what was expected, what was found.
    pub fn hint(&self, key: CircuitKey) -> Result<Arc<FinalizationHint>, KeyError> {
        let mut hints = lock(&self.hints);
        if let Some(hint) = hints.get(&key) {
            return Ok(hint.clone());
        }
        let hint: Arc<FinalizationHint> = Arc::new(self.decoded(key, FileRole::FinalizationHint)?);
        hints.insert(key, hint.clone());
        Ok(hint)
    }

    /// The setup key of `key`, from the cache or from its file.
    ///
    /// # Errors
    /// [`KeyError`]: the file, what was expected, what was found.
    pub fn setup_key(&self, key: CircuitKey, worker: &Worker) -> Result<Arc<DecodedKey>, KeyError> {
        if let Some(decoded) = lock(&self.setup_keys).get(key) {
            return Ok(decoded);
        }
        let pin = self.entry(key)?.pin(FileRole::SetupKey);
        let bytes = self.files.read(pin)?;
        let vk = Vk::clone(&*self.verification_key(key)?);
        let hint = FinalizationHint::clone(&*self.hint(key)?);
        // In memory: the file's contents, and the base polynomials (most of it) once more for each coset.
        let size = pin.size_bytes.saturating_mul(1 + vk.fixed_parameters.fri_lde_factor as u64);
        lock(&self.setup_keys).make_room(size);
        let setup = SetupKey::from_parts(vk, hint, &bytes)
            .map_err(|source| KeyError::Contents { path: self.files.path(&pin.file), source })?;
        drop(bytes);
        let lde = setup.lde(worker);
        let decoded = Arc::new(DecodedKey { setup, lde });
        lock(&self.setup_keys).put(key, size, decoded.clone());
        Ok(decoded)
    }

    fn entry(&self, key: CircuitKey) -> Result<&KeyEntry, KeyError> {
        self.manifest.entry(&self.manifest_path, key)
    }

    fn decoded<T: serde::de::DeserializeOwned>(
        &self,
        key: CircuitKey,
        role: FileRole,
    ) -> Result<T, KeyError> {
        let pin = self.entry(key)?.pin(role);
        let bytes = self.files.read(pin)?;
        decode(&pin.file, &bytes)
            .map_err(|source| KeyError::Contents { path: self.files.path(&pin.file), source })
    }
}

impl fmt::Debug for FileSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(dir) => f.debug_tuple("Folder").field(dir).finish(),
            Self::Embedded(files) => f.debug_tuple("Embedded").field(&files.len()).finish(),
        }
    }
}

impl VkSource for KeyStore {
    fn vk(&self, key: CircuitKey) -> Result<Arc<Vk>, SetError> {
        self.verification_key(key).map_err(|e| SetError::Source {
            what: format!("verification key of {key} (round:id)"),
            reason: e.to_string(),
            retry: e.retry_class(),
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
