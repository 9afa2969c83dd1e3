//! `ingot debug-proof`: a proof file taken apart.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use ingot_circuit_set::{
    encode,
    field::{Proof, F},
    CircuitSet,
};
use ingot_prover::{verify, StoredProof};
use serde::Serialize;

use super::desk::batch_name;
use crate::{
    commands::{limbs, trusted_vks, warn_if_insecure},
    edition::Chosen,
    exit::Outcome,
    memory::human_bytes,
    ui::Ui,
};

#[derive(Serialize)]
struct Header {
    circuit_set: String,
    protocol_version: String,
    parameter_set: String,
    circuit: String,
    circuit_name: String,
    batch: String,
    insecure: Option<String>,
    public_input: Vec<String>,
    lde_factor: usize,
    cap_size: usize,
    folding_schedule: Option<Vec<usize>>,
    security_level: usize,
    pow_bits: u32,
    pow_nonce: u64,
    queries: usize,
    encoded_bytes: usize,
}

#[derive(Serialize)]
struct Part {
    part: &'static str,
    count: usize,
    bytes: usize,
}

#[derive(Serialize)]
struct Verdict {
    verdict: &'static str,
    reason: String,
}

/// Prints what is in a proof file, and whether it verifies under the key that is built in.
pub(crate) fn debug_proof(ui: &Arc<Ui>, chosen: &Chosen, file: &Path) -> anyhow::Result<Outcome> {
    let set = chosen.circuit_set()?;
    let stored = StoredProof::load(file)?;
    show_header(ui, &*set, &stored)?;
    for part in parts(&stored.proof)? {
        let text = format!("  {:<28} {:>7}  {:>10}", part.part, part.count, human_bytes(part.bytes as u64));
        ui.show("proof_part", &part, &text);
    }
    let (outcome, reason) = verdict(chosen, &*set, &stored)?;
    let verdict = match outcome {
        Outcome::Done => "verifies",
        Outcome::Refused => "DOES NOT VERIFY",
        Outcome::Unknown | Outcome::Exit(_) => "can't tell",
    };
    ui.show("proof_verdict", &Verdict { verdict, reason: reason.clone() }, &format!("{verdict}: {reason}"));
    if outcome == Outcome::Done {
        warn_if_insecure(ui, &*set);
    }
    Ok(outcome)
}

fn show_header(ui: &Ui, set: &dyn CircuitSet, stored: &StoredProof) -> anyhow::Result<()> {
    let (header, proof) = (&stored.header, &stored.proof);
    let name = set.circuits().iter().find(|info| info.key == header.circuit).map(|info| info.name);
    let config = &proof.proof_config;
    let shown = Header {
        circuit_set: header.circuit_set.clone(),
        protocol_version: header.protocol_version.to_string(),
        parameter_set: header.parameter_set.clone(),
        circuit: header.circuit.to_string(),
        circuit_name: name.unwrap_or("unknown here").to_owned(),
        batch: batch_name(header.batch),
        insecure: header.insecure.clone(),
        public_input: limbs(&proof.public_inputs),
        lde_factor: config.fri_lde_factor,
        cap_size: config.merkle_tree_cap_size,
        folding_schedule: config.fri_folding_schedule.clone(),
        security_level: config.security_level,
        pow_bits: config.pow_bits,
        pow_nonce: proof.pow_challenge,
        queries: proof.queries_per_fri_repetition.len(),
        encoded_bytes: encode("proof", proof).context("the proof cannot be measured")?.len(),
    };
    let schedule = shown.folding_schedule.as_ref().map_or("by its size".into(), |s| format!("{s:?}"));
    let text = format!(
        "proof of circuit {} ({}) about batch {}\n  circuit set {}, protocol version {}, parameters {}\n  \
         public input {}\n  extension {}, cap {}, queries {}, security level {}, folding {schedule}, proof of work {} bits (nonce {})\n  \
         {} encoded, of it:",
        shown.circuit,
        shown.circuit_name,
        shown.batch,
        shown.circuit_set,
        shown.protocol_version,
        shown.parameter_set,
        shown.public_input.join(" "),
        shown.lde_factor,
        shown.cap_size,
        shown.queries,
        shown.security_level,
        shown.pow_bits,
        shown.pow_nonce,
        human_bytes(shown.encoded_bytes as u64),
    );
    ui.show("proof", &shown, &text);
    Ok(())
}

