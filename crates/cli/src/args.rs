//! The command line, and the way from an error to an exit code.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    ffi::OsString,
    panic::{catch_unwind, AssertUnwindSafe},
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::anyhow;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use ingot_services::component::ComponentName;
use ingot_types::CircuitKey;

use crate::{
    appliance,
    commands::{self, parse_circuit},
    edition::{Chosen, Edition},
    exit::{Outcome, FAILED, INTERRUPTED},
    interrupt::{self, Interrupted},
    memory::parse_size,
    operate::{args::ChainArgs, operate, OperateCommand},
    ui::{Event, Ui},
};

/// Ingot proves batches of a ZK rollup on your own hardware.
#[derive(Debug, Parser)]
#[command(name = "ingot", version, arg_required_else_help = true)]
struct Cli {
    /// One JSON object per event and line, for machines.
    #[arg(long, global = true)]
    json: bool,
    /// Security parameters, if not the default: for tests.
    #[arg(long, global = true, hide = true)]
    parameters: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes keys if there are none, proves a sample batch in all five rounds, and verifies the proof.
    Demo(DemoArgs),
    /// Writes a valid sample batch.
    SampleBatch(SampleBatchArgs),
    /// Proves a batch. Run again after an interruption, it goes on where it was.
    Prove(ProveArgs),
    /// Verifies a proof: exit code 0 valid, 1 invalid, 2 can't tell.
    Verify(VerifyArgs),
    /// Makes setup keys, verification keys and finalization hints, or checks them.
    #[command(visible_alias = "setup-keys")]
    Keygen(KeygenArgs),
    /// Keeps all components of this host running: house keeper, witness generator, witness vector generator, prover.
    Up(UpArgs),
    /// Submits a batch to the house keeper.
    Submit(SubmitArgs),
    #[command(flatten)]
    Operate(OperateCommand),
    /// Writes the files of a batch under readable names.
    Export(ExportArgs),
    /// Stores the files of an exported batch and submits it.
    Import(ImportArgs),
    /// Copies the house keeper's database and every artifact that it names, while it runs.
    Backup(appliance::BackupArgs),
    /// Makes the house keeper's folder from a backup; the folder must be empty or absent.
    Restore(appliance::RestoreArgs),
    /// The component that owns the job store and serves the others.
    HouseKeeper(ServiceArgs),
    /// The component that makes circuit inputs.
    WitnessGenerator(ServiceArgs),
    /// The component that synthesizes circuits into witness vectors.
    WitnessVectorGenerator(ServiceArgs),
    /// The component that proves.
    CircuitProver(ServiceArgs),
    /// The component that brings batches from a rollup's core, and proofs back.
    Gateway(ServiceArgs),
    /// The core's side: hands batches out, takes proofs back and verifies them; the external API.
    ProofDataHandler(ServiceArgs),
    /// Explains how the governor would share out this host's processors now, and changes nothing.
    Governor(ServiceArgs),
    /// Prints the configuration that is in effect.
    Config(ServiceArgs),
    /// Measures what parts of the appliance can do on this machine.
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Lists the circuits: round:id, name, rows, security in bits, memory.
    Circuits,
}

