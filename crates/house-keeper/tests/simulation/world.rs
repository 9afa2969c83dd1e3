//! The simulated world: time, network, faults, and what must hold.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    sync::{Arc, Mutex},
};

use ingot_house_keeper::{
    engine::{first_job, step, Core, EngineOptions, Input, PeerId, WITNESS_INPUTS},
    protocol::{Answer, Component, FromHouseKeeper, Notice, Request, Submission, ToHouseKeeper},
};
use ingot_job_store::{
    ArtifactName, Backoff, Filter, Home as _, JobSpec, JobState, JobStore as _, SqliteStore, Token,
};
use ingot_types::{AggregationRound, BatchId, BatchNumber, ChainId, CircuitId, JobKey, JobKind, RetryClass};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tokio::sync::mpsc::unbounded_channel;

use super::actor::{Actor, Asked, VERSION};

const BATCHES: u32 = 3;
const BASIC: u32 = 12;
const TTL_MS: u64 = 2_000;
const HEARTBEAT_MS: u64 = 400;
/// Faults happen until then.
const FAULTS_END_MS: u64 = 60_000;
const END_MS: u64 = 3_600_000;

#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub fencing: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { fencing: true }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub completions: u64,
    pub refused_late: u64,
    pub crashes: u64,
    pub restarts: u64,
    pub disconnections: u64,
    pub lost_acks: u64,
    pub bad_files: u64,
    pub freezes: u64,
    pub ended_ms: u64,
}

impl Figures {
    pub fn add(&mut self, other: &Self) {
        self.completions += other.completions;
        self.refused_late += other.refused_late;
        self.crashes += other.crashes;
        self.restarts += other.restarts;
        self.disconnections += other.disconnections;
        self.lost_acks += other.lost_acks;
        self.bad_files += other.bad_files;
        self.freezes += other.freezes;
        self.ended_ms = self.ended_ms.max(other.ended_ms);
    }
}

/// What happens at a moment. Those with a life concern a process that may have died since.
#[derive(Clone, Debug)]
enum Event {
    Connect {
        actor: usize,
        life: u32,
    },
    /// A request arrives at the house keeper, if the connection is still there.
    Arrive {
        peer: PeerId,
        actor: usize,
        id: u64,
        request: Box<Request>,
    },
    /// An answer or a notice arrives at a worker.
    Deliver {
        peer: PeerId,
        actor: usize,
        message: Box<FromHouseKeeper>,
    },
    Disconnected {
        peer: PeerId,
    },
    Heartbeat {
        actor: usize,
        life: u32,
    },
    /// A worker has done its work on a job.
    Worked {
        actor: usize,
        life: u32,
        key: JobKey,
        token: Token,
    },
    /// A witness vector has come to a prover.
    Streamed {
        from: usize,
        from_life: u32,
        to: String,
        ticket: u64,
        key: JobKey,
        token: Token,
    },
    /// The sender learns that the prover has it.
    Acknowledged {
        actor: usize,
        life: u32,
        key: JobKey,
        token: Token,
        accepted: bool,
    },
    /// A prover has kept a slab long enough for a sender that says nothing.
    Unwanted {
        actor: usize,
        life: u32,
        ticket: u64,
    },
    Tick,
    Fault,
}

pub struct World {
    rng: ChaCha8Rng,
    options: Options,
    store: SqliteStore,
    core: Core,
    now: u64,
    agenda: BinaryHeap<Reverse<(u64, u64)>>,
    events: BTreeMap<u64, Event>,
    entries: u64,
    actors: Vec<Actor>,
    /// Connections by number: whose they are.
    peers: BTreeMap<PeerId, usize>,
    /// How often each job was completed, less how often that was undone.
    done: BTreeMap<JobKey, i64>,
    ticking_ms: Option<u64>,
    figures: Figures,
}

fn batch(n: u32) -> BatchId {
    BatchId { chain: ChainId(1), batch: BatchNumber(n) }
}

