//! The jobs under way in this process: each ends exactly once, and all of them can be handed back over the heads of the
//! threads that work on them.

use std::{
    collections::BTreeMap,
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
    },
    time::{Duration, Instant},
};

use ingot_artifacts::Artifacts;
use ingot_job_store::{Filter, Lease};
use ingot_types::{JobKey, RetryClass};

use crate::{
    observability::Observed,
    queue::{HeldJob, JobQueue, QueueError},
    stop::Stop,
    work::{JobFailure, Made, Work},
};

/// How long a request for a job waits at the house keeper before it is repeated.
const LEASE_WAIT: Duration = Duration::from_secs(30);
/// How long a worker waits after a request that failed.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// What a worker works with.
pub struct Desk {
    /// The circuits.
    pub work: Arc<dyn Work>,
    /// The house keeper.
    pub queue: Arc<dyn JobQueue>,
    /// The files.
    pub artifacts: Arc<dyn Artifacts>,
    /// Health and metrics.
    pub observed: Arc<Observed>,
    /// Raised when the process is to stop.
    pub stop: Stop,
    draining: AtomicBool,
    under_way: Mutex<UnderWay>,
    changed: Condvar,
}

#[derive(Default)]
struct UnderWay {
    next: u64,
    jobs: BTreeMap<u64, Arc<dyn HeldJob>>,
    /// Requests for jobs that have not been answered.
    asking: usize,
}

impl UnderWay {
    fn is_empty(&self) -> bool {
        self.jobs.is_empty() && self.asking == 0
    }
}

/// A request for a job.
struct Asking<'a>(&'a Desk);

impl<'a> Asking<'a> {
    /// None once the process is to stop.
    fn new(desk: &'a Desk) -> Option<Self> {
        let mut under_way = desk.lock();
        if desk.stop.is_raised() {
            return None;
        }
        under_way.asking += 1;
        Some(Self(desk))
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.lock().asking -= 1;
        self.0.changed.notify_all();
    }
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("jobs", &self.jobs()).finish_non_exhaustive()
    }
}