/// How components and those who talk to them are configured.
#[derive(Clone, Debug, Args)]
pub(crate) struct ServiceArgs {
    /// The configuration, a TOML file. Without one: a single host with its data in `--dir`.
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// Folder of a single host's data; by default `ingot-data` unless there is a configuration.
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// Overrides a value of the configuration, such as `circuit-prover.slabs=4`. May be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Stops when standard input ends: for a supervisor.
    #[arg(long, hide = true)]
    pub stop_with_parent: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    #[command(flatten)]
    pub service: ServiceArgs,
    #[command(flatten)]
    pub resources: ResourceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SubmitArgs {
    /// The batch file.
    pub batch: PathBuf,
    /// The chain that the batch is of, where its file does not say; where it does, the one it must say.
    #[arg(long)]
    pub chain: Option<u64>,
    /// Higher goes first.
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    pub priority: i32,
    /// Say what would be done, and change nothing.
    #[arg(long, conflicts_with_all = ["wait", "out"])]
    pub dry_run: bool,
    /// Waits until the batch is proved.
    #[arg(long)]
    pub wait: bool,
    /// Waits, writes the proof to this file and verifies it.
    #[arg(long)]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub service: ServiceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The batch: its number, or chain/number.
    pub batch: String,
    /// The folder to write to.
    #[arg(long)]
    pub out: PathBuf,
    #[command(flatten)]
    pub chain: ChainArgs,
    #[command(flatten)]
    pub service: ServiceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The folder that `ingot export` wrote.
    pub folder: PathBuf,
    /// The higher, the sooner.
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    pub priority: i32,
    /// Verify everything, say what would be done, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub service: ServiceArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// The witness stream over loopback: each transport, against a receiver that grows a vector.
    Stream {
        /// Bytes to send.
        #[arg(long, default_value_t = 1 << 30)]
        bytes: usize,
    },
    /// Our prover against the proof library's, on a circuit of the shape of ZKsync Era's widest; each in a process of
    /// its own.
    Prove(BenchProveArgs),
}

#[derive(Debug, Args)]
pub(crate) struct BenchProveArgs {
    /// log2 of the rows, several with commas; at least 13.
    #[arg(long, value_delimiter = ',', default_values_t = [14, 16, 18])]
    pub rows_log2: Vec<u32>,
    /// Factor of the low-degree extension.
    #[arg(long, default_value_t = 2)]
    pub lde: usize,
    /// Queries.
    #[arg(long, default_value_t = 100)]
    pub queries: usize,
    /// Proofs of each, of which the fastest counts.
    #[arg(long, default_value_t = 2)]
    pub runs: usize,
    /// Leave the proof library's prover out.
    #[arg(long)]
    pub only_own: bool,
    /// Measure what is in this folder, and print the result for the process that asked.
    #[arg(long, hide = true)]
    pub measure: Option<PathBuf>,
    /// Measure the proof library's prover.
    #[arg(long, hide = true)]
    pub library: bool,
}

/// Where data is kept.
#[derive(Clone, Debug, Args)]
pub(crate) struct DirArgs {
    /// Folder for keys and work in progress.
    #[arg(long, default_value = "ingot-data")]
    pub dir: PathBuf,
}

/// What may be used.
#[derive(Clone, Debug, Args)]
pub(crate) struct ResourceArgs {
    /// Threads; by default one for each processor.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Memory to plan with, such as 4G; by default three quarters of what is available, at most what one batch makes use of.
    #[arg(long, value_parser = parse_size)]
    pub max_ram: Option<u64>,
    /// Disk that setup keys may take where they are made on demand, such as 30G; by default three quarters of what is free.
    #[arg(long, value_parser = parse_size)]
    pub max_disk: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Operations in the sample batch.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(..=100_000))]
    pub ops: u32,
    /// Seed of the sample batch.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    #[command(flatten)]
    pub dir: DirArgs,
    #[command(flatten)]
    pub resources: ResourceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SampleBatchArgs {
    /// Operations.
    #[arg(long, value_parser = clap::value_parser!(u32).range(..=100_000))]
    pub ops: u32,
    /// The same seed gives the same batch.
    #[arg(long)]
    pub seed: u64,
    /// The file to write.
    #[arg(long)]
    pub out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ProveArgs {
    /// The batch file.
    pub batch: PathBuf,
    /// The chain that the batch is of, where its file does not say; where it does, the one it must say.
    #[arg(long)]
    pub chain: Option<u64>,
    /// The proof file to write; by default the batch file's name with the extension `proof`.
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Stop at the scheduler proof. There is no compression yet: without it, the same.
    #[arg(long)]
    pub no_snark: bool,
    #[command(flatten)]
    pub dir: DirArgs,
    #[command(flatten)]
    pub resources: ResourceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The proof file.
    pub proof: PathBuf,
    /// The batch that the proof should be about. Without it, the proof is valid for some batch only.
    #[arg(long)]
    pub batch: Option<PathBuf>,
    /// The chain that the batch is of, where its file does not say.
    #[arg(long, requires = "batch")]
    pub chain: Option<u64>,
    #[command(flatten)]
    pub dir: DirArgs,
}

#[derive(Debug, Args)]
pub(crate) struct KeygenArgs {
    /// Makes keys again, compares them with the manifest, reports each file, and writes nothing but how far it got.
    #[arg(long)]
    pub check: bool,
    /// Only these circuits, as round:id, several with commas; by default all.
    #[arg(long, value_name = "ROUND:ID", value_delimiter = ',', value_parser = parse_circuit)]
    pub circuit: Vec<CircuitKey>,
    /// Ignores the built-in manifest, and writes the folder of a new one (manifest, verification keys, hints).
    #[arg(long, value_name = "FOLDER", conflicts_with = "check")]
    pub write_manifest: Option<PathBuf>,
    #[command(flatten)]
    pub dir: DirArgs,
    #[command(flatten)]
    pub resources: ResourceArgs,
}

/// The command line; the names in messages are those of the executable that runs.
pub(crate) fn definition(edition: &dyn Edition) -> clap::Command {
    Cli::command().name(edition.executable()).bin_name(edition.executable())
}

/// Runs the executable of `edition` with `args`.
pub fn run(edition: &'static dyn Edition, args: impl IntoIterator<Item = OsString>) -> ExitCode {
    // Before anything else: other code may use the instructions that are missing.
    if let Some(text) = crate::cpu::missing_features() {
        Ui::new(false).tell(&Event::Error { text });
        return ExitCode::from(FAILED);
    }
    let parsed =
        definition(edition).try_get_matches_from(args).and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { FAILED } else { 0 });
        }
    };
    let ui = Arc::new(Ui::new(cli.json));
    // Panics are caught where the proof library is called, and told as errors; any other is a defect, and told with the
    // place where it happened.
    let place = Arc::new(Mutex::new(String::new()));
    let noted = Arc::clone(&place);
    std::panic::set_hook(Box::new(move |info| {
        let trace = Backtrace::capture();
        let trace =
            if trace.status() == BacktraceStatus::Captured { format!("\n{trace}") } else { String::new() };
        *noted.lock().unwrap_or_else(PoisonError::into_inner) = format!("{info}{trace}");
    }));
    let work = AssertUnwindSafe(|| execute(edition, &ui, &cli));
    let result = catch_unwind(work).unwrap_or_else(|_| {
        let place = place.lock().unwrap_or_else(PoisonError::into_inner);
        Err(anyhow!("internal error: this is a defect in ingot: {place}"))
    });
    match result {
        Ok(outcome) => ExitCode::from(outcome.code()),
        Err(error) => {
            ui.tell(&Event::Error { text: format!("{error:#}") });
            ExitCode::from(if error.is::<Interrupted>() { INTERRUPTED } else { FAILED })
        }
    }
}

