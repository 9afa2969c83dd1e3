//! `ingot sample-batch`.

use std::sync::Arc;

use ingot_artifacts::write_atomically;

use super::ledger::{sample, LoadedBatch};
use crate::{args::SampleBatchArgs, exit::Outcome, ui::Ui};

/// Writes a valid sample batch.
pub(crate) fn sample_batch(ui: &Arc<Ui>, args: &SampleBatchArgs) -> anyhow::Result<Outcome> {
    let batch = LoadedBatch::new("sample batch", sample(args.seed, args.ops)?)?;
    write_atomically(&args.out, &batch.witness_inputs)?;
    let id = batch.id;
    ui.note(format!(
        "{}: batch {}/{} with {} operations, {} bytes",
        args.out.display(),
        id.chain.0,
        id.batch.0,
        batch.operations,
        batch.witness_inputs.len()
    ));
    Ok(Outcome::Done)
}
