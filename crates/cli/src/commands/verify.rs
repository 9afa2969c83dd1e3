//! `ingot verify`.

use std::{path::Path, sync::Arc};

use ingot_circuit_set::CircuitSet;
use ingot_prover::{judge, ContainerError, Judgement, StoredProof};

use super::{
    keys::{trusted_vks, warn_if_insecure},
    prove::limbs,
};
use crate::{
    args::VerifyArgs,
    edition::Chosen,
    exit::Outcome,
    home::keys_folder,
    ui::{Event, Ui},
};

/// Verifies a proof file.
pub(crate) fn verify(ui: &Arc<Ui>, chosen: &Chosen, args: &VerifyArgs) -> anyhow::Result<Outcome> {
    let set = chosen.circuit_set()?;
    let keys = keys_folder(&args.dir.dir, &*set);
    let batch = args.batch.as_deref().map(|path| (path, args.chain));
    verify_files(ui, chosen, &set, &args.proof, batch, &keys, false)
}

/// What was found: the outcome, the reason, and the public input if there is one to show.
struct Finding {
    outcome: Outcome,
    reason: String,
    public_input: Vec<String>,
}

impl Finding {
    fn new(outcome: Outcome, reason: impl ToString) -> Self {
        Self { outcome, reason: reason.to_string(), public_input: Vec::new() }
    }

    fn invalid(reason: impl ToString) -> Self {
        Self::new(Outcome::Refused, reason)
    }

    fn unknown(reason: impl ToString) -> Self {
        Self::new(Outcome::Unknown, reason)
    }
}

/// Verifies and tells the verdict. `demo` trusts the keys it has just made where none are built in, and says so.
pub(crate) fn verify_files(
    ui: &Arc<Ui>,
    chosen: &Chosen,
    set: &Arc<dyn CircuitSet>,
    proof: &Path,
    batch: Option<(&Path, Option<u64>)>,
    keys: &Path,
    trust_own_keys: bool,
) -> anyhow::Result<Outcome> {
    let finding = find(ui, chosen, &**set, proof, batch, keys, trust_own_keys)?;
    if finding.outcome == Outcome::Done {
        warn_if_insecure(ui, &**set);
    }
    ui.tell(&Event::Verdict {
        verdict: match finding.outcome {
            Outcome::Done => "valid",
            Outcome::Refused => "INVALID",
            Outcome::Unknown | Outcome::Exit(_) => "can't tell",
        },
        reason: finding.reason,
        parameter_set: set.parameter_set().to_owned(),
        public_input: finding.public_input,
        batch_checked: batch.is_some() && finding.outcome == Outcome::Done,
    });
    Ok(finding.outcome)
}

fn find(
    ui: &Ui,
    chosen: &Chosen,
    set: &dyn CircuitSet,
    path: &Path,
    batch: Option<(&Path, Option<u64>)>,
    keys: &Path,
    trust_own_keys: bool,
) -> anyhow::Result<Finding> {
    let stored = match StoredProof::load(path) {
        Ok(stored) => stored,
        Err(error @ (ContainerError::Io { .. } | ContainerError::Format { .. })) => {
            return Ok(Finding::unknown(error))
        }
        Err(error) => return Ok(Finding::invalid(error)),
    };
    let store = match trusted_vks(chosen, set, keys)? {
        Some(store) => store,
        None if trust_own_keys => {
            ui.warn("verified with the keys just made: none are built in to compare with");
            own_keys(set, keys)?
        }
        None => {
            return Ok(Finding::unknown(format!(
                "no key manifest for parameters {} is built into this executable, so there is no verification key to trust",
                set.parameter_set()
            )))
        }
    };
    let name = path.display();
    match judge(set, &store, &stored) {
        Judgement::Valid => {}
        Judgement::Invalid(reason) => return Ok(Finding::invalid(format!("{name}: {reason}"))),
        Judgement::CannotTell(reason) => return Ok(Finding::unknown(format!("{name}: {reason}"))),
    }
    let header = &stored.header;
    let public_input = limbs(&stored.proof.public_inputs);
    let Some((batch_path, chain)) = batch else {
        let reason = format!(
            "valid for some header only: without --batch, nothing says which batch has the public input {}",
            public_input.join(" ")
        );
        return Ok(Finding { outcome: Outcome::Done, reason, public_input });
    };
    let batch = match chosen.read_batch(batch_path, chain) {
        Ok(batch) => batch,
        Err(error) => return Ok(Finding::unknown(format!("{error:#}"))),
    };
    let expected = match set.batch_public_input(&batch.witness_inputs, &store) {
        Ok(expected) => expected,
        Err(error) => return Ok(Finding::unknown(format!("{}: {error}", batch_path.display()))),
    };
    let same = expected == stored.proof.public_inputs;
    let (outcome, reason) = if !same {
        let expected = limbs(&expected).join(" ");
        let found = public_input.join(" ");
        (
            Outcome::Refused,
            format!("the proof is about another batch: expected the public input {expected}, found {found}"),
        )
    } else if header.batch != batch.id {
        (
            Outcome::Refused,
            format!("the file names batch {:?}, the proof is about {:?}", header.batch, batch.id),
        )
    } else {
        let id = batch.id;
        (
            Outcome::Done,
            format!("the proof is about batch {}/{} of {}", id.chain.0, id.batch.0, batch_path.display()),
        )
    };
    Ok(Finding { outcome, reason, public_input })
}

fn own_keys(set: &dyn CircuitSet, keys: &Path) -> anyhow::Result<ingot_keystore::KeyStore> {
    let path = keys.join(ingot_keystore::MANIFEST_FILE);
    let manifest = ingot_keystore::KeyManifest::load(&path)?;
    Ok(ingot_keystore::KeyStore::new(
        set,
        &path,
        manifest,
        ingot_keystore::FileSource::Folder(keys.to_owned()),
        0,
    )?)
}
