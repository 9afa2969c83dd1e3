//! The witness generator: circuit inputs of every round, from witness inputs and child proofs.

use std::sync::Arc;

use ingot_job_store::Filter;
use ingot_types::JobKind;

use crate::{
    config::{HostConfig, WitnessGeneratorConfig},
    desk::Desk,
    observability::Timed,
    run_loop::{self, work_loop, Threads},
    ServiceError,
};

/// Runs until the desk's stop flag is raised.
///
/// # Errors
/// [`ServiceError`].
pub fn run(desk: &Arc<Desk>, host: &HostConfig, config: &WitnessGeneratorConfig) -> Result<(), ServiceError> {
    let mut threads = Threads::new();
    for number in 0..config.threads.max(1) {
        let (desk, rounds) = (desk.clone(), config.rounds());
        threads.start(&format!("witness {number}"), move || {
            let filter = || Filter {
                kinds: Some([JobKind::Witness].into()),
                rounds: Some(rounds.clone()),
                ..Filter::default()
            };
            work_loop(&desk, filter, |job| {
                let files = Timed::new(&*desk.artifacts);
                let made = desk.work.witness(job.lease(), &files);
                let metrics = &desk.observed.metrics;
                metrics.took(job.key(), "witness", job.taken().elapsed());
                metrics.took(job.key(), "read", files.reading());
                metrics.took(job.key(), "write", files.writing());
                made
            });
        })?;
    }
    run_loop::run(desk, threads, host.stop_grace(), |_| {}, || {})
}
