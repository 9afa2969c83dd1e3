//! The edition of `ingot-era`: the Era circuit set, with the official verification keys.

use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

use anyhow::{bail, ensure, Context as _};
use ingot_circuit_set::{encode, security::ERA100, CircuitSet, VkSource};
use ingot_cli::{Edition, KeyPolicy, LeastMemory, LoadedBatch, Pinned, Sample};
use ingot_keystore::{EmbeddedFiles, FileRole, KeyManifest};
use ingot_types::{BatchId, BatchNumber, ChainId};

use crate::{inputs::WitnessInputs, sample::sample_batch, EraSet, OfficialKeys};

include!(concat!(env!("OUT_DIR"), "/manifest.rs"));

const GIB: u64 = 1 << 30;

/// Era.
#[derive(Clone, Copy, Debug)]
pub struct Era;

impl Edition for Era {
    fn executable(&self) -> &'static str {
        "ingot-era"
    }

    fn parameter_sets(&self) -> &'static [&'static str] {
        &[ERA100.name]
    }

    fn circuit_set(&self, parameters: &str) -> anyhow::Result<Arc<dyn CircuitSet>> {
        ensure!(
            parameters == ERA100.name,
            "unknown security parameters `{parameters}`: expected {}",
            ERA100.name
        );
        Ok(Arc::new(EraSet))
    }

    fn pinned(&self, _parameters: &str) -> anyhow::Result<Option<Pinned>> {
        let Some(manifest) = MANIFEST else { return Ok(None) };
        let mut pinned = Pinned { parameter_set: ERA100.name, manifest, files: &[] };
        pinned.files = files(&pinned.parse()?)?;
        Ok(Some(pinned))
    }

    fn official_vks(&self) -> anyhow::Result<Option<Arc<dyn VkSource>>> {
        OfficialKeys::get()?;
        Ok(Some(Arc::new(Official)))
    }

    fn key_policy(&self) -> KeyPolicy {
        KeyPolicy::OnDemand
    }

    fn least_memory(&self) -> LeastMemory {
        LeastMemory { synthesis_bytes: 4 * GIB, proving_bytes: 12 * GIB, key_cache_bytes: 3 * GIB }
    }

    fn load_batch(&self, name: &str, bytes: Vec<u8>, chain: Option<ChainId>) -> anyhow::Result<LoadedBatch> {
        let inputs = WitnessInputs::decode(&bytes).with_context(|| name.to_owned())?;
        inputs.check().with_context(|| name.to_owned())?;
        let named = from_name(name);
        let number = inputs.batch_number();
        if let Some((batch, _)) = named {
            ensure!(
                batch == number,
                "{name}: by its name it is batch {batch}, by its contents batch {number}"
            );
        }
        let named_chain = named.and_then(|(_, chain)| chain);
        let chain = match (chain.map(|chain| chain.0), named_chain, inputs.chain_id()) {
            (Some(given), Some(named), _) if given != named => {
                bail!("{name}: by its name it is of chain {named}, expected chain {given}")
            }
            (Some(expected), _, Some(found)) | (None, Some(expected), Some(found)) if expected != found => {
                bail!("{name}: its state is that of chain {found}, expected chain {expected}")
            }
            (Some(chain), ..) | (None, Some(chain), _) | (None, None, Some(chain)) => chain,
            (None, None, None) => bail!(
                "{name} does not say which chain it is of: name it witness_inputs_{number}_CHAIN.cbor, or give --chain"
            ),
        };
        let id = BatchId { chain: ChainId(chain), batch: BatchNumber(number) };
        Ok(LoadedBatch { id, contents: inputs.summary(), witness_inputs: bytes })
    }

    /// There is one, whatever the seed and the number of operations.
    fn sample(&self, _seed: u64, _operations: u32) -> anyhow::Result<Sample> {
        Ok(Sample { file: "witness_inputs_1_270.cbor", bytes: sample_batch()?.to_cbor()? })
    }
}

/// The verification keys that ZKsync publishes.
struct Official;

impl VkSource for Official {
    fn vk(
        &self,
        key: ingot_types::CircuitKey,
    ) -> Result<Arc<ingot_circuit_set::field::Vk>, ingot_circuit_set::SetError> {
        OfficialKeys::get()?.vk(key)
    }
}

/// Batch and chain by a file's name: `witness_inputs_{batch}_{chain}.cbor`, or without the chain.
fn from_name(name: &str) -> Option<(u32, Option<u64>)> {
    let stem = Path::new(name).file_stem()?.to_str()?.strip_prefix("witness_inputs_")?;
    match stem.split_once('_') {
        Some((batch, chain)) => Some((batch.parse().ok()?, Some(chain.parse().ok()?))),
        None => Some((stem.parse().ok()?, None)),
    }
}

/// The official verification keys and hints as the files that the manifest names. Made once in a process.
fn files(manifest: &KeyManifest) -> anyhow::Result<EmbeddedFiles> {
    static FILES: OnceLock<EmbeddedFiles> = OnceLock::new();
    if let Some(files) = FILES.get() {
        return Ok(files);
    }
    let mut files: Vec<(&'static str, &'static [u8])> = Vec::new();
    for (key, official) in OfficialKeys::get()?.iter() {
        let entry = manifest.entry(Path::new("(built in)"), key)?;
        let parts = [
            (FileRole::VerificationKey, encode("verification key", &*official.vk)?),
            (FileRole::FinalizationHint, encode("finalization hint", &official.hint)?),
        ];
        for (role, bytes) in parts {
            files.push((entry.pin(role).file.clone().leak(), bytes.leak()));
        }
    }
    Ok(FILES.get_or_init(|| files.leak()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_batch_and_chain() {
        assert_eq!(from_name("a/b/witness_inputs_12_324.cbor"), Some((12, Some(324))));
        assert_eq!(from_name("witness_inputs_12.bin"), Some((12, None)));
        assert_eq!(from_name("witness_inputs_x_1.cbor"), None);
        assert_eq!(from_name("batch.cbor"), None);
    }
}
