//! Slabs: which prover receives which witness vector.
//!
//! A sender asks once its vector is synthesized. The engine picks a prover with a free slab, asks it to set one aside, and
//! when it has, tells the sender where to go. Senders are served in queue order. Everything here is soft: a prover that dies
//! or says nothing is passed over, and the request waits for another.

use ingot_job_store::{Home, QueuePlace, StoreError, Token};
use ingot_types::JobKey;

use super::{
    core::{Core, Parked, Wants},
    PeerId,
};
use crate::protocol::{Answer, Denial, FromHouseKeeper, Grant, Notice, Reservation};

/// A slab that a prover was asked for, or has set aside.
#[derive(Debug)]
pub(super) struct Held {
    pub prover: PeerId,
    /// Who asked, by connection and request.
    pub sender: (PeerId, u64),
    pub until_ms: u64,
    pub reservation: Reservation,
    pub place: QueuePlace,
    /// When the prover has to have answered; `None`: it has.
    pub answer_by_ms: Option<u64>,
    /// It has answered, and its load may not show that yet.
    pub unseen: bool,
}

impl Core {
    /// A slab for a witness vector, at once or later.
    pub(super) fn slab(
        &mut self,
        home: &mut dyn Home,
        peer: PeerId,
        id: u64,
        (key, token, bytes): (JobKey, Token, u64),
        wait_ms: u64,
        now_ms: u64,
    ) -> Option<Result<Answer, Denial>> {
        if let Err(denial) = self.worker(peer) {
            return Some(Err(denial));
        }
        let place = match Self::holds(home, key, token) {
            Ok(place) => place,
            Err(denial) => return Some(Err(denial)),
        };
        if let Some(most) = self.too_large(peer, key, bytes) {
            return Some(Err(Denial::Refused(format!(
                "the witness vector of job {key} has {bytes} bytes, and the largest slab of any prover for it {most}"
            ))));
        }
        // A request that is repeated after a reconnection replaces the one before.
        let repeated = self.tickets(|held| held.reservation.job == key);
        repeated.into_iter().for_each(|ticket| self.cancel(ticket));
        self.forget_slab_of_job(key);
        let until_ms = now_ms.saturating_add(wait_ms);
        self.parked.push(Parked { peer, id, until_ms, wants: Wants::Slab { key, token, bytes, place } });
        self.slabs_changed = true;
        None
    }

    /// Provers that `peer` may send the witness vector of `key` to.
    fn provers_for(&self, peer: PeerId, key: JobKey) -> Vec<PeerId> {
        let Some(sender) = self.peers.get(peer) else { return Vec::new() };
        let Some(version) = sender.version() else { return Vec::new() };
        let circuit = ingot_types::CircuitKey { round: key.round, circuit_id: key.circuit_id };
        let proves = |group| self.groups.circuits(group).is_none_or(|circuits| circuits.contains(&circuit));
        self.peers
            .provers(version, sender.registration.zone.as_deref())
            .filter(|(_, prover)| proves(prover.registration.group))
            .map(|(id, _)| id)
            .collect()
    }

    /// The largest slab there is, if provers are there and none of them has one large enough.
    fn too_large(&self, peer: PeerId, key: JobKey, bytes: u64) -> Option<u64> {
        let slab = |id: &PeerId| Some(self.peers.get(*id)?.registration.stream.as_ref()?.slab_bytes);
        let most = self.provers_for(peer, key).iter().filter_map(slab).max()?;
        (bytes > most).then_some(most)
    }

    /// Asks provers for slabs, for as many requests as there are free ones.
    pub(super) fn serve_slabs(&mut self, home: &mut dyn Home, now_ms: u64) -> Result<(), StoreError> {
        if !std::mem::take(&mut self.slabs_changed) {
            return Ok(());
        }
        let (mut wanting, kept): (Vec<Parked>, Vec<Parked>) =
            std::mem::take(&mut self.parked).into_iter().partition(|p| matches!(p.wants, Wants::Slab { .. }));
        self.parked = kept;
        wanting.sort_by_key(|parked| match &parked.wants {
            Wants::Slab { place, .. } => Some(*place),
            _ => None,
        });
        for parked in wanting {
            let Wants::Slab { key, token, bytes, place } = parked.wants else { continue };
            if let Err(denial) = Self::holds(home, key, token) {
                self.answer(parked.peer, parked.id, Err(denial));
                continue;
            }
            let Some(prover) = self.freest(parked.peer, key, bytes) else {
                self.parked.push(parked);
                continue;
            };
            self.reserve(prover, &parked, (key, token, bytes, place), now_ms);
        }
        Ok(())
    }

