//! The governor: how many threads of a host synthesize and how many prove, from what waits, what there is, and what
//! things cost here. A pure function, and the reasons for what it says.

use std::{collections::BTreeMap, fmt};

use ingot_job_store::{CountKey, StateName};
use ingot_types::{CircuitKey, JobKind};

use crate::{config::human_bytes, costs::Costs, work::JobCircuit};

/// Synthesis of a circuit that was never measured takes so long, in seconds, for each GiB of its estimated memory.
const GUESS_SYNTHESIS_S_PER_GIB: f64 = 4.0;
/// Proving takes so many times as long as synthesis on one processor, where it was never measured.
const GUESS_PROVING_FACTOR: f64 = 4.0;

/// A circuit that jobs wait for.
#[derive(Clone, Debug, PartialEq)]
pub struct Demand {
    /// Its name.
    pub name: String,
    /// Jobs that are queued.
    pub jobs: u64,
    /// Memory of a synthesis, in bytes.
    pub synthesis_ram_bytes: u64,
    /// Duration of a synthesis on one processor, in seconds.
    pub synthesis_s: f64,
    /// Duration of a proof on all processors, in seconds.
    pub proving_s: f64,
    /// Whether these were measured here; else they are guesses.
    pub measured: bool,
}

/// What is decided on.
#[derive(Clone, Debug, PartialEq)]
pub struct Inputs {
    /// Processors that this host may use.
    pub processors: usize,
    /// Memory for synthesis, in bytes.
    pub ram_budget_bytes: u64,
    /// Memory that can be had now and is not used by synthesis yet, in bytes; `None`: unknown.
    pub ram_available_bytes: Option<u64>,
    /// Of the budget, what is in use, in bytes.
    pub ram_used_bytes: u64,
    /// Most threads that may synthesize; 0: as many as there are processors.
    pub max_wvg_threads: usize,
    /// Whether circuits are proved on the same processors.
    pub prover_on_this_host: bool,
    /// What waits.
    pub demand: Vec<Demand>,
}

/// What is decided, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Threads that synthesize; at least 1.
    pub wvg_threads: usize,
    /// Threads that prove; 0 if nothing is proved on this host.
    pub prover_threads: usize,
    /// The reasons, in the order in which they were weighed.
    pub why: Vec<String>,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} synthesis threads, {} proving threads", self.wvg_threads, self.prover_threads)?;
        self.why.iter().try_for_each(|reason| writeln!(f, "  {reason}"))
    }
}

