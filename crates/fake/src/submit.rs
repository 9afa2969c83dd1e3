//! `ingot-fake submit` and `acknowledged`: for tests of whole machines. The first submits batches and prints a line for
//! whatever the house keeper has acknowledged; the second prints the same lines for whatever it has. A line that was printed
//! before a crash and is missing after it is work that was lost.

use std::{collections::BTreeSet, io::Write, path::Path, process, thread, time::Duration};

use anyhow::{bail, Context as _};
use clap::Args;
use ingot_artifacts::Artifacts as _;
use ingot_house_keeper::{
    client::{Address, Client, ClientOptions, Link, RemoteArtifacts, Stop},
    protocol::{Answer, Component, Registration, Request, Submission, SubmitOutcome},
};
use ingot_job_store::{ArtifactName, StateName};
use ingot_services::{config::Config, work::role};
use ingot_types::{BatchId, BatchNumber, ChainId, ProtocolVersion};

use crate::{proof::to_bytes, work::FakeBatch};

/// How long the house keeper may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often jobs are looked at.
const LOOK: Duration = Duration::from_millis(100);
/// The chain of the batches.
const CHAIN: ChainId = ChainId(1);

/// Which batches.
#[derive(Debug, Args)]
pub struct SubmitArgs {
    /// Number of the first.
    #[arg(long, default_value_t = 1)]
    pub first: u32,
    /// How many.
    #[arg(long, default_value_t = 1)]
    pub count: u32,
    /// Pause after each, in milliseconds.
    #[arg(long, default_value_t = 0)]
    pub pause_ms: u64,
    /// Go on printing jobs as they are done, until this many batches are proved; 0: for ever.
    #[arg(long)]
    pub follow: Option<usize>,
}

struct Desk {
    client: Client,
    artifacts: RemoteArtifacts,
    told: BTreeSet<String>,
}

impl Desk {
    fn open(config: &Config) -> anyhow::Result<Self> {
        let address: Address = config.host.house_keeper.parse()?;
        let registration = Registration {
            component: Component::Operator,
            name: "test".into(),
            instance: [0; 16],
            host: "-".into(),
            pid: process::id(),
            zone: None,
            group: None,
            serves: None,
            stream: None,
        };
        let token = match &config.host.token_file {
            Some(path) => Some(load_token(path)?),
            None => None,
        };
        let client = Client::start(ClientOptions::new(address.clone(), token.clone(), registration))?;
        match client.wait_connected(PATIENCE, &Stop::new()) {
            Link::Connected => {}
            Link::Connecting { why } | Link::Refused { why } => bail!("no house keeper at {address}: {why}"),
        }
        let artifacts = RemoteArtifacts::new(address, token, "test", PATIENCE);
        Ok(Self { client, artifacts, told: BTreeSet::new() })
    }

    /// A line that has not been printed yet. Standard output is flushed: what reads it may outlive this machine.
    fn tell(&mut self, line: String) -> anyhow::Result<()> {
        if !self.told.contains(&line) {
            let mut out = std::io::stdout().lock();
            writeln!(out, "ACK {line}")?;
            out.flush()?;
            self.told.insert(line);
        }
        Ok(())
    }

    /// Prints what the house keeper has, and says how many batches are proved.
    fn look(&mut self) -> anyhow::Result<usize> {
        let request = Request::Batches { archived: true };
        let Answer::Batches(batches) = self.client.call_within(request, PATIENCE)? else {
            bail!("the house keeper answers something else")
        };
        let mut proved = 0;
        for batch in batches {
            self.tell(format!("batch {}", batch.batch.batch.0))?;
            if !batch.outputs.is_empty() {
                proved += 1;
                self.tell(format!("proof {} {}", batch.batch.batch.0, hashes(&batch.outputs)))?;
            }
            let request = Request::Jobs { batch: batch.batch };
            let Answer::Jobs(jobs) = self.client.call_within(request, PATIENCE)? else {
                bail!("the house keeper answers something else")
            };
            for job in jobs.iter().filter(|job| job.status.state.name() == StateName::Done) {
                self.tell(format!("job {} {}", job.key(), hashes(job.outputs())))?;
            }
        }
        Ok(proved)
    }
}

fn load_token(path: &Path) -> anyhow::Result<ingot_wire::Token> {
    ingot_wire::Token::load(path).with_context(|| path.display().to_string())
}

fn hashes(outputs: &[ArtifactName]) -> String {
    outputs.iter().map(|file| file.hash.as_str()).collect::<Vec<_>>().join(",")
}

/// Submits batches like `shape`, each with a seed of its own.
///
/// # Errors
/// What the house keeper says, or that it says nothing.
pub fn submit(
    config: &Config,
    shape: &FakeBatch,
    args: &SubmitArgs,
    version: ProtocolVersion,
) -> anyhow::Result<()> {
    let mut desk = Desk::open(config)?;
    for number in args.first..args.first.saturating_add(args.count) {
        let batch = FakeBatch { seed: u64::from(number), ..shape.clone() };
        let file = desk.artifacts.put(&to_bytes(&batch).map_err(anyhow::Error::msg)?)?;
        let submission = Submission {
            batch: BatchId { chain: CHAIN, batch: BatchNumber(number) },
            protocol_version: version,
            witness_inputs: ArtifactName {
                role: role::WITNESS_INPUTS.into(),
                hash: file.hash.to_string(),
                size_bytes: file.size_bytes,
            },
            priority: 0,
            sealed_at_ms: u64::from(number),
            max_attempts: 10,
            deliver_to: None,
        };
        match desk.client.call_within(Request::Submit(submission), PATIENCE)? {
            Answer::Submitted(SubmitOutcome::Accepted | SubmitOutcome::Known) => {
                desk.tell(format!("batch {number}"))?;
            }
            other => bail!("the house keeper answered {other:?}"),
        }
        thread::sleep(Duration::from_millis(args.pause_ms));
    }
    if let Some(enough) = args.follow {
        while desk.look()? < enough || enough == 0 {
            thread::sleep(LOOK);
        }
    }
    Ok(())
}

/// Prints what the house keeper has.
///
/// # Errors
/// What the house keeper says, or that it says nothing.
pub fn acknowledged(config: &Config) -> anyhow::Result<()> {
    Desk::open(config)?.look().map(drop)
}
