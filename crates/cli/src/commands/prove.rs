//! `ingot prove`, and the proving that `demo` shares.

use std::{path::Path, sync::Arc, time::Instant};

use anyhow::{bail, Context as _};
use ingot_artifacts::{write_atomically, Blake3};
use ingot_circuit_set::{field::F, CircuitSet};
use ingot_keystore::KeyManifest;

use super::{
    keys::{ready, warn_if_insecure, Resources},
    ledger::{circuit_set, LoadedBatch},
    Summary,
};
use crate::{
    args::ProveArgs,
    driver::{prove_batch, BatchRun},
    exit::Outcome,
    home::Home,
    interrupt,
    memory::peak_rss_bytes,
    ui::{Event, Ui},
};

/// Proves a batch file.
pub(crate) fn prove(ui: &Arc<Ui>, parameters: &str, args: &ProveArgs) -> anyhow::Result<Outcome> {
    let set = circuit_set(parameters)?;
    let batch = LoadedBatch::read(&args.batch)?;
    let home = Home::open(&args.dir.dir)?;
    let out = args.out.clone().unwrap_or_else(|| args.batch.with_extension("proof"));
    if out == args.batch {
        bail!("the proof would overwrite the batch file {}: name another file with --out", out.display());
    }
    if !args.no_snark {
        ui.note("the proof will be the scheduler's: compression into a SNARK does not exist yet");
    }
    let summary = prove_to(ui, &set, &home, &batch, &out, Resources::new(&args.resources))?;
    ui.tell(&Event::Summary(Box::new(summary)));
    Ok(Outcome::Done)
}

/// Keys, proofs, proof file.
pub(crate) fn prove_to(
    ui: &Arc<Ui>,
    set: &Arc<dyn CircuitSet>,
    home: &Home,
    batch: &LoadedBatch,
    out: &Path,
    resources: Resources,
) -> anyhow::Result<Summary> {
    let start = Instant::now();
    warn_if_insecure(ui, &**set);
    let keys = ready(ui, home, set, resources)?;
    let expected =
        set.batch_public_input(&batch.witness_inputs, &*keys.store).context("the batch cannot be proved")?;
    let fingerprint = fingerprint(keys.store.manifest(), &batch.witness_inputs);
    let run = BatchRun {
        set: set.clone(),
        keys: keys.store.clone(),
        batch: batch.id,
        witness_inputs: batch.witness_inputs.clone(),
        folder: home.batch(batch.id, &fingerprint),
        threads: resources.threads,
        max_ram_bytes: resources.ram_bytes / 3 * 2,
        stop: Arc::new(interrupt::requested),
        ui: ui.clone(),
    };
    let proved = prove_batch(&run)?;
    let found = &proved.proof.proof.public_inputs;
    if *found != expected {
        bail!(
            "the scheduler proof is about another batch: expected the public input {}, found {}",
            limbs(&expected).join(" "),
            limbs(found).join(" ")
        );
    }
    write_atomically(out, &proved.bytes)?;
    Ok(Summary {
        batch: format!("{}/{}", batch.id.chain.0, batch.id.batch.0),
        operations: batch.operations,
        parameter_set: set.parameter_set().to_owned(),
        insecure: set.insecure_because().map(str::to_owned),
        keys_made: keys.made,
        keys_seconds: keys.seconds,
        stats: proved.stats,
        total_seconds: start.elapsed().as_secs_f64(),
        proof_file: out.display().to_string(),
        proof_bytes: proved.bytes.len(),
        public_input: limbs(found),
        peak_rss_bytes: peak_rss_bytes(),
        threads: resources.threads,
    })
}

/// Names everything that work on a batch depends on: its inputs, and through the manifest the set, its parameters and keys.
pub(crate) fn fingerprint(manifest: &KeyManifest, witness_inputs: &[u8]) -> String {
    let mut bytes = manifest.to_toml().into_bytes();
    bytes.extend(Blake3::of(witness_inputs).as_bytes());
    Blake3::of(&bytes).to_string().chars().take(16).collect()
}

/// Field elements as hexadecimal text.
pub(crate) fn limbs(elements: &[F]) -> Vec<String> {
    elements.iter().map(|x| format!("0x{:014x}", x.to_reduced_u64())).collect()
}
