//! Readable names of a batch's files, by the scheme of ZKsync's prover, for export.
//!
//! Files are kept by hash; a name says what one is to whom: `BUCKET/NAME`. Where ZKsync numbers proofs by rows of its
//! database, the job is named in full.

use ingot_types::{AggregationRound, JobKey, JobKind};

use crate::work::role;

/// The buckets, which are folders here.
mod bucket {
    pub const WITNESS_INPUTS: &str = "witness_inputs";
    pub const PROVER_JOBS: &str = "prover_jobs_fri";
    pub const SCHEDULER_WITNESS: &str = "scheduler_witness_jobs_fri";
    pub const PROOFS: &str = "proofs_fri";
}

const fn round_name(round: AggregationRound) -> &'static str {
    match round {
        AggregationRound::Basic => "BasicCircuits",
        AggregationRound::Leaf => "LeafAggregation",
        AggregationRound::Node => "NodeAggregation",
        AggregationRound::RecursionTip => "RecursionTip",
        AggregationRound::Scheduler => "Scheduler",
    }
}

/// The file that `job` reads or made under `role`: its folder and its name; `None` for a role that has none.
pub fn name_of(job: JobKey, role: &str) -> Option<(&'static str, String)> {
    let (chain, batch) = (job.batch.chain.0, job.batch.batch.0);
    let slot = || {
        format!("{batch}_{chain}_{}_{}_{}_{}", job.sequence, job.circuit_id, round_name(job.round), job.depth)
    };
    Some(match role {
        role::WITNESS_INPUTS => (bucket::WITNESS_INPUTS, format!("witness_inputs_{batch}_{chain}.bin")),
        role::AGGREGATION_INPUTS => {
            (bucket::SCHEDULER_WITNESS, format!("scheduler_witness_{batch}_{chain}.bin"))
        }
        role::CIRCUIT => (bucket::PROVER_JOBS, format!("{}.bin", slot())),
        role::PROOF if job.kind == JobKind::Prove => (bucket::PROOFS, format!("proof_{}.bin", slot())),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_those_of_the_scheme_and_tell_jobs_apart() {
        let job = |text: &str| text.parse::<JobKey>().unwrap();
        let name = |text: &str, role: &str| {
            name_of(job(text), role).map(|(folder, name)| format!("{folder}/{name}"))
        };
        assert_eq!(
            name("270/17/prove/0/3/0/42", role::CIRCUIT).unwrap(),
            "prover_jobs_fri/17_270_42_3_BasicCircuits_0.bin"
        );
        assert_eq!(
            name("270/17/witness/0/0/0/0", role::WITNESS_INPUTS).unwrap(),
            "witness_inputs/witness_inputs_17_270.bin"
        );
        assert_eq!(name("270/17/prove/0/3/0/42", "unknown"), None);
        let mut names = BTreeSet::new();
        let keys = ["1/2/prove/0/1/0/0", "1/2/prove/0/2/0/0", "1/2/prove/1/1/0/0", "1/2/prove/2/1/1/0"];
        for key in keys.iter().chain(&["1/2/prove/0/1/0/1", "2/1/prove/0/1/0/0"]) {
            assert!(names.insert(name(key, role::CIRCUIT)) && names.insert(name(key, role::PROOF)), "{key}");
        }
    }
}
