//! The driver's two threads.

use std::{
    sync::{
        mpsc::{sync_channel, Receiver, SyncSender},
        Arc,
    },
    thread::{Builder, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use ingot_circuit_set::field::WitnessVector;
use ingot_job_store::{Lease, StoreError};
use ingot_types::JobKind;

use super::{
    budget::{Budget, Permit},
    queue::Queue,
    stages::{timed, Stages},
};
use crate::ui::Event;

/// Synthesis recurses deeper than the default stack allows in unoptimised builds.
const STACK_BYTES: usize = 64 << 20;

/// A synthesized circuit on its way to the prover.
struct Synthesized {
    lease: Lease,
    witness: WitnessVector,
    took: Duration,
    _permit: Permit,
}

/// The threads at work.
pub(crate) struct Threads {
    handles: Vec<JoinHandle<Result<(), StoreError>>>,
    queue: Arc<Queue>,
}

/// Starts them. They end when the queue is closed, or with an error of the store.
pub(crate) fn start(
    stages: &Arc<Stages>,
    queue: &Arc<Queue>,
    budget: Arc<Budget>,
) -> anyhow::Result<Threads> {
    // No buffer: a circuit is handed over when the prover is free, and the next is synthesized meanwhile.
    let (sender, receiver) = sync_channel(0);
    let mut threads = Threads { handles: Vec::with_capacity(2), queue: queue.clone() };
    let (s, q) = (stages.clone(), queue.clone());
    threads.spawn("synthesis", move || synthesis(&s, &q, &budget, &sender))?;
    let (s, q) = (stages.clone(), queue.clone());
    threads.spawn("prover", move || proving(&s, &q, &receiver))?;
    Ok(threads)
}

impl Threads {
    fn spawn(
        &mut self,
        name: &str,
        work: impl FnOnce() -> Result<(), StoreError> + Send + 'static,
    ) -> anyhow::Result<()> {
        let spawned = Builder::new().name(name.into()).stack_size(STACK_BYTES).spawn(work);
        if spawned.is_err() {
            self.queue.close();
        }
        self.handles.push(spawned.with_context(|| format!("cannot start the {name} thread"))?);
        Ok(())
    }

    /// The error of a thread that ended although there is work.
    pub fn dead(&mut self) -> Option<anyhow::Error> {
        let at = self.handles.iter().position(JoinHandle::is_finished)?;
        Some(match self.handles.swap_remove(at).join() {
            Ok(Err(error)) => error.into(),
            Ok(Ok(())) => anyhow::anyhow!("a thread of the driver ended before its work"),
            Err(_) => anyhow::anyhow!("a thread of the driver panicked"),
        })
    }

    /// Waits for them.
    pub fn join(self) {
        for handle in self.handles {
            // Everything was done: an error now changes nothing.
            let _ = handle.join();
        }
    }

    /// Waits for them, at most `limit`.
    pub fn wait(&self, limit: Duration) {
        let start = Instant::now();
        while start.elapsed() < limit && !self.handles.iter().all(JoinHandle::is_finished) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn synthesis(
    stages: &Stages,
    queue: &Queue,
    budget: &Arc<Budget>,
    prover: &SyncSender<Synthesized>,
) -> Result<(), StoreError> {
    while let Some(lease) = queue.next("synthesis")? {
        let key = lease.job.key();
        stages.told(queue, &lease);
        if key.kind == JobKind::Witness {
            let (result, took) = timed(|| stages.witness(&lease));
            queue.finish(&lease, result, Duration::ZERO, took)?;
            continue;
        }
        let bytes = stages.info(key).map_or(0, |info| info.synthesis_ram_bytes.max(info.proving_ram_bytes));
        let permit = budget.take(bytes);
        let (witness, took) = timed(|| stages.synthesize(&lease));
        match witness {
            Err(failure) => queue.finish(&lease, Err(failure), took, Duration::ZERO)?,
            Ok(witness) => {
                if prover.send(Synthesized { lease, witness, took, _permit: permit }).is_err() {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

fn proving(stages: &Stages, queue: &Queue, circuits: &Receiver<Synthesized>) -> Result<(), StoreError> {
    while let Ok(Synthesized { lease, witness, took: synthesis, _permit }) = circuits.recv() {
        let (result, took) = timed(|| stages.prove(&lease, &witness));
        drop(witness);
        queue.finish(&lease, result, synthesis, took)?;
    }
    Ok(())
}

impl Stages {
    fn told(&self, queue: &Queue, lease: &Lease) {
        let job = lease.job.key();
        queue.tell(&Event::JobStarted { job: job.to_string(), name: self.name(job) });
    }
}
