//! Arguments of the commands that people operate the appliance with.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use ingot_job_store::StateName;
use ingot_types::{AggregationRound, CircuitId, JobKind, ProtocolVersion};

use crate::args::ServiceArgs;

/// Whose batches are meant.
#[derive(Clone, Debug, Args)]
pub(crate) struct ChainArgs {
    /// The chain, where a batch is given by its number alone; by default the only chain that has it.
    #[arg(long, value_name = "ID")]
    pub chain: Option<u64>,
}

/// What every command that changes something takes.
#[derive(Clone, Debug, Args)]
pub(crate) struct ChangeArgs {
    #[command(flatten)]
    pub chain: ChainArgs,
    /// Say what would be done, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub service: ServiceArgs,
}

/// What a name is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum What {
    /// A batch: its number, or chain/number.
    Batch,
    /// A job: chain/batch/kind/round/circuit/depth/sequence, as `jobs` prints it.
    Job,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Batches to show round by round: numbers, or chain/number. The word `batch` before them may be left out. Without
    /// any, all batches and workers, a line each. With `l1`, how far the chain's contract on L1 is.
    #[arg(value_name = "[batch] BATCH | l1")]
    pub batches: Vec<String>,
    /// For `l1`: an Ethereum node's JSON-RPC, http://… or https://…
    #[arg(long, value_name = "URL")]
    pub l1_rpc: Option<String>,
    /// For `l1`: address of the chain's contract (its diamond proxy).
    #[arg(long, value_name = "ADDRESS")]
    pub l1_contract: Option<String>,
    /// Each circuit by name, and stuck jobs with the reason.
    #[arg(short, long)]
    pub verbose: bool,
    /// Also batches whose jobs are forgotten.
    #[arg(long)]
    pub archived: bool,
    #[command(flatten)]
    pub chain: ChainArgs,
    #[command(flatten)]
    pub service: ServiceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct JobsArgs {
    /// Only of this batch: its number, or chain/number.
    #[arg(long)]
    pub batch: Option<String>,
    /// Only of this aggregation round: 0 to 4, or basic, leaf, node, recursion-tip, scheduler.
    #[arg(long, value_parser = parse_round)]
    pub round: Option<AggregationRound>,
    /// Only of this circuit id; in rounds 1 and 2 the branch.
    #[arg(long, value_name = "ID", value_parser = parse_circuit_id)]
    pub circuit: Option<CircuitId>,
    /// Only of this kind: witness, prove, compress.
    #[arg(long, value_parser = parse_kind)]
    pub kind: Option<JobKind>,
    /// Only in this state: waiting, queued, leased, failed, done, quarantined.
    #[arg(long, value_parser = parse_state)]
    pub state: Option<StateName>,
    /// At most so many.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub limit: u32,
    #[command(flatten)]
    pub chain: ChainArgs,
    #[command(flatten)]
    pub service: ServiceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RequeueArgs {
    /// Whether a batch's failed and given-up jobs are meant, or one job.
    pub what: What,
    /// Which.
    pub name: String,
    #[command(flatten)]
    pub change: ChangeArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RestartArgs {
    /// Whether a batch is to begin anew from its witness inputs, or one done job is to run again.
    pub what: What,
    /// Which.
    pub name: String,
    /// Also if workers have jobs of the batch right now.
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub change: ChangeArgs,
}

/// What can be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Deletable {
    /// A batch with all its jobs; its files are collected later.
    Batch,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// What is deleted.
    pub what: Deletable,
    /// Its number, or chain/number.
    pub name: String,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
    /// Also if workers have jobs of the batch right now.
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub change: ChangeArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PriorityArgs {
    /// The batch: its number, or chain/number.
    pub batch: String,
    /// Higher goes first.
    #[arg(allow_negative_numbers = true)]
    pub priority: i32,
    #[command(flatten)]
    pub change: ChangeArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DeliveriesArgs {
    /// Also those that were acknowledged.
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub chain: ChainArgs,
    #[command(flatten)]
    pub service: ServiceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DeliverArgs {
    /// The batch: its number, or chain/number.
    pub batch: String,
    #[command(flatten)]
    pub change: ChangeArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DrainArgs {
    /// The worker's name.
    pub worker: String,
    /// It takes work again.
    #[arg(long)]
    pub undo: bool,
    /// Say what would be done, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub service: ServiceArgs,
}

/// A span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Period {
    /// The last 24 hours.
    Day,
    /// The last seven days.
    Week,
}

#[derive(Debug, Args)]
pub(crate) struct StatsArgs {
    /// Batches that came in within this time; by default all that are known.
    #[arg(short, long)]
    pub period: Option<Period>,
    #[command(flatten)]
    pub chain: ChainArgs,
    #[command(flatten)]
    pub service: ServiceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct WorkersArgs {
    /// The jobs that each has.
    #[arg(short, long)]
    pub verbose: bool,
    #[command(flatten)]
    pub service: ServiceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// At most so many, the latest.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub limit: u32,
    #[command(flatten)]
    pub service: ServiceArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProtocolCommand {
    /// Lists the versions that are recorded or served, with the hash of their key manifest.
    List(ServiceArgs),
    /// Records a version's keys: from then on a worker with others is not let in.
    Insert(InsertVersionArgs),
}

#[derive(Debug, Args)]
pub(crate) struct InsertVersionArgs {
    /// The version; by default this executable's.
    #[arg(long)]
    pub version: Option<ProtocolVersion>,
    /// The key manifest, whose hash is recorded; by default the one that is built in.
    #[arg(long, value_name = "FILE", conflicts_with = "key_manifest")]
    pub manifest: Option<PathBuf>,
    /// The key manifest's BLAKE3, where the file is not at hand.
    #[arg(long, value_name = "HASH")]
    pub key_manifest: Option<String>,
    /// The circuit set; by default this executable's.
    #[arg(long, value_name = "NAME")]
    pub circuit_set: Option<String>,
    /// The security parameters; by default those in use.
    #[arg(long, value_name = "NAME")]
    pub parameter_set: Option<String>,
    /// In place of other keys that are recorded.
    #[arg(long)]
    pub replace: bool,
    /// Say what would be done, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub service: ServiceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct InsertBatchArgs {
    /// The batch file.
    pub file: PathBuf,
    /// The batch's number. Where the file says it, it must be that.
    #[arg(long)]
    pub number: Option<u32>,
    /// The protocol version; one that this executable does not serve needs --number and --chain, since it cannot read
    /// the file then.
    #[arg(long)]
    pub version: Option<ProtocolVersion>,
    /// Higher goes first.
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    pub priority: i32,
    #[command(flatten)]
    pub change: ChangeArgs,
}

#[derive(Debug, Args)]
pub(crate) struct FileArgs {
    /// The file.
    pub file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    pub shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Write a page for each command into this folder; by default one page to standard output.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    pub chain: ChainArgs,
    #[command(flatten)]
    pub service: ServiceArgs,
}

fn parse_round(text: &str) -> Result<AggregationRound, String> {
    AggregationRound::ALL
        .into_iter()
        .find(|round| round.name() == text || (*round as u8).to_string() == text)
        .ok_or_else(|| {
            format!("`{text}` is no round: expected 0 to 4, or basic, leaf, node, recursion-tip, scheduler")
        })
}

fn parse_circuit_id(text: &str) -> Result<CircuitId, String> {
    text.parse().map(CircuitId).map_err(|_| format!("`{text}` is no circuit id: expected 0 to 255"))
}

fn parse_kind(text: &str) -> Result<JobKind, String> {
    [JobKind::Witness, JobKind::Prove, JobKind::Compress]
        .into_iter()
        .find(|kind| kind.name() == text)
        .ok_or_else(|| format!("`{text}` is no kind of job: expected witness, prove or compress"))
}

/// All states, in the order in which a job goes through them.
pub(crate) const STATES: [StateName; 6] = [
    StateName::Waiting,
    StateName::Queued,
    StateName::Leased,
    StateName::Failed,
    StateName::Done,
    StateName::Quarantined,
];

fn parse_state(text: &str) -> Result<StateName, String> {
    STATES
        .into_iter()
        .find(|state| state.name() == text)
        .ok_or_else(|| format!("`{text}` is no state: expected {}", STATES.map(StateName::name).join(", ")))
}
