//! The witness vector generator: synthesizes circuits within a memory budget, and sends the witness vectors to provers.

mod admission;

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use ingot_job_store::Filter;
use ingot_stream::SendAdvice;
use ingot_types::{JobKey, JobKind, RetryClass};

use crate::{
    config::{HostConfig, WitnessVectorGeneratorConfig},
    costs::Costs,
    desk::{Desk, DeskJob},
    governor::{self, Decision, Inputs},
    host::{self, GrowthWatch},
    observability::Timed,
    queue::{JobQueue, QueueError},
    run_loop::{self, Threads},
    transport::VectorSender,
    work::{guarded, job_circuit, JobFailure, WitnessSections, Work},
    ServiceError,
};
pub use admission::{Admission, Permit, Turn};

/// How often the governor decides while there is work.
const GOVERNOR_PERIOD: Duration = Duration::from_secs(15);
/// How long one request for a slab waits at the house keeper.
const SLAB_WAIT: Duration = Duration::from_secs(20);

/// How long a thread waits after it had to hand back a witness vector.
const AFTER_RELEASE: Duration = Duration::from_secs(2);

/// File of measured synthesis costs, in the state folder.
pub const SYNTHESIS_COSTS_FILE: &str = "synthesis-costs.toml";
/// File of measured proving costs, in the state folder.
pub const PROVING_COSTS_FILE: &str = "proving-costs.toml";

/// What costs are kept by: those of other circuits or parameters are of no use.
pub fn costs_of(work: &dyn Work) -> String {
    let served = work.served();
    format!("{} {} {}", served.circuit_set, served.protocol_version, served.parameter_set)
}

/// What the threads share.
struct Generator {
    desk: Arc<Desk>,
    sender: Arc<dyn VectorSender>,
    admission: Arc<Admission>,
    costs: Costs,
    costs_of: String,
    prover_wait: Duration,
    send_attempts: u32,
}

/// Runs until the desk's stop flag is raised.
///
/// # Errors
/// [`ServiceError`].
pub fn run(
    desk: &Arc<Desk>,
    host: &HostConfig,
    config: &WitnessVectorGeneratorConfig,
    sender: Arc<dyn VectorSender>,
) -> Result<(), ServiceError> {
    let max_threads = max_threads(config);
    let budget_bytes = ram_budget(config);
    let costs_of = costs_of(&*desk.work);
    let first = if config.governor { 1 } else { max_threads };
    let generator = Arc::new(Generator {
        desk: desk.clone(),
        sender,
        admission: Admission::new(budget_bytes, first),
        costs: Costs::open(&host.state_dir.join(SYNTHESIS_COSTS_FILE), &costs_of)?,
        costs_of,
        prover_wait: Duration::from_secs(config.prover_wait_s),
        send_attempts: config.send_attempts,
    });
    let mut threads = Threads::new();
    for number in 0..max_threads {
        let generator = generator.clone();
        threads.start(&format!("synthesis {number}"), move || generator.thread())?;
    }
    if config.governor {
        let (generator, config, state_dir) = (generator.clone(), config.clone(), host.state_dir.clone());
        threads.start("governor", move || generator.govern(&config, &state_dir))?;
    }
    let (watched, stop) = (generator.admission.clone(), desk.stop.clone());
    let observed = desk.observed.clone();
    let interrupter = generator.admission.clone();
    // Whoever waits for a job has to hear of the end at once.
    threads.start("stop", move || {
        while !stop.wait_timeout(Duration::from_secs(3600)) {}
        interrupter.interrupt();
    })?;
    run_loop::run(
        desk,
        threads,
        host.stop_grace(),
        |_| {},
        move || observed.metrics.ram(watched.budget_bytes(), watched.used_bytes()),
    )
}

/// Explains what the governor would do now, and changes nothing.
///
/// # Errors
/// [`ServiceError`] if the house keeper does not say what waits.
pub fn dry_run(
    work: &dyn Work,
    queue: &dyn JobQueue,
    config: &WitnessVectorGeneratorConfig,
    state_dir: &Path,
) -> Result<Decision, ServiceError> {
    let costs = Costs::open(&state_dir.join(SYNTHESIS_COSTS_FILE), &costs_of(work))?;
    decide(work, queue, config, state_dir, &costs, ram_budget(config), 0)
}

fn max_threads(config: &WitnessVectorGeneratorConfig) -> usize {
    if config.threads == 0 {
        host::processors()
    } else {
        config.threads
    }
}

