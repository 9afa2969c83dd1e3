//! Leases: who gets which job, and how it ends.

use std::collections::BTreeSet;

use ingot_job_store::{Filter, Home, Lease, Refusal, StoreError, Token};
use ingot_types::{AggregationRound, CircuitKey, JobKey, JobKind};

use super::{
    core::{denied, Core, Leased, Origin, Parked, Wants},
    peers::same_zone,
    PeerId,
};
use crate::protocol::{Answer, Component, Denial, Request};

impl Core {
    /// The first job that fits, at once or later.
    pub(super) fn lease(
        &mut self,
        home: &mut dyn Home,
        peer: PeerId,
        id: u64,
        filter: Filter,
        wait_ms: u64,
        now_ms: u64,
    ) -> Option<Result<Answer, Denial>> {
        match self.try_lease(home, peer, &filter, now_ms) {
            Err(denial) => Some(Err(denial)),
            Ok(Some(lease)) => Some(Ok(Answer::Lease(Some(Box::new(lease))))),
            Ok(None) if wait_ms == 0 => Some(Ok(Answer::Lease(None))),
            Ok(None) => {
                let until_ms = now_ms.saturating_add(wait_ms);
                self.parked.push(Parked { peer, id, until_ms, wants: Wants::Lease(filter) });
                None
            }
        }
    }

    fn try_lease(
        &mut self,
        home: &mut dyn Home,
        peer: PeerId,
        filter: &Filter,
        now_ms: u64,
    ) -> Result<Option<Lease>, Denial> {
        let worker = self.worker(peer)?;
        if worker.draining {
            return Ok(None);
        }
        let name = worker.registration.name.clone();
        let Some(filter) = self.narrowed(peer, filter) else { return Ok(None) };
        let lease = home.lease(&filter, &name, self.options.lease_ttl_ms, now_ms).map_err(denied)?;
        if let Some(lease) = &lease {
            self.granted(lease, name, Origin::Leased, now_ms);
        }
        Ok(lease)
    }

    fn granted(&mut self, lease: &Lease, worker: String, origin: Origin, now_ms: u64) {
        let key = lease.job.key();
        self.totals.leased += 1;
        self.changed(key.batch);
        self.leases.insert(key, Leased { token: lease.token, worker, since_ms: now_ms, origin });
    }

    /// What a worker may take of what it asks for; `None`: nothing at present.
    fn narrowed(&self, id: PeerId, filter: &Filter) -> Option<Filter> {
        let peer = self.peers.get(id)?;
        let version = peer.version()?;
        if filter.protocol_version.is_some_and(|wanted| wanted != version) {
            return None;
        }
        let mut filter = Filter { protocol_version: Some(version), ..filter.clone() };
        let registration = &peer.registration;
        let zone = registration.zone.clone();
        filter.zone = filter.zone.or_else(|| zone.clone());
        if let Some(own) = self.groups.circuits(registration.group) {
            filter.circuits = Some(intersection(filter.circuits.as_ref(), own));
        }
        let takes_prove_jobs = filter.kinds.as_ref().is_none_or(|kinds| kinds.contains(&JobKind::Prove));
        if registration.component == Component::WitnessVectorGenerator && takes_prove_jobs {
            // Nothing is synthesized that no prover would take, and no more than they can take soon.
            let slabs: u32 = self
                .peers
                .provers(version, zone.as_deref())
                .filter_map(|(_, prover)| prover.registration.stream.as_ref())
                .fold(0, |sum, stream| sum.saturating_add(stream.slabs));
            let most = slabs.saturating_mul(self.options.vectors_per_slab);
            if self.vectors_under_way(zone.as_deref()) >= most {
                return None;
            }
            if let Some(provable) = self.peers.provable(&self.groups, version, zone.as_deref()) {
                filter.circuits = Some(intersection(filter.circuits.as_ref(), &provable));
            }
        }
        if self.intake.is_err() {
            // Generating a batch's circuits is what fills a disk: what was begun goes on.
            let kinds = filter
                .kinds
                .clone()
                .unwrap_or_else(|| [JobKind::Witness, JobKind::Prove, JobKind::Compress].into());
            if kinds == BTreeSet::from([JobKind::Witness]) {
                let rounds = filter.rounds.take().unwrap_or_else(|| AggregationRound::ALL.into());
                let begun = |round: &AggregationRound| *round != AggregationRound::Basic;
                filter.rounds = Some(rounds.into_iter().filter(begun).collect());
            } else {
                // Whoever takes other kinds as well takes only those meanwhile.
                filter.kinds = Some(kinds.into_iter().filter(|kind| *kind != JobKind::Witness).collect());
            }
        }
        let empty = filter.circuits.as_ref().is_some_and(BTreeSet::is_empty)
            || filter.rounds.as_ref().is_some_and(BTreeSet::is_empty);
        (!empty).then_some(filter)
    }