    /// The prover with the most free slabs of that size, then the one with the fewest vectors waiting.
    fn freest(&self, peer: PeerId, key: JobKey, bytes: u64) -> Option<PeerId> {
        let free = self.provers_for(peer, key).into_iter().filter_map(|id| {
            let prover = self.peers.get(id)?;
            let large_enough = prover.registration.stream.as_ref()?.slab_bytes >= bytes;
            let credits = prover.credits();
            (large_enough && credits > 0).then_some((credits, std::cmp::Reverse(prover.load.queued), id))
        });
        free.max().map(|(_, _, id)| id)
    }

    fn reserve(
        &mut self,
        prover: PeerId,
        parked: &Parked,
        (key, token, bytes, place): (JobKey, Token, u64, QueuePlace),
        now_ms: u64,
    ) {
        let Some(outbox) = self.peers.get(prover).and_then(|peer| peer.outbox.clone()) else { return };
        let ticket = match ingot_wire::Ticket::generate() {
            Ok(ticket) => ticket,
            Err(error) => {
                let reason = format!("no random numbers for a ticket: {error}");
                return self.answer(parked.peer, parked.id, Err(Denial::Unavailable(reason)));
            }
        };
        let keep_ms = self.options.keep_slab_ms;
        let reservation = Reservation { ticket: ticket.id, key: ticket.key, job: key, token, bytes, keep_ms };
        self.out.push(outbox, FromHouseKeeper::Notice(Notice::Reserve(reservation.clone())));
        if let Some(prover) = self.peers.get_mut(prover) {
            prover.unseen_reservations = prover.unseen_reservations.saturating_add(1);
        }
        let held = Held {
            prover,
            sender: (parked.peer, parked.id),
            until_ms: parked.until_ms,
            reservation,
            place,
            answer_by_ms: Some(now_ms.saturating_add(self.options.prover_answers_ms)),
            unseen: true,
        };
        self.held.insert(held.reservation.ticket, held);
    }

    /// A prover has, or has not, set a slab aside.
    pub(super) fn slab_reserved(
        &mut self,
        peer: PeerId,
        ticket: u64,
        accepted: bool,
    ) -> Result<Answer, Denial> {
        let Some(held) = self.held.get_mut(&ticket).filter(|held| held.prover == peer) else {
            // The sender has gone meanwhile; the prover was told, or its own patience ends.
            return Ok(Answer::Done);
        };
        if !accepted {
            self.pass_over(ticket);
            return Ok(Answer::Done);
        }
        held.answer_by_ms = None;
        let (sender, id) = held.sender;
        let (ticket, key) = (held.reservation.ticket, held.reservation.key);
        let addresses = self.peers.get(peer).and_then(|peer| {
            let stream = peer.registration.stream.as_ref()?;
            Some((peer.registration.name.clone(), stream.addresses.clone()))
        });
        match addresses {
            Some((prover, addresses)) => {
                let grant = Grant { prover, addresses, ticket, key };
                self.answer(sender, id, Ok(Answer::Grant(Some(grant))));
            }
            None => self.pass_over(ticket),
        }
        Ok(Answer::Done)
    }

    /// The prover of a reservation won't do: its request waits for another, and it is not asked until it says that it
    /// has room.
    fn pass_over(&mut self, ticket: u64) {
        let Some(held) = self.held.remove(&ticket) else { return };
        if let Some(prover) = self.peers.get_mut(held.prover) {
            prover.load.free_slabs = 0;
            prover.unseen_reservations = 0;
        }
        self.recount_reservations(held.prover);
        let Reservation { job, token, bytes, .. } = held.reservation;
        let (peer, id) = held.sender;
        let wants = Wants::Slab { key: job, token, bytes, place: held.place };
        self.parked.push(Parked { peer, id, until_ms: held.until_ms, wants });
        self.slabs_changed = true;
    }