fn ram_budget(config: &WitnessVectorGeneratorConfig) -> u64 {
    config.ram.or(|| host::available_bytes().unwrap_or(4 << 30) / 2)
}

fn decide(
    work: &dyn Work,
    queue: &dyn JobQueue,
    config: &WitnessVectorGeneratorConfig,
    state_dir: &Path,
    costs: &Costs,
    ram_budget_bytes: u64,
    ram_used_bytes: u64,
) -> Result<Decision, ServiceError> {
    // The prover's file, read anew: it belongs to another process.
    let proving = Costs::open(&state_dir.join(PROVING_COSTS_FILE), &costs_of(work))?;
    let counts = queue.counts()?;
    Ok(governor::decide(&Inputs {
        processors: host::processors(),
        ram_budget_bytes,
        ram_available_bytes: host::available_bytes(),
        ram_used_bytes,
        max_wvg_threads: config.threads,
        prover_on_this_host: config.prover_on_this_host,
        demand: governor::demand(&counts, work.circuits(), costs, &proving),
    }))
}

impl Generator {
    /// Memory that a job may need, in bytes.
    fn ram_bytes(&self, job: JobKey) -> u64 {
        let circuits = self.desk.work.circuits();
        let circuit = circuits.iter().find(|c| c.key() == job_circuit(job));
        circuit.map_or(0, |c| self.costs.ram_bytes(c.circuit, c.synthesis_ram_bytes))
    }

    fn thread(&self) {
        while self.desk.may_take_work() {
            let Some(turn) = self.admission.turn(&self.desk.stop) else { return };
            if self.desk.stop.is_raised() || self.desk.is_draining() {
                continue;
            }
            let circuits = self.desk.work.circuits().iter();
            let sizes = circuits.map(|c| (c.key(), self.costs.ram_bytes(c.circuit, c.synthesis_ram_bytes)));
            let circuits = turn.fitting(sizes);
            if circuits.as_ref().is_some_and(|fitting| fitting.is_empty()) {
                // Nothing fits until something ends, which interrupts.
                turn.interrupted().wait_timeout(Duration::from_secs(5));
                continue;
            }
            let filter = Filter { kinds: Some([JobKind::Prove].into()), circuits, ..Filter::default() };
            let Some(job) = self.desk.lease(filter, turn.interrupted()) else { continue };
            let permit = turn.admit(self.ram_bytes(job.key()));
            self.job(job, permit);
        }
    }

    /// One job, from its lease to the prover. A panic fails the attempt.
    fn job(&self, job: DeskJob, mut permit: Permit) {
        let synthesized = guarded(|| self.synthesize(&job, &mut permit));
        let sections = match synthesized {
            Ok(sections) => Arc::new(sections),
            Err(failure) => return job.finish(Err(failure)),
        };
        match guarded(|| Ok(self.deliver(&job, &sections))) {
            Ok(Delivered::HandedOver) => job.handed_over(),
            Ok(Delivered::Release(why)) => {
                let key = job.key();
                ingot_house_keeper::job_log!(info, key, "handed back: {why}");
                job.release();
                drop(permit);
                // Whatever was in the way is hardly gone at once.
                self.desk.stop.wait_timeout(AFTER_RELEASE);
                return;
            }
            Ok(Delivered::Failed(failure)) | Err(failure) => job.finish(Err(failure)),
        }
        drop(sections);
        drop(permit);
    }

    fn synthesize(&self, job: &DeskJob, permit: &mut Permit) -> Result<WitnessSections, JobFailure> {
        let key = job.key();
        let circuit =
            self.desk.work.circuits().iter().find(|c| c.key() == job_circuit(key)).map(|c| c.circuit);
        let measure = permit.began_alone() && circuit.is_some_and(|c| self.costs.wants_peak(c));
        let watch = if measure { GrowthWatch::start() } else { None };
        let start = Instant::now();
        let files = Timed::new(&*self.desk.artifacts);
        let sections = self.desk.work.synthesize(job.lease(), &files);
        let took = start.elapsed();
        let growth = watch.map(|watch| watch.growth_bytes());
        let left = sections.as_ref().map_or(0, WitnessSections::size_bytes);
        let alone = permit.synthesized(left);
        self.desk.observed.metrics.took(key, "synthesis", took.saturating_sub(files.reading()));
        self.desk.observed.metrics.took(key, "read", files.reading());
        if let (Ok(_), Some(circuit)) = (&sections, circuit) {
            // Less than the vector itself cannot be: then the allocator had the memory from before.
            let peak = growth.filter(|bytes| alone && *bytes >= left);
            self.costs.measured(&self.costs_of, circuit, took.as_secs_f64(), peak);
        }
        sections
    }

