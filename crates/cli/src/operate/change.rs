//! `requeue`, `restart`, `delete`, `priority`, `drain`: what people change by hand.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    sync::Arc,
};

use anyhow::{bail, Context as _};
use ingot_house_keeper::protocol::{Change, Target};

use super::{
    args::{ChangeArgs, Deletable, DeleteArgs, DrainArgs, PriorityArgs, RequeueArgs, RestartArgs, What},
    desk::{batch_name, Desk},
};
use crate::{exit::Outcome, ui::Ui};

fn target(desk: &Desk, what: What, name: &str) -> anyhow::Result<Target> {
    Ok(match what {
        What::Batch => Target::Batch(desk.batch(name)?),
        What::Job => Target::Job(name.parse()?),
    })
}

fn open(args: &ChangeArgs) -> anyhow::Result<Desk> {
    Desk::open(&args.service, Some(&args.chain))
}

/// `ingot requeue`.
pub(crate) fn requeue(ui: &Arc<Ui>, args: &RequeueArgs) -> anyhow::Result<Outcome> {
    let desk = open(&args.change)?;
    let change = Change::Requeue { target: target(&desk, args.what, &args.name)? };
    desk.change(ui, &change, args.change.dry_run)
}

/// `ingot restart`.
pub(crate) fn restart(ui: &Arc<Ui>, args: &RestartArgs) -> anyhow::Result<Outcome> {
    let desk = open(&args.change)?;
    let change = Change::Restart { target: target(&desk, args.what, &args.name)?, force: args.force };
    desk.change(ui, &change, args.change.dry_run)
}

/// `ingot delete`.
pub(crate) fn delete(ui: &Arc<Ui>, args: &DeleteArgs) -> anyhow::Result<Outcome> {
    let desk = open(&args.change)?;
    let Deletable::Batch = args.what;
    let batch = desk.batch(&args.name)?;
    let change = Change::Delete { batch, force: args.force };
    if !args.yes && !args.change.dry_run {
        let plan = desk.plan(&change, true)?;
        let question = format!("batch {}: {} if you go on", batch_name(batch), plan.result);
        if !confirmed(&question)? {
            bail!("batch {} was not deleted", batch_name(batch));
        }
    }
    desk.change(ui, &change, args.change.dry_run)
}

/// Asks on the terminal; without one, nobody can say yes.
fn confirmed(question: &str) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        bail!("nobody can be asked, since this is no terminal: --yes deletes without asking, --dry-run says what would be done");
    }
    // Standard output is for what was done.
    let mut out = io::stderr();
    write!(out, "{question}; type `yes` to delete: ").and_then(|()| out.flush()).context("cannot ask")?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).context("cannot read the answer")?;
    Ok(answer.trim() == "yes")
}

/// `ingot priority`.
pub(crate) fn priority(ui: &Arc<Ui>, args: &PriorityArgs) -> anyhow::Result<Outcome> {
    let desk = open(&args.change)?;
    let change = Change::SetPriority { batch: desk.batch(&args.batch)?, priority: args.priority };
    desk.change(ui, &change, args.change.dry_run)
}

/// `ingot drain`.
pub(crate) fn drain(ui: &Arc<Ui>, args: &DrainArgs) -> anyhow::Result<Outcome> {
    let desk = Desk::open(&args.service, None)?;
    let change = Change::Drain { worker: args.worker.clone(), draining: !args.undo };
    desk.change(ui, &change, args.dry_run)
}
