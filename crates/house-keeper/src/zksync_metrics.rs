//! The same figures under the names that ZKsync's dashboards and autoscaler read. docs/metrics.md says where each differs
//! from the original.

use std::{collections::BTreeMap, fmt};

use ingot_job_store::{CountKey, StateName};
use ingot_types::{AggregationRound, JobKind, ProtocolVersion};

use crate::{engine::EngineView, metrics::Page};

/// The circuit that ZKsync reports all nodes under; a job here has the circuit of its branch.
const NODE_CIRCUIT: u8 = 2;

/// Its name of a round.
const fn round_name(round: AggregationRound) -> &'static str {
    match round {
        AggregationRound::Basic => "basic_circuits",
        AggregationRound::Leaf => "leaf_aggregation",
        AggregationRound::Node => "node_aggregation",
        AggregationRound::RecursionTip => "recursion_tip",
        AggregationRound::Scheduler => "scheduler",
    }
}

/// Its name of the witness jobs of a round.
const fn witness_type(round: AggregationRound) -> &'static str {
    match round {
        AggregationRound::Basic => "witness_inputs_fri",
        AggregationRound::Leaf => "leaf_aggregations_jobs_fri",
        AggregationRound::Node => "node_aggregations_jobs_fri",
        AggregationRound::RecursionTip => "recursion_tip_jobs_fri",
        AggregationRound::Scheduler => "scheduler_jobs_fri",
    }
}

/// The names in its queue report, which name the jobs that an operator has to look at.
const fn job_type(kind: JobKind, round: AggregationRound) -> &'static str {
    match (kind, round) {
        (JobKind::Witness, AggregationRound::Basic) => "basic_witness_jobs",
        (JobKind::Witness, AggregationRound::Leaf) => "leaf_witness_jobs",
        (JobKind::Witness, AggregationRound::Node) => "node_witness_jobs",
        (JobKind::Witness, AggregationRound::RecursionTip) => "recursion_tip_witness_jobs",
        (JobKind::Witness, AggregationRound::Scheduler) => "scheduler_witness_jobs",
        (JobKind::Prove, _) => "prover_jobs",
        (JobKind::Compress, _) => "proof_compressor_jobs",
    }
}

/// Its name of a state, where it counts jobs in it.
const fn status(state: StateName) -> Option<&'static str> {
    match state {
        StateName::Queued => Some("queued"),
        StateName::Leased => Some("in_progress"),
        _ => None,
    }
}

const fn circuit(key: &CountKey) -> u8 {
    match key.round {
        AggregationRound::Node => NODE_CIRCUIT,
        _ => key.circuit_id.0,
    }
}

pub(crate) fn write(page: &mut Page, view: &EngineView) -> fmt::Result {
    let mut prover: BTreeMap<(ProtocolVersion, u8, u8, &str), u64> = BTreeMap::new();
    let mut witness: BTreeMap<(ProtocolVersion, AggregationRound, &str), u64> = BTreeMap::new();
    let mut compressor: BTreeMap<(ProtocolVersion, &str), u64> = BTreeMap::new();
    let mut exhausted: BTreeMap<&str, u64> = BTreeMap::new();
    for (version, counts) in &view.jobs {
        for (key, count) in counts {
            if key.state == StateName::Quarantined {
                *exhausted.entry(job_type(key.kind, key.round)).or_default() += count;
            }
            let Some(status) = status(key.state) else { continue };
            *match key.kind {
                JobKind::Prove => {
                    prover.entry((*version, circuit(key), key.round as u8, status)).or_default()
                }
                JobKind::Witness => witness.entry((*version, key.round, status)).or_default(),
                JobKind::Compress => compressor.entry((*version, status)).or_default(),
            } += count;
        }
    }
    let prover = prover.into_iter().map(|((version, circuit, round, status), count)| {
        let labels = format!(
            "{{type=\"{status}\",circuit_id=\"{circuit}\",aggregation_round=\"{round}\",protocol_version=\"{version}\"}}"
        );
        (labels, count)
    });
    page.family("fri_prover_prover_jobs", "gauge", "Prove jobs, under ZKsync's name.", prover)?;
    let witness = witness.into_iter().map(|((version, round, status), count)| {
        let round = round_name(round);
        (format!("{{type=\"{status}\",round=\"{round}\",protocol_version=\"{version}\"}}"), count)
    });
    let help = "Witness jobs, under ZKsync's name.";
    page.family("server_witness_generator_jobs_by_round", "gauge", help, witness)?;
    let compressor = compressor.into_iter().map(|((version, status), count)| {
        (format!("{{type=\"{status}\",protocol_version=\"{version}\"}}"), count)
    });
    let help = "Compression jobs, under ZKsync's name.";
    page.family("prover_fri_proof_compressor_jobs", "gauge", help, compressor)?;
    let exhausted =
        exhausted.into_iter().map(|(job_type, count)| (format!("{{job_type=\"{job_type}\"}}"), count));
    let help = "Jobs given up, under ZKsync's name.";
    page.family("prover_job_monitor_reached_max_attempts", "gauge", help, exhausted)?;
    lag(page, view)?;
    requeued(page, view)
}

