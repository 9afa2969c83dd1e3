//! The thread that asks the house keeper, and carries out what a key has ordered.

use std::{
    path::PathBuf,
    sync::mpsc::{channel, Receiver, RecvTimeoutError, Sender},
    thread::{Builder, JoinHandle},
    time::Duration,
};

use anyhow::{bail, Context as _};
use ingot_house_keeper::protocol::{Answer, Change, Request, Target};
use ingot_job_store::{JobQuery, StateName};
use ingot_types::BatchId;

use super::{
    super::{
        desk::{batch_name, Desk},
        now_ms,
    },
    model::{Host, Seen},
};
use crate::memory;

/// How often to look.
const EVERY: Duration = Duration::from_millis(500);
/// Stuck jobs that are shown.
const MOST_STUCK: u32 = 50;

/// What the drawing thread wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Look at this batch more closely.
    Choose(BatchId),
    /// Say what requeueing its stuck jobs would do.
    Plan(BatchId),
    /// Requeue them.
    Requeue(BatchId),
}

/// What the looking thread has found out.
#[derive(Clone, Debug)]
pub(crate) enum News {
    /// How everything is.
    Seen(Box<Seen>),
    /// The house keeper does not answer, and why.
    Away(String),
    /// What requeueing would do.
    Planned(BatchId, String),
    /// Something was done, or was refused.
    Said(String),
}

/// The thread, from outside.
pub(super) struct Looker {
    orders: Option<Sender<Order>>,
    news: Receiver<News>,
    thread: Option<JoinHandle<()>>,
}

impl Looker {
    /// Starts looking.
    pub fn start(desk: Desk, state_dir: PathBuf) -> anyhow::Result<Self> {
        let (orders, inbox) = channel();
        let (outbox, news) = channel();
        let thread = Builder::new()
            .name("look".into())
            .spawn(move || look(&desk, &state_dir, &inbox, &outbox))
            .context("cannot start a thread")?;
        Ok(Self { orders: Some(orders), news, thread: Some(thread) })
    }

    /// What has been found out since the last time.
    pub fn news(&self) -> Option<News> {
        self.news.try_recv().ok()
    }

    /// Passes an order on.
    pub fn tell(&self, order: Order) {
        if let Some(orders) = &self.orders {
            // If the thread has ended, the view is about to.
            let _ = orders.send(order);
        }
    }

    /// Ends the thread; what it is asking the house keeper may take a few seconds.
    pub fn stop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn look(desk: &Desk, state_dir: &std::path::Path, inbox: &Receiver<Order>, outbox: &Sender<News>) {
    let mut chosen = None;
    loop {
        let news = match see(desk, state_dir, chosen) {
            Ok(seen) => News::Seen(Box::new(seen)),
            Err(error) => News::Away(format!("{error:#}")),
        };
        if outbox.send(news).is_err() {
            return;
        }
        let said = match inbox.recv_timeout(EVERY) {
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
            Ok(Order::Choose(batch)) => {
                chosen = Some(batch);
                continue;
            }
            Ok(Order::Plan(batch)) => match requeue(desk, batch, true) {
                Ok(plan) => News::Planned(batch, plan),
                Err(error) => News::Said(format!("{error:#}")),
            },
            Ok(Order::Requeue(batch)) => match requeue(desk, batch, false) {
                Ok(done) => News::Said(format!("batch {}: {done}", batch_name(batch))),
                Err(error) => News::Said(format!("{error:#}")),
            },
        };
        if outbox.send(said).is_err() {
            return;
        }
    }
}

fn requeue(desk: &Desk, batch: BatchId, dry_run: bool) -> anyhow::Result<String> {
    Ok(desk.plan(&Change::Requeue { target: Target::Batch(batch) }, dry_run)?.result)
}

/// Asks for everything that is drawn.
fn see(desk: &Desk, state_dir: &std::path::Path, chosen: Option<BatchId>) -> anyhow::Result<Seen> {
    let batches = desk.batches(false)?;
    let chosen = chosen.filter(|wanted| batches.iter().any(|summary| summary.batch == *wanted));
    let chosen = chosen.or_else(|| super::model::first_choice(&batches));
    let mut counts = None;
    let mut stuck = Vec::new();
    if let Some(batch) = chosen {
        let Answer::Counts(found) = desk.ask(Request::Counts { batch: Some(batch) })? else {
            bail!("the house keeper answers something else")
        };
        for state in [StateName::Quarantined, StateName::Failed] {
            if found.keys().any(|key| key.state == state) {
                let query = JobQuery {
                    batch: Some(batch),
                    state: Some(state),
                    limit: MOST_STUCK,
                    ..JobQuery::default()
                };
                stuck.extend(desk.jobs(query)?);
            }
        }
        counts = Some((batch, found));
    }
    let host = Host {
        ram_bytes: memory::total_bytes(),
        ram_free_bytes: memory::available_bytes(),
        disk_bytes: memory::disk_bytes(state_dir),
        disk_free_bytes: memory::free_disk_bytes(state_dir),
    };
    Ok(Seen { at_ms: now_ms(), batches, counts, stuck, workers: desk.workers()?, host })
}
