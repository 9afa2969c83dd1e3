//! `ingot sample-batch`.

use std::sync::Arc;

use ingot_artifacts::write_atomically;

use crate::{args::SampleBatchArgs, edition::Chosen, exit::Outcome, ui::Ui};

/// Writes a valid sample batch.
pub(crate) fn sample_batch(ui: &Arc<Ui>, chosen: &Chosen, args: &SampleBatchArgs) -> anyhow::Result<Outcome> {
    let (_, batch) = chosen.sample_batch(args.seed, args.ops)?;
    write_atomically(&args.out, &batch.witness_inputs)?;
    let id = batch.id;
    ui.note(format!(
        "{}: batch {}/{} with {}, {} bytes",
        args.out.display(),
        id.chain.0,
        id.batch.0,
        batch.contents,
        batch.witness_inputs.len()
    ));
    Ok(Outcome::Done)
}
