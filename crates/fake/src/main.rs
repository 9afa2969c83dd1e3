//! `ingot-fake`: the components over fake work. For tests only.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::{ffi::OsString, path::PathBuf, process::ExitCode, sync::Arc};

use clap::{Args, Parser, Subcommand};
use ingot_fake::{
    bench,
    proof::to_bytes,
    submit::{self, SubmitArgs},
    work::{FakeBatch, FakeWork},
};
use ingot_services::{
    care,
    component::{self, ComponentName},
    config::Config,
    stop::Stop,
    supervisor::{ChildEvent, EXIT_CONFIG},
    up::UpOptions,
    work::Work,
};
use ingot_types::ProtocolVersion;
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};

#[derive(Parser)]
struct Cli {
    /// The protocol version to serve, so that two can run side by side.
    #[arg(long, global = true, default_value = "0.99.0")]
    version_served: ProtocolVersion,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    HouseKeeper(ComponentArgs),
    WitnessGenerator(ComponentArgs),
    WitnessVectorGenerator(ComponentArgs),
    CircuitProver(ComponentArgs),
    /// All of them.
    Up(ComponentArgs),
    /// Prints the configuration.
    Config(ComponentArgs),
    /// Writes a batch.
    Batch(BatchArgs),
    /// Backs up a house keeper.
    Backup {
        #[arg(long)]
        out: PathBuf,
        #[arg(long)]
        link: bool,
        #[command(flatten)]
        component: ComponentArgs,
    },
    /// Restores one.
    Restore {
        folder: PathBuf,
        #[command(flatten)]
        component: ComponentArgs,
    },
    /// Submits batches, and prints what is acknowledged.
    Submit {
        #[command(flatten)]
        batches: SubmitArgs,
        #[command(flatten)]
        shape: ShapeArgs,
        #[command(flatten)]
        component: ComponentArgs,
    },
    /// Prints what the house keeper has, in the same words.
    Acknowledged(ComponentArgs),
    /// Drives a house keeper with fake workers that lease and complete, and says how fast.
    Bench(bench::BenchArgs),
}

#[derive(Args)]
struct ComponentArgs {
    #[arg(long)]
    config: Option<PathBuf>,
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    #[arg(long)]
    stop_with_parent: bool,
}

#[derive(Args)]
struct BatchArgs {
    #[arg(long)]
    out: PathBuf,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    shape: ShapeArgs,
}

#[derive(Args)]
struct ShapeArgs {
    /// Instances of basic circuits 1 to 4.
    #[arg(long, value_delimiter = ',', default_value = "5,3,2,0")]
    instances: Vec<u32>,
    #[arg(long, default_value_t = 0)]
    witness_ms: u64,
    #[arg(long, default_value_t = 0)]
    synthesis_ms: u64,
    #[arg(long, default_value_t = 0)]
    proving_ms: u64,
    #[arg(long, default_value_t = 1000)]
    vector_bytes: u64,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, text }) => {
            eprintln!("error: {text}");
            ExitCode::from(code)
        }
    }
}

struct Failure {
    code: u8,
    text: String,
}

impl Failure {
    fn new(code: u8, text: impl ToString) -> Self {
        Self { code, text: text.to_string() }
    }
}

