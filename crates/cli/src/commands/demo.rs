//! `ingot demo`.

use std::{fs, path::Path, sync::Arc, time::Instant};

use anyhow::{bail, Context as _};
use ingot_artifacts::write_atomically;
use ingot_circuit_set::CircuitSet;
use ingot_prover::StoredProof;
use ingot_types::JobKey;

use super::{
    circuits::job_name,
    keys::{ready, warn_if_insecure, Resources},
    ledger::{circuit_set, sample, LoadedBatch},
    prove::{fingerprint, limbs},
    verify::verify_files,
    Summary,
};
use crate::{
    appliance::{Follower, LocalAppliance, LocalOptions},
    args::DemoArgs,
    exit::Outcome,
    home::Home,
    memory::peak_rss_bytes,
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

    let summary =
        prove(ui, &set, &home, &args.dir.dir, &batch, &proof_file, Resources::new(&args.resources))?;
    // From the files, as someone else would; under test parameters, which the caller asked for.
    let outcome = verify_files(ui, &set, &proof_file, Some(&batch_file), &home.keys(&*set), true)?;
    ui.tell(&Event::Summary(Box::new(summary)));
    Ok(outcome)
}

fn prove(
    ui: &Arc<Ui>,
    set: &Arc<dyn CircuitSet>,
    home: &Home,
    dir: &Path,
    batch: &LoadedBatch,
    out: &Path,
    resources: Resources,
) -> anyhow::Result<Summary> {
    let start = Instant::now();
    warn_if_insecure(ui, &**set);
    let keys = ready(ui, home, set, resources)?;
    let expected =
        set.batch_public_input(&batch.witness_inputs, &*keys.store).context("the batch cannot be proved")?;
    // Another folder for other inputs or keys: an interrupted demo goes on, and never with old work.
    let folder = home.path("demo").join(fingerprint(keys.store.manifest(), &batch.witness_inputs));
    let options = LocalOptions { folder: &folder, home: dir, parameters: set.parameter_set(), resources };
    let appliance = LocalAppliance::start(ui, &options)?;
    ui.note("components are up: house keeper, witness generator, witness vector generator, circuit prover");
    if !appliance.operator.submit(batch.id, set.protocol_version(), &batch.witness_inputs, 0)? {
        ui.note("going on with earlier work on this batch");
    }
    let name = |key: JobKey| job_name(&**set, key);
    let follower = Follower::new(&appliance.operator.client, ui, batch.id, &name);
    let (summary, stats) = follower.until_proved(|| appliance.check(ui))?;
    let bytes = appliance.operator.proof(&summary)?;
    let peak_rss_bytes = peak_rss_bytes() + appliance.peak_rss_bytes();
    appliance.stop();
    let proof = StoredProof::from_bytes(out, &bytes)?;
    let found = &proof.proof.public_inputs;
    if *found != expected {
        bail!(
            "the scheduler proof is about another batch: expected the public input {}, found {}",
            limbs(&expected).join(" "),
            limbs(found).join(" ")
        );
    }
    write_atomically(out, &bytes)?;
    // The next demo is to show the work again, not that it is done.
    if let Err(e) = fs::remove_dir_all(&folder) {
        ui.warn(format!("cannot remove {}: {e}", folder.display()));
    }
    Ok(Summary {
        batch: format!("{}/{}", batch.id.chain.0, batch.id.batch.0),
        operations: batch.operations,
        parameter_set: set.parameter_set().to_owned(),
        insecure: set.insecure_because().map(str::to_owned),
        keys_made: keys.made,
        keys_seconds: keys.seconds,
        stats,
        total_seconds: start.elapsed().as_secs_f64(),
        proof_file: out.display().to_string(),
        proof_bytes: bytes.len(),
        public_input: limbs(found),
        peak_rss_bytes,
        threads: resources.threads,
    })
}
