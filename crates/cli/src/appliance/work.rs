//! Circuits and keys for a component.

use std::{path::Path, sync::Arc, time::Duration};

use ingot_artifacts::Blake3;
use ingot_circuit_set::CircuitSet;
use ingot_keystore::{FileRole, FileSource, KeyManifest, KeyStore, OnDemandKeys, MANIFEST_FILE};
use ingot_services::{
    component::{ComponentError, ComponentName},
    config::Config,
    stop::Stop,
    work::{CircuitWork, Work},
};
use ingot_types::RetryClass;

use crate::{
    commands::trusted_vks,
    edition::{Chosen, KeyPolicy},
    home::keys_folder,
    memory::{available_bytes, free_disk_bytes, processors},
};

/// How often a prover looks whether its keys have come.
const LOOK: Duration = Duration::from_secs(1);
/// Memory for setup keys where nothing says how much there is.
const LEAST_CACHE: u64 = 1 << 30;

/// The work of a component. A prover waits for its setup keys; the others need only what is built in.
pub(crate) fn work(
    component: ComponentName,
    chosen: &Chosen,
    config: &Config,
    stop: &Stop,
) -> Result<Arc<dyn Work>, ComponentError> {
    let failed = |error: anyhow::Error| ComponentError::Work {
        reason: format!("{error:#}"),
        retry: RetryClass::Deterministic,
    };
    let set = chosen.circuit_set().map_err(failed)?;
    let folder = keys_folder(&config.host.state_dir, &*set);
    let prover = component == ComponentName::CircuitProver;
    let store = match trusted_vks(chosen, &*set, &folder).map_err(failed)? {
        Some(store) if !prover => store,
        _ => keys_in(chosen, &*set, &folder, config, stop)?,
    };
    let manifest = Blake3::of(store.manifest().to_toml().as_bytes());
    config.host.check_key_manifest(manifest).map_err(|error| failed(error.into()))?;
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

/// The keys to prove with: those in a folder, once they are all there, or made on demand.
fn keys_in(
    chosen: &Chosen,
    set: &dyn CircuitSet,
    folder: &Path,
    config: &Config,
    stop: &Stop,
) -> Result<KeyStore, ComponentError> {
    let bad = |error: ingot_keystore::KeyError| ComponentError::Work {
        retry: error.retry_class(),
        reason: error.to_string(),
    };
    let broken = |error: anyhow::Error| ComponentError::Work {
        reason: format!("{error:#}"),
        retry: RetryClass::Deterministic,
    };
    let path = folder.join(MANIFEST_FILE);
    let own = &config.circuit_prover;
    let cache = own.key_cache.or(|| available_bytes().map_or(LEAST_CACHE, |bytes| bytes / 4));
    let pinned = chosen.pinned().map_err(broken)?;
    let trusted = pinned.map(|pinned| pinned.parse()).transpose().map_err(broken)?;
    if let (KeyPolicy::OnDemand, Some(pinned), Some(manifest)) =
        (chosen.edition.key_policy(), pinned, &trusted)
    {
        let threads = if own.threads == 0 { processors() } else { own.threads };
        let disk = own.key_disk.or(|| free_disk_bytes(folder).unwrap_or(0) / 4 * 3);
        let keys = OnDemandKeys::new(folder, disk, threads).map_err(bad)?;
        let files = FileSource::OnDemand(pinned.files, keys);
        return KeyStore::new(set, &pinned.path(), manifest.clone(), files, cache).map_err(bad);
    }
    let mut told = String::new();
    loop {
        let missing = match &trusted {
            Some(manifest) => missing(set, manifest, folder),
            None if path.is_file() => None,
            None => Some(path.display().to_string()),
        };
        match missing {
            None => break,
            Some(file) if told != file => {
                tracing::warn!(
                    "waiting for the key {file}: `{} keygen --dir {}` makes it",
                    chosen.edition.executable(),
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
    let manifest = match trusted {
        Some(manifest) => manifest,
        None => KeyManifest::load(&path).map_err(bad)?,
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