fn file(role: &str, hash: String) -> ArtifactName {
    ArtifactName { role: role.into(), hash, size_bytes: 1 }
}

/// The jobs that the first one creates: basic proofs, and two levels that merge them.
fn rest(batch: BatchId) -> Vec<JobSpec> {
    let key = |kind, round, sequence| JobKey {
        kind,
        round,
        sequence,
        circuit_id: CircuitId(1),
        ..first_job(batch)
    };
    let spec = |key, depends_on, inputs| JobSpec {
        key,
        protocol_version: VERSION,
        priority: 0,
        sealed_at_ms: 0,
        max_attempts: 50,
        group: None,
        zone: None,
        depends_on,
        inputs,
    };
    let (basic, leaf) = (AggregationRound::Basic, AggregationRound::Leaf);
    let mut jobs: Vec<JobSpec> = (0..BASIC)
        .map(|n| spec(key(JobKind::Prove, basic, n), vec![], vec![file("circuit", format!("c{n}"))]))
        .collect();
    for n in 0..BASIC / 4 {
        let children = (0..4).map(|i| key(JobKind::Prove, basic, 4 * n + i)).collect();
        jobs.push(spec(key(JobKind::Witness, leaf, n), children, vec![]));
        jobs.push(spec(key(JobKind::Prove, leaf, n), vec![key(JobKind::Witness, leaf, n)], vec![]));
    }
    let scheduler = AggregationRound::Scheduler;
    let leaves = (0..BASIC / 4).map(|n| key(JobKind::Prove, leaf, n)).collect();
    jobs.push(spec(key(JobKind::Witness, scheduler, 0), leaves, vec![]));
    jobs.push(spec(key(JobKind::Prove, scheduler, 0), vec![key(JobKind::Witness, scheduler, 0)], vec![]));
    jobs
}

