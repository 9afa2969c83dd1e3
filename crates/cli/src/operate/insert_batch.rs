//! `ingot insert-batch`: what `submit` does, with number, version and priority as given.

use std::{fs, sync::Arc};

use anyhow::{ensure, Context as _};
use ingot_house_keeper::protocol::Change;
use ingot_types::{BatchId, BatchNumber, ChainId};

use super::{args::InsertBatchArgs, desk::Desk};
use crate::{
    appliance::{named, submission},
    edition::Chosen,
    exit::Outcome,
    ui::Ui,
};

/// Stores a batch file and submits it; noted in the audit.
pub(crate) fn insert_batch(ui: &Arc<Ui>, chosen: &Chosen, args: &InsertBatchArgs) -> anyhow::Result<Outcome> {
    let own = chosen.circuit_set()?.protocol_version();
    let version = args.version.unwrap_or(own);
    let chain = args.change.chain.chain;
    let (batch, bytes) = if version == own {
        let batch = chosen.read_batch(&args.file, chain)?;
        if let Some(number) = args.number {
            ensure!(
                number == batch.id.batch.0,
                "{} is batch {}: expected {number}, as --number says",
                args.file.display(),
                batch.id.batch.0
            );
        }
        (batch.id, batch.witness_inputs)
    } else {
        // Only that version's executable can read it.
        let (Some(chain), Some(number)) = (chain, args.number) else {
            anyhow::bail!(
                "this executable serves protocol version {own} and cannot read a batch of {version}: say which it is with --chain and --number"
            );
        };
        let bytes = fs::read(&args.file)
            .with_context(|| format!("cannot read the batch file {}", args.file.display()))?;
        (BatchId { chain: ChainId(chain), batch: BatchNumber(number) }, bytes)
    };
    let desk = Desk::open(&args.change.service, None)?;
    let artifact = match args.change.dry_run {
        true => named(&bytes),
        // The file is there before anything names it.
        false => desk.operator().put(&bytes)?,
    };
    let submission = submission(batch, version, &artifact, args.priority);
    desk.change(ui, &Change::InsertBatch(submission), args.change.dry_run)
}
