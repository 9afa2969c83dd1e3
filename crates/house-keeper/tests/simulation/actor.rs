//! Simulated workers.

use std::collections::BTreeMap;

use ingot_house_keeper::{
    engine::PeerId,
    protocol::{Component, FromHouseKeeper, ProverLoad, Registration, Reservation, Served, StreamOffer},
};
use ingot_job_store::{Lease, Token};
use ingot_types::{JobKey, ProtocolVersion};
use tokio::sync::mpsc::UnboundedReceiver;

pub const VERSION: ProtocolVersion = ProtocolVersion { minor: 1, patch: 0 };
pub const SLABS: u32 = 2;

/// What a worker waits to hear about.
#[derive(Clone, Debug)]
pub enum Asked {
    Lease,
    Complete(JobKey, Token),
    Fail(JobKey),
    Slab(JobKey, Token),
    HandOver { ticket: u64, key: JobKey, sender: usize, sender_token: Token },
    Other,
}

/// A simulated worker process.
pub struct Actor {
    pub component: Component,
    pub name: String,
    /// Grows with each restart.
    pub life: u32,
    pub peer: Option<PeerId>,
    pub inbox: Option<UnboundedReceiver<FromHouseKeeper>>,
    pub next_request: u64,
    pub asked: BTreeMap<u64, (Asked, ingot_house_keeper::protocol::Request)>,
    pub held: BTreeMap<JobKey, Token>,
    /// Does nothing until then: stopped by a signal, or swapping.
    pub frozen_until_ms: u64,
    /// Prover: slabs set aside by ticket.
    pub reserved: BTreeMap<u64, Reservation>,
    /// Prover: vectors received, by job.
    pub received: u32,
    pub busy: bool,
}

impl Actor {
    pub fn new(component: Component, n: usize) -> Self {
        Self {
            component,
            name: format!("{}-{n}", component.name()),
            life: 0,
            peer: None,
            inbox: None,
            next_request: 0,
            asked: BTreeMap::new(),
            held: BTreeMap::new(),
            frozen_until_ms: 0,
            reserved: BTreeMap::new(),
            received: 0,
            busy: false,
        }
    }

    pub fn registration(&self) -> Registration {
        let mut instance = [0; 16];
        instance[..4].copy_from_slice(&self.life.to_le_bytes());
        Registration {
            component: self.component,
            name: self.name.clone(),
            instance,
            host: "simulated".into(),
            pid: self.life,
            zone: None,
            group: None,
            serves: Some(Served {
                protocol_version: VERSION,
                circuit_set: "simulated".into(),
                parameter_set: "none".into(),
                key_manifest: "none".into(),
            }),
            stream: (self.component == Component::CircuitProver).then(|| StreamOffer {
                addresses: vec!["127.0.0.1:1".parse().unwrap()],
                slabs: SLABS,
                slab_bytes: 1_000,
            }),
        }
    }

    /// Everything that a process loses when it is killed.
    pub fn die(&mut self) {
        self.life += 1;
        self.peer = None;
        self.inbox = None;
        self.asked.clear();
        self.held.clear();
        self.reserved.clear();
        self.received = 0;
        self.frozen_until_ms = 0;
        self.busy = false;
    }

    pub fn load(&self) -> ProverLoad {
        let used = self.received + self.reserved.len() as u32;
        ProverLoad { free_slabs: SLABS.saturating_sub(used), queued: self.received, proving: 0 }
    }

    pub fn take(&mut self, lease: &Lease) -> (JobKey, Token) {
        let (key, token) = (lease.job.key(), lease.token);
        self.held.insert(key, token);
        (key, token)
    }
}
