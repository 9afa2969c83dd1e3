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
    field::{FinalizationHint, Vk},
    CircuitSet, SetError, SetupKey, VkSource,
};
use ingot_prover::Prepared;
use ingot_types::CircuitKey;

use crate::{cache::Cache, on_demand::OnDemandKeys, FilePin, FileRole, KeyEntry, KeyError, KeyManifest};

/// Where key files come from.
pub enum FileSource {
    /// A folder.
    Folder(PathBuf),
    /// Files that are part of the executable: name and contents. Verified all the same.
    Embedded(EmbeddedFiles),
    /// Verification keys and hints from the executable, setup keys made on demand.
    OnDemand(EmbeddedFiles, OnDemandKeys),
}

/// Files that are part of the executable: name and contents.
pub type EmbeddedFiles = &'static [(&'static str, &'static [u8])];

impl FileSource {
    fn path(&self, file: &str) -> PathBuf {
        match self {
            Self::Folder(dir) => dir.join(file),
            Self::Embedded(_) | Self::OnDemand(..) => PathBuf::from(format!("(built in) {file}")),
        }
    }

    fn read(&self, pin: &FilePin) -> Result<Cow<'static, [u8]>, ArtifactError> {
        match self {
            Self::Folder(dir) => pin.read(dir).map(Cow::Owned),
            Self::Embedded(files) | Self::OnDemand(files, _) => {
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

/// The keys of one circuit set. Verification keys and hints stay in memory, proving keys in a cache bounded in bytes.
pub struct KeyStore {
    manifest_path: PathBuf,
    manifest: KeyManifest,
    files: FileSource,
    vks: Mutex<BTreeMap<CircuitKey, Arc<Vk>>>,
    hints: Mutex<BTreeMap<CircuitKey, Arc<FinalizationHint>>>,
    proving_keys: Mutex<Cache<Prepared>>,
}

impl fmt::Debug for KeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyStore").field("manifest", &self.manifest_path).finish_non_exhaustive()
    }
}

impl KeyStore {
    /// The keys of `set` that `manifest` (named `manifest_path` in errors) pins. At most `cache_bytes` of proving keys
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
            proving_keys: Mutex::new(Cache::new(cache_bytes)),
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

    /// The setup key of `key`, from its file; not if setup keys are made on demand.
    ///
    /// # Errors
    /// [`KeyError`]: the file, what was expected, what was found.
    pub fn setup_key(&self, key: CircuitKey) -> Result<SetupKey, KeyError> {
        let pin = self.entry(key)?.pin(FileRole::SetupKey);
        let bytes = self.files.read(pin)?;
        let vk = Vk::clone(&*self.verification_key(key)?);
        let hint = FinalizationHint::clone(&*self.hint(key)?);
        SetupKey::from_parts(vk, hint, &bytes)
            .map_err(|source| KeyError::Contents { path: self.files.path(&pin.file), source })
    }

    /// The setup key of `key`, made ready for proving circuits of `set`: from the cache, from its file, or made.
    ///
    /// # Errors
    /// [`KeyError`]: the file, what was expected, what was found.
    pub fn proving_key(&self, set: &dyn CircuitSet, key: CircuitKey) -> Result<Arc<Prepared>, KeyError> {
        if let Some(prepared) = lock(&self.proving_keys).get(key) {
            return Ok(prepared);
        }
        let pin = self.entry(key)?.pin(FileRole::SetupKey);
        // The file and what is made of it are in memory together for a moment, and are about as large.
        lock(&self.proving_keys).make_room(pin.size_bytes);
        let setup = match &self.files {
            FileSource::OnDemand(_, keys) => {
                let vk = Vk::clone(&*self.verification_key(key)?);
                let hint = FinalizationHint::clone(&*self.hint(key)?);
                keys.setup_key(set, key, self.entry(key)?, self, (vk, hint))?
            }
            _ => self.setup_key(key)?,
        };
        let prepared = Prepared::new(set, key, &setup)
            .map_err(|source| KeyError::Prepare { path: self.files.path(&pin.file), source })?;
        drop(setup);
        let prepared = Arc::new(prepared);
        lock(&self.proving_keys).put(key, prepared.bytes() as u64, prepared.clone());
        Ok(prepared)
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
            Self::OnDemand(files, keys) => f.debug_tuple("OnDemand").field(&files.len()).field(keys).finish(),
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
