//! Witness vectors from thread to thread, in place of the stream.

use std::{
    collections::BTreeMap,
    sync::{
        atomic::{AtomicU32, Ordering},
        Arc, Mutex,
    },
};

use ingot_house_keeper::protocol::{Grant, Reservation, StreamOffer};
use ingot_job_store::{Lease, Token};
use ingot_services::{
    stop::Stop,
    transport::{OnVector, SendError, Vector, VectorReceiver, VectorSender},
    work::WitnessSections,
};
use ingot_stream::SendAdvice;
use ingot_types::{JobKey, RetryClass};

/// Provers by name, reachable without a network.
#[derive(Default)]
pub struct Wire {
    pub provers: Mutex<BTreeMap<String, Arc<Local>>>,
    /// Sending fails so many times.
    pub failures: AtomicU32,
}

/// A prover's slabs.
pub struct Local {
    pub slabs: Arc<AtomicU32>,
    pub expected: Mutex<BTreeMap<u64, (JobKey, Token)>>,
    pub on_vector: OnVector,
}

struct Received {
    job: JobKey,
    token: Token,
    sections: Arc<WitnessSections>,
    slabs: Arc<AtomicU32>,
}

impl Vector for Received {
    fn job(&self) -> JobKey {
        self.job
    }
    fn token(&self) -> Token {
        self.token
    }
    fn sections(&self) -> [&[u8]; 3] {
        self.sections.as_bytes()
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        self.slabs.fetch_add(1, Ordering::SeqCst);
    }
}

impl VectorReceiver for Local {
    fn offer(&self) -> StreamOffer {
        StreamOffer { addresses: vec![], slabs: 2, slab_bytes: 1 << 20 }
    }
    fn expect(&self, reservation: &Reservation) -> bool {
        let taken = self.slabs.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |free| free.checked_sub(1));
        if taken.is_ok() {
            self.expected.lock().unwrap().insert(reservation.ticket, (reservation.job, reservation.token));
        }
        taken.is_ok()
    }
    fn cancel(&self, ticket: u64) {
        if self.expected.lock().unwrap().remove(&ticket).is_some() {
            self.slabs.fetch_add(1, Ordering::SeqCst);
        }
    }
    fn free_slabs(&self) -> u32 {
        self.slabs.load(Ordering::SeqCst)
    }
}

impl VectorSender for Wire {
    fn send(
        &self,
        grant: &Grant,
        _lease: &Lease,
        sections: &Arc<WitnessSections>,
        _stop: &Stop,
    ) -> Result<(), SendError> {
        let error = |reason: &str| SendError {
            class: RetryClass::Transient,
            reason: reason.to_owned(),
            advice: SendAdvice::AnotherGrant,
        };
        let prover = self.provers.lock().unwrap().get(&grant.prover).cloned().ok_or_else(|| error("gone"))?;
        if self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() {
            prover.cancel(grant.ticket);
            return Err(error("the connection was cut"));
        }
        let (job, token) =
            prover.expected.lock().unwrap().remove(&grant.ticket).ok_or_else(|| error("not expected"))?;
        let slabs = prover.slabs.clone();
        (prover.on_vector)(Box::new(Received { job, token, sections: sections.clone(), slabs }))
            .map_err(|refusal| error(&refusal.to_string()))
    }
}
