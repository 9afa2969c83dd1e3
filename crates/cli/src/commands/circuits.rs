//! `ingot circuits`.

use std::{path::Path, sync::Arc};

use ingot_circuit_set::CircuitSet;
use ingot_keystore::KeyStore;
use ingot_prover::Layout;
use ingot_types::{AggregationRound, CircuitId, CircuitKey, JobKey, JobKind};

use super::keys::trusted_vks;
use crate::{
    edition::Chosen,
    exit::Outcome,
    ui::{Event, Ui},
};

/// Lists the circuits.
pub(crate) fn circuits(ui: &Arc<Ui>, chosen: &Chosen) -> anyhow::Result<Outcome> {
    let set = chosen.circuit_set()?;
    ui.note(format!(
        "circuit set {}, protocol version {}, parameters {}",
        set.name(),
        set.protocol_version(),
        set.parameter_set()
    ));
    ui.note("security in bits: proven, and by the up-to-capacity conjecture, which is refuted as stated; memory: estimated for the processor, planned for a device (key included, witness vector not)");
    ui.note(format!(
        "{:<6} {:<14} {:<30} {:<6} {:>7} {:>7}  {:>10} {:>10} {:>10}",
        "id", "round", "name", "rows", "proven", "legacy", "key RAM", "proof RAM", "device"
    ));
    let keys = trusted_vks(chosen, &*set, Path::new(""))?;
    for info in set.circuits() {
        ui.tell(&Event::Circuit {
            circuit: info.key.to_string(),
            round: info.key.round.name().to_owned(),
            name: info.name.to_owned(),
            rows_log2: info.trace_len_log2,
            proven_bits: info.security.proven,
            legacy_bits: info.security.legacy,
            setup_ram_bytes: info.setup_ram_bytes,
            synthesis_ram_bytes: info.synthesis_ram_bytes,
            proving_ram_bytes: info.proving_ram_bytes,
            device_bytes: keys.as_ref().and_then(|keys| device_bytes(&*set, keys, info.key)),
        });
    }
    super::keys::warn_if_insecure(ui, &*set);
    Ok(Outcome::Done)
}

/// What one proof needs on a device, where the key's shape is known.
fn device_bytes(set: &dyn CircuitSet, keys: &KeyStore, key: CircuitKey) -> Option<u64> {
    let vk = keys.verification_key(key).ok()?;
    let layout = Layout::new(&vk, &set.gates(key).ok()?, &set.proof_config(key).ok()?).ok()?;
    Some(layout.proving_bytes())
}

/// Reads a circuit as people write it: `0:17`.
pub(crate) fn parse_circuit(text: &str) -> Result<CircuitKey, String> {
    let parsed = text.split_once(':').and_then(|(round, id)| {
        let round = AggregationRound::try_from(round.trim().parse::<u8>().ok()?).ok()?;
        Some(CircuitKey { round, circuit_id: CircuitId(id.trim().parse().ok()?) })
    });
    parsed.ok_or_else(|| format!("`{text}` is no circuit: expected round:id, such as 0:17"))
}

/// What a job is called in messages.
pub(crate) fn job_name(set: &dyn CircuitSet, key: JobKey) -> String {
    let circuit = set.circuit_of(key.round, key.circuit_id);
    let name =
        set.circuits().iter().find(|info| info.key == circuit).map_or("unknown circuit", |info| info.name);
    match (key.kind, key.round) {
        (JobKind::Witness, AggregationRound::Basic) => "witness generation".into(),
        (JobKind::Witness, _) => format!("{name} (circuit input)"),
        _ => name.to_owned(),
    }
}
