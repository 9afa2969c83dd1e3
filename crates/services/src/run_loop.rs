//! What every worker does beside its work: says what it waits for, listens to the house keeper, and stops within seconds.

use std::{
    sync::{mpsc, Arc},
    thread::{Builder, JoinHandle},
    time::{Duration, Instant},
};

use ingot_house_keeper::protocol::Notice;

use crate::{
    desk::Desk,
    observability::Systemd,
    queue::LinkState,
    work::{guarded, JobFailure, Made},
    ServiceError,
};

/// Synthesis recurses deeper than the default stack allows.
pub const STACK_BYTES: usize = 64 << 20;
/// How often the main loop looks around.
const TICK: Duration = Duration::from_millis(200);
/// How long the farewell to the house keeper may take, beyond the grace for work under way.
const FAREWELL: Duration = Duration::from_secs(3);

/// The threads of a worker.
#[derive(Debug, Default)]
pub struct Threads(Vec<(String, JoinHandle<()>)>);

impl Threads {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts one, with a stack that synthesis is content with.
    ///
    /// # Errors
    /// [`ServiceError::Thread`].
    pub fn start(&mut self, name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), ServiceError> {
        let thread = Builder::new()
            .name(name.to_owned())
            .stack_size(STACK_BYTES)
            .spawn(work)
            .map_err(|source| ServiceError::Thread { name: name.to_owned(), source })?;
        self.0.push((name.to_owned(), thread));
        Ok(())
    }

    fn ended(&self) -> Option<&str> {
        self.0.iter().find(|(_, thread)| thread.is_finished()).map(|(name, _)| name.as_str())
    }

    /// Waits for those that end within `limit`. The others are left to themselves: a proof cannot be interrupted.
    fn wait(self, limit: Duration) {
        let start = Instant::now();
        while start.elapsed() < limit && !self.0.iter().all(|(_, thread)| thread.is_finished()) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Leases jobs and does them until the process stops: the loop of a worker thread. A panic fails the attempt.
pub fn work_loop(
    desk: &Arc<Desk>,
    mut filter: impl FnMut() -> ingot_job_store::Filter,
    mut work: impl FnMut(&crate::desk::DeskJob) -> Result<Made, JobFailure>,
) {
    while desk.may_take_work() {
        let Some(job) = desk.lease(filter(), &desk.stop) else { continue };
        let result = guarded(|| work(&job));
        job.finish(result);
    }
}

/// Runs until the process is to stop, or a thread dies. `notice` gets what the house keeper says beyond what concerns
/// every worker; `tick` is called a few times a second.
///
/// Stopping: no job is taken any more; work under way has `grace` to end, and is then handed back; the house keeper is
/// told. Threads that still compute are left behind, and their results are refused.
///
/// # Errors
/// [`ServiceError::ThreadEnded`].
pub fn run(
    desk: &Arc<Desk>,
    threads: Threads,
    grace: Duration,
    notice: impl FnMut(Notice) + Send + 'static,
    mut tick: impl FnMut(),
) -> Result<(), ServiceError> {
    let systemd = Systemd::ready(&desk.observed);
    listen(desk, notice)?;
    let mut told = String::new();
    let result = loop {
        desk.observed.health.beat("main loop");
        look_at_link(desk);
        tick();
        let line = status_line(desk);
        systemd.status(&line);
        if line != told && desk.queue.link() == LinkState::Connected {
            desk.queue.status(&line);
            told = line;
        }
        if let Some(name) = threads.ended() {
            if !desk.stop.is_raised() {
                break Err(ServiceError::ThreadEnded(name.to_owned()));
            }
        }
        if desk.stop.wait_timeout(TICK) {
            break Ok(());
        }
    };
    systemd.stopping();
    systemd.status("stopping");
    desk.stop.raise();
    farewell(desk, grace)?;
    threads.wait(grace);
    desk.observed.health.rest("main loop");
    tracing::info!("stopped");
    result
}

/// Lets work end, hands back the rest, and takes leave; on a thread of its own, since a house keeper that does not answer
/// must not keep a process from ending. Its leases then run out.
fn farewell(desk: &Arc<Desk>, grace: Duration) -> Result<(), ServiceError> {
    let (done, is_done) = mpsc::channel();
    let leaving = desk.clone();
    let leave = move || {
        leaving.queue.draining();
        leaving.wait_empty(grace);
        leaving.release_all();
        leaving.queue.close(FAREWELL);
        // Nobody may be waiting any more.
        let _ = done.send(());
    };
    Builder::new()
        .name("farewell".into())
        .spawn(leave)
        .map_err(|source| ServiceError::Thread { name: "farewell".into(), source })?;
    if is_done.recv_timeout(grace + FAREWELL).is_err() {
        tracing::warn!(
            "the house keeper does not answer: what is left is handed back when its lease runs out"
        );
    }
    Ok(())
}

fn look_at_link(desk: &Desk) {
    let (health, metrics) = (&desk.observed.health, &desk.observed.metrics);
    match desk.queue.link() {
        LinkState::Connected => {
            metrics.connected(true);
            health.got("house keeper");
        }
        LinkState::Waiting(why) => {
            metrics.connected(false);
            health.wait_for("house keeper", why);
        }
    }
}

fn status_line(desk: &Desk) -> String {
    let jobs = desk.jobs();
    let named: Vec<String> =
        jobs.iter().take(3).map(|job| format!("{job} ({})", desk.work.name(*job))).collect();
    let line = match jobs.len() {
        0 if desk.is_draining() => "draining: takes no new work".to_owned(),
        0 => "idle".to_owned(),
        1..=3 => named.join(", "),
        more => format!("{}, and {} more", named.join(", "), more - 3),
    };
    desk.observed.health.doing(line);
    desk.observed.health.readiness().line()
}

/// A thread that hears what the house keeper says. It ends with the connection's last notice.
fn listen(desk: &Arc<Desk>, mut notice: impl FnMut(Notice) + Send + 'static) -> Result<(), ServiceError> {
    let Some(notices) = desk.queue.notices() else { return Ok(()) };
    let desk = desk.clone();
    let hear = move || loop {
        match notices.recv_timeout(TICK) {
            Ok(Notice::Drain(draining)) => {
                tracing::info!(
                    "the house keeper says: {}",
                    if draining { "take no new work" } else { "take work" }
                );
                desk.set_draining(draining);
            }
            Ok(Notice::Stopping) => {
                tracing::info!("the house keeper is stopping; waiting for it to come back")
            }
            Ok(other) => notice(other),
            Err(mpsc::RecvTimeoutError::Timeout) if !desk.stop.is_raised() => {}
            Err(_) => return,
        }
    };
    Builder::new()
        .name("notices".into())
        .spawn(hear)
        .map(drop)
        .map_err(|source| ServiceError::Thread { name: "notices".into(), source })
}
