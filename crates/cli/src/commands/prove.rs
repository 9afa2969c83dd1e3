//! `ingot prove`, and the proving that `demo` shares.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use anyhow::{bail, Context as _};
use ingot_artifacts::{write_atomically, Blake3};
use ingot_circuit_set::{field::F, CircuitSet};
use ingot_keystore::KeyManifest;
use ingot_prover::StoredProof;
use ingot_types::JobKey;

use super::{
    circuits::job_name,
    keys::{ready, warn_if_insecure, Resources},
    Summary,
};
use crate::{
    appliance::{Follower, LocalAppliance, LocalOptions},
    args::ProveArgs,
    edition::{Chosen, LoadedBatch},
    exit::Outcome,
    home::Home,
    memory::peak_rss_bytes,
    ui::{Event, Ui},
};

/// Proves a batch file.
pub(crate) fn prove(ui: &Arc<Ui>, chosen: &Chosen, args: &ProveArgs) -> anyhow::Result<Outcome> {
    let set = chosen.circuit_set()?;
    let batch = chosen.read_batch(&args.batch, args.chain)?;
    let home = Home::open(&args.dir.dir)?;
    let out = args.out.clone().unwrap_or_else(|| args.batch.with_extension("proof"));
    if out == args.batch {
        bail!("the proof would overwrite the batch file {}: name another file with --out", out.display());
    }
    if !args.no_snark {
        ui.note("the proof will be the scheduler's: compression into a SNARK does not exist yet");
    }
    let resources = Resources::new(chosen, &args.resources);
    let task =
        Task { chosen, set: &set, home: &home, dir: &args.dir.dir, batch: &batch, out: &out, resources };
    let (summary, _) = prove_to(ui, &task)?;
    ui.tell(&Event::Summary(Box::new(summary)));
    Ok(Outcome::Done)
}

/// A batch that is to be proved by an appliance of its own.
pub(crate) struct Task<'a> {
    pub chosen: &'a Chosen,
    pub set: &'a Arc<dyn CircuitSet>,
    pub home: &'a Home,
    /// The data folder that `home` is.
    pub dir: &'a Path,
    pub batch: &'a LoadedBatch,
    /// The proof file to write.
    pub out: &'a Path,
    pub resources: Resources,
}

/// Keys, the components as processes of their own, proofs, proof file. Returns the folder of the work as well.
pub(crate) fn prove_to(ui: &Arc<Ui>, task: &Task<'_>) -> anyhow::Result<(Summary, PathBuf)> {
    let start = Instant::now();
    let Task { chosen, set, home, dir, batch, out, resources } = *task;
    warn_if_insecure(ui, &**set);
    let keys = ready(ui, chosen, home, set, resources)?;
    let expected =
        set.batch_public_input(&batch.witness_inputs, &*keys.store).context("the batch cannot be proved")?;
    // Another folder for other inputs or keys: an interrupted run goes on, and never with old work.
    let folder = home.batch(batch.id, &fingerprint(keys.store.manifest(), &batch.witness_inputs));
    let options = LocalOptions { chosen, folder: &folder, home: dir, resources };
    let appliance = LocalAppliance::start(ui, &options)?;
    if !appliance.operator.submit(batch.id, set.protocol_version(), &batch.witness_inputs, 0)? {
        ui.note("going on with earlier work on this batch");
        // Whoever runs the command again wants another try.
        appliance.operator.try_again(batch.id)?;
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
    let summary = Summary {
        batch: format!("{}/{}", batch.id.chain.0, batch.id.batch.0),
        contents: batch.contents.clone(),
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
    };
    Ok((summary, folder))
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