    /// Prove jobs that witness vector generators of a zone hold.
    fn vectors_under_way(&self, zone: Option<&str>) -> u32 {
        let generators: BTreeSet<&str> = self
            .peers
            .all()
            .filter(|(_, peer)| {
                peer.registration.component == Component::WitnessVectorGenerator
                    && same_zone(peer.registration.zone.as_deref(), zone)
            })
            .map(|(_, peer)| peer.registration.name.as_str())
            .collect();
        let theirs = |(key, lease): &(&JobKey, &Leased)| {
            key.kind == JobKind::Prove && generators.contains(lease.worker.as_str())
        };
        u32::try_from(self.leases.iter().filter(theirs).count()).unwrap_or(u32::MAX)
    }

    /// Gives what has become ready to those who wait for it, in the order in which they asked.
    pub(super) fn serve_leases(&mut self, home: &mut dyn Home, now_ms: u64) -> Result<(), StoreError> {
        let ready = std::mem::take(&mut self.ready);
        if ready.is_empty() {
            return Ok(());
        }
        let mut kept = Vec::with_capacity(self.parked.len());
        // Workers of one kind ask for the same: once one of them gets nothing, the others need not be tried.
        let mut in_vain: Vec<Filter> = Vec::new();
        for parked in std::mem::take(&mut self.parked) {
            let Wants::Lease(filter) = &parked.wants else {
                kept.push(parked);
                continue;
            };
            let fits = ready.iter().any(|(kind, round)| {
                filter.kinds.as_ref().is_none_or(|kinds| kinds.contains(kind))
                    && filter.rounds.as_ref().is_none_or(|rounds| rounds.contains(round))
            });
            let narrowed = if fits { self.narrowed(parked.peer, filter) } else { None };
            let Some(narrowed) = narrowed.filter(|narrowed| !in_vain.contains(narrowed)) else {
                kept.push(parked);
                continue;
            };
            match self.try_lease(home, parked.peer, filter, now_ms) {
                Ok(Some(lease)) => {
                    self.answer(parked.peer, parked.id, Ok(Answer::Lease(Some(Box::new(lease)))));
                }
                Ok(None) => {
                    in_vain.push(narrowed);
                    kept.push(parked);
                }
                Err(denial) => self.answer(parked.peer, parked.id, Err(denial)),
            }
        }
        // Nothing was parked meanwhile.
        self.parked = kept;
        Ok(())
    }

    /// Everything that is said under a lease.
    pub(super) fn job_request(
        &mut self,
        home: &mut dyn Home,
        peer: PeerId,
        request: Request,
        now_ms: u64,
    ) -> Result<Answer, Denial> {
        let name = self.worker(peer)?.registration.name.clone();
        match request {
            Request::Heartbeat { leases } => self.heartbeat(home, peer, &name, &leases, now_ms),
            Request::Complete { key, token, outputs, new_jobs } => {
                let done = home.complete(key, token, outputs, new_jobs, now_ms);
                match done {
                    // The answer to the first request was lost.
                    Err(StoreError::Refused(Refusal::AlreadyDone { .. })) => Ok(Answer::Done),
                    done => self.ended(key, done, now_ms),
                }
            }
            Request::Fail { key, token, class, reason } => {
                let reason: String = reason.chars().take(self.options.longest_reason).collect();
                let failed = home.fail(key, token, class, &reason, now_ms);
                if failed.is_ok() {
                    self.totals.failed.count(class);
                    self.count_requeued(key);
                }
                self.ended(key, failed, now_ms)
            }
            Request::Release { key, token } => {
                let released = home.release(key, token, now_ms);
                self.ended(key, released, now_ms)
            }
            Request::HandOver { key, token } => self.hand_over(home, name, key, token, now_ms),
            Request::BadFile { maker, key, token, reason } => {
                crate::job_log!(warn, key, "a file of job {maker} is bad: {reason}");
                self.totals.bad_files += 1;
                match home.reset(maker, Some((key, token)), now_ms) {
                    // Somebody else found out as well, and it runs again already.
                    Err(StoreError::Refused(Refusal::WrongState { .. })) => {
                        let released = home.release(key, token, now_ms);
                        self.ended(key, released, now_ms)
                    }
                    reset => self.ended(key, reset, now_ms),
                }
            }
            _ => Err(Denial::Refused("no such request".into())),
        }
    }

