//! What a worker counts.

use std::{
    fmt,
    sync::{atomic::AtomicU64, Mutex, PoisonError},
    time::{Duration, Instant},
};

use ingot_types::JobKey;
use prometheus_client::{
    encoding::{text::encode, EncodeLabelSet},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{exponential_buckets, Histogram},
    },
    registry::{Registry, Unit},
};

/// A job and what was done with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct JobLabels {
    /// `witness`, `prove`.
    pub kind: String,
    /// Number of the aggregation round.
    pub round: u32,
    /// Circuit id of the job; in rounds 1 and 2 the branch.
    pub circuit: u32,
    /// For counters how it ended, for durations which part of the work.
    pub what: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// What a gateway counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatewayEvent {
    /// A batch went to the house keeper.
    BatchTaken,
    /// A batch that cannot be proved here.
    BatchRefused,
    /// The core has a proof, and said so.
    ProofAcknowledged,
    /// A core that asks by itself was given a proof.
    ProofHandedOut,
    /// The core will not have a proof.
    ProofRefused,
    /// A proof did not get there, and is tried again.
    ProofFailed,
}

type Bytes = Gauge<u64, AtomicU64>;

/// The metrics of one process.
pub struct Metrics {
    registry: Registry,
    jobs: Family<JobLabels, Counter>,
    seconds: Family<JobLabels, Histogram>,
    streams: Family<Outcome, Counter>,
    stream_bytes: Counter,
    gateway_batches: Family<Outcome, Counter>,
    gateway_proofs: Family<Outcome, Counter>,
    ram_budget: Bytes,
    ram_admitted: Bytes,
    resident: Bytes,
    connected: Gauge,
    busy: Counter<f64, AtomicU64>,
    /// Since when the present work is not yet in `busy`.
    busy_since: Mutex<Option<Instant>>,
}

