//! `ingot circuits`.

use std::sync::Arc;

use ingot_circuit_set::CircuitSet;
use ingot_types::{AggregationRound, JobKey, JobKind};

use super::ledger::circuit_set;
use crate::{
    exit::Outcome,
    ui::{Event, Ui},
};

/// Lists the circuits.
pub(crate) fn circuits(ui: &Arc<Ui>, parameters: &str) -> anyhow::Result<Outcome> {
    let set = circuit_set(parameters)?;
    ui.note(format!(
        "circuit set {}, protocol version {}, parameters {}",
        set.name(),
        set.protocol_version(),
        set.parameter_set()
    ));
    ui.note("security in bits: proven, and by the up-to-capacity conjecture, which is refuted as stated; memory estimated");
    ui.note(format!(
        "{:<6} {:<14} {:<24} {:<6} {:>7} {:>7}  {:>10} {:>10}",
        "id", "round", "name", "rows", "proven", "legacy", "key RAM", "proof RAM"
    ));
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
        });
    }
    super::keys::warn_if_insecure(ui, &*set);
    Ok(Outcome::Done)
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
