//! `ingot demo`.

use std::{fs, sync::Arc};

use ingot_artifacts::write_atomically;

use super::{
    keys::Resources,
    prove::{prove_to, Task},
    verify::verify_files,
};
use crate::{
    args::DemoArgs,
    edition::Chosen,
    exit::Outcome,
    home::Home,
    ui::{Event, Ui},
};

/// Keys, a sample batch, the components as processes of their own, proofs of all rounds, verification.
pub(crate) fn demo(ui: &Arc<Ui>, chosen: &Chosen, args: &DemoArgs) -> anyhow::Result<Outcome> {
    let set = chosen.circuit_set()?;
    let home = Home::open(&args.dir.dir)?;
    let (sample, batch) = chosen.sample_batch(args.seed, args.ops)?;
    let (batch_file, proof_file) = (home.path(sample.file), home.path("demo.proof"));
    write_atomically(&batch_file, &batch.witness_inputs)?;
    ui.note(format!("sample batch, {}: {}", batch.contents, batch_file.display()));
    ui.note("components: house keeper, witness generator, witness vector generator, circuit prover");

    let resources = Resources::new(chosen, &args.resources);
    let task = Task {
        chosen,
        set: &set,
        home: &home,
        dir: &args.dir.dir,
        batch: &batch,
        out: &proof_file,
        resources,
    };
    let (summary, work) = prove_to(ui, &task)?;
    // From the files, as someone else would; under test parameters, which the caller asked for.
    let outcome =
        verify_files(ui, chosen, &set, &proof_file, Some((&batch_file, None)), &home.keys(&*set), true)?;
    if outcome == Outcome::Done {
        // The next demo is to show the work again, not that it is done.
        if let Err(e) = fs::remove_dir_all(&work) {
            ui.warn(format!("cannot remove {}: {e}", work.display()));
        }
    }
    ui.tell(&Event::Summary(Box::new(summary)));
    Ok(outcome)
}