    fn ended(
        &mut self,
        key: JobKey,
        result: Result<ingot_job_store::Effects, StoreError>,
        now_ms: u64,
    ) -> Result<Answer, Denial> {
        let effects = result.map_err(denied)?;
        self.leases.remove(&key);
        self.changed(key.batch);
        self.forget_slab_of_job(key);
        // The holder has said so itself: it needs no notice.
        let own = |(lost, effect): &(JobKey, ingot_job_store::Effect)| {
            *lost == key && matches!(effect, ingot_job_store::Effect::LeaseLost { .. })
        };
        self.follow(effects.into_iter().filter(|effect| !own(effect)).collect(), now_ms);
        if key.kind == JobKind::Prove {
            self.prove_jobs_may_be_ready();
        }
        Ok(Answer::Done)
    }

    fn hand_over(
        &mut self,
        home: &mut dyn Home,
        name: String,
        key: JobKey,
        token: Token,
        now_ms: u64,
    ) -> Result<Answer, Denial> {
        match home.hand_over(key, token, &name, self.options.lease_ttl_ms, now_ms) {
            Ok(lease) => {
                self.forget_slab_of_job(key);
                self.granted(&lease, name, Origin::HandedOver(token), now_ms);
                self.prove_jobs_may_be_ready();
                Ok(Answer::Lease(Some(Box::new(lease))))
            }
            Err(error) => {
                // The answer to the first request was lost. Only the holder itself is answered, under the token that the
                // store has: nobody gains a right here that was not granted.
                let again =
                    |lease: &&mut Leased| lease.worker == name && lease.origin.may_be(token, lease.token);
                let Some(held) = self.leases.get_mut(&key).filter(again) else { return Err(denied(error)) };
                // It knows of the lease only from now on: a heartbeat that is under way does not name it.
                held.since_ms = now_ms;
                held.origin = Origin::HandedOver(token);
                let held = held.token;
                Self::holds(home, key, held)?;
                let job = home.job(&key).map_err(denied)?.ok_or_else(|| denied(error))?;
                let upstream = Vec::new();
                let expires_at_ms = now_ms.saturating_add(self.options.lease_ttl_ms);
                Ok(Answer::Lease(Some(Box::new(Lease { job, token: held, expires_at_ms, upstream }))))
            }
        }
    }

    /// Prolongs leases. Those that the worker did not name in this heartbeat, although it had them before the last one or
    /// before it connected, were granted in answers that never arrived, or to a process that is dead: they are handed back
    /// rather than left to run out.
    fn heartbeat(
        &mut self,
        home: &mut dyn Home,
        peer: PeerId,
        name: &str,
        leases: &[(JobKey, Token)],
        now_ms: u64,
    ) -> Result<Answer, Denial> {
        let mut lost = Vec::new();
        for (key, token) in leases {
            match home.heartbeat(*key, *token, self.options.lease_ttl_ms, now_ms) {
                Ok(_) => {}
                Err(StoreError::Refused(_)) => lost.push((*key, *token)),
                Err(error) => return Err(denied(error)),
            }
        }
        let Some(known) = self.peers.get_mut(peer) else { return Ok(Answer::Lost(lost)) };
        let last = known.heartbeat_at_ms.replace(now_ms);
        let before = match last {
            // The first on this connection names everything that was leased before it.
            None => Some(known.since_ms),
            Some(last) => {
                Some(last).filter(|last| now_ms.saturating_sub(*last) >= self.options.lease_ttl_ms / 10)
            }
        };
        if let Some(before) = before {
            let unknown: Vec<(JobKey, Token)> = self
                .leases
                .iter()
                .filter(|(key, lease)| {
                    lease.worker == name && lease.since_ms < before && !leases.contains(&(**key, lease.token))
                })
                .map(|(key, lease)| (*key, lease.token))
                .collect();
            for (key, token) in unknown {
                crate::job_log!(info, key, "worker {name} does not know that it has it: handed back");
                let released = home.release(key, token, now_ms);
                // If it is not its any more, somebody else has seen to it.
                let _ = self.ended(key, released, now_ms);
            }
        }
        Ok(Answer::Lost(lost))
    }
}

fn intersection(
    wanted: Option<&BTreeSet<CircuitKey>>,
    allowed: &BTreeSet<CircuitKey>,
) -> BTreeSet<CircuitKey> {
    match wanted {
        Some(wanted) => wanted.intersection(allowed).copied().collect(),
        None => allowed.clone(),
    }
}
