//! The engine without threads and sockets: inputs and a time in, answers and notices out.
//!
//! **Invariant:** what is kept here can be lost: leases and jobs are in the store, and the rest (who is connected, who waits
//! for what) is told again by those who connect.

use std::collections::{BTreeMap, BTreeSet};

use ingot_job_store::{Effect, Effects, Filter, Home, JobState, QueuePlace, StoreError, Token};
use ingot_types::{AggregationRound, BatchId, JobKey, JobKind};

use super::{
    groups::Groups,
    peers::{Peer, Peers},
    slabs::Held,
    view::{Requeued, Totals},
    EngineOptions, Outbox, PeerId,
};
use crate::protocol::{Answer, Denial, FromHouseKeeper, Notice, Registration, Request, ToHouseKeeper};

/// Work on the store, at a time in milliseconds since the Unix epoch.
pub type StoreWork = Box<dyn FnOnce(&mut dyn Home, u64) + Send>;

/// Something that happens to the engine.
pub enum Input {
    /// A peer has connected and introduced itself.
    Connect {
        /// How.
        registration: Registration,
        /// Where it comes from: process and user, or an address.
        origin: String,
        /// Where its answers go.
        outbox: Outbox,
        /// Told its number, or why it is not let in.
        reply: Box<dyn FnOnce(Result<PeerId, String>) + Send>,
    },
    /// A peer has sent something.
    Message {
        /// Who.
        peer: PeerId,
        /// What.
        message: ToHouseKeeper,
    },
    /// A connection has ended.
    Disconnect {
        /// Whose.
        peer: PeerId,
    },
    /// Work on the store by another part of the house keeper.
    Store(StoreWork),
    /// Whoever wants to see the whole.
    View(Box<dyn FnOnce(super::EngineView) + Send>),
    /// Whether batches may come in; if not, why.
    Intake(Result<(), String>),
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Connect { .. } => "Connect",
            Self::Message { .. } => "Message",
            Self::Disconnect { .. } => "Disconnect",
            Self::Store(_) => "Store",
            Self::View(_) => "View",
            Self::Intake(_) => "Intake",
        })
    }
}

/// What is to be sent once the store has committed.
#[derive(Debug, Default)]
pub(super) struct Out(Vec<(Outbox, FromHouseKeeper)>);

impl Out {
    pub fn push(&mut self, outbox: Outbox, message: FromHouseKeeper) {
        self.0.push((outbox, message));
    }

    /// Sends everything; returns the leases whose receivers are gone.
    pub fn send(&mut self) -> Vec<(JobKey, Token)> {
        let mut undelivered = Vec::new();
        for (outbox, message) in self.0.drain(..) {
            let Err(unsent) = outbox.send(message) else { continue };
            if let FromHouseKeeper::Answer { result: Ok(Answer::Lease(Some(lease))), .. } = unsent.0 {
                undelivered.push((lease.job.key(), lease.token));
            }
        }
        undelivered
    }

    /// Nothing of it happened: requests are denied, and what was to be told is not true; but for slabs, of which the store
    /// knows nothing.
    pub fn deny(&mut self, denial: &Denial) {
        for (outbox, message) in self.0.drain(..) {
            let message = match message {
                FromHouseKeeper::Answer { id, .. } => {
                    FromHouseKeeper::Answer { id, result: Err(denial.clone()) }
                }
                FromHouseKeeper::Notice(Notice::Reserve(_) | Notice::CancelReservation { .. }) => message,
                _ => continue,
            };
            // Whoever is gone will hear of it when it comes again.
            let _ = outbox.send(message);
        }
    }
}

/// A request that waits.
#[derive(Debug)]
pub(super) struct Parked {
    pub peer: PeerId,
    pub id: u64,
    pub until_ms: u64,
    pub wants: Wants,
}

/// What it waits for.
#[derive(Debug)]
pub(super) enum Wants {
    Lease(Filter),
    Slab { key: JobKey, token: Token, bytes: u64, place: QueuePlace },
    Change { batch: BatchId, known: Option<u64> },
    Outbox { destination: String, in_order: bool },
}

/// What a lease was given in exchange for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Nothing: it was asked for.
    Leased,
    /// The sender's lease with this token.
    HandedOver(Token),
    /// It was read from the store, which does not say.
    Unknown,
}

impl Origin {
    /// Whether a hand-over of `token` can have led to the lease `held`. Tokens only grow.
    pub fn may_be(self, token: Token, held: Token) -> bool {
        match self {
            Self::Leased => false,
            Self::HandedOver(given) => given == token,
            Self::Unknown => token < held,
        }
    }
}

