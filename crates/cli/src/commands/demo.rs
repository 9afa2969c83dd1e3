//! `ingot demo`.

use std::{fs, sync::Arc};

use ingot_artifacts::write_atomically;

use super::{
    keys::Resources,
    ledger::{circuit_set, sample, LoadedBatch},
    prove::{prove_to, Task},
    verify::verify_files,
};
use crate::{
    args::DemoArgs,
    exit::Outcome,
    home::Home,
    ui::{Event, Ui},
};

/// Keys, a sample batch, the components as processes of their own, proofs of all rounds, verification.
pub(crate) fn demo(ui: &Arc<Ui>, parameters: &str, args: &DemoArgs) -> anyhow::Result<Outcome> {
    let set = circuit_set(parameters)?;
    let home = Home::open(&args.dir.dir)?;
    let (batch_file, proof_file) = (home.path("demo.batch"), home.path("demo.proof"));
    let batch = LoadedBatch::new("sample batch", sample(args.seed, args.ops)?)?;
    write_atomically(&batch_file, &batch.witness_inputs)?;
    ui.note(format!("sample batch of {} operations: {}", batch.operations, batch_file.display()));
    ui.note("components: house keeper, witness generator, witness vector generator, circuit prover");

    let resources = Resources::new(&args.resources);
    let task =
        Task { set: &set, home: &home, dir: &args.dir.dir, batch: &batch, out: &proof_file, resources };
    let (summary, work) = prove_to(ui, &task)?;
    // From the files, as someone else would; under test parameters, which the caller asked for.
    let outcome = verify_files(ui, &set, &proof_file, Some(&batch_file), &home.keys(&*set), true)?;
    if outcome == Outcome::Done {
        // The next demo is to show the work again, not that it is done.
        if let Err(e) = fs::remove_dir_all(&work) {
            ui.warn(format!("cannot remove {}: {e}", work.display()));
        }
    }
    ui.tell(&Event::Summary(Box::new(summary)));
    Ok(outcome)
}
