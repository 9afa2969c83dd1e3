//! The one-shot driver: proves one batch in one process, on the same job store and artifacts that services use.
//!
//! Two threads: one leases jobs, makes circuit inputs and synthesizes; the other proves, with all processors, one circuit
//! at a time. So the next circuit is synthesized while one is proved, within the memory budget.
//!
//! **Invariant:** an artifact is on disk before the job that names it is completed; killed at any instant, the next run
//! goes on with every proof that was finished.

mod budget;
mod files;
mod graph;
mod queue;
mod stages;
mod stats;
mod threads;

use std::{
    collections::BTreeSet,
    fmt, fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{bail, Context as _};
use ingot_artifacts::ArtifactStore;
use ingot_circuit_set::{field::Worker, CircuitSet};
use ingot_job_store::{Backoff, JobState, JobStore as _, MemoryStore, StoreError};
use ingot_keystore::KeyStore;
use ingot_prover::StoredProof;
use ingot_types::{AggregationRound, BatchId, JobKey, JobKind};

use crate::{
    interrupt::Interrupted,
    ui::{Event, Ui},
};
use budget::Budget;
pub(crate) use files::now_ms;
use files::{put, JobFailure};
use graph::{role, Graph};
use queue::Queue;
use stages::Stages;
pub use stats::{RoundStats, Stats};

/// How often the driver looks whether it should stop.
const TICK: Duration = Duration::from_millis(100);
/// How long threads may take to notice that they should stop, before their jobs are handed back over their heads.
const GRACE: Duration = Duration::from_millis(300);
/// Times a damaged scheduler proof is made again before giving up.
const FINAL_READS: usize = 3;

/// A batch to prove.
#[derive(Clone)]
pub struct BatchRun {
    /// The circuit set.
    pub set: Arc<dyn CircuitSet>,
    /// Its keys.
    pub keys: Arc<KeyStore>,
    /// The batch.
    pub batch: BatchId,
    /// Its witness inputs.
    pub witness_inputs: Vec<u8>,
    /// Where work on it is kept. Another folder for other inputs or keys.
    pub folder: PathBuf,
    /// Threads to prove with.
    pub threads: usize,
    /// Bound on the estimates of jobs at work, in bytes.
    pub max_ram_bytes: u64,
    /// Asked often: whether to stop.
    pub stop: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Told what happens.
    pub ui: Arc<Ui>,
}

impl fmt::Debug for BatchRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchRun")
            .field("batch", &self.batch)
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

/// A proved batch.
#[derive(Clone, Debug)]
pub struct BatchProof {
    /// The scheduler proof.
    pub proof: StoredProof,
    /// Its file.
    pub bytes: Vec<u8>,
    /// What it took.
    pub stats: Stats,
}

/// Proves a batch, or goes on proving it.
///
/// # Errors
/// With the job and the reason if a job failed for good; if asked to stop, an error that says so.
pub fn prove_batch(run: &BatchRun) -> anyhow::Result<BatchProof> {
    let start = Instant::now();
    fs::create_dir_all(&run.folder).with_context(|| format!("cannot create {}", run.folder.display()))?;
    let artifacts = ArtifactStore::open(run.folder.join("artifacts"))?;
    let graph = Graph { batch: run.batch, version: run.set.protocol_version() };
    let store = open_store(run, &graph, &artifacts)?;
    let stages = Arc::new(Stages {
        set: run.set.clone(),
        keys: run.keys.clone(),
        artifacts,
        graph,
        worker: Worker::new_with_num_threads(run.threads.max(1)),
    });
    let queue = Arc::new(Queue::new(store, run.batch, stages.clone(), run.ui.clone()));
    let last = last_job(&*run.set, &graph);
    queue.announce()?;

    for _ in 0..FINAL_READS {
        work(run, &stages, &queue, last)?;
        let job = queue.job(&last)?.context("the scheduler job is gone from the journal")?;
        let file = job
            .outputs()
            .iter()
            .find(|file| file.role == role::PROOF)
            .context("the scheduler job made no proof")?;
        match stages.read_proof(file, last) {
            Ok((proof, bytes)) => {
                let stats = queue.stats(start.elapsed())?;
                return Ok(BatchProof { proof, bytes, stats });
            }
            Err(JobFailure::BadFile { maker, reason }) => queue.repeat(maker, None, &reason)?,
            Err(JobFailure::Failed { reason, .. }) => bail!("cannot read the scheduler proof: {reason}"),
        }
    }
    bail!("the scheduler proof in {} is damaged again and again", run.folder.display())
}

/// The job that ends a batch: there is one scheduler circuit.
fn last_job(set: &dyn CircuitSet, graph: &Graph) -> JobKey {
    let scheduler = set.circuits().iter().rev().find(|info| info.key.round == AggregationRound::Scheduler);
    let circuit_id = scheduler.map_or(ingot_types::CircuitId(1), |info| info.key.circuit_id);
    JobKey {
        batch: graph.batch,
        kind: JobKind::Prove,
        round: AggregationRound::Scheduler,
        circuit_id,
        depth: 0,
        sequence: 0,
    }
}

/// Opens the journal, repairs what an interruption or a failure left, and makes sure that round 0 is in it.
fn open_store(run: &BatchRun, graph: &Graph, artifacts: &ArtifactStore) -> anyhow::Result<MemoryStore> {
    let path = run.folder.join("journal");
    let backoff = Backoff { base_ms: 200, cap_ms: 5_000, seed: 0 };
    let (mut store, recovered) = MemoryStore::open(&path, backoff, now_ms()).map_err(|e| match &e {
        StoreError::Corrupt { .. } => {
            let folder = run.folder.display();
            anyhow::Error::new(e)
                .context(format!("remove the folder {folder} to prove the batch from the start"))
        }
        _ => e.into(),
    })?;
    if recovered.records > 0 {
        let handed_back = recovered.handed_back.len();
        run.ui.note(format!(
            "going on with earlier work on this batch ({handed_back} jobs had been interrupted)"
        ));
    }
    let witness_inputs = put(artifacts, role::WITNESS_INPUTS, &run.witness_inputs)?;
    store.insert(vec![graph.first(witness_inputs)], now_ms())?;
    for repair in store.reconcile(now_ms())? {
        run.ui.warn(format!("repaired the journal: {repair:?}"));
    }
    // Whoever runs the command again wants another try.
    for job in store.batch_jobs(run.batch)? {
        if matches!(job.status.state, JobState::Failed { .. } | JobState::Quarantined) {
            store.requeue(job.key(), now_ms())?;
        }
    }
    let live =
        store.live_artifacts()?.iter().map(|file| file.hash.parse()).collect::<Result<BTreeSet<_>, _>>()?;
    artifacts.collect(&live, Duration::ZERO)?;
    Ok(store)
}

/// Runs jobs until the job `last` is done.
fn work(run: &BatchRun, stages: &Arc<Stages>, queue: &Arc<Queue>, last: JobKey) -> anyhow::Result<()> {
    if queue.is_done(&last)? {
        return Ok(());
    }
    queue.reopen();
    let mut threads = threads::start(stages, queue, Budget::new(run.max_ram_bytes))?;
    let result = loop {
        if (run.stop)() {
            break Err(Interrupted.into());
        }
        match queue.watch(&last, TICK) {
            Ok(true) => break Ok(()),
            Ok(false) => {}
            Err(error) => break Err(error),
        }
        if let Some(error) = threads.dead() {
            break Err(error);
        }
    };
    queue.close();
    match &result {
        // Nothing is left to do, so they end at once.
        Ok(()) => threads.join(),
        // A proof that is under way is not waited for: it is cheaper to lose than a person's patience.
        Err(_) => {
            threads.wait(GRACE);
            queue.hand_back();
        }
    }
    result
}

impl Event {
    pub(crate) fn job_done(
        job: JobKey,
        name: String,
        synthesis: Duration,
        work: Duration,
        proof_bytes: u64,
    ) -> Self {
        Self::JobDone {
            job: job.to_string(),
            name,
            synthesis_seconds: synthesis.as_secs_f64(),
            seconds: work.as_secs_f64(),
            proof_bytes,
        }
    }
}