/// Decides. The two kinds of threads are shared out so that neither waits for the other: if synthesizing all that waits
/// takes S processor seconds and proving it P, synthesis gets the share S / (S + P) of the processors. Then memory and the
/// length of the queue lower it.
pub fn decide(inputs: &Inputs) -> Decision {
    let processors = inputs.processors.max(1);
    let ceiling = if inputs.max_wvg_threads == 0 { processors } else { inputs.max_wvg_threads };
    let mut why = Vec::new();
    let jobs: u64 = inputs.demand.iter().map(|d| d.jobs).sum();
    let proving = |threads| if inputs.prover_on_this_host { threads } else { 0 };
    if jobs == 0 {
        why.push("no circuit waits: one thread keeps asking".into());
        return Decision { wvg_threads: 1, prover_threads: proving(processors), why };
    }
    let kinds: Vec<String> =
        inputs.demand.iter().filter(|d| d.jobs > 0).map(|d| format!("{} {}", d.jobs, d.name)).collect();
    why.push(format!("{jobs} circuits wait: {}", kinds.join(", ")));
    if inputs.demand.iter().any(|d| d.jobs > 0 && !d.measured) {
        why.push(
            "costs of some of them were never measured here: guessed from the circuit set's estimates".into(),
        );
    }

    let mut threads = ceiling;
    let mut prover_threads = 0;
    if inputs.prover_on_this_host {
        let total =
            |cost: fn(&Demand) -> f64| inputs.demand.iter().map(|d| d.jobs as f64 * cost(d)).sum::<f64>();
        let synthesis = total(|d| d.synthesis_s);
        let proof = total(|d| d.proving_s) * processors as f64;
        let share = if synthesis + proof > 0.0 { synthesis / (synthesis + proof) } else { 0.5 };
        let balanced = processors as f64 * share;
        // Rounded up: a prover that waits costs more than a vector that does.
        threads = threads.min((balanced.ceil() as usize).max(1));
        // A part of a processor is not worth a thread less for every proof.
        prover_threads = if balanced < 0.5 { processors } else { processors.saturating_sub(threads).max(1) };
        why.push(format!(
            "synthesis takes {synthesis:.1} and proving {proof:.1} processor seconds: {balanced:.1} of {processors} \
             processors for synthesis"
        ));
    } else {
        why.push(format!("nothing is proved on this host: up to {ceiling} threads synthesize"));
    }

    let largest =
        inputs.demand.iter().filter(|d| d.jobs > 0).map(|d| d.synthesis_ram_bytes).max().unwrap_or(0);
    let free = inputs.ram_budget_bytes.saturating_sub(inputs.ram_used_bytes);
    // What synthesis uses already is no longer available, but it is synthesis's.
    let had = inputs
        .ram_available_bytes
        .map_or(free, |available| available.min(free))
        .saturating_add(inputs.ram_used_bytes);
    if let Some(by_ram) = had.checked_div(largest) {
        let by_ram = usize::try_from(by_ram).unwrap_or(usize::MAX).max(1);
        if by_ram < threads {
            why.push(format!(
                "memory: {} for syntheses of up to {}: {by_ram} at once",
                human_bytes(had),
                human_bytes(largest)
            ));
            threads = by_ram;
        }
    }
    let by_queue = usize::try_from(jobs).unwrap_or(usize::MAX).max(1);
    if by_queue < threads {
        why.push(format!("no more than {by_queue} circuits wait"));
        threads = by_queue;
    }
    Decision { wvg_threads: threads.max(1), prover_threads, why }
}