/// The worker does what it is there for, as long as this lives.
#[derive(Debug)]
pub struct Busy<'a>(&'a Metrics);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.count_busy(false);
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All zero.
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("ingot_worker"),
            jobs: Family::default(),
            // 10 ms to 5 hours.
            seconds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.01, 2.0, 21))),
            streams: Family::default(),
            stream_bytes: Counter::default(),
            gateway_batches: Family::default(),
            gateway_proofs: Family::default(),
            ram_budget: Bytes::default(),
            ram_admitted: Bytes::default(),
            resident: Bytes::default(),
            connected: Gauge::default(),
            busy: Counter::default(),
            busy_since: Mutex::default(),
        };
        let r = &mut metrics.registry;
        r.register("jobs", "Jobs that this worker ended, by how", metrics.jobs.clone());
        r.register_with_unit("job", "Time of each part of the work", Unit::Seconds, metrics.seconds.clone());
        r.register("streams", "Witness vectors sent or received, by outcome", metrics.streams.clone());
        let bytes = "Size of the witness vectors sent or received";
        r.register_with_unit("stream", bytes, Unit::Bytes, metrics.stream_bytes.clone());
        r.register("gateway_batches", "Batches from a core, by outcome", metrics.gateway_batches.clone());
        r.register("gateway_proofs", "Proofs for a core, by outcome", metrics.gateway_proofs.clone());
        let budget = "Memory that synthesis may use";
        r.register_with_unit("ram_budget", budget, Unit::Bytes, metrics.ram_budget.clone());
        let admitted = "Memory that the jobs under way are expected to use";
        r.register_with_unit("ram_admitted", admitted, Unit::Bytes, metrics.ram_admitted.clone());
        r.register_with_unit("resident", "Memory of the process", Unit::Bytes, metrics.resident.clone());
        let busy = "Time in which a prover made proofs";
        r.register_with_unit("busy", busy, Unit::Seconds, metrics.busy.clone());
        r.register("connected", "Whether the house keeper answers", metrics.connected.clone());
        metrics
    }

    fn labels(job: JobKey, what: &'static str) -> JobLabels {
        JobLabels {
            kind: job.kind.name().to_owned(),
            round: job.round as u32,
            circuit: u32::from(job.circuit_id.0),
            what,
        }
    }

    /// A job ended: `done`, `failed`, `bad-file`, `released`, `lost`.
    pub fn ended(&self, job: JobKey, how: &'static str) {
        self.jobs.get_or_create(&Self::labels(job, how)).inc();
    }

    /// How many ended so.
    pub fn count(&self, job: JobKey, how: &'static str) -> u64 {
        self.jobs.get_or_create(&Self::labels(job, how)).get()
    }

    /// A part of the work took so long: `read`, `witness`, `write`, `synthesis`, `slab`, `stream`, `queue`, `proving`,
    /// `verification`.
    pub fn took(&self, job: JobKey, part: &'static str, time: Duration) {
        self.seconds.get_or_create(&Self::labels(job, part)).observe(time.as_secs_f64());
    }

    /// A witness vector went over a socket: `done`, `failed`, `refused`.
    pub fn stream(&self, outcome: &'static str, bytes: u64) {
        self.streams.get_or_create(&Outcome { outcome }).inc();
        self.stream_bytes.inc_by(bytes);
    }

    /// Something happened at a gateway.
    pub fn gateway(&self, event: GatewayEvent) {
        let (family, outcome) = match event {
            GatewayEvent::BatchTaken => (&self.gateway_batches, "taken"),
            GatewayEvent::BatchRefused => (&self.gateway_batches, "refused"),
            GatewayEvent::ProofAcknowledged => (&self.gateway_proofs, "acknowledged"),
            GatewayEvent::ProofHandedOut => (&self.gateway_proofs, "handed-out"),
            GatewayEvent::ProofRefused => (&self.gateway_proofs, "refused"),
            GatewayEvent::ProofFailed => (&self.gateway_proofs, "failed"),
        };
        family.get_or_create(&Outcome { outcome }).inc();
    }

    /// Counts the time until what is returned is dropped. One at a time.
    pub fn busy(&self) -> Busy<'_> {
        *self.busy_since.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        Busy(self)
    }

    /// Adds what has passed: a proof may take longer than the time between two looks.
    fn count_busy(&self, goes_on: bool) {
        let mut since = self.busy_since.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(start) = since.take() {
            let now = Instant::now();
            self.busy.inc_by(now.duration_since(start).as_secs_f64());
            *since = goes_on.then_some(now);
        }
    }

    /// The memory budget, and what is admitted of it.
    pub fn ram(&self, budget_bytes: u64, admitted_bytes: u64) {
        self.ram_budget.set(budget_bytes);
        self.ram_admitted.set(admitted_bytes);
    }

    /// Whether the house keeper answers.
    pub fn connected(&self, connected: bool) {
        self.connected.set(i64::from(connected));
    }

    /// All of it as OpenMetrics text.
    pub fn text(&self) -> String {
        self.resident.set(crate::host::resident_bytes().unwrap_or(0));
        self.count_busy(true);
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_in_the_text() {
        let metrics = Metrics::new();
        let job: JobKey = "1/2/prove/0/3/0/4".parse().unwrap();
        metrics.ended(job, "done");
        metrics.ended(job, "done");
        metrics.took(job, "proving", Duration::from_millis(300));
        metrics.ram(100, 40);
        metrics.stream("done", 1000);
        let text = metrics.text();
        for line in [
            "ingot_worker_jobs_total{kind=\"prove\",round=\"0\",circuit=\"3\",what=\"done\"} 2",
            "ingot_worker_job_seconds_count{kind=\"prove\",round=\"0\",circuit=\"3\",what=\"proving\"} 1",
            "ingot_worker_ram_admitted_bytes 40",
            "ingot_worker_stream_bytes_total 1000",
            "ingot_worker_streams_total{outcome=\"done\"} 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert_eq!(metrics.count(job, "done"), 2);
    }

    #[test]
    fn busy_time_is_counted_while_it_passes_and_no_longer() {
        let metrics = Metrics::new();
        let seconds = || {
            let text = metrics.text();
            let line = text.lines().find(|line| line.starts_with("ingot_worker_busy_seconds_total "));
            line.and_then(|line| line.split(' ').nth(1)?.parse::<f64>().ok()).unwrap()
        };
        assert_eq!(seconds(), 0.0);
        let busy = metrics.busy();
        std::thread::sleep(Duration::from_millis(20));
        let meanwhile = seconds();
        assert!(meanwhile >= 0.02, "{meanwhile}");
        drop(busy);
        let after = seconds();
        assert!(after >= meanwhile);
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(seconds(), after);
    }
}