/// Its parts with their sizes as they are encoded.
fn parts(proof: &Proof) -> anyhow::Result<Vec<Part>> {
    fn size<T: Serialize + ?Sized>(value: &T) -> anyhow::Result<usize> {
        Ok(postcard::to_stdvec(value).context("a part of the proof cannot be measured")?.len())
    }
    let caps = |part, cap: &Vec<[F; 4]>| anyhow::Ok(Part { part, count: cap.len(), bytes: size(cap)? });
    let queries = &proof.queries_per_fri_repetition;
    let mut sums = [(0, 0); 5];
    for query in queries {
        let oracles = [&query.witness_query, &query.stage_2_query, &query.quotient_query, &query.setup_query];
        for (sum, oracle) in sums.iter_mut().zip(oracles) {
            *sum = (sum.0 + oracle.leaf_elements.len(), sum.1 + size(oracle)?);
        }
        if let Some(sum) = sums.last_mut() {
            *sum = (sum.0 + query.fri_queries.len(), sum.1 + size(&query.fri_queries)?);
        }
    }
    let names =
        ["witness openings", "stage 2 openings", "quotient openings", "setup openings", "FRI openings"];
    let openings = names.into_iter().zip(sums).map(|(part, (count, bytes))| Part { part, count, bytes });
    let intermediate = &proof.fri_intermediate_oracles_caps;
    let monomials = &proof.final_fri_monomials;
    let mut parts = vec![
        Part { part: "public inputs", count: proof.public_inputs.len(), bytes: size(&proof.public_inputs)? },
        caps("witness cap", &proof.witness_oracle_cap)?,
        caps("stage 2 cap", &proof.stage_2_oracle_cap)?,
        caps("quotient cap", &proof.quotient_oracle_cap)?,
        Part { part: "values at z", count: proof.values_at_z.len(), bytes: size(&proof.values_at_z)? },
        Part {
            part: "values at z times omega",
            count: proof.values_at_z_omega.len(),
            bytes: size(&proof.values_at_z_omega)?,
        },
        Part { part: "values at 0", count: proof.values_at_0.len(), bytes: size(&proof.values_at_0)? },
        caps("FRI base cap", &proof.fri_base_oracle_cap)?,
        Part { part: "FRI intermediate caps", count: intermediate.len(), bytes: size(intermediate)? },
        Part {
            part: "final FRI coefficients",
            count: monomials.iter().map(Vec::len).sum(),
            bytes: size(monomials)?,
        },
    ];
    parts.extend(openings);
    Ok(parts)
}

/// Whether it verifies under the key that is built in, whatever the round.
fn verdict(chosen: &Chosen, set: &dyn CircuitSet, stored: &StoredProof) -> anyhow::Result<(Outcome, String)> {
    let header = &stored.header;
    let same = header.circuit_set == set.name()
        && header.protocol_version == set.protocol_version()
        && header.parameter_set == set.parameter_set();
    if !same {
        let reason = format!(
            "it claims circuit set {}, protocol version {}, parameters {}, and this executable has {}, {}, {}",
            header.circuit_set,
            header.protocol_version,
            header.parameter_set,
            set.name(),
            set.protocol_version(),
            set.parameter_set()
        );
        return Ok((Outcome::Unknown, reason));
    }
    let Some(keys) = trusted_vks(chosen, set, Path::new(""))? else {
        return Ok((Outcome::Unknown, "no verification key is built in for these parameters".into()));
    };
    let vk = match keys.verification_key(header.circuit) {
        Ok(vk) => vk,
        Err(error) => return Ok((Outcome::Unknown, error.to_string())),
    };
    Ok(match verify(set, header.circuit, &vk, &stored.proof)? {
        Ok(()) => (Outcome::Done, format!("under the built-in key of circuit {}", header.circuit)),
        Err(rejection) => (Outcome::Refused, rejection.to_string()),
    })
}