/// A lease as the engine remembers it.
#[derive(Clone, Debug)]
pub(super) struct Leased {
    pub token: Token,
    pub worker: String,
    pub since_ms: u64,
    /// What it was given in exchange for.
    pub origin: Origin,
}

/// The engine.
pub struct Core {
    pub(super) options: EngineOptions,
    pub(super) groups: Groups,
    pub(super) peers: Peers,
    pub(super) parked: Vec<Parked>,
    pub(super) leases: BTreeMap<JobKey, Leased>,
    pub(super) held: BTreeMap<u64, Held>,
    pub(super) intake: Result<(), String>,
    /// Counts changes of each batch, from a number that no earlier process used.
    pub(super) changes: BTreeMap<BatchId, u64>,
    pub(super) first_change: u64,
    pub(super) totals: Totals,
    pub(super) requeued: Requeued,
    pub(super) out: Out,
    /// Kinds and rounds in which a job became ready, or could become takeable.
    pub(super) ready: BTreeSet<(JobKind, AggregationRound)>,
    pub(super) slabs_changed: bool,
    /// A proof may have become one that is to be sent.
    pub(super) outbox_changed: bool,
    pub(super) watched_at_ms: u64,
    /// Leases that were granted to connections that had ended.
    undelivered: Vec<(JobKey, Token)>,
    /// The last group could not be stored.
    stalled: bool,
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core")
            .field("parked", &self.parked)
            .field("leases", &self.leases)
            .field("held", &self.held)
            .finish_non_exhaustive()
    }
}

/// Followers of a batch are told of changes this often at most, in milliseconds: working out how far a large batch is
/// takes longer than completing one of its jobs.
const WATCH_EVERY_MS: u64 = 100;

impl Core {
    /// The engine over a store that was just opened.
    ///
    /// # Errors
    /// If the store cannot be read or repaired.
    pub fn open(home: &mut dyn Home, options: EngineOptions, now_ms: u64) -> Result<Self, StoreError> {
        for repair in home.reconcile(now_ms)? {
            crate::job_log!(
                warn,
                repair.key,
                "repaired: it was {:?}, and is {:?}",
                repair.found,
                repair.repaired
            );
        }
        home.restart_clock(options.lease_ttl_ms, now_ms)?;
        let mut core = Self {
            groups: options.groups.clone(),
            options,
            peers: Peers::default(),
            parked: Vec::new(),
            leases: BTreeMap::new(),
            held: BTreeMap::new(),
            intake: Ok(()),
            changes: BTreeMap::new(),
            first_change: now_ms,
            totals: Totals::default(),
            requeued: Requeued::new(),
            out: Out::default(),
            ready: BTreeSet::new(),
            slabs_changed: false,
            outbox_changed: false,
            watched_at_ms: 0,
            undelivered: Vec::new(),
            stalled: false,
        };
        core.remember_leases(home, now_ms)?;
        Ok(core)
    }

    /// Reads the leases from the store, as after a group that was rolled back.
    pub fn remember_leases(&mut self, home: &dyn Home, now_ms: u64) -> Result<(), StoreError> {
        let leases = home.leases()?.into_iter();
        self.leases = leases
            .map(|(key, token, worker)| {
                (key, Leased { token, worker, since_ms: now_ms, origin: Origin::Unknown })
            })
            .collect();
        Ok(())
    }

    /// Handles one input. Answers and notices are kept until [`Self::flush`] or [`Self::rolled_back`].
    pub fn handle(&mut self, home: &mut dyn Home, input: Input, now_ms: u64) {
        match input {
            Input::Connect { registration, origin, outbox, reply } => {
                reply(self.connect(home, registration, origin, outbox, now_ms));
            }
            Input::Message { peer, message } => self.message(home, peer, message, now_ms),
            Input::Disconnect { peer } => self.disconnect(home, peer, now_ms),
            Input::Store(work) => work(home, now_ms),
            Input::View(reply) => match self.view(home, now_ms) {
                Ok(view) => reply(view),
                // Whoever asked notices that no answer comes.
                Err(error) => tracing::warn!("the store cannot be read: {error}"),
            },
            Input::Intake(intake) => {
                if self.intake != intake {
                    match &intake {
                        Ok(()) => tracing::info!("batches are taken again"),
                        Err(reason) => tracing::warn!("no batches are taken: {reason}"),
                    }
                    self.intake = intake;
                    self.ready.insert((JobKind::Witness, AggregationRound::Basic));
                }
            }
        }
    }

