//! The circuit set that is built in, and its batch files.

use std::{fs, path::Path, sync::Arc};

use anyhow::{anyhow, Context as _};
use ingot_circuit_set::CircuitSet;
use ingot_ledger::{native::batch::Batch, security::ParameterSet, LedgerSet};
use ingot_types::{BatchId, BatchNumber, ChainId};

/// The ledger circuit set under the security parameters called `parameters`.
pub(crate) fn circuit_set(parameters: &str) -> anyhow::Result<Arc<dyn CircuitSet>> {
    let parameters = ParameterSet::by_name(parameters).ok_or_else(|| {
        anyhow!("unknown security parameters `{parameters}`: expected proven80 or legacy100")
    })?;
    Ok(Arc::new(LedgerSet::new(parameters)))
}

/// A batch file that was read.
#[derive(Debug)]
pub(crate) struct LoadedBatch {
    pub id: BatchId,
    pub operations: usize,
    /// What the circuit set is given: the file's bytes.
    pub witness_inputs: Vec<u8>,
}

impl LoadedBatch {
    /// A batch as witness inputs; `name` names it in errors.
    pub fn new(name: &str, witness_inputs: Vec<u8>) -> anyhow::Result<Self> {
        let batch = Batch::from_bytes(name, &witness_inputs)?;
        let id = BatchId { chain: ChainId(batch.chain_id), batch: BatchNumber(batch.number) };
        Ok(Self { id, operations: batch.operations.len(), witness_inputs })
    }

    /// Reads the batch file at `path`.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let bytes = fs::read(path).with_context(|| format!("cannot read the batch file {name}"))?;
        Self::new(&name, bytes)
    }
}

/// The bytes of a sample batch file.
pub(crate) fn sample(seed: u64, operations: u32) -> anyhow::Result<Vec<u8>> {
    let batch = ingot_ledger::native::sample::sample_batch(seed, operations as usize);
    Ok(batch.to_bytes("sample batch")?)
}
