//! Circuits and keys for a component.

use std::{path::Path, sync::Arc, time::Duration};

use ingot_artifacts::Blake3;
use ingot_circuit_set::CircuitSet;
use ingot_keystore::{FileRole, FileSource, KeyManifest, KeyStore, MANIFEST_FILE};
use ingot_services::{
    component::{ComponentError, ComponentName},
    config::Config,
    stop::Stop,
    work::{CircuitWork, Work},
};
use ingot_types::RetryClass;

use crate::{
    commands::{circuit_set, trusted_vks},
    home::keys_folder,
    memory::{available_bytes, processors},
    pinned::pinned,
};

/// How often a prover looks whether its keys have come.
const LOOK: Duration = Duration::from_secs(1);
/// Memory for setup keys where nothing says how much there is.
const LEAST_CACHE: u64 = 1 << 30;

/// The work of a component. A prover waits for its setup keys; the others need only what is built in.
pub(crate) fn work(
    component: ComponentName,
    parameters: &str,
    config: &Config,
    stop: &Stop,
) -> Result<Arc<dyn Work>, ComponentError> {
    let failed = |error: anyhow::Error| ComponentError::Work {
        reason: format!("{error:#}"),
        retry: RetryClass::Deterministic,
    };
    let set = circuit_set(parameters).map_err(failed)?;
    let folder = keys_folder(&config.host.state_dir, &*set);
    let prover = component == ComponentName::CircuitProver;
    let store = match trusted_vks(&*set, &folder).map_err(failed)? {
        Some(store) if !prover => store,
        _ => keys_in(&*set, &folder, config, stop)?,
    };
    let manifest = Blake3::of(store.manifest().to_toml().as_bytes());
    let threads = match (component, config.circuit_prover.threads) {
        (ComponentName::CircuitProver, 0) => processors(),
        (ComponentName::CircuitProver, threads) => threads,
        // It proves nothing.
        _ => 1,
    };
    let work =
        CircuitWork::new(set, Arc::new(store), manifest, threads).map_err(|error| ComponentError::Work {
            reason: format!("cannot start {threads} threads to prove with: {error}"),
            retry: RetryClass::Resource,
        })?;
    Ok(Arc::new(work))
}

/// The keys in a folder, once they are all there.
fn keys_in(
    set: &dyn CircuitSet,
    folder: &Path,
    config: &Config,
    stop: &Stop,
) -> Result<KeyStore, ComponentError> {
    let bad = |error: ingot_keystore::KeyError| ComponentError::Work {
        retry: error.retry_class(),
        reason: error.to_string(),
    };
    let path = folder.join(MANIFEST_FILE);
    let cache =
        config.circuit_prover.key_cache.or(|| available_bytes().map_or(LEAST_CACHE, |bytes| bytes / 4));
    let mut told = String::new();
    loop {
        let missing = match pinned(set.parameter_set()) {
            Some(pinned) => match pinned.parse() {
                Ok(manifest) => missing(set, &manifest, folder),
                Err(error) => {
                    let (reason, retry) = (format!("{error:#}"), RetryClass::Deterministic);
                    return Err(ComponentError::Work { reason, retry });
                }
            },
            None if path.is_file() => None,
            None => Some(path.display().to_string()),
        };
        match missing {
            None => break,
            Some(file) if told != file => {
                tracing::warn!(
                    "waiting for the key {file}: `ingot keygen --dir {}` makes it",
                    config.host.state_dir.display()
                );
                told = file;
            }
            Some(_) => {}
        }
        if stop.wait_timeout(LOOK) {
            let reason = "stopped while waiting for keys".into();
            return Err(ComponentError::Work { reason, retry: RetryClass::Transient });
        }
    }
    let manifest = match pinned(set.parameter_set()).map(|pinned| pinned.parse()) {
        Some(Ok(manifest)) => manifest,
        _ => KeyManifest::load(&path).map_err(bad)?,
    };
    KeyStore::new(set, &path, manifest, FileSource::Folder(folder.to_owned()), cache).map_err(bad)
}

/// The first setup key that is not there, if one is not. What is in it is verified when it is used.
fn missing(set: &dyn CircuitSet, manifest: &KeyManifest, folder: &Path) -> Option<String> {
    set.circuits().iter().find_map(|info| {
        let entry = manifest.entry(folder, info.key).ok()?;
        let pin = entry.pin(FileRole::SetupKey);
        let path = folder.join(&pin.file);
        let there = std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() == pin.size_bytes);
        (!there).then(|| path.display().to_string())
    })
}
