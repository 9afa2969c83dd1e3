//! What a worker counts.

use std::{fmt, sync::atomic::AtomicU64, time::Duration};

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
    /// Aggregation round.
    pub round: String,
    /// Circuit id of the job.
    pub circuit: String,
    /// For counters how it ended, for durations which part of the work.
    pub what: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

type Bytes = Gauge<u64, AtomicU64>;

/// The metrics of one process.
pub struct Metrics {
    registry: Registry,
    jobs: Family<JobLabels, Counter>,
    seconds: Family<JobLabels, Histogram>,
    streams: Family<Outcome, Counter>,
    stream_bytes: Counter,
    ram_budget: Bytes,
    ram_admitted: Bytes,
    resident: Bytes,
    connected: Gauge,
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
            ram_budget: Bytes::default(),
            ram_admitted: Bytes::default(),
            resident: Bytes::default(),
            connected: Gauge::default(),
        };
        let r = &mut metrics.registry;
        r.register("jobs", "Jobs that this worker ended, by how", metrics.jobs.clone());
        r.register_with_unit("job", "Time of each part of the work", Unit::Seconds, metrics.seconds.clone());
        r.register("streams", "Witness vectors sent or received, by outcome", metrics.streams.clone());
        let bytes = "Size of the witness vectors sent or received";
        r.register_with_unit("stream", bytes, Unit::Bytes, metrics.stream_bytes.clone());
        let budget = "Memory that synthesis may use";
        r.register_with_unit("ram_budget", budget, Unit::Bytes, metrics.ram_budget.clone());
        let admitted = "Memory that the jobs under way are expected to use";
        r.register_with_unit("ram_admitted", admitted, Unit::Bytes, metrics.ram_admitted.clone());
        r.register_with_unit("resident", "Memory of the process", Unit::Bytes, metrics.resident.clone());
        r.register("connected", "Whether the house keeper answers", metrics.connected.clone());
        metrics
    }

    fn labels(job: JobKey, what: &'static str) -> JobLabels {
        JobLabels {
            kind: job.kind.name().to_owned(),
            round: job.round.name().to_owned(),
            circuit: job.circuit_id.to_string(),
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

    /// A part of the work took so long: `witness`, `synthesis`, `slab`, `stream`, `queue`, `proving`.
    pub fn took(&self, job: JobKey, part: &'static str, time: Duration) {
        self.seconds.get_or_create(&Self::labels(job, part)).observe(time.as_secs_f64());
    }

    /// A witness vector went over a socket: `done`, `failed`, `refused`.
    pub fn stream(&self, outcome: &'static str, bytes: u64) {
        self.streams.get_or_create(&Outcome { outcome }).inc();
        self.stream_bytes.inc_by(bytes);
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
            "ingot_worker_jobs_total{kind=\"prove\",round=\"basic\",circuit=\"3\",what=\"done\"} 2",
            "ingot_worker_job_seconds_count{kind=\"prove\",round=\"basic\",circuit=\"3\",what=\"proving\"} 1",
            "ingot_worker_ram_admitted_bytes 40",
            "ingot_worker_stream_bytes_total 1000",
            "ingot_worker_streams_total{outcome=\"done\"} 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert_eq!(metrics.count(job, "done"), 2);
    }
}