/// The lowest batches that wait for something.
fn lag(page: &mut Page, view: &EngineView) -> fmt::Result {
    let mut lowest: BTreeMap<(u8, u8), u32> = BTreeMap::new();
    let mut uncompressed: Option<u32> = None;
    for oldest in view.oldest.values() {
        for (key, first) in oldest.iter().filter(|(key, _)| key.state != StateName::Done) {
            let entry = match key.kind {
                JobKind::Prove => lowest.entry((circuit(key), key.round as u8)).or_insert(first.lowest_batch),
                JobKind::Compress => uncompressed.get_or_insert(first.lowest_batch),
                JobKind::Witness => continue,
            };
            *entry = first.lowest_batch.min(*entry);
        }
    }
    let lowest = lowest.into_iter().map(|((circuit, round), batch)| {
        (format!("{{circuit_id=\"{circuit}\",aggregation_round=\"{round}\"}}"), batch)
    });
    let help = "Lowest batch with prove jobs that are not done, under ZKsync's name.";
    page.family("fri_prover_block_number", "gauge", help, lowest)?;
    let one = |batch: Option<u32>| batch.map(|batch| (String::new(), batch));
    let help = "Lowest batch that is not compressed, under ZKsync's name.";
    page.family("prover_fri_proof_compressor_oldest_uncompressed_batch", "gauge", help, one(uncompressed))?;
    let help = "Lowest batch that is not proved, under ZKsync's name.";
    page.family("fri_prover_oldest_not_generated_batch", "gauge", help, one(view.lowest_open_batch))
}

/// Jobs that went back to the queue.
fn requeued(page: &mut Page, view: &EngineView) -> fmt::Result {
    let mut prover: BTreeMap<u64, u64> = BTreeMap::new();
    let mut witness: BTreeMap<(&str, u64), u64> = BTreeMap::new();
    let mut compressor = 0;
    for ((kind, round, chain), count) in &view.requeued {
        match kind {
            JobKind::Prove => *prover.entry(*chain).or_default() += count,
            JobKind::Witness => *witness.entry((witness_type(*round), *chain)).or_default() += count,
            JobKind::Compress => compressor += count,
        }
    }
    let prover = prover.into_iter().map(|(chain, count)| (format!("{{chain_id=\"{chain}\"}}"), count));
    let help = "Prove jobs whose attempt failed or whose lease was lost, under ZKsync's name.";
    page.family("server_prover_fri_requeued_jobs", "counter", help, prover)?;
    let witness = witness.into_iter().map(|((witness_type, chain), count)| {
        (format!("{{witness_type=\"{witness_type}\",chain_id=\"{chain}\"}}"), count)
    });
    let help = "Witness jobs whose attempt failed or whose lease was lost, under ZKsync's name.";
    page.family("server_requeued_jobs", "counter", help, witness)?;
    let help = "Compression jobs whose attempt failed or whose lease was lost, under ZKsync's name.";
    page.one("prover_fri_proof_compressor_requeued_jobs", "counter", help, compressor)
}
