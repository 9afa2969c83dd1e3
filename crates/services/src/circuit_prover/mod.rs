//! The circuit prover: receives witness vectors, takes their jobs over, proves one after the other with all processors,
//! verifies, stores, completes.

mod waiting;

use std::{
    sync::{mpsc, Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use ingot_house_keeper::protocol::{Notice, ProverLoad};
use ingot_wire::Refusal;

use crate::{
    config::HostConfig,
    costs::Costs,
    desk::{Desk, DeskJob},
    queue::QueueError,
    run_loop::{self, Threads},
    transport::{OnVector, Vector, VectorReceiver},
    witness_vector_generator::{costs_of, PROVING_COSTS_FILE},
    work::{guarded, job_circuit, put, role, JobFailure, Made},
    ServiceError,
};
use waiting::{Entry, Waiting};

/// Where a receiver puts witness vectors. It exists before the prover does, since the house keeper is told where the
/// receiver listens; until the prover runs, everything is refused.
#[derive(Default)]
pub struct Inbox(Mutex<Option<Arc<Prover>>>);

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox").field("open", &self.prover().is_some()).finish()
    }
}

impl Inbox {
    /// A closed one.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// What the receiver calls.
    pub fn on_vector(self: &Arc<Self>) -> OnVector {
        let inbox = self.clone();
        Arc::new(move |vector| {
            let prover = inbox.prover().clone();
            prover.map_or(Err(Refusal::TryAnother), |prover| prover.received(vector))
        })
    }

    fn prover(&self) -> MutexGuard<'_, Option<Arc<Prover>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Prover {
    desk: Arc<Desk>,
    receiver: Arc<dyn VectorReceiver>,
    waiting: Waiting,
    costs: Costs,
    costs_of: String,
    told: Mutex<Option<ProverLoad>>,
}

/// Runs until the desk's stop flag is raised. `inbox` is the one whose [`Inbox::on_vector`] the `receiver` calls.
///
/// # Errors
/// [`ServiceError`].
pub fn run(
    desk: &Arc<Desk>,
    host: &HostConfig,
    prefetch_keys: bool,
    inbox: &Inbox,
    receiver: Arc<dyn VectorReceiver>,
) -> Result<(), ServiceError> {
    let costs_of = costs_of(&*desk.work);
    let prover = Arc::new(Prover {
        desk: desk.clone(),
        receiver,
        waiting: Waiting::default(),
        costs: Costs::open(&host.state_dir.join(PROVING_COSTS_FILE), &costs_of)?,
        costs_of,
        told: Mutex::new(None),
    });
    *inbox.prover() = Some(prover.clone());
    let mut threads = Threads::new();
    let (next_keys, keys) = mpsc::sync_channel(1);
    if prefetch_keys {
        let (work, stop) = (desk.work.clone(), desk.stop.clone());
        threads.start("prefetch", move || {
            while !stop.is_raised() {
                match keys.recv_timeout(std::time::Duration::from_millis(200)) {
                    Ok(job) => work.prefetch(job),
                    Err(mpsc::RecvTimeoutError::Timeout) => {}
                    // The proving thread has ended: the main loop sees to that.
                    Err(mpsc::RecvTimeoutError::Disconnected) => {
                        stop.wait_timeout(std::time::Duration::from_secs(1));
                    }
                }
            }
        })?;
    }
    let proving = prover.clone();
    threads.start("proving", move || {
        while let Some((entry, after)) = proving.waiting.next(&proving.desk.stop) {
            let now = job_circuit(entry.job.key());
            if let Some(after) = after.filter(|after| prefetch_keys && job_circuit(*after) != now) {
                // One that does not fit is loaded when its turn comes.
                let _ = next_keys.try_send(after);
            }
            proving.tell_load();
            proving.prove(entry);
            proving.waiting.proved();
            proving.tell_load();
        }
    })?;
    let (noticed, ticking) = (prover.clone(), prover.clone());
    let result = run_loop::run(
        desk,
        threads,
        host.stop_grace(),
        move |notice| noticed.notice(notice),
        move || ticking.tell_load(),
    );
    // The receiver knows the inbox, and the prover the receiver: one of them has to let go.
    *inbox.prover() = None;
    result
}