    /// After a few inputs: does what time and the inputs have made possible.
    ///
    /// # Errors
    /// If the store failed: what was done since the last commit is to be rolled back.
    pub fn settle(&mut self, home: &mut dyn Home, now_ms: u64) -> Result<(), StoreError> {
        self.take_back(home, now_ms);
        let effects = home.advance(now_ms)?;
        let lost = effects.iter().filter(|(_, effect)| matches!(effect, Effect::LeaseLost { .. }));
        self.totals.expired += lost.count() as u64;
        self.follow(effects, now_ms);
        self.time_out(now_ms);
        self.serve_slabs(home, now_ms)?;
        self.serve_leases(home, now_ms)?;
        self.serve_outboxes(home)?;
        self.tell_watchers(home, now_ms)
    }

    /// What was kept back is sent: the store has committed.
    pub fn flush(&mut self) {
        let undelivered = self.out.send();
        self.undelivered.extend(undelivered);
    }

    /// Leases that nobody has received are handed back.
    fn take_back(&mut self, home: &mut dyn Home, now_ms: u64) {
        for (key, token) in std::mem::take(&mut self.undelivered) {
            match home.release(key, token, now_ms) {
                Ok(effects) => {
                    self.leases.remove(&key);
                    self.follow(effects, now_ms);
                }
                Err(error) => crate::job_log!(debug, key, "{error}"),
            }
        }
    }

    /// The store would not even begin: an input that asks something is denied.
    pub fn refuse(&mut self, input: Input, error: &StoreError) {
        let denial = Denial::Store { reason: error.to_string(), retry: error.retry_class() };
        match input {
            Input::Message { peer, message: ToHouseKeeper::Request { id, .. } } => {
                self.answer(peer, id, Err(denial));
            }
            Input::Connect { reply, .. } => reply(Err(error.to_string())),
            Input::Disconnect { peer } => {
                self.peers.disconnect(peer);
                self.forget_requests(peer);
            }
            Input::Intake(intake) => self.intake = intake,
            Input::Message { .. } | Input::Store(_) | Input::View(_) => {}
        }
    }

    /// Nothing since the last commit happened.
    pub fn rolled_back(&mut self, home: &dyn Home, error: &StoreError, now_ms: u64) {
        self.stalled = true;
        self.out.deny(&Denial::Store { reason: error.to_string(), retry: error.retry_class() });
        if let Err(error) = self.remember_leases(home, now_ms) {
            tracing::error!("leases cannot be read: {error}");
        }
    }

