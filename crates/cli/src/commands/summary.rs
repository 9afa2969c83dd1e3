//! What `demo` and `prove` say at the end.

use std::fmt;

use serde::Serialize;

use crate::{appliance::Stats, memory::human_bytes};

/// The figures of a run. Sizes in bytes, times in seconds.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Chain and batch.
    pub batch: String,
    /// What is in the batch.
    pub contents: String,
    /// Security parameters.
    pub parameter_set: String,
    /// Why the proof must not be trusted with money, if it must not be.
    pub insecure: Option<String>,
    /// Keys made by this run.
    pub keys_made: usize,
    /// Time spent on keys: making them, or checking the ones that are there.
    pub keys_seconds: f64,
    /// Proving, by round.
    #[serde(flatten)]
    pub stats: Stats,
    /// Time in all.
    pub total_seconds: f64,
    /// The proof file.
    pub proof_file: String,
    /// Its size.
    pub proof_bytes: usize,
    /// Elements of the scheduler proof's public input.
    pub public_input: Vec<String>,
    /// Largest memory of this process.
    pub peak_rss_bytes: u64,
    /// Threads that proved.
    pub threads: usize,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nbatch {}, {}, parameters {}", self.batch, self.contents, self.parameter_set)?;
        writeln!(
            f,
            "  {:<14} {:>7} {:>9} {:>11} {:>11} {:>11}",
            "round", "proofs", "made now", "inputs s", "synthesis s", "proving s"
        )?;
        for (round, r) in &self.stats.rounds {
            writeln!(
                f,
                "  {round:<14} {:>7} {:>9} {:>11.1} {:>11.1} {:>11.1}",
                r.proofs, r.made_now, r.witness_seconds, r.synthesis_seconds, r.proving_seconds
            )?;
        }
        writeln!(f, "  proofs        {} ({} made now)", self.stats.proofs(), self.stats.made_now())?;
        writeln!(f, "  keys          {:.1} s ({} made now)", self.keys_seconds, self.keys_made)?;
        writeln!(f, "  proving       {:.1} s on {} threads", self.stats.seconds, self.threads)?;
        writeln!(f, "  total         {:.1} s", self.total_seconds)?;
        writeln!(f, "  peak memory   {}", human_bytes(self.peak_rss_bytes))?;
        writeln!(f, "  proof         {} ({})", self.proof_file, human_bytes(self.proof_bytes as u64))?;
        write!(f, "  public input  {}", self.public_input.join(" "))
    }
}
