//! Who is connected, what they serve, and which of them may do what.

use std::collections::{BTreeMap, BTreeSet};

use ingot_types::{CircuitKey, ProtocolVersion};

use super::{core::Out, groups::Groups, Outbox, PeerId};
use crate::protocol::{Component, FromHouseKeeper, Notice, ProverLoad, Registration, Served};

/// A connection, or a worker that was connected and may come back.
#[derive(Debug)]
pub(super) struct Peer {
    pub registration: Registration,
    /// Where it comes from: process and user, or an address.
    pub origin: String,
    /// `None`: not connected.
    pub outbox: Option<Outbox>,
    pub draining: bool,
    pub seen_at_ms: u64,
    pub load: ProverLoad,
    /// Slabs set aside that the load does not show yet.
    pub unseen_reservations: u32,
    pub status: String,
    /// When this connection began.
    pub since_ms: u64,
    /// When it was heard of before the last time: see `Core::heartbeat`.
    pub heartbeat_at_ms: Option<u64>,
}

impl Peer {
    pub fn is_connected(&self) -> bool {
        self.outbox.is_some()
    }

    /// Slabs that can be asked for.
    pub fn credits(&self) -> u32 {
        self.load.free_slabs.saturating_sub(self.unseen_reservations)
    }

    pub fn version(&self) -> Option<ProtocolVersion> {
        self.registration.serves.as_ref().map(|served| served.protocol_version)
    }
}

/// Everyone.
#[derive(Debug, Default)]
pub(super) struct Peers {
    peers: BTreeMap<PeerId, Peer>,
    last: u64,
    /// What the first worker of each version served: the others must agree.
    versions: BTreeMap<ProtocolVersion, Served>,
}

/// What a new connection means to those who were there.
#[derive(Debug, Default)]
pub(super) struct Joined {
    /// The connection or the process that it replaces.
    pub replaced: Option<PeerId>,
    /// Whether that was another process, which is dead.
    pub restarted: bool,
}

impl Peers {
    /// Lets a peer in.
    pub fn connect(
        &mut self,
        registration: Registration,
        outbox: Outbox,
        now_ms: u64,
    ) -> Result<(PeerId, Joined), String> {
        check_text("name", &registration.name)?;
        check_text("host", &registration.host)?;
        let mut joined = Joined::default();
        if registration.component != Component::Operator {
            let same_name = self.peers.iter().find(|(_, peer)| {
                peer.registration.name == registration.name
                    && peer.registration.component != Component::Operator
            });
            if let Some((id, old)) = same_name {
                let same_process = old.registration.instance == registration.instance;
                if old.is_connected() && !same_process {
                    return Err(format!(
                        "a worker named {} is connected already, from host {} (process {}): give this one another name",
                        registration.name, old.registration.host, old.registration.pid
                    ));
                }
                joined = Joined { replaced: Some(*id), restarted: !same_process };
            }
        }
        if let Some(served) = &registration.serves {
            self.agree(served)?;
        }
        let draining = match joined.replaced.filter(|_| !joined.restarted) {
            Some(old) => self.peers.remove(&old).is_some_and(|peer| peer.draining),
            None => {
                if let Some(old) = joined.replaced {
                    self.peers.remove(&old);
                }
                false
            }
        };
        self.last += 1;
        let id = PeerId(self.last);
        let peer = Peer {
            registration,
            origin: String::new(),
            outbox: Some(outbox),
            draining,
            seen_at_ms: now_ms,
            load: ProverLoad::default(),
            unseen_reservations: 0,
            status: String::new(),
            since_ms: now_ms,
            heartbeat_at_ms: None,
        };
        self.peers.insert(id, peer);
        Ok((id, joined))
    }

    /// Workers of one version have the same circuits and keys, or proofs of one would fail at another.
    fn agree(&mut self, served: &Served) -> Result<(), String> {
        let pinned = self.versions.entry(served.protocol_version).or_insert_with(|| served.clone());
        for (what, expected, found) in [
            ("circuit set", &pinned.circuit_set, &served.circuit_set),
            ("security parameters", &pinned.parameter_set, &served.parameter_set),
            ("key manifest", &pinned.key_manifest, &served.key_manifest),
        ] {
            if expected != found {
                return Err(format!(
                    "protocol version {}: expected {what} {expected}, as other workers have it, found {found}",
                    served.protocol_version
                ));
            }
        }
        Ok(())
    }