    /// To be called first in every group: while nothing could be stored, no heartbeat was, so leases have run out whose
    /// holders are well. They get one more time to be heard of.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn resume(&mut self, home: &mut dyn Home, now_ms: u64) -> Result<(), StoreError> {
        match self.stalled {
            true => home.restart_clock(self.options.lease_ttl_ms, now_ms),
            false => Ok(()),
        }
    }

    /// A group was stored.
    pub fn stored(&mut self) {
        self.stalled = false;
    }

    /// When [`Self::settle`] has something to do although nothing comes in, in milliseconds since the Unix epoch.
    pub fn next_deadline_ms(&self, home: &dyn Home) -> Option<u64> {
        if !self.undelivered.is_empty() {
            return Some(0);
        }
        let store = home.next_deadline_ms().ok().flatten();
        let parked = self.parked.iter().map(|parked| parked.until_ms).min();
        let held = self.held.values().filter_map(|held| held.answer_by_ms).min();
        [store, parked, held, self.next_watch_ms()].into_iter().flatten().min()
    }

    /// Tells everyone that the house keeper stops.
    pub fn say_goodbye(&mut self) {
        let outboxes: Vec<Outbox> = self.peers.all().filter_map(|(_, peer)| peer.outbox.clone()).collect();
        for outbox in outboxes {
            self.out.push(outbox, FromHouseKeeper::Notice(Notice::Stopping));
        }
        // Whoever is gone will hear of it when it comes again.
        let _ = self.out.send();
    }

    fn message(&mut self, home: &mut dyn Home, peer: PeerId, message: ToHouseKeeper, now_ms: u64) {
        let Some(known) = self.peers.get_mut(peer) else { return };
        known.seen_at_ms = now_ms;
        match message {
            ToHouseKeeper::Cancel { id } => {
                let before = self.parked.len();
                self.parked.retain(|parked| (parked.peer, parked.id) != (peer, id));
                if self.parked.len() < before || self.forget_slab_request(peer, id) {
                    // Every request has an answer: the connection counts those that it has under way.
                    self.answer(peer, id, Ok(Answer::Done));
                }
            }
            ToHouseKeeper::Request { id, request } => {
                if let Some(result) = self.request(home, peer, id, request, now_ms) {
                    self.answer(peer, id, result);
                }
            }
        }
    }

    pub(super) fn answer(&mut self, peer: PeerId, id: u64, result: Result<Answer, Denial>) {
        if let Some(outbox) = self.peers.get(peer).and_then(|peer| peer.outbox.clone()) {
            self.out.push(outbox, FromHouseKeeper::Answer { id, result });
        }
    }

    /// `None`: it is parked.
    fn request(
        &mut self,
        home: &mut dyn Home,
        peer: PeerId,
        id: u64,
        request: Request,
        now_ms: u64,
    ) -> Option<Result<Answer, Denial>> {
        Some(match request {
            Request::Lease { filter, wait_ms } => return self.lease(home, peer, id, filter, wait_ms, now_ms),
            Request::Slab { key, token, bytes, wait_ms } => {
                return self.slab(home, peer, id, (key, token, bytes), wait_ms, now_ms);
            }
            Request::WatchBatch { batch, known, wait_ms } => {
                let until_ms = now_ms.saturating_add(wait_ms);
                self.parked.push(Parked { peer, id, until_ms, wants: Wants::Change { batch, known } });
                return None;
            }
            Request::Outbox { destination, in_order, wait_ms } => {
                return self.outbox(home, peer, id, (destination, in_order), now_ms.saturating_add(wait_ms));
            }
            Request::SlabReserved { ticket, accepted } => self.slab_reserved(peer, ticket, accepted),
            Request::SlabReturned { ticket } => self.slab_returned(ticket),
            Request::Load(load) => {
                if let Some(peer) = self.peers.get_mut(peer) {
                    peer.load = load;
                    peer.unseen_reservations = 0;
                }
                self.recount_reservations(peer);
                self.slabs_changed = true;
                self.prove_jobs_may_be_ready();
                Ok(Answer::Done)
            }
            Request::Status(status) => {
                if let Some(peer) = self.peers.get_mut(peer) {
                    peer.status = status.chars().filter(|c| !c.is_control()).take(256).collect();
                }
                Ok(Answer::Done)
            }
            Request::Draining => {
                self.set_draining(peer, true);
                Ok(Answer::Done)
            }
            request @ (Request::Heartbeat { .. }
            | Request::Complete { .. }
            | Request::Fail { .. }
            | Request::Release { .. }
            | Request::HandOver { .. }
            | Request::BadFile { .. }) => self.job_request(home, peer, request, now_ms),
            request => self.batch_request(home, peer, request, now_ms),
        })
    }

    pub(super) fn set_draining(&mut self, id: PeerId, draining: bool) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.draining = draining;
        }
        if draining {
            // Its requests are answered with nothing rather than left to wait.
            for parked in self.parked.iter_mut().filter(|parked| parked.peer == id) {
                if matches!(parked.wants, Wants::Lease(_)) {
                    parked.until_ms = 0;
                }
            }
        }
        self.anything_may_be_ready();
    }

    /// Does what effects ask for.
    pub(super) fn follow(&mut self, effects: Effects, now_ms: u64) {
        for (key, effect) in effects {
            self.changed(key.batch);
            match effect {
                Effect::Ready => {
                    self.ready.insert((key.kind, key.round));
                }
                Effect::LeaseLost { token, worker } => {
                    self.totals.leases_lost += 1;
                    self.count_requeued(key);
                    if self.leases.get(&key).is_some_and(|lease| lease.token == token) {
                        self.leases.remove(&key);
                    }
                    self.forget_slab_of_job(key);
                    crate::job_log!(info, key, "worker {worker} has lost its lease");
                    self.peers.notify(&worker, Notice::LeaseLost { key, token }, &mut self.out);
                    self.prove_jobs_may_be_ready();
                }
                Effect::Done => {
                    self.totals.completed += 1;
                    self.outbox_changed |= key.round == AggregationRound::Scheduler;
                }
                Effect::Undone => self.totals.undone += 1,
                Effect::Quarantined => {
                    self.totals.quarantined += 1;
                    crate::job_log!(error, key, "given up until an operator requeues it");
                }
            }
        }
        let _ = now_ms;
    }

    /// A job's attempt came to nothing.
    pub(super) fn count_requeued(&mut self, key: JobKey) {
        *self.requeued.entry((key.kind, key.round, key.batch.chain.0)).or_default() += 1;
    }

    /// A batch is not what it was.
    pub(super) fn changed(&mut self, batch: BatchId) {
        let first = self.first_change;
        let change = self.changes.entry(batch).or_insert(first);
        *change = change.wrapping_add(1);
    }

    /// The number of the last change of a batch.
    pub(super) fn change(&self, batch: BatchId) -> u64 {
        self.changes.get(&batch).copied().unwrap_or(self.first_change)
    }

    pub(super) fn anything_may_be_ready(&mut self) {
        for kind in [JobKind::Witness, JobKind::Prove, JobKind::Compress] {
            self.ready.extend(AggregationRound::ALL.map(|round| (kind, round)));
        }
        self.slabs_changed = true;
    }

    /// A prover came or went, or fewer witness vectors are under way.
    pub(super) fn prove_jobs_may_be_ready(&mut self) {
        self.ready.extend(AggregationRound::ALL.map(|round| (JobKind::Prove, round)));
    }

    fn time_out(&mut self, now_ms: u64) {
        let mut late = Vec::new();
        self.parked.retain(|parked| {
            let wants_batch = matches!(parked.wants, Wants::Change { .. });
            // Those who watch a batch are told how it is, by `tell_watchers`.
            let keep = parked.until_ms > now_ms || wants_batch;
            if !keep {
                let nothing = match parked.wants {
                    Wants::Slab { .. } => Answer::Grant(None),
                    Wants::Outbox { .. } => Answer::Outbox(Vec::new()),
                    _ => Answer::Lease(None),
                };
                late.push((parked.peer, parked.id, nothing));
            }
            keep
        });
        for (peer, id, nothing) in late {
            self.answer(peer, id, Ok(nothing));
        }
        self.time_out_slabs(now_ms);
    }

    fn next_watch_ms(&self) -> Option<u64> {
        let pending = self.parked.iter().any(|parked| match parked.wants {
            Wants::Change { batch, known } => known != Some(self.change(batch)),
            _ => false,
        });
        pending.then(|| self.watched_at_ms.saturating_add(WATCH_EVERY_MS))
    }

    fn tell_watchers(&mut self, home: &mut dyn Home, now_ms: u64) -> Result<(), StoreError> {
        let rested = now_ms >= self.watched_at_ms.saturating_add(WATCH_EVERY_MS);
        let mut told = Vec::new();
        let mut kept = Vec::new();
        for parked in std::mem::take(&mut self.parked) {
            match parked.wants {
                Wants::Change { batch, known }
                    if parked.until_ms <= now_ms || (rested && known != Some(self.change(batch))) =>
                {
                    told.push((parked.peer, parked.id, batch));
                }
                _ => kept.push(parked),
            }
        }
        self.parked = kept;
        if !told.is_empty() {
            self.watched_at_ms = now_ms;
        }
        let mut summaries = BTreeMap::new();
        for (peer, id, batch) in told {
            if let std::collections::btree_map::Entry::Vacant(entry) = summaries.entry(batch) {
                // Whoever waits is told that it failed, rather than left waiting: it has been taken off the list.
                entry.insert(self.summary(home, batch).map_err(|error| {
                    tracing::warn!("how far batch {batch:?} is cannot be read: {error}");
                    denied(error)
                }));
            }
            let Some(summary) = summaries.get(&batch).cloned() else { continue };
            self.answer(peer, id, summary.map(|summary| Answer::Batch(summary.map(Box::new))));
        }
        Ok(())
    }

    /// The peer, if it may take jobs.
    pub(super) fn worker(&self, id: PeerId) -> Result<&Peer, Denial> {
        let peer = self.peers.get(id).ok_or_else(|| Denial::Refused("not connected".into()))?;
        match peer.registration.serves {
            Some(_) => Ok(peer),
            None => Err(Denial::Refused(format!("{} takes no jobs", peer.registration.name))),
        }
    }

    /// Whether `token` is the lease of a job, by the store.
    pub(super) fn holds(home: &dyn Home, key: JobKey, token: Token) -> Result<QueuePlace, Denial> {
        let job = home.job(&key).map_err(denied)?;
        match job {
            Some(job) if matches!(job.status.state, JobState::Leased { token: held, .. } if held == token) => {
                Ok(QueuePlace::of(&job.spec))
            }
            Some(job) => {
                Err(Denial::Stale(format!("job {key} is {}, and the lease is over", job.status.state.name())))
            }
            None => Err(Denial::Stale(format!("there is no job {key}"))),
        }
    }
}

/// How an error of the store is told to a peer.
pub(super) fn denied(error: StoreError) -> Denial {
    use ingot_job_store::Refusal;
    match &error {
        StoreError::Refused(Refusal::StaleToken { .. } | Refusal::UnknownJob(_)) => {
            Denial::Stale(error.to_string())
        }
        StoreError::Refused(_) => Denial::Refused(error.to_string()),
        _ => Denial::Store { reason: error.to_string(), retry: error.retry_class() },
    }
}