impl Desk {
    /// An empty desk.
    pub fn new(
        work: Arc<dyn Work>,
        queue: Arc<dyn JobQueue>,
        artifacts: Arc<dyn Artifacts>,
        observed: Arc<Observed>,
        stop: Stop,
    ) -> Arc<Self> {
        Arc::new(Self {
            work,
            queue,
            artifacts,
            observed,
            stop,
            draining: AtomicBool::new(false),
            under_way: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, UnderWay> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The jobs under way.
    pub fn jobs(&self) -> Vec<JobKey> {
        self.lock().jobs.values().map(|held| held.lease().job.key()).collect()
    }

    /// The house keeper wants no new work to be taken, or wants it again.
    pub fn set_draining(&self, draining: bool) {
        let _jobs = self.lock();
        self.draining.store(draining, Ordering::SeqCst);
        self.changed.notify_all();
    }

    /// Whether no new work is to be taken.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Waits while no work is to be taken; `false` if the process is to stop.
    pub fn may_take_work(&self) -> bool {
        let mut jobs = self.lock();
        while self.is_draining() && !self.stop.is_raised() {
            let wait = self.changed.wait_timeout(jobs, Duration::from_millis(200));
            jobs = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
        !self.stop.is_raised()
    }

    /// Asks once for a job. Errors are logged and waited out: `None` means to try again, or to stop.
    pub fn lease(self: &Arc<Self>, filter: Filter, interrupt: &Stop) -> Option<DeskJob> {
        // A lease that comes while the process takes leave must be seen by [`Self::wait_empty`].
        let asking = Asking::new(self)?;
        let answer =
            self.queue.lease(filter, LEASE_WAIT, interrupt).map(|held| held.map(|held| self.take(held)));
        drop(asking);
        match answer {
            Ok(job) => job,
            Err(_) if self.stop.is_raised() => None,
            Err(error) => {
                tracing::warn!("no job can be had: {error}");
                interrupt.wait_timeout(AFTER_ERROR);
                None
            }
        }
    }

    /// Puts a job on the desk.
    pub fn take(self: &Arc<Self>, held: Arc<dyn HeldJob>) -> DeskJob {
        let mut jobs = self.lock();
        let number = jobs.next;
        jobs.next += 1;
        jobs.jobs.insert(number, held.clone());
        DeskJob { desk: self.clone(), number, held, taken: Instant::now() }
    }

    /// Waits until nothing is under way or asked for, `limit` at most.
    pub fn wait_empty(&self, limit: Duration) -> bool {
        let jobs = self.lock();
        let wait = self.changed.wait_timeout_while(jobs, limit, |jobs| !jobs.is_empty());
        wait.unwrap_or_else(PoisonError::into_inner).0.is_empty()
    }

    /// Hands back everything that is under way. Whoever works on it finds the lease gone.
    pub fn release_all(&self) {
        let held: Vec<_> = self.lock().jobs.values().cloned().collect();
        for job in held {
            let key = job.lease().job.key();
            match job.release() {
                Ok(()) => {
                    self.observed.metrics.ended(key, "released");
                    ingot_house_keeper::job_log!(info, key, "handed back unfinished");
                }
                Err(QueueError::Stale(_)) => {}
                Err(error) => {
                    ingot_house_keeper::job_log!(
                        warn,
                        key,
                        "cannot be handed back, its lease will run out: {error}"
                    )
                }
            }
        }
    }

    fn forget(&self, number: u64) {
        self.lock().jobs.remove(&number);
        self.changed.notify_all();
    }
}

/// A job on the desk. Dropped without an end, it is handed back.
pub struct DeskJob {
    desk: Arc<Desk>,
    number: u64,
    held: Arc<dyn HeldJob>,
    taken: Instant,
}

impl std::fmt::Debug for DeskJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("DeskJob").field(&self.key()).finish()
    }
}

impl DeskJob {
    /// The job's name.
    pub fn key(&self) -> JobKey {
        self.held.lease().job.key()
    }

    /// The lease.
    pub fn lease(&self) -> &Lease {
        self.held.lease()
    }

    /// The job itself.
    pub fn held(&self) -> &dyn HeldJob {
        &*self.held
    }

    /// When it came.
    pub fn taken(&self) -> Instant {
        self.taken
    }

    /// Whether there is no point in going on: the lease is gone, or was handed back.
    pub fn is_lost(&self) -> bool {
        self.held.is_lost()
    }

    /// Ends it: completes it, or reports why it failed.
    pub fn finish(self, result: Result<Made, JobFailure>) {
        let (key, name) = (self.key(), self.desk.work.name(self.key()));
        let seconds = self.taken.elapsed().as_secs_f64();
        let (how, told) = match result {
            Ok(made) => ("done", self.held.complete(made)),
            Err(JobFailure::BadFile { maker, reason }) if maker != key => {
                ingot_house_keeper::job_log!(warn, key, "{name}: job {maker} has to run again: {reason}");
                ("bad-file", self.held.bad_file(maker, &reason))
            }
            // Its own file: trying again makes another.
            Err(JobFailure::BadFile { reason, .. }) => {
                ("failed", self.fail(&name, RetryClass::Transient, &reason))
            }
            Err(JobFailure::Failed { class, reason }) => ("failed", self.fail(&name, class, &reason)),
        };
        match told {
            Ok(()) => {
                self.desk.observed.metrics.ended(key, how);
                if how == "done" {
                    ingot_house_keeper::job_log!(info, key, "{name}: done in {seconds:.2} s");
                }
            }
            Err(QueueError::Stale(why)) => {
                self.desk.observed.metrics.ended(key, "lost");
                ingot_house_keeper::job_log!(
                    warn,
                    key,
                    "{name}: the work is dropped, the job is no longer ours: {why}"
                );
            }
            Err(error) => ingot_house_keeper::job_log!(
                error,
                key,
                "{name}: the house keeper cannot be told how it ended: {error}"
            ),
        }
    }

    fn fail(&self, name: &str, class: RetryClass, reason: &str) -> Result<(), QueueError> {
        let key = self.key();
        ingot_house_keeper::job_log!(warn, key, "{name}: failed ({class:?}): {reason}");
        self.held.fail(class, reason)
    }

    /// Hands it back untouched.
    pub fn release(self) {
        let key = self.key();
        match self.held.release() {
            Ok(()) => self.desk.observed.metrics.ended(key, "released"),
            Err(QueueError::Stale(_)) => {}
            Err(error) => {
                ingot_house_keeper::job_log!(
                    warn,
                    key,
                    "cannot be handed back, its lease will run out: {error}"
                )
            }
        }
    }

    /// A prover has it now.
    pub fn handed_over(self) {
        self.held.forget();
        self.desk.observed.metrics.ended(self.key(), "handed-over");
    }
}

impl Drop for DeskJob {
    fn drop(&mut self) {
        self.desk.forget(self.number);
    }
}
