//! Whether a proof file proves a batch: what it claims, then the proof itself.

use ingot_circuit_set::{CircuitSet, VkSource};
use ingot_types::AggregationRound;

use crate::{verify, StoredProof};

/// What is found of a final proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It is valid, for the batch that has its public input.
    Valid,
    /// It proves nothing, and why.
    Invalid(String),
    /// It is of another circuit set, version or parameters, or there is no key to trust: nothing can be said here.
    CannotTell(String),
}

/// Judges a final proof under the keys of `vks`, which must be trusted. What it is about is its public input, which the
/// caller has to compare.
pub fn judge(set: &dyn CircuitSet, vks: &dyn VkSource, stored: &StoredProof) -> Judgement {
    let header = &stored.header;
    let (version, claimed) = (set.protocol_version().to_string(), header.protocol_version.to_string());
    for (what, expected, found) in [
        ("circuit set", set.name(), header.circuit_set.as_str()),
        ("protocol version", version.as_str(), claimed.as_str()),
        ("security parameters", set.parameter_set(), header.parameter_set.as_str()),
    ] {
        if expected != found {
            let marked = header
                .insecure
                .as_ref()
                .map(|why| format!(" The file says of itself: {why}."))
                .unwrap_or_default();
            return Judgement::CannotTell(format!(
                "the proof claims {what} `{found}`, and this verifies `{expected}`.{marked}"
            ));
        }
    }
    if header.circuit.round != AggregationRound::Scheduler {
        return Judgement::Invalid(format!(
            "it holds a proof of circuit {} ({}): only a scheduler proof says something about a batch",
            header.circuit, header.circuit.round
        ));
    }
    let vk = match vks.vk(header.circuit) {
        Ok(vk) => vk,
        Err(error) => return Judgement::CannotTell(error.to_string()),
    };
    match verify(set, header.circuit, &vk, &stored.proof) {
        Ok(Ok(())) => Judgement::Valid,
        Ok(Err(rejection)) => Judgement::Invalid(rejection.to_string()),
        Err(error) => Judgement::CannotTell(error.to_string()),
    }
}
