//! The edition of `ingot`: the ledger circuit set, with its committed keys.

use std::sync::Arc;

use anyhow::{anyhow, bail};
use ingot_circuit_set::CircuitSet;
use ingot_core_api::BatchFormat;
use ingot_ledger::{
    native::{batch::Batch, sample::sample_batch},
    security, LedgerSet,
};
use ingot_types::{BatchId, BatchNumber, ChainId};

use crate::{
    edition::{Edition, KeyPolicy, LeastMemory, LoadedBatch, Sample},
    ledger_format::LedgerFormat,
    pinned::Pinned,
};

include!(concat!(env!("OUT_DIR"), "/pinned_keys.rs"));

/// The ledger.
#[derive(Clone, Copy, Debug)]
pub struct Ledger;

impl Edition for Ledger {
    fn executable(&self) -> &'static str {
        "ingot"
    }

    fn parameter_sets(&self) -> &'static [&'static str] {
        &["proven80", "legacy100"]
    }

    fn circuit_set(&self, parameters: &str) -> anyhow::Result<Arc<dyn CircuitSet>> {
        let parameters = security::by_name(parameters).ok_or_else(|| {
            anyhow!("unknown security parameters `{parameters}`: expected proven80 or legacy100")
        })?;
        Ok(Arc::new(LedgerSet::new(parameters)))
    }

    fn pinned(&self, parameters: &str) -> anyhow::Result<Option<Pinned>> {
        Ok(PINNED.iter().find(|pinned| pinned.parameter_set == parameters).copied())
    }

    fn key_policy(&self) -> KeyPolicy {
        KeyPolicy::All
    }

    fn least_memory(&self) -> LeastMemory {
        LeastMemory { synthesis_bytes: 1 << 30, proving_bytes: 1 << 30, key_cache_bytes: 256 << 20 }
    }

    fn load_batch(&self, name: &str, bytes: Vec<u8>, chain: Option<ChainId>) -> anyhow::Result<LoadedBatch> {
        let batch = Batch::from_bytes(name, &bytes)?;
        let id = BatchId { chain: ChainId(batch.chain_id), batch: BatchNumber(batch.number) };
        if let Some(expected) = chain.filter(|chain| *chain != id.chain) {
            bail!("{name} is a batch of chain {}: expected chain {}", id.chain.0, expected.0);
        }
        let contents = format!("{} operations", batch.operations.len());
        Ok(LoadedBatch { id, contents, witness_inputs: bytes })
    }

    fn describe(&self, bytes: &[u8]) -> Option<String> {
        ingot_ledger::describe(bytes)
    }

    fn batch_format(&self) -> anyhow::Result<Arc<dyn BatchFormat>> {
        Ok(Arc::new(LedgerFormat))
    }

    fn sample(&self, seed: u64, operations: u32) -> anyhow::Result<Sample> {
        let batch = sample_batch(seed, operations as usize);
        Ok(Sample { file: "demo.batch", bytes: batch.to_bytes("sample batch")? })
    }
}
