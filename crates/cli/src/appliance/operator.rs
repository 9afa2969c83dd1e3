//! What a person asks of the house keeper: `submit`, `status`.

use std::{path::Path, process, sync::Arc, time::Duration};

use anyhow::{bail, Context as _};
use ingot_artifacts::{write_atomically, ArtifactRef, Artifacts as _, Blake3};
use ingot_house_keeper::{
    client::{Address, Client, ClientError, ClientOptions, Link, RemoteArtifacts, Stop},
    protocol::{
        Answer, BatchState, BatchSummary, Change, Component, Registration, Request, Submission, SubmitOutcome,
    },
};
use ingot_job_store::{ArtifactName, StateName};
use ingot_services::{config::Config, work::role};
use ingot_types::{BatchId, JobKey, ProtocolVersion};

use super::{components::load, Follower};
use crate::{
    args::{ServiceArgs, SubmitArgs},
    commands::{job_name, verify_files},
    edition::Chosen,
    exit::Outcome,
    home::keys_folder,
    operate::{args::StatusArgs, now_ms, Desk},
    ui::{Event, Ui},
};

/// How long the house keeper may take to answer a person.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Attempts that each job of a batch may fail, unless told otherwise.
const MAX_ATTEMPTS: u32 = 10;

/// A connection for a person's requests.
#[derive(Debug)]
pub(crate) struct Operator {
    pub client: Client,
    artifacts: RemoteArtifacts,
}

impl Operator {
    /// Connects to the house keeper of a configuration, waiting for it up to `patience`.
    pub fn connect(config: &Config, patience: Duration) -> anyhow::Result<Self> {
        let address: Address = config.host.house_keeper.parse()?;
        let token = config.host.token_file.as_deref().map(ingot_wire::Token::load).transpose()?;
        let registration = Registration {
            component: Component::Operator,
            name: format!("operator-{}", user()),
            instance: [0; 16],
            host: "-".into(),
            pid: process::id(),
            zone: None,
            group: None,
            serves: None,
            stream: None,
        };
        let client = Client::start(ClientOptions::new(address.clone(), token.clone(), registration))?;
        match client.wait_connected(patience, &Stop::new()) {
            Link::Connected => {}
            Link::Connecting { why } => bail!("no house keeper at {address}: {why}; `ingot up` starts one"),
            Link::Refused { why } => bail!("the house keeper at {address} refuses: {why}"),
        }
        let artifacts = RemoteArtifacts::new(address, token, "operator", PATIENCE);
        Ok(Self { client, artifacts })
    }

    /// Stores a file; nothing names it yet.
    pub fn put(&self, bytes: &[u8]) -> anyhow::Result<ArtifactRef> {
        Ok(self.artifacts.put(bytes)?)
    }

    /// Submits a batch; `false` if it was there already.
    pub fn submit(
        &self,
        batch: BatchId,
        protocol_version: ProtocolVersion,
        witness_inputs: &[u8],
        priority: i32,
    ) -> anyhow::Result<bool> {
        let artifact = self.artifacts.put(witness_inputs)?;
        let submission = submission(batch, protocol_version, &artifact, priority);
        match self.client.call_within(Request::Submit(submission), PATIENCE)? {
            Answer::Submitted(outcome) => Ok(outcome == SubmitOutcome::Accepted),
            other => bail!("the house keeper answered {other:?}"),
        }
    }

