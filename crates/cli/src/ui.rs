//! What the executable says: events, as lines for people (with progress bars on a terminal) or as JSON lines.

use std::{
    io::{self, IsTerminal, Write},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::memory::human_bytes;

/// Something that happened. One JSON object each, told apart by `event`.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[allow(missing_docs)] // fields say what they are; sizes in bytes, times in seconds
pub enum Event {
    /// Something worth knowing.
    Note { text: String },
    /// Something that must not be overlooked.
    Warning { text: String },
    /// How many keys there are to make.
    Keys { total: u64 },
    /// A key whose files were there.
    KeyKept { circuit: String, name: String },
    /// A key file that is damaged or gone.
    KeyDamaged { circuit: String, name: String, reason: String },
    /// A key that is being made.
    KeyStarted { circuit: String, name: String },
    /// A key that was made.
    KeyMade { circuit: String, name: String, seconds: f64 },
    /// One file of `keygen --check`.
    KeyChecked { circuit: String, name: String, file: String, expected: String, found: String, matches: bool },
    /// Proofs of the batch: how many there are to make, how many of them are there.
    Plan { proofs: u64, present: u64 },
    /// A job that starts.
    JobStarted { job: String, name: String },
    /// A job that is done.
    JobDone { job: String, name: String, synthesis_seconds: f64, seconds: f64, proof_bytes: u64 },
    /// A job that failed and may be tried again.
    JobFailed { job: String, name: String, reason: String },
    /// A job that runs again because its output was damaged.
    JobRepeated { job: String, reason: String },
    /// One row of `ingot circuits`.
    Circuit {
        circuit: String,
        round: String,
        name: String,
        rows_log2: u32,
        proven_bits: f64,
        legacy_bits: f64,
        setup_ram_bytes: u64,
        synthesis_ram_bytes: u64,
        proving_ram_bytes: u64,
        /// What a device needs for one proof, by the prover's own plan: key included, witness vector not.
        device_bytes: Option<u64>,
    },
    /// A batch, as the house keeper has it. Counts of jobs.
    Batch {
        batch: String,
        version: String,
        state: &'static str,
        jobs: u64,
        done: u64,
        active: u64,
        quarantined: u64,
        stuck_on: Option<String>,
    },
    /// A worker, as the house keeper knows it.
    Worker {
        name: String,
        component: &'static str,
        host: String,
        zone: Option<String>,
        connected: bool,
        draining: bool,
        leases: Vec<String>,
        status: String,
    },
    /// The end of a command that made something.
    Summary(Box<crate::commands::Summary>),
    /// What `verify` found.
    Verdict {
        verdict: &'static str,
        reason: String,
        parameter_set: String,
        public_input: Vec<String>,
        batch_checked: bool,
    },
    /// Why the command failed.
    Error { text: String },
}

enum Out {
    Json,
    Lines,
    Bars { all: MultiProgress, main: Mutex<Option<ProgressBar>> },
}

/// Where events go.
pub struct Ui {
    out: Out,
    quiet: bool,
}

impl std::fmt::Debug for Ui {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let out = match self.out {
            Out::Json => "json",
            Out::Lines => "lines",
            Out::Bars { .. } => "bars",
        };
        f.debug_struct("Ui").field("out", &out).finish_non_exhaustive()
    }
}

impl Ui {
    /// JSON lines if `json`, else lines, with bars if standard output is a terminal.
    pub fn new(json: bool) -> Self {
        let out = if json {
            Out::Json
        } else if io::stdout().is_terminal() {
            let all = MultiProgress::with_draw_target(ProgressDrawTarget::stdout());
            Out::Bars { all, main: Mutex::new(None) }
        } else {
            Out::Lines
        };
        Self { out, quiet: false }
    }

    /// Whether it prints JSON.
    pub(crate) fn is_json(&self) -> bool {
        matches!(self.out, Out::Json)
    }

    /// Says nothing. For tests.
    pub fn silent() -> Self {
        Self { out: Out::Lines, quiet: true }
    }

    /// Tells `event`.
    pub fn tell(&self, event: &Event) {
        if self.quiet {
            return;
        }
        if let Out::Json = self.out {
            if let Ok(line) = serde_json::to_string(event) {
                write_line(&mut io::stdout().lock(), &line);
            }
            return;
        }
        self.progress(event);
        if let Some(text) = text(event) {
            let write = || match event {
                Event::Warning { .. } | Event::Error { .. } => write_line(&mut io::stderr().lock(), &text),
                _ => write_line(&mut io::stdout().lock(), &text),
            };
            match &self.out {
                Out::Bars { all, .. } => all.suspend(write),
                _ => write(),
            }
        }
    }