    /// What workers of a version must have from now on.
    pub fn pin(&mut self, served: Served) {
        self.versions.insert(served.protocol_version, served);
    }

    /// What workers of each version have, or had.
    pub fn served(&self) -> impl Iterator<Item = &Served> {
        self.versions.values()
    }

    /// A connection has ended. Operators are forgotten; workers may come back.
    pub fn disconnect(&mut self, id: PeerId) {
        let operator = |peer: &Peer| peer.registration.component == Component::Operator;
        if self.peers.get(&id).is_some_and(operator) {
            self.peers.remove(&id);
        } else if let Some(peer) = self.peers.get_mut(&id) {
            peer.outbox = None;
            peer.load = ProverLoad::default();
            peer.unseen_reservations = 0;
        }
    }

    pub fn get(&self, id: PeerId) -> Option<&Peer> {
        self.peers.get(&id)
    }

    pub fn get_mut(&mut self, id: PeerId) -> Option<&mut Peer> {
        self.peers.get_mut(&id)
    }

    /// The worker with this name.
    pub fn named(&self, name: &str) -> Option<(PeerId, &Peer)> {
        let worker = |(_, peer): &(&PeerId, &Peer)| {
            peer.registration.name == name && peer.registration.component != Component::Operator
        };
        self.peers.iter().find(worker).map(|(id, peer)| (*id, peer))
    }

    pub fn all(&self) -> impl Iterator<Item = (PeerId, &Peer)> {
        self.peers.iter().map(|(id, peer)| (*id, peer))
    }

    /// Provers that could take a witness vector of `version` from `zone`, busy or not.
    pub fn provers(
        &self,
        version: ProtocolVersion,
        zone: Option<&str>,
    ) -> impl Iterator<Item = (PeerId, &Peer)> + use<'_> {
        let zone = zone.map(str::to_owned);
        self.all().filter(move |(_, peer)| {
            peer.is_connected()
                && !peer.draining
                && peer.registration.component == Component::CircuitProver
                && peer.registration.stream.is_some()
                && peer.version() == Some(version)
                && same_zone(peer.registration.zone.as_deref(), zone.as_deref())
        })
    }

    /// The pairs that some prover for `version` and `zone` proves: `None` for all of them, an empty set for none.
    pub fn provable(
        &self,
        groups: &Groups,
        version: ProtocolVersion,
        zone: Option<&str>,
    ) -> Option<BTreeSet<CircuitKey>> {
        let mut pairs = BTreeSet::new();
        for (_, prover) in self.provers(version, zone) {
            pairs.extend(groups.circuits(prover.registration.group)?);
        }
        Some(pairs)
    }

    /// Queues a notice to the worker named `name`, if it is connected.
    pub fn notify(&self, name: &str, notice: Notice, out: &mut Out) {
        if let Some(outbox) = self.named(name).and_then(|(_, peer)| peer.outbox.clone()) {
            out.push(outbox, FromHouseKeeper::Notice(notice));
        }
    }

    /// Forgets workers that have not been connected for long and hold nothing.
    pub fn forget(&mut self, before_ms: u64, holds: impl Fn(&str) -> bool) {
        self.peers.retain(|_, peer| {
            peer.is_connected() || peer.seen_at_ms >= before_ms || holds(&peer.registration.name)
        });
    }
}

/// Provers take vectors from their own zone; who names none is in all of them.
pub(super) fn same_zone(one: Option<&str>, other: Option<&str>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    }
}

/// Names end up in logs, metrics and the database.
fn check_text(what: &str, text: &str) -> Result<(), String> {
    let good = |c: char| c.is_ascii_graphic();
    match (1..=128).contains(&text.len()) && text.chars().all(good) {
        true => Ok(()),
        false => Err(format!(
            "`{}` is no {what}: expected 1 to 128 printable characters without spaces",
            text.escape_debug()
        )),
    }
}