/// What waits, from the job store's counts and the costs measured here. `proving` are a prover's costs.
pub fn demand(
    counts: &BTreeMap<CountKey, u64>,
    circuits: &[JobCircuit],
    synthesis: &Costs,
    proving: &Costs,
) -> Vec<Demand> {
    let queued = |key: CircuitKey| -> u64 {
        let wanted = |count: &CountKey| {
            count.kind == JobKind::Prove
                && count.state == StateName::Queued
                && (count.round, count.circuit_id) == (key.round, key.circuit_id)
        };
        counts.iter().filter(|(count, _)| wanted(count)).map(|(_, jobs)| jobs).sum()
    };
    let described = circuits.iter().map(|circuit| {
        let (made, proved) = (synthesis.get(circuit.circuit), proving.get(circuit.circuit));
        let guess = circuit.synthesis_ram_bytes as f64 / (1u64 << 30) as f64 * GUESS_SYNTHESIS_S_PER_GIB;
        let synthesis_s = made.filter(|c| c.samples > 0).map_or(guess, |c| c.seconds);
        Demand {
            name: circuit.name.clone(),
            jobs: queued(circuit.key()),
            synthesis_ram_bytes: synthesis.ram_bytes(circuit.circuit, circuit.synthesis_ram_bytes),
            synthesis_s,
            proving_s: proved
                .filter(|c| c.samples > 0)
                .map_or(synthesis_s * GUESS_PROVING_FACTOR / crate::host::processors() as f64, |c| c.seconds),
            measured: made.is_some_and(|c| c.samples > 0) && proved.is_some_and(|c| c.samples > 0),
        }
    });
    described.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(processors: usize, jobs: u64, synthesis_s: f64, proving_s: f64) -> Inputs {
        Inputs {
            processors,
            ram_budget_bytes: 64 << 30,
            ram_available_bytes: None,
            ram_used_bytes: 0,
            max_wvg_threads: 0,
            prover_on_this_host: true,
            demand: vec![Demand {
                name: "executor".into(),
                jobs,
                synthesis_ram_bytes: 2 << 30,
                synthesis_s,
                proving_s,
                measured: true,
            }],
        }
    }

    fn threads(inputs: &Inputs) -> (usize, usize) {
        let decision = decide(inputs);
        assert!(!decision.why.is_empty(), "every decision has a reason");
        (decision.wvg_threads, decision.prover_threads)
    }

    #[test]
    fn processors_are_shared_so_that_neither_side_waits() {
        // One processor synthesizes in the time in which the other 15 prove: 15 s × 1 against 1 s × 15.
        assert_eq!(threads(&inputs(16, 100, 15.0, 15.0 / 16.0)), (8, 8));
        assert_eq!(threads(&inputs(16, 100, 30.0, 0.1)), (16, 1));
        // Proving dominates: it gets everything, and one synthesis beside it.
        assert_eq!(threads(&inputs(2, 100, 1.0, 10.0)), (1, 2));
    }

    #[test]
    fn memory_the_queue_and_the_limit_lower_it() {
        let base = inputs(16, 100, 15.0, 15.0 / 16.0);
        assert_eq!(threads(&Inputs { ram_budget_bytes: 6 << 30, ..base.clone() }).0, 3);
        assert_eq!(threads(&Inputs { ram_available_bytes: Some(4 << 30), ..base.clone() }).0, 2);
        let used = Inputs { ram_available_bytes: Some(4 << 30), ram_used_bytes: 4 << 30, ..base.clone() };
        assert_eq!(threads(&used).0, 4, "what synthesis uses is its own");
        assert_eq!(threads(&Inputs { ram_budget_bytes: 0, ..base.clone() }).0, 1, "one alone always runs");
        assert_eq!(threads(&Inputs { max_wvg_threads: 5, ..base.clone() }).0, 5);
        assert_eq!(threads(&inputs(16, 3, 15.0, 15.0 / 16.0)).0, 3);
        assert_eq!(threads(&inputs(16, 0, 1.0, 1.0)), (1, 16));
        let remote = Inputs { prover_on_this_host: false, ..base };
        assert_eq!(threads(&remote), (16, 0));
    }

    #[test]
    fn it_explains_itself() {
        let decision = decide(&Inputs { ram_budget_bytes: 6 << 30, ..inputs(16, 100, 15.0, 1.0) });
        let text = decision.to_string();
        for part in [
            "100 circuits wait: 100 executor",
            "processor seconds",
            "6.00 GiB",
            "3 at once",
            "3 synthesis threads",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }

    #[test]
    fn costs_that_were_never_measured_are_guessed_and_called_so() {
        let circuit = JobCircuit {
            round: ingot_types::AggregationRound::Basic,
            circuit_id: ingot_types::CircuitId(1),
            circuit: CircuitKey::new(ingot_types::AggregationRound::Basic, 1),
            name: "executor".into(),
            synthesis_ram_bytes: 1 << 30,
            proving_ram_bytes: 1 << 30,
        };
        let key =
            |kind, state| CountKey { kind, round: circuit.round, circuit_id: circuit.circuit_id, state };
        let counts = [
            (key(JobKind::Prove, StateName::Queued), 5),
            (key(JobKind::Prove, StateName::Done), 7),
            (key(JobKind::Witness, StateName::Queued), 9),
        ]
        .into();
        let (synthesis, proving) = (Costs::in_memory(), Costs::in_memory());
        let guessed = demand(&counts, std::slice::from_ref(&circuit), &synthesis, &proving);
        assert_eq!((guessed[0].jobs, guessed[0].measured, guessed[0].synthesis_s), (5, false, 4.0));
        synthesis.measured("x", circuit.circuit, 3.0, Some(1000));
        proving.measured("x", circuit.circuit, 2.0, None);
        let measured = &demand(&counts, &[circuit], &synthesis, &proving)[0];
        assert_eq!((measured.measured, measured.synthesis_s, measured.proving_s), (true, 3.0, 2.0));
        assert_eq!(measured.synthesis_ram_bytes, 1250);
    }
}