impl Prover {
    fn notice(&self, notice: Notice) {
        match notice {
            Notice::Reserve(reservation) => {
                let open = !self.desk.is_draining() && !self.desk.stop.is_raised();
                let accepted = open && self.receiver.expect(&reservation);
                ingot_house_keeper::job_log!(
                    debug,
                    reservation.job,
                    "a slab is {}",
                    if accepted { "reserved" } else { "refused" }
                );
                if let Err(error) = self.desk.queue.slab_reserved(reservation.ticket, accepted) {
                    ingot_house_keeper::job_log!(
                        warn,
                        reservation.job,
                        "the house keeper cannot be told of a slab: {error}"
                    );
                    self.receiver.cancel(reservation.ticket);
                }
            }
            Notice::CancelReservation { ticket } => self.receiver.cancel(ticket),
            _ => {}
        }
        self.tell_load();
    }

    /// A witness vector has come whole: from here on the job is this prover's, or the vector is refused.
    fn received(&self, vector: Box<dyn Vector>) -> Result<(), Refusal> {
        if self.desk.stop.is_raised() {
            return Err(Refusal::Draining);
        }
        let (key, token) = (vector.job(), vector.token());
        let bytes = vector.sections().iter().map(|section| section.len() as u64).sum();
        let held = self.desk.queue.hand_over(key, token).map_err(|error| {
            self.desk.observed.metrics.stream("refused", 0);
            ingot_house_keeper::job_log!(warn, key, "the job cannot be taken over: {error}");
            match error {
                QueueError::Stale(_) => Refusal::Stale,
                QueueError::Failed { .. } => Refusal::TryAnother,
            }
        })?;
        self.desk.observed.metrics.stream("done", bytes);
        let job = self.desk.take(held);
        self.waiting.push(Entry { vector, job, received: Instant::now() });
        self.tell_load();
        Ok(())
    }

    fn prove(&self, entry: Entry) {
        let Entry { vector, job, received } = entry;
        let key = job.key();
        self.desk.observed.metrics.took(key, "queue", received.elapsed());
        let start = Instant::now();
        let busy = self.desk.observed.metrics.busy();
        let proof = guarded(|| self.desk.work.prove_timed(key, vector.sections()));
        drop(busy);
        // The slab is free for the next vector while the proof is stored.
        drop(vector);
        let took = start.elapsed();
        let verifying = proof.as_ref().ok().and_then(|(_, verifying)| *verifying);
        self.desk.observed.metrics.took(key, "proving", took.saturating_sub(verifying.unwrap_or_default()));
        if let Some(verifying) = verifying {
            self.desk.observed.metrics.took(key, "verification", verifying);
        }
        let circuit =
            self.desk.work.circuits().iter().find(|c| c.key() == job_circuit(key)).map(|c| c.circuit);
        if let (Ok(_), Some(circuit)) = (&proof, circuit) {
            self.costs.measured(&self.costs_of, circuit, took.as_secs_f64(), None);
        }
        let stored = proof.and_then(|(bytes, _)| guarded(|| self.store(&job, &bytes)));
        job.finish(stored);
    }

    fn store(&self, job: &DeskJob, proof: &[u8]) -> Result<Made, JobFailure> {
        if job.is_lost() {
            return Err(JobFailure::transient("the lease was lost while it was proved"));
        }
        let start = Instant::now();
        let file = put(&*self.desk.artifacts, role::PROOF, proof)?;
        self.desk.observed.metrics.took(job.key(), "write", start.elapsed());
        Ok(Made { outputs: vec![file], new_jobs: vec![] })
    }

    /// Tells the house keeper how busy this prover is, if that changed.
    fn tell_load(&self) {
        let (queued, proving) = self.waiting.load();
        let load = ProverLoad { free_slabs: self.receiver.free_slabs(), queued, proving };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if *told != Some(load) {
            *told = Some(load);
            self.desk.queue.load(load);
        }
    }
}