    /// A grant was used, or is not wanted any more.
    pub(super) fn slab_returned(&mut self, ticket: u64) -> Result<Answer, Denial> {
        self.cancel(ticket);
        Ok(Answer::Done)
    }

    fn cancel(&mut self, ticket: u64) {
        let Some(held) = self.held.remove(&ticket) else { return };
        self.recount_reservations(held.prover);
        if let Some(outbox) = self.peers.get(held.prover).and_then(|peer| peer.outbox.clone()) {
            self.out.push(outbox, FromHouseKeeper::Notice(Notice::CancelReservation { ticket }));
        }
        self.slabs_changed = true;
    }

    /// After a load came, or a reservation ended: how many slabs were set aside that the load does not show.
    pub(super) fn recount_reservations(&mut self, prover: PeerId) {
        // A load that comes after the answer shows it.
        let shown = self.peers.get(prover).is_some_and(|peer| peer.unseen_reservations == 0);
        let mut unseen = 0u32;
        for held in self.held.values_mut().filter(|held| held.prover == prover) {
            if shown && held.answer_by_ms.is_none() {
                held.unseen = false;
            }
            unseen += u32::from(held.unseen);
        }
        if let Some(peer) = self.peers.get_mut(prover) {
            peer.unseen_reservations = unseen;
        }
    }

    /// The vector of this job has come, or its lease is over: its slab is no longer this module's business.
    pub(super) fn forget_slab_of_job(&mut self, key: JobKey) {
        let tickets: Vec<u64> = self
            .held
            .iter()
            .filter(|(_, held)| held.reservation.job == key)
            .map(|(ticket, _)| *ticket)
            .collect();
        for ticket in tickets {
            if let Some(held) = self.held.remove(&ticket) {
                self.recount_reservations(held.prover);
            }
        }
        let parked = |parked: &Parked| matches!(parked.wants, Wants::Slab { key: of, .. } if of == key);
        let gone: Vec<(PeerId, u64)> =
            self.parked.iter().filter(|p| parked(p)).map(|p| (p.peer, p.id)).collect();
        self.parked.retain(|p| !parked(p));
        for (peer, id) in gone {
            self.answer(peer, id, Ok(Answer::Grant(None)));
        }
    }

    /// A connection has ended: what its sender had asked for is cancelled, what was asked of its prover goes to another.
    pub(super) fn forget_slabs_of(&mut self, peer: PeerId) {
        let of_sender: Vec<u64> = self.tickets(|held| held.sender.0 == peer && held.answer_by_ms.is_some());
        of_sender.into_iter().for_each(|ticket| self.cancel(ticket));
        let of_prover: Vec<u64> = self.tickets(|held| held.prover == peer);
        for ticket in of_prover {
            match self.held.get(&ticket).map(|held| held.answer_by_ms.is_some()) {
                Some(true) => self.pass_over(ticket),
                // The sender knows where to go and will find nobody there.
                _ => drop(self.held.remove(&ticket)),
            }
        }
    }

    /// A request was cancelled by its sender; whether there was one.
    pub(super) fn forget_slab_request(&mut self, peer: PeerId, id: u64) -> bool {
        let tickets = self.tickets(|held| held.sender == (peer, id) && held.answer_by_ms.is_some());
        let any = !tickets.is_empty();
        tickets.into_iter().for_each(|ticket| self.cancel(ticket));
        any
    }

    /// Provers that say nothing are passed over.
    pub(super) fn time_out_slabs(&mut self, now_ms: u64) {
        let late = self.tickets(|held| held.answer_by_ms.is_some_and(|by| by <= now_ms));
        for ticket in late {
            if let Some(outbox) = self
                .held
                .get(&ticket)
                .and_then(|held| self.peers.get(held.prover))
                .and_then(|p| p.outbox.clone())
            {
                self.out.push(outbox, FromHouseKeeper::Notice(Notice::CancelReservation { ticket }));
            }
            self.pass_over(ticket);
        }
    }

    fn tickets(&self, chosen: impl Fn(&Held) -> bool) -> Vec<u64> {
        self.held.iter().filter(|(_, held)| chosen(held)).map(|(ticket, _)| *ticket).collect()
    }
}
