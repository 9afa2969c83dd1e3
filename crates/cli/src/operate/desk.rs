//! Where a person's questions are asked: a connection to the house keeper, and what a name means there.

use std::time::Duration;

use anyhow::{bail, ensure};
use ingot_house_keeper::protocol::{
    Answer, BatchSummary, Change, Changed, OperatorAnswer, OperatorRequest, Request, WorkerInfo,
};
use ingot_job_store::{Job, JobQuery};
use ingot_types::{BatchId, BatchNumber, ChainId};
use serde::Serialize;

use super::args::ChainArgs;
use crate::{
    appliance::{load, Operator},
    args::ServiceArgs,
    exit::Outcome,
    ui::Ui,
};

/// How long the house keeper may take to come up or to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection for a person's requests. Dropped, it says goodbye.
pub(crate) struct Desk {
    operator: Operator,
    chain: Option<u64>,
}

impl Desk {
    /// Connects.
    pub fn open(service: &ServiceArgs, chain: Option<&ChainArgs>) -> anyhow::Result<Self> {
        let operator = Operator::connect(&load(service)?, PATIENCE)?;
        Ok(Self { operator, chain: chain.and_then(|args| args.chain) })
    }

    /// Files and submissions.
    pub fn operator(&self) -> &Operator {
        &self.operator
    }

    /// Asks what everybody may ask.
    pub fn ask(&self, request: Request) -> anyhow::Result<Answer> {
        Ok(self.operator.client.call_within(request, PATIENCE)?)
    }

    /// Asks what operators ask.
    pub fn ask_operator(&self, request: OperatorRequest) -> anyhow::Result<OperatorAnswer> {
        match self.ask(Request::Operator(request))? {
            Answer::Operator(answer) => Ok(answer),
            _ => bail!("the house keeper answers something else"),
        }
    }

    /// The batches of the chain, if one was given, or of all.
    pub fn batches(&self, archived: bool) -> anyhow::Result<Vec<BatchSummary>> {
        let Answer::Batches(mut batches) = self.ask(Request::Batches { archived })? else {
            bail!("the house keeper answers something else")
        };
        batches.retain(|summary| self.chain.is_none_or(|chain| chain == summary.batch.chain.0));
        Ok(batches)
    }

    /// Who is there, operators left out.
    pub fn workers(&self) -> anyhow::Result<Vec<WorkerInfo>> {
        let Answer::Workers(mut workers) = self.ask(Request::Workers)? else {
            bail!("the house keeper answers something else")
        };
        workers.retain(|w| w.registration.component != ingot_house_keeper::protocol::Component::Operator);
        Ok(workers)
    }

    /// Jobs that match.
    pub fn jobs(&self, query: JobQuery) -> anyhow::Result<Vec<Job>> {
        match self.ask_operator(OperatorRequest::FindJobs(query))? {
            OperatorAnswer::Jobs(jobs) => Ok(jobs),
            _ => bail!("the house keeper answers something else"),
        }
    }

    /// The batch that is called so: `chain/number`, or the number alone on the chain that was given, or else on the only
    /// chain that has it.
    pub fn batch(&self, text: &str) -> anyhow::Result<BatchId> {
        let no_batch =
            || format!("`{text}` is no batch: expected its number, or chain/number, such as 270/17");
        if let Some((chain, number)) = text.split_once('/') {
            let (Ok(chain), Ok(number)) = (chain.parse(), number.parse()) else { bail!(no_batch()) };
            if let Some(given) = self.chain {
                ensure!(
                    given == chain,
                    "batch {text} is of chain {chain}: expected chain {given}, as --chain says"
                );
            }
            return Ok(BatchId { chain: ChainId(chain), batch: BatchNumber(number) });
        }
        let Ok(number) = text.parse() else { bail!(no_batch()) };
        if let Some(chain) = self.chain {
            return Ok(BatchId { chain: ChainId(chain), batch: BatchNumber(number) });
        }
        let named = self.batches(true)?.into_iter().map(|summary| summary.batch);
        let mut found: Vec<BatchId> = named.filter(|batch| batch.batch.0 == number).collect();
        // One that was proved and came in again is there twice.
        found.sort();
        found.dedup();
        match found.as_slice() {
            [batch] => Ok(*batch),
            [] => bail!("there is no batch {number}"),
            more => bail!(
                "chains {} have a batch {number}: name one with --chain",
                more.iter().map(|batch| batch.chain.0.to_string()).collect::<Vec<_>>().join(" and ")
            ),
        }
    }

    /// Makes a change, or says what it would do.
    pub fn plan(&self, change: &Change, dry_run: bool) -> anyhow::Result<Changed> {
        let request = OperatorRequest::Change { change: change.clone(), dry_run };
        match self.ask_operator(request)? {
            OperatorAnswer::Changed(changed) => Ok(changed),
            _ => bail!("the house keeper answers something else"),
        }
    }

    /// Makes a change, or says what it would do, and tells.
    pub fn change(&self, ui: &Ui, change: &Change, dry_run: bool) -> anyhow::Result<Outcome> {
        let changed = self.plan(change, dry_run)?;
        tell(ui, change, &changed, dry_run);
        Ok(Outcome::Done)
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.operator.client.close(Duration::from_secs(1));
    }
}

/// `chain/number`.
pub(crate) fn batch_name(batch: BatchId) -> String {
    format!("{}/{}", batch.chain.0, batch.batch.0)
}

#[derive(Serialize)]
struct Shown {
    action: String,
    target: String,
    dry_run: bool,
    result: String,
    jobs: Vec<String>,
    leases_lost: Vec<String>,
}

/// Tells what a change did, or would do.
pub(crate) fn tell(ui: &Ui, change: &Change, changed: &Changed, dry_run: bool) {
    let shown = Shown {
        action: change.action(),
        target: change.target(),
        dry_run,
        result: changed.result.clone(),
        jobs: changed.jobs.iter().map(ToString::to_string).collect(),
        leases_lost: changed.leases_lost.iter().map(|(job, worker)| format!("{job} of {worker}")).collect(),
    };
    let mut text = format!("{} {}: {}", shown.action, shown.target, shown.result);
    if dry_run {
        text.insert_str(0, "would do, and has not done: ");
    }
    for job in &shown.jobs {
        text.push_str(&format!("\n  {job}"));
    }
    for lease in &shown.leases_lost {
        text.push_str(&format!("\n  lease of job {lease} ends"));
    }
    ui.show("changed", &shown, &text);
}
