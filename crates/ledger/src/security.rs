//! The ledger's proof parameters: two of the sets that [`ingot_circuit_set::security`] describes.

pub use ingot_circuit_set::security::*;

/// The ledger's parameters called `name`.
pub fn by_name(name: &str) -> Option<&'static ParameterSet> {
    [&PROVEN80, &LEGACY100].into_iter().find(|set| set.name == name)
}