    /// Shows `value`: as an object whose `event` is `event`, or as `text` for people.
    pub fn show(&self, event: &'static str, value: &impl Serialize, text: &str) {
        if self.quiet {
            return;
        }
        match &self.out {
            Out::Json => {
                #[derive(Serialize)]
                struct Tagged<'a, T> {
                    event: &'static str,
                    #[serde(flatten)]
                    value: &'a T,
                }
                if let Ok(line) = serde_json::to_string(&Tagged { event, value }) {
                    write_line(&mut io::stdout().lock(), &line);
                }
            }
            Out::Bars { all, .. } => all.suspend(|| write_line(&mut io::stdout().lock(), text)),
            Out::Lines => write_line(&mut io::stdout().lock(), text),
        }
    }

    /// Shorthand for [`Event::Note`].
    pub fn note(&self, text: impl Into<String>) {
        self.tell(&Event::Note { text: text.into() });
    }

    /// Shorthand for [`Event::Warning`].
    pub fn warn(&self, text: impl Into<String>) {
        self.tell(&Event::Warning { text: text.into() });
    }

    fn progress(&self, event: &Event) {
        let Out::Bars { all, main } = &self.out else { return };
        let mut main = main.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = |total: u64, done: u64, what: &'static str| {
            let style =
                ProgressStyle::with_template("{prefix:>6} [{bar:30}] {pos}/{len}  {elapsed}  {wide_msg}");
            let bar = all.add(ProgressBar::new(total));
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
            bar.set_prefix(what);
            bar.set_position(done);
            bar.enable_steady_tick(Duration::from_millis(500));
            bar
        };
        match event {
            Event::Keys { total } => *main = Some(begin(*total, 0, "keys")),
            Event::Plan { proofs, present } => *main = Some(begin(*proofs, *present, "proofs")),
            Event::KeyStarted { name, .. } | Event::JobStarted { name, .. } => {
                if let Some(bar) = &*main {
                    bar.set_message(name.clone());
                }
            }
            Event::KeyKept { .. } | Event::KeyMade { .. } => advance(&main),
            Event::JobDone { proof_bytes, .. } if *proof_bytes > 0 => advance(&main),
            Event::Summary(_) | Event::Error { .. } | Event::Verdict { .. } => {
                if let Some(bar) = main.take() {
                    bar.finish_and_clear();
                }
            }
            _ => {}
        }
    }
}

fn advance(bar: &Option<ProgressBar>) {
    if let Some(bar) = bar {
        bar.inc(1);
    }
}

/// A closed pipe (`ingot circuits | head`) is no reason to panic, nor to stop proving.
fn write_line(out: &mut impl Write, line: &str) {
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn text(event: &Event) -> Option<String> {
    Some(match event {
        Event::Note { text } => text.clone(),
        Event::Warning { text } => format!("WARNING: {text}"),
        Event::Error { text } => format!("error: {text}"),
        Event::Keys { .. } | Event::KeyKept { .. } | Event::KeyStarted { .. } | Event::JobStarted { .. } => {
            return None
        }
        Event::KeyDamaged { circuit, name, reason } => {
            format!("key {circuit} {name}: {reason}; making it")
        }
        Event::KeyMade { circuit, name, seconds } => format!("key {circuit} {name}: {seconds:.1} s"),
        Event::KeyChecked { file, matches: true, .. } => format!("ok         {file}"),
        Event::KeyChecked { file, expected, found, .. } => {
            format!("DIFFERENT  {file}: expected BLAKE3 {expected}, found {found}")
        }
        Event::Plan { proofs, present: 0 } => format!("{proofs} proofs to make"),
        Event::Plan { proofs, present } => format!("{proofs} proofs to make, {present} of them are there"),
        Event::JobDone { job, name, seconds, proof_bytes: 0, .. } => format!("{job}  {name}: {seconds:.1} s"),
        Event::JobDone { job, name, synthesis_seconds, seconds, proof_bytes } => format!(
            "{job}  {name}: synthesis {synthesis_seconds:.1} s, proof {seconds:.1} s, {}",
            human_bytes(*proof_bytes)
        ),
        Event::JobFailed { job, name, reason } => format!("{job}  {name} failed: {reason}"),
        Event::JobRepeated { job, reason } => format!("{job} runs again: {reason}"),
        Event::Circuit {
            circuit,
            round,
            name,
            rows_log2,
            proven_bits,
            legacy_bits,
            setup_ram_bytes,
            proving_ram_bytes,
            device_bytes,
            ..
        } => {
            format!(
                "{circuit:<6} {round:<14} {name:<30} 2^{rows_log2:<4} {proven_bits:>7.1} {legacy_bits:>7.1}  {:>10} {:>10} {:>10}",
                human_bytes(*setup_ram_bytes),
                human_bytes(*proving_ram_bytes),
                device_bytes.map_or("unknown".into(), human_bytes)
            )
        }
        Event::Batch { batch, version, state, jobs, done, active, quarantined, stuck_on } => {
            let stuck = stuck_on.as_ref().map(|why| format!("; stuck on {why}")).unwrap_or_default();
            format!("batch {batch} (version {version}): {state}, {done} of {jobs} jobs done, {active} active, {quarantined} given up{stuck}")
        }
        Event::Worker { name, component, host, zone, connected, draining, leases, status } => {
            let zone = zone.as_ref().map(|zone| format!(", zone {zone}")).unwrap_or_default();
            let state = match (connected, draining) {
                (false, _) => "gone",
                (true, true) => "draining",
                (true, false) => "there",
            };
            format!("{component} {name} on {host}{zone}: {state}, {} jobs; {status}", leases.len())
        }
        Event::Summary(summary) => summary.to_string(),
        Event::Verdict { verdict, reason, .. } => format!("{verdict}: {reason}"),
    })
}