    /// Finds a prover for a witness vector and sends it; when that fails, another one.
    fn deliver(&self, job: &DeskJob, sections: &Arc<WitnessSections>) -> Delivered {
        let (key, start) = (job.key(), Instant::now());
        let mut last = String::new();
        for _ in 0..self.send_attempts.max(1) {
            let grant = loop {
                if self.desk.stop.is_raised() || job.is_lost() {
                    return Delivered::Release("stopping, or the lease is gone".into());
                }
                let left = self.prover_wait.saturating_sub(start.elapsed());
                if left.is_zero() {
                    let also = if last.is_empty() { String::new() } else { format!("; last: {last}") };
                    let wait = self.prover_wait.as_secs();
                    return Delivered::Release(format!("no prover had a free slab within {wait} s{also}"));
                }
                match job.held().slab(sections.size_bytes(), left.min(SLAB_WAIT), &self.desk.stop) {
                    Ok(Some(grant)) => break grant,
                    Ok(None) => {}
                    Err(QueueError::Stale(why)) => return Delivered::Release(why),
                    Err(error) => {
                        last = error.to_string();
                        ingot_house_keeper::job_log!(warn, key, "no slab can be had: {error}");
                        self.desk.stop.wait_timeout(Duration::from_secs(1));
                    }
                }
            };
            self.desk.observed.metrics.took(key, "slab", start.elapsed());
            let sending = Instant::now();
            match self.sender.send(&grant, job.lease(), sections, &self.desk.stop) {
                Ok(()) => {
                    self.desk.observed.metrics.took(key, "stream", sending.elapsed());
                    self.desk.observed.metrics.stream("done", sections.size_bytes());
                    ingot_house_keeper::job_log!(debug, key, "sent to {}", grant.prover);
                    return Delivered::HandedOver;
                }
                Err(error) => {
                    self.desk.observed.metrics.stream("failed", 0);
                    ingot_house_keeper::job_log!(
                        warn,
                        key,
                        "the witness vector did not get to {}: {error}",
                        grant.prover
                    );
                    last = format!("{}: {error}", grant.prover);
                    // The prover has the job, or will never get it: the house keeper knows, and refuses the next request.
                    if let Err(error) = self.desk.queue.slab_returned(grant.ticket) {
                        ingot_house_keeper::job_log!(debug, key, "the grant cannot be given back: {error}");
                    }
                    match error.advice {
                        SendAdvice::AnotherGrant => {}
                        SendAdvice::GiveUpLease => return Delivered::Release(last),
                        SendAdvice::FailJob => {
                            let class = error.retry_class();
                            return Delivered::Failed(JobFailure::Failed { class, reason: last });
                        }
                    }
                }
            }
        }
        let reason = format!("sending failed {} times; last: {last}", self.send_attempts);
        Delivered::Failed(JobFailure::Failed { class: RetryClass::Transient, reason })
    }

    /// Sets the number of threads from time to time. While no work comes nothing is asked.
    fn govern(&self, config: &WitnessVectorGeneratorConfig, state_dir: &Path) {
        let (mut seen, mut told) = (u64::MAX, None);
        loop {
            // The first decision is due with the first job.
            let admissions = self.admission.admissions();
            if admissions != seen && admissions > 0 {
                let (budget, used) = (self.admission.budget_bytes(), self.admission.used_bytes());
                match decide(
                    &*self.desk.work,
                    &*self.desk.queue,
                    config,
                    state_dir,
                    &self.costs,
                    budget,
                    used,
                ) {
                    Ok(decision) => {
                        seen = admissions;
                        self.admission.set_threads(decision.wvg_threads);
                        if told != Some(decision.wvg_threads) {
                            told = Some(decision.wvg_threads);
                            let why = decision.why.join("; ");
                            tracing::info!("governor: {} synthesis threads: {why}", decision.wvg_threads);
                        }
                    }
                    Err(error) => tracing::warn!("the governor cannot decide: {error}"),
                }
            }
            let period = if admissions == 0 { Duration::from_millis(500) } else { GOVERNOR_PERIOD };
            if self.desk.stop.wait_timeout(period) {
                return;
            }
        }
    }
}

enum Delivered {
    HandedOver,
    Release(String),
    Failed(JobFailure),
}