fn execute(edition: &'static dyn Edition, ui: &Arc<Ui>, cli: &Cli) -> anyhow::Result<Outcome> {
    interrupt::listen()?;
    let chosen = &Chosen::new(edition, cli.parameters.as_deref());
    match &cli.command {
        Command::Demo(args) => commands::demo(ui, chosen, args),
        Command::SampleBatch(args) => commands::sample_batch(ui, chosen, args),
        Command::Prove(args) => commands::prove(ui, chosen, args),
        Command::Verify(args) => commands::verify(ui, chosen, args),
        Command::Keygen(args) => commands::keygen(ui, chosen, args),
        Command::Up(args) => appliance::up(ui, chosen, args),
        Command::Submit(args) => appliance::submit(ui, chosen, args),
        Command::Operate(command) => operate(ui, chosen, command),
        Command::Export(args) => appliance::export(ui, args),
        Command::Import(args) => appliance::import(ui, chosen, args),
        Command::Backup(args) => appliance::backup(ui, args),
        Command::Restore(args) => appliance::restore(ui, args),
        Command::HouseKeeper(args) => component(ui, chosen, ComponentName::HouseKeeper, args),
        Command::WitnessGenerator(args) => component(ui, chosen, ComponentName::WitnessGenerator, args),
        Command::WitnessVectorGenerator(args) => {
            component(ui, chosen, ComponentName::WitnessVectorGenerator, args)
        }
        Command::CircuitProver(args) => component(ui, chosen, ComponentName::CircuitProver, args),
        Command::Gateway(args) => appliance::gateway(ui, chosen, args),
        Command::ProofDataHandler(args) => appliance::proof_data_handler(ui, chosen, args),
        Command::Governor(args) => appliance::governor(ui, chosen, args),
        Command::Config(args) => appliance::config(args),
        Command::Bench(command) => appliance::bench(ui, command),
        Command::Circuits => commands::circuits(ui, chosen),
    }
}

fn component(
    ui: &Arc<Ui>,
    chosen: &Chosen,
    name: ComponentName,
    args: &ServiceArgs,
) -> anyhow::Result<Outcome> {
    appliance::component(ui, chosen, name, args)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