fn run(cli: &Cli) -> Result<(), Failure> {
    let (component, args) = match &cli.command {
        Command::HouseKeeper(args) => (ComponentName::HouseKeeper, args),
        Command::WitnessGenerator(args) => (ComponentName::WitnessGenerator, args),
        Command::WitnessVectorGenerator(args) => (ComponentName::WitnessVectorGenerator, args),
        Command::CircuitProver(args) => (ComponentName::CircuitProver, args),
        Command::Up(args) => return up(cli, args),
        Command::Config(args) => {
            println!("{}", load(args)?.effective());
            return Ok(());
        }
        Command::Batch(args) => return batch(args),
        Command::Backup { out, link, component } => {
            let made = care::back_up(&load(component)?, out, *link, |done, all| {
                eprintln!("{done} of {all} artifacts");
                true
            });
            println!("{}", care::describe(&made.map_err(|e| Failure::new(1, e))?));
            return Ok(());
        }
        Command::Restore { folder, component } => {
            let restored = care::restore(folder, &load(component)?).map_err(|e| Failure::new(1, e))?;
            println!("{}", care::describe(&restored.manifest));
            return Ok(());
        }
        Command::Submit { batches, shape, component } => {
            let config = load(component)?;
            return submit::submit(&config, &shape.batch(0), batches, cli.version_served)
                .map_err(|e| Failure::new(1, format!("{e:#}")));
        }
        Command::Acknowledged(args) => {
            return submit::acknowledged(&load(args)?).map_err(|e| Failure::new(1, format!("{e:#}")));
        }
        Command::Bench(args) => return bench::run(args).map_err(|e| Failure::new(1, format!("{e:#}"))),
    };
    let config = load(args)?;
    let stop = stop_on_signals()?;
    let version = cli.version_served;
    let work = move |_: &Config, _: &Stop| Ok(Arc::new(FakeWork::new(version, 1 << 20)) as Arc<dyn Work>);
    component::run(component, &config, work, &stop, args.stop_with_parent)
        .map_err(|error| Failure::new(error.exit_code(), error))
}

fn load(args: &ComponentArgs) -> Result<Config, Failure> {
    let mut overrides = Vec::new();
    for pair in &args.set {
        let (key, value) = pair
            .split_once('=')
            .ok_or_else(|| Failure::new(EXIT_CONFIG, format!("--set {pair}: expected KEY=VALUE")))?;
        overrides.push((key.to_owned(), value.to_owned()));
    }
    Config::load(args.config.as_deref(), &overrides).map_err(|error| Failure::new(EXIT_CONFIG, error))
}

fn up(cli: &Cli, args: &ComponentArgs) -> Result<(), Failure> {
    load(args)?;
    let stop = stop_on_signals()?;
    let mut after: Vec<OsString> = Vec::new();
    if let Some(config) = &args.config {
        after.extend(["--config".into(), config.clone().into()]);
    }
    after.extend(args.set.iter().flat_map(|pair| ["--set".into(), pair.into()]));
    let program = std::env::current_exe().map_err(|e| Failure::new(1, e))?;
    let before = vec!["--version-served".into(), cli.version_served.to_string().into()];
    let options = UpOptions { program, before, after, components: ComponentName::ALL.into(), logs: None };
    let tell = |event: &ChildEvent| eprintln!("{event:?}");
    options
        .run(&stop, tell)
        .map_err(|e| Failure::new(1, e))?
        .map_err(|reason| Failure::new(EXIT_CONFIG, reason))
}

impl ShapeArgs {
    fn batch(&self, seed: u64) -> FakeBatch {
        let mut instances = [0; 4];
        for (to, from) in instances.iter_mut().zip(&self.instances) {
            *to = *from;
        }
        FakeBatch {
            seed,
            instances,
            witness_ms: self.witness_ms,
            synthesis_ms: self.synthesis_ms,
            proving_ms: self.proving_ms,
            vector_bytes: self.vector_bytes,
        }
    }
}

fn batch(args: &BatchArgs) -> Result<(), Failure> {
    let bytes = to_bytes(&args.shape.batch(args.seed)).map_err(|e| Failure::new(1, e))?;
    std::fs::write(&args.out, bytes).map_err(|e| Failure::new(1, format!("{}: {e}", args.out.display())))
}

fn stop_on_signals() -> Result<Stop, Failure> {
    let stop = Stop::new();
    let raised = stop.clone();
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(|e| Failure::new(1, e))?;
    std::thread::spawn(move || signals.forever().for_each(|_| raised.raise()));
    Ok(stop)
}