    /// Gives the jobs of a batch that failed or were given up all their attempts again.
    pub fn try_again(&self, batch: BatchId) -> anyhow::Result<()> {
        let Answer::Jobs(jobs) = self.client.call_within(Request::Jobs { batch }, PATIENCE)? else {
            bail!("the house keeper answers something else")
        };
        for job in jobs {
            if matches!(job.status.state.name(), StateName::Failed | StateName::Quarantined) {
                match self.client.call_within(Request::Requeue { key: job.key() }, PATIENCE) {
                    // Its time came by itself meanwhile.
                    Ok(_) | Err(ClientError::Refused(_)) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    /// The final proof's file of a proved batch.
    pub fn proof(&self, summary: &BatchSummary) -> anyhow::Result<Vec<u8>> {
        let file = summary
            .outputs
            .iter()
            .find(|file| file.role == role::PROOF)
            .context("the batch is proved, and no proof is named")?;
        self.file(file)
    }

    /// A file, by what a job calls it.
    pub fn file(&self, file: &ArtifactName) -> anyhow::Result<Vec<u8>> {
        let hash = file.hash.parse()?;
        Ok(self.artifacts.get(&ArtifactRef { hash, size_bytes: file.size_bytes })?)
    }
}

/// What is said of a batch whose witness inputs are `file`.
pub(crate) fn submission(
    batch: BatchId,
    protocol_version: ProtocolVersion,
    file: &ArtifactRef,
    priority: i32,
) -> Submission {
    let witness_inputs = ArtifactName {
        role: role::WITNESS_INPUTS.into(),
        hash: file.hash.to_string(),
        size_bytes: file.size_bytes,
    };
    let (sealed_at_ms, max_attempts) = (now_ms(), MAX_ATTEMPTS);
    let deliver_to = None;
    Submission { batch, protocol_version, witness_inputs, priority, sealed_at_ms, max_attempts, deliver_to }
}

/// The name that a file has once it is stored.
pub(crate) fn named(bytes: &[u8]) -> ArtifactRef {
    ArtifactRef { hash: Blake3::of(bytes), size_bytes: bytes.len() as u64 }
}

/// What submitting a batch would do, without storing anything.
pub(super) fn rehearse(
    ui: &Ui,
    service: &ServiceArgs,
    batch: BatchId,
    protocol_version: ProtocolVersion,
    witness_inputs: &[u8],
    priority: i32,
) -> anyhow::Result<Outcome> {
    let file = named(witness_inputs);
    let submission = submission(batch, protocol_version, &file, priority);
    Desk::open(service, None)?.change(ui, &Change::InsertBatch(submission), true)
}

/// Who runs this process: what the audit calls the operator.
fn user() -> String {
    let uid = nix::unistd::getuid();
    let user = nix::unistd::User::from_uid(uid).ok().flatten().map(|user| user.name);
    // A name goes into logs and the database: no spaces in it.
    user.filter(|name| name.len() <= 64 && name.chars().all(|c| c.is_ascii_graphic()))
        .unwrap_or_else(|| uid.to_string())
}

/// `ingot submit`.
pub(crate) fn submit(ui: &Arc<Ui>, chosen: &Chosen, args: &SubmitArgs) -> anyhow::Result<Outcome> {
    let config = load(&args.service)?;
    let set = chosen.circuit_set()?;
    let batch = chosen.read_batch(&args.batch, args.chain)?;
    if args.dry_run {
        let version = set.protocol_version();
        return rehearse(ui, &args.service, batch.id, version, &batch.witness_inputs, args.priority);
    }
    let operator = Operator::connect(&config, PATIENCE)?;
    let name = format!("{}/{}", batch.id.chain.0, batch.id.batch.0);
    let new = operator.submit(batch.id, set.protocol_version(), &batch.witness_inputs, args.priority)?;
    ui.note(match new {
        true => format!("batch {name} was accepted: {}", batch.contents),
        false => format!("batch {name} is there already"),
    });
    let outcome = match (&args.out, args.wait) {
        (None, false) => Outcome::Done,
        (out, _) => {
            let named = |key: JobKey| job_name(&*set, key);
            let follower = Follower::new(&operator.client, ui, batch.id, &named);
            let (summary, _) = follower.until_proved(|| Ok(()))?;
            match out {
                None => Outcome::Done,
                Some(out) => {
                    write_atomically(out, &operator.proof(&summary)?)?;
                    ui.note(format!("proof: {}", out.display()));
                    let keys = keys_folder(&config.host.state_dir, &*set);
                    verify_files(
                        ui,
                        chosen,
                        &set,
                        out,
                        Some((Path::new(&args.batch), args.chain)),
                        &keys,
                        true,
                    )?
                }
            }
        }
    };
    operator.client.close(PATIENCE);
    Ok(outcome)
}

/// `ingot status`.
pub(crate) fn status(ui: &Arc<Ui>, args: &StatusArgs) -> anyhow::Result<Outcome> {
    let config = load(&args.service)?;
    let operator = Operator::connect(&config, PATIENCE)?;
    let Answer::Batches(batches) =
        operator.client.call_within(Request::Batches { archived: args.archived }, PATIENCE)?
    else {
        bail!("the house keeper answers something else")
    };
    let Answer::Workers(workers) = operator.client.call_within(Request::Workers, PATIENCE)? else {
        bail!("the house keeper answers something else")
    };
    if batches.is_empty() {
        ui.note("no batches");
    }
    for batch in batches.into_iter().filter(|b| args.chain.chain.is_none_or(|chain| chain == b.batch.chain.0))
    {
        ui.tell(&Event::Batch {
            batch: format!("{}/{}", batch.batch.chain.0, batch.batch.batch.0),
            version: batch.protocol_version.to_string(),
            state: match batch.state {
                BatchState::Proving => "proving",
                BatchState::Stuck => "stuck",
                BatchState::Proved => "proved",
                BatchState::Archived => "archived",
            },
            jobs: batch.progress.jobs,
            done: batch.progress.done,
            active: batch.progress.active,
            quarantined: batch.progress.quarantined,
            stuck_on: batch.stuck_on.map(|(job, reason)| format!("{job}: {reason}")),
        });
    }
    for worker in workers.into_iter().filter(|w| w.registration.component != Component::Operator) {
        ui.tell(&Event::Worker {
            name: worker.registration.name,
            component: worker.registration.component.name(),
            host: worker.registration.host,
            zone: worker.registration.zone,
            connected: worker.connected,
            draining: worker.draining,
            leases: worker.leases.iter().map(ToString::to_string).collect(),
            status: worker.status,
        });
    }
    operator.client.close(PATIENCE);
    Ok(Outcome::Done)
}
