//! Who comes and who goes.

use ingot_job_store::{Home, Token};
use ingot_types::JobKey;

use super::{core::Core, Outbox, PeerId};
use crate::protocol::{Component, Registration};

impl Core {
    /// Lets a peer in, unless its name, its keys or another worker stand against it.
    pub(super) fn connect(
        &mut self,
        home: &mut dyn Home,
        registration: Registration,
        origin: String,
        outbox: Outbox,
        now_ms: u64,
    ) -> Result<PeerId, String> {
        let (name, component) = (registration.name.clone(), registration.component);
        self.check_recorded(home, &registration)?;
        let (id, joined) = self.peers.connect(registration, outbox, now_ms)?;
        if let Some(peer) = self.peers.get_mut(id) {
            peer.origin = origin;
        }
        if let Some(old) = joined.replaced {
            self.forget_requests(old);
        }
        if joined.restarted {
            self.fail_leases_of(home, &name, now_ms);
        }
        if component != Component::Operator {
            tracing::info!("{} {name} has come", component.name());
        }
        self.anything_may_be_ready();
        Ok(id)
    }

    /// The process that held these leases is dead: its successor has the same name and knows nothing of them.
    fn fail_leases_of(&mut self, home: &mut dyn Home, name: &str, now_ms: u64) {
        let held: Vec<(JobKey, Token)> = self
            .leases
            .iter()
            .filter(|(_, lease)| lease.worker == name)
            .map(|(key, lease)| (*key, lease.token))
            .collect();
        for (key, token) in held {
            let reason = format!("worker {name} died and was started again");
            match home.fail(key, token, ingot_types::RetryClass::Transient, &reason, now_ms) {
                Ok(effects) => {
                    self.totals.failed.count(ingot_types::RetryClass::Transient);
                    self.count_requeued(key);
                    self.leases.remove(&key);
                    self.changed(key.batch);
                    self.follow(effects, now_ms);
                }
                Err(error) => crate::job_log!(debug, key, "{error}"),
            }
        }
    }

    /// A connection has ended.
    pub(super) fn disconnect(&mut self, _home: &mut dyn Home, peer: PeerId, now_ms: u64) {
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.seen_at_ms = now_ms;
            tracing::debug!("{} is gone", peer.registration.name);
        }
        self.peers.disconnect(peer);
        self.forget_requests(peer);
        let leases = &self.leases;
        let day_ms = 24 * 3_600_000;
        self.peers
            .forget(now_ms.saturating_sub(day_ms), |name| leases.values().any(|lease| lease.worker == name));
    }

    /// What a connection was waiting for, or had been asked, ends with it.
    pub(super) fn forget_requests(&mut self, peer: PeerId) {
        self.parked.retain(|parked| parked.peer != peer);
        self.forget_slabs_of(peer);
    }
}
