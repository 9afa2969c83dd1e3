//! How people operate the appliance: what is going on, and changes by hand.
//!
//! Everything is asked of the house keeper, which makes a change and its entry in the audit together.

pub(crate) mod args;
mod audit;
mod change;
mod debug_proof;
mod deliveries;
mod desk;
mod docs;
mod file_info;
mod info;
mod insert_batch;
mod jobs;
mod l1;
mod protocol;
mod rounds;
mod stats;
mod status;
mod time;
mod watch;
mod workers;

use std::sync::Arc;

use clap::Subcommand;
pub(crate) use desk::{batch_name, Desk};
pub(crate) use time::now_ms;

use crate::{edition::Chosen, exit::Outcome, ui::Ui};

/// Commands for operators.
#[derive(Debug, Subcommand)]
pub(crate) enum OperateCommand {
    /// Shows batches and workers, or batches round by round.
    Status(args::StatusArgs),
    /// Lists jobs, by batch, round, circuit, kind and state.
    Jobs(args::JobsArgs),
    /// Gives failed and given-up jobs all their attempts again.
    Requeue(args::RequeueArgs),
    /// Makes a batch begin anew, or a done job run again.
    Restart(args::RestartArgs),
    /// Forgets a batch with all its jobs.
    Delete(args::DeleteArgs),
    /// Changes a batch's priority.
    Priority(args::PriorityArgs),
    /// Lists proofs on their way to whoever asked for them, and those that were refused.
    Deliveries(args::DeliveriesArgs),
    /// Sends a proof again, such as one that was refused.
    Deliver(args::DeliverArgs),
    /// How long batches took.
    Stats(args::StatsArgs),
    /// Draws a live view of everything on this terminal: q ends it.
    Watch(args::WatchArgs),
    /// Lists the workers and what they do.
    Workers(args::WorkersArgs),
    /// Tells a worker to take no new work.
    Drain(args::DrainArgs),
    /// Lists what people changed by hand, the latest first.
    Audit(args::AuditArgs),
    /// Protocol versions and their keys.
    #[command(subcommand)]
    Protocol(args::ProtocolCommand),
    /// The same as `protocol insert`.
    InsertVersion(args::InsertVersionArgs),
    /// Submits a batch file with number, version and priority as given.
    InsertBatch(args::InsertBatchArgs),
    /// Says what a file is.
    FileInfo(args::FileArgs),
    /// Takes a proof file apart: public input, parameters, sizes, and whether it verifies.
    DebugProof(args::FileArgs),
    /// Prints version, key commitments and paths, and no secret.
    Info(crate::args::ServiceArgs),
    /// Prints a completion script for a shell.
    Completions(args::CompletionsArgs),
    /// Prints the manual, or writes it as a page for each command.
    Man(args::ManArgs),
}

/// Runs one of them.
pub(crate) fn operate(ui: &Arc<Ui>, chosen: &Chosen, command: &OperateCommand) -> anyhow::Result<Outcome> {
    match command {
        OperateCommand::Status(args) if args.batches.is_empty() => crate::appliance::status(ui, args),
        OperateCommand::Status(args) if args.batches == ["l1"] => l1::status(ui, args),
        OperateCommand::Status(args) => status::status(ui, chosen, args),
        OperateCommand::Jobs(args) => jobs::jobs(ui, chosen, args),
        OperateCommand::Requeue(args) => change::requeue(ui, args),
        OperateCommand::Restart(args) => change::restart(ui, args),
        OperateCommand::Delete(args) => change::delete(ui, args),
        OperateCommand::Priority(args) => change::priority(ui, args),
        OperateCommand::Drain(args) => change::drain(ui, args),
        OperateCommand::Deliveries(args) => deliveries::deliveries(ui, args),
        OperateCommand::Deliver(args) => deliveries::deliver(ui, args),
        OperateCommand::Stats(args) => stats::stats(ui, args),
        OperateCommand::Watch(args) => watch::watch(ui, chosen, args),
        OperateCommand::Workers(args) => workers::workers(ui, args),
        OperateCommand::Audit(args) => audit::audit(ui, args),
        OperateCommand::Protocol(args::ProtocolCommand::List(args)) => protocol::list(ui, chosen, args),
        OperateCommand::Protocol(args::ProtocolCommand::Insert(args))
        | OperateCommand::InsertVersion(args) => protocol::insert(ui, chosen, args),
        OperateCommand::InsertBatch(args) => insert_batch::insert_batch(ui, chosen, args),
        OperateCommand::FileInfo(args) => file_info::file_info(ui, chosen, &args.file),
        OperateCommand::DebugProof(args) => debug_proof::debug_proof(ui, chosen, &args.file),
        OperateCommand::Info(args) => info::info(ui, chosen, args),
        OperateCommand::Completions(args) => docs::completions(chosen, args),
        OperateCommand::Man(args) => docs::man(ui, chosen, args),
    }
}