impl World {
    pub fn new(seed: u64, options: Options) -> Self {
        let backoff = Backoff { base_ms: 50, cap_ms: 500, seed };
        let mut store = SqliteStore::in_memory(backoff).unwrap();
        let core = Core::open(&mut store, Self::engine(), 1).unwrap();
        let kinds = [
            (Component::WitnessGenerator, 2),
            (Component::WitnessVectorGenerator, 3),
            (Component::CircuitProver, 2),
        ];
        let actors = kinds
            .into_iter()
            .flat_map(|(kind, count)| (0..count).map(move |n| Actor::new(kind, n)))
            .collect();
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            options,
            store,
            core,
            now: 1,
            agenda: BinaryHeap::new(),
            events: BTreeMap::new(),
            entries: 0,
            actors,
            peers: BTreeMap::new(),
            done: BTreeMap::new(),
            ticking_ms: None,
            figures: Figures::default(),
        }
    }

    fn engine() -> EngineOptions {
        EngineOptions {
            lease_ttl_ms: TTL_MS,
            keep_slab_ms: 1_000,
            prover_answers_ms: 800,
            ..EngineOptions::default()
        }
    }

    pub fn run(mut self) -> Result<Figures, String> {
        for n in 0..BATCHES {
            let submission = Submission {
                batch: batch(n),
                protocol_version: VERSION,
                witness_inputs: file(WITNESS_INPUTS, format!("batch {n}")),
                priority: 0,
                sealed_at_ms: u64::from(n),
                max_attempts: 50,
                deliver_to: None,
            };
            self.store
                .insert(vec![JobSpec { inputs: vec![submission.witness_inputs], ..first(batch(n)) }], 1)
                .unwrap();
        }
        for actor in 0..self.actors.len() {
            self.after(0, 50, Event::Connect { actor, life: 0 });
        }
        self.after(1_000, 1_000, Event::Fault);
        while let Some(Reverse((at, entry))) = self.agenda.pop() {
            let Some(event) = self.events.remove(&entry) else { continue };
            self.now = at;
            if at > END_MS {
                return Err(format!("not done after {END_MS} ms: {:?}", self.stuck()));
            }
            self.happen(event)?;
            if self.is_done() {
                return self.finish();
            }
        }
        Err(format!("nothing happens any more: {:?}", self.stuck()))
    }

    fn stuck(&self) -> Vec<String> {
        let jobs = (0..BATCHES).flat_map(|n| self.store.batch_jobs(batch(n)).unwrap());
        let open = jobs.filter(|job| !job.status.state.is_done());
        let jobs = open
            .map(|job| format!("{} {:?} {:?}", job.key(), job.status.state, job.status.last_error))
            .take(6);
        let actors = self.actors.iter().map(|actor| {
            let asked: Vec<_> = actor.asked.values().map(|(asked, _)| asked).collect();
            format!(
                "{} {:?}: held {:?}, asked {asked:?}, load {:?}",
                actor.name,
                actor.peer,
                actor.held,
                actor.load()
            )
        });
        jobs.chain(actors).chain([format!("{:?}", self.core)]).collect()
    }

    fn is_done(&self) -> bool {
        (0..BATCHES).all(|n| self.store.batch(batch(n)).unwrap().is_some_and(|row| row.done_at_ms.is_some()))
    }

    fn finish(mut self) -> Result<Figures, String> {
        let now = self.now;
        let repairs = self.store.reconcile(now).unwrap();
        if !repairs.is_empty() {
            return Err(format!("the store had to be repaired: {repairs:?}"));
        }
        if let Some((key, times)) = self.done.iter().find(|(_, times)| **times != 1) {
            return Err(format!("job {key} counts as completed {times} times"));
        }
        self.figures.ended_ms = self.now;
        Ok(self.figures)
    }

    /// Plans an event in `at_least` to `at_least + spread` milliseconds.
    fn after(&mut self, at_least: u64, spread: u64, event: Event) {
        let at = self.now + at_least + self.rng.gen_range(0..=spread);
        self.entries += 1;
        self.agenda.push(Reverse((at, self.entries)));
        self.events.insert(self.entries, event);
    }

    fn happen(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Connect { actor, life }
                if self.actors[actor].life == life && self.actors[actor].peer.is_none() =>
            {
                self.connect(actor);
            }
            Event::Arrive { peer, actor, id, request } => self.arrive(peer, actor, id, *request)?,
            Event::Deliver { peer, actor, message } if self.actors[actor].peer == Some(peer) => {
                let frozen = self.actors[actor].frozen_until_ms;
                if frozen > self.now {
                    let wait = frozen - self.now;
                    self.after(wait, 0, Event::Deliver { peer, actor, message });
                } else {
                    self.deliver(actor, *message);
                }
            }
            Event::Disconnected { peer } => self.server(vec![Input::Disconnect { peer }]),
            Event::Heartbeat { actor, life } if self.actors[actor].life == life => {
                if self.actors[actor].frozen_until_ms <= self.now && self.actors[actor].peer.is_some() {
                    let leases: Vec<_> =
                        self.actors[actor].held.iter().map(|(key, token)| (*key, *token)).collect();
                    self.ask(actor, Request::Heartbeat { leases }, Asked::Other);
                }
                self.after(HEARTBEAT_MS, 0, Event::Heartbeat { actor, life });
            }
            Event::Worked { actor, life, key, token } if self.actors[actor].life == life => {
                let frozen = self.actors[actor].frozen_until_ms;
                if frozen > self.now {
                    let wait = frozen - self.now;
                    self.after(wait, 0, Event::Worked { actor, life, key, token });
                } else {
                    self.worked(actor, key, token);
                }
            }
            Event::Streamed { from, from_life, to, ticket, key, token } => {
                self.streamed(from, from_life, &to, ticket, key, token);
            }
            Event::Acknowledged { actor, life, key, token, accepted } if self.actors[actor].life == life => {
                if self.actors[actor].held.get(&key) == Some(&token) {
                    if accepted {
                        self.actors[actor].held.remove(&key);
                        self.next_job(actor);
                    } else {
                        self.ask(
                            actor,
                            Request::Slab { key, token, bytes: 500, wait_ms: 5_000 },
                            Asked::Slab(key, token),
                        );
                    }
                }
            }
            Event::Unwanted { actor, life, ticket } if self.actors[actor].life == life => {
                if self.actors[actor].reserved.remove(&ticket).is_some() {
                    self.report_load(actor);
                }
            }
            Event::Tick => {
                self.ticking_ms = None;
                self.server(vec![]);
            }
            Event::Fault => self.fault(),
            _ => {}
        }
        Ok(())
    }

    /// Lets the house keeper handle inputs, and sends on what it says.
    fn server(&mut self, inputs: Vec<Input>) {
        assert!(step(&mut self.core, &mut self.store, inputs, self.now));
        for actor in 0..self.actors.len() {
            let Some(peer) = self.actors[actor].peer else { continue };
            let mut messages = Vec::new();
            if let Some(inbox) = &mut self.actors[actor].inbox {
                while let Ok(message) = inbox.try_recv() {
                    messages.push(message);
                }
            }
            // One connection keeps its order.
            for message in messages {
                self.after(3, 0, Event::Deliver { peer, actor, message: Box::new(message) });
            }
        }
        if let Some(deadline) = self.core.next_deadline_ms(&self.store) {
            if self.ticking_ms.is_none_or(|at| at > deadline) {
                self.ticking_ms = Some(deadline);
                self.after(deadline.saturating_sub(self.now).max(1), 0, Event::Tick);
            }
        }
    }

    fn connect(&mut self, actor: usize) {
        let (outbox, inbox) = unbounded_channel();
        let told = Arc::new(Mutex::new(None));
        let reply = told.clone();
        let registration = self.actors[actor].registration();
        let input = Input::Connect {
            registration,
            origin: String::new(),
            outbox,
            reply: Box::new(move |id| *reply.lock().unwrap() = Some(id)),
        };
        self.server(vec![input]);
        let life = self.actors[actor].life;
        let told = told.lock().unwrap().take().unwrap();
        match told {
            Ok(peer) => {
                self.peers.insert(peer, actor);
                let new = self.actors[actor].peer.is_none() && self.actors[actor].asked.is_empty();
                self.actors[actor].peer = Some(peer);
                self.actors[actor].inbox = Some(inbox);
                let leases: Vec<_> =
                    self.actors[actor].held.iter().map(|(key, token)| (*key, *token)).collect();
                self.ask(actor, Request::Heartbeat { leases }, Asked::Other);
                // What was under way is asked again.
                let again: Vec<(u64, Request)> = self.actors[actor]
                    .asked
                    .iter()
                    .map(|(id, (_, request))| (*id, request.clone()))
                    .collect();
                for (id, request) in again {
                    self.after(2, 0, Event::Arrive { peer, actor, id, request: Box::new(request) });
                }
                if self.actors[actor].component == Component::CircuitProver {
                    let load = self.actors[actor].load();
                    self.ask(actor, Request::Load(load), Asked::Other);
                }
                if new {
                    self.after(HEARTBEAT_MS, 0, Event::Heartbeat { actor, life });
                    self.next_job(actor);
                }
            }
            // The old connection of a dead process has not been noticed yet.
            Err(_) => self.after(50, 200, Event::Connect { actor, life }),
        }
    }

    fn ask(&mut self, actor: usize, request: Request, asked: Asked) {
        self.actors[actor].next_request += 1;
        let id = self.actors[actor].next_request;
        self.actors[actor].asked.insert(id, (asked, request.clone()));
        if let Some(peer) = self.actors[actor].peer {
            self.after(2, 0, Event::Arrive { peer, actor, id, request: Box::new(request) });
        }
    }

    fn next_job(&mut self, actor: usize) {
        let kinds = match self.actors[actor].component {
            Component::WitnessGenerator => [JobKind::Witness].into(),
            Component::WitnessVectorGenerator => [JobKind::Prove].into(),
            _ => return,
        };
        let filter = Filter { kinds: Some(kinds), ..Filter::default() };
        self.ask(actor, Request::Lease { filter, wait_ms: 3_000 }, Asked::Lease);
    }

    fn arrive(&mut self, peer: PeerId, _actor: usize, id: u64, request: Request) -> Result<(), String> {
        let mut request = request;
        let mut was_good = None;
        if let Request::Complete { key, token, .. } | Request::HandOver { key, token } = &mut request {
            let job = self.store.job(key).unwrap();
            let state = job.map(|job| job.status.state);
            was_good = Some(match &state {
                Some(JobState::Leased { token: held, .. } | JobState::Done { token: held, .. }) => {
                    held == token
                }
                _ => false,
            });
            if let (false, Some(JobState::Leased { token: held, .. })) = (self.options.fencing, &state) {
                *token = *held;
            }
        }
        let completes = match &request {
            Request::Complete { key, token, .. } => Some((*key, *token)),
            Request::HandOver { key, token } => Some((*key, *token)),
            _ => None,
        };
        let is_complete = matches!(request, Request::Complete { .. });
        let maker = match &request {
            Request::BadFile { maker, .. } => Some((*maker, self.is_job_done(maker))),
            _ => None,
        };
        let before = completes.map(|(key, _)| self.is_job_done(&key));
        let hand_over_before = completes.map(|(key, _)| self.token(&key));
        self.server(vec![Input::Message { peer, message: ToHouseKeeper::Request { id, request } }]);
        if let (Some((key, _)), Some(was_good)) = (completes, was_good) {
            let took_effect = match is_complete {
                true => before == Some(false) && self.is_job_done(&key),
                false => hand_over_before != Some(self.token(&key)),
            };
            if took_effect && !was_good {
                return Err(format!("job {key} was changed under a lease that was over"));
            }
            if took_effect && is_complete {
                *self.done.entry(key).or_default() += 1;
                self.figures.completions += 1;
            }
            self.figures.refused_late += u64::from(!was_good);
        }
        if let Some((maker, true)) = maker {
            if !self.is_job_done(&maker) {
                *self.done.entry(maker).or_default() -= 1;
                self.figures.bad_files += 1;
            }
        }
        Ok(())
    }

    fn is_job_done(&self, key: &JobKey) -> bool {
        self.store.job(key).unwrap().is_some_and(|job| job.status.state.is_done())
    }

    fn token(&self, key: &JobKey) -> Option<Token> {
        match self.store.job(key).unwrap()?.status.state {
            JobState::Leased { token, .. } => Some(token),
            _ => None,
        }
    }

    fn deliver(&mut self, actor: usize, message: FromHouseKeeper) {
        match message {
            FromHouseKeeper::Notice(Notice::LeaseLost { key, token }) => {
                if self.actors[actor].held.get(&key) == Some(&token) {
                    self.lose(actor, key);
                }
            }
            FromHouseKeeper::Notice(Notice::Reserve(reservation)) => {
                let accepted = self.actors[actor].load().free_slabs > 0;
                let ticket = reservation.ticket;
                if accepted {
                    let life = self.actors[actor].life;
                    self.after(reservation.keep_ms, 0, Event::Unwanted { actor, life, ticket });
                    self.actors[actor].reserved.insert(ticket, reservation);
                }
                self.ask(actor, Request::SlabReserved { ticket, accepted }, Asked::Other);
                self.report_load(actor);
            }
            FromHouseKeeper::Notice(Notice::CancelReservation { ticket }) => {
                self.actors[actor].reserved.remove(&ticket);
                self.report_load(actor);
            }
            FromHouseKeeper::Notice(_) => {}
            FromHouseKeeper::Answer { id, result } => {
                let Some((asked, _)) = self.actors[actor].asked.remove(&id) else { return };
                self.answered(actor, asked, result.ok());
            }
        }
    }

    fn report_load(&mut self, actor: usize) {
        let load = self.actors[actor].load();
        self.ask(actor, Request::Load(load), Asked::Other);
    }

    fn lose(&mut self, actor: usize, key: JobKey) {
        self.actors[actor].held.remove(&key);
        match self.actors[actor].component {
            Component::CircuitProver => {
                self.actors[actor].received = self.actors[actor].received.saturating_sub(1);
                self.report_load(actor);
            }
            _ => self.next_job(actor),
        }
    }

    fn answered(&mut self, actor: usize, asked: Asked, answer: Option<Answer>) {
        let life = self.actors[actor].life;
        match (asked, answer) {
            (Asked::Lease, Some(Answer::Lease(Some(lease)))) => {
                let (key, token) = self.actors[actor].take(&lease);
                self.after(20, 400, Event::Worked { actor, life, key, token });
            }
            (Asked::Lease, _) => self.next_job(actor),
            (Asked::Complete(key, token), _) => {
                if self.actors[actor].held.get(&key) == Some(&token) {
                    self.lose(actor, key);
                }
            }
            (Asked::Fail(key), _) => {
                if self.actors[actor].held.contains_key(&key) {
                    self.lose(actor, key);
                }
            }
            (Asked::Slab(key, token), Some(Answer::Grant(Some(grant)))) => {
                let event = Event::Streamed {
                    from: actor,
                    from_life: life,
                    to: grant.prover,
                    ticket: grant.ticket,
                    key,
                    token,
                };
                self.after(10, 200, event);
            }
            (Asked::Slab(key, token), Some(Answer::Grant(None)))
                if self.actors[actor].held.get(&key) == Some(&token) =>
            {
                self.ask(
                    actor,
                    Request::Slab { key, token, bytes: 500, wait_ms: 5_000 },
                    Asked::Slab(key, token),
                );
            }
            (Asked::Slab(key, token), _) => {
                if self.actors[actor].held.get(&key) == Some(&token) {
                    self.lose(actor, key);
                }
            }
            (Asked::HandOver { ticket, key, sender, sender_token }, answer) => {
                self.actors[actor].reserved.remove(&ticket);
                let accepted = match answer {
                    Some(Answer::Lease(Some(lease))) => {
                        let (key, token) = self.actors[actor].take(&lease);
                        self.actors[actor].received += 1;
                        self.after(20, 300, Event::Worked { actor, life, key, token });
                        true
                    }
                    _ => false,
                };
                self.report_load(actor);
                if self.rng.gen_ratio(1, 12) && self.now < FAULTS_END_MS {
                    self.figures.lost_acks += 1;
                    // The sender asks again after its patience; its lease is over by then.
                    self.after(
                        1_000,
                        500,
                        Event::Acknowledged {
                            actor: sender,
                            life: self.actors[sender].life,
                            key,
                            token: sender_token,
                            accepted: false,
                        },
                    );
                } else {
                    let life = self.actors[sender].life;
                    self.after(
                        2,
                        10,
                        Event::Acknowledged { actor: sender, life, key, token: sender_token, accepted },
                    );
                }
            }
            (Asked::Other, _) => {}
        }
    }

    fn worked(&mut self, actor: usize, key: JobKey, token: Token) {
        if self.actors[actor].held.get(&key) != Some(&token) && self.rng.gen_ratio(1, 2) {
            // It has learnt that the lease is over. The others have not, and go on.
            return;
        }
        let faults = self.now < FAULTS_END_MS;
        if faults && self.rng.gen_ratio(1, 25) {
            let class = if self.rng.gen() { RetryClass::Transient } else { RetryClass::Resource };
            self.ask(
                actor,
                Request::Fail { key, token, class, reason: "simulated".into() },
                Asked::Fail(key),
            );
            return;
        }
        let upstream =
            self.store.job(&key).unwrap().map(|job| job.spec.depends_on.clone()).unwrap_or_default();
        if faults && key.kind == JobKind::Witness && !upstream.is_empty() && self.rng.gen_ratio(1, 30) {
            let maker = upstream[self.rng.gen_range(0..upstream.len())];
            self.ask(
                actor,
                Request::BadFile { maker, key, token, reason: "simulated".into() },
                Asked::Fail(key),
            );
            return;
        }
        if self.actors[actor].component == Component::WitnessVectorGenerator {
            self.ask(
                actor,
                Request::Slab { key, token, bytes: 500, wait_ms: 5_000 },
                Asked::Slab(key, token),
            );
            return;
        }
        let new_jobs = if key == first_job(key.batch) { rest(key.batch) } else { vec![] };
        let outputs = vec![file("made", format!("{key}"))];
        self.ask(actor, Request::Complete { key, token, outputs, new_jobs }, Asked::Complete(key, token));
    }

    fn streamed(&mut self, from: usize, from_life: u32, to: &str, ticket: u64, key: JobKey, token: Token) {
        let prover = self.actors.iter().position(|actor| actor.name == to).unwrap();
        let broken = self.now < FAULTS_END_MS && self.rng.gen_ratio(1, 20);
        let expected =
            self.actors[prover].reserved.contains_key(&ticket) && self.actors[prover].peer.is_some();
        if broken || !expected {
            self.after(
                100,
                100,
                Event::Acknowledged { actor: from, life: from_life, key, token, accepted: false },
            );
            return;
        }
        let asked = Asked::HandOver { ticket, key, sender: from, sender_token: token };
        self.ask(prover, Request::HandOver { key, token }, asked);
    }

    fn fault(&mut self) {
        if self.now >= FAULTS_END_MS {
            return;
        }
        let actor = self.rng.gen_range(0..self.actors.len());
        match self.rng.gen_range(0..5) {
            0 => {
                self.figures.crashes += 1;
                let old = self.actors[actor].peer;
                self.actors[actor].die();
                let life = self.actors[actor].life;
                if let Some(peer) = old {
                    self.after(1, 300, Event::Disconnected { peer });
                }
                self.after(10, 1_500, Event::Connect { actor, life });
            }
            1 => {
                self.figures.freezes += 1;
                let long = self.rng.gen_range(TTL_MS / 2..3 * TTL_MS);
                self.actors[actor].frozen_until_ms = self.now + long;
            }
            2 => {
                self.figures.disconnections += 1;
                if let Some(peer) = self.actors[actor].peer.take() {
                    self.actors[actor].inbox = None;
                    self.after(1, 300, Event::Disconnected { peer });
                    let life = self.actors[actor].life;
                    self.after(10, 500, Event::Connect { actor, life });
                }
            }
            3 => {
                self.figures.restarts += 1;
                self.core = Core::open(&mut self.store, Self::engine(), self.now).unwrap();
                self.ticking_ms = None;
                for actor in 0..self.actors.len() {
                    if self.actors[actor].peer.take().is_some() {
                        self.actors[actor].inbox = None;
                        let life = self.actors[actor].life;
                        self.after(10, 500, Event::Connect { actor, life });
                    }
                }
                self.server(vec![]);
            }
            _ => {}
        }
        self.after(100, 1_500, Event::Fault);
    }
}

fn first(batch: BatchId) -> JobSpec {
    JobSpec {
        key: first_job(batch),
        protocol_version: VERSION,
        priority: 0,
        sealed_at_ms: 0,
        max_attempts: 50,
        group: None,
        zone: None,
        depends_on: vec![],
        inputs: vec![],
    }
}
