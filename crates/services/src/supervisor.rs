//! `ingot up`: all components of one host as processes of their own, started again when they die.
//!
//! A child gets a pipe as its standard input and stops when it closes (see [`stop_with_parent`]): so nothing is left
//! running when the supervisor is killed.
//!
//! **Invariant:** the supervisor knows no job: whatever a child was doing is in the job store.

use std::{
    ffi::OsString,
    io::{self, Read},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{mpsc, Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{Builder, JoinHandle},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{kill, Signal},
    unistd::Pid,
};

/// Exit code of a component that cannot run as it is configured: it is not started again (`EX_CONFIG` of sysexits).
pub const EXIT_CONFIG: u8 = 78;

/// The first wait before a child is started again; doubles with each early death.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// A child that lived so long starts with the first wait again.
const SETTLED: Duration = Duration::from_secs(30);
/// How often a child is looked after.
const TICK: Duration = Duration::from_millis(50);

/// A process to keep running.
#[derive(Clone, Debug)]
pub struct ChildSpec {
    /// What it is called in messages.
    pub name: String,
    /// The executable.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Where standard output and error go; `None`: where the supervisor's go.
    pub log: Option<PathBuf>,
}

/// What happens to children.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChildEvent {
    /// It runs.
    Started {
        /// Which.
        name: String,
        /// Its process id.
        pid: u32,
    },
    /// It ended although it should run; it is started again after a while.
    Died {
        /// Which.
        name: String,
        /// How.
        status: String,
        /// How long until it is started again, in milliseconds.
        again_in_ms: u64,
    },
    /// It cannot run: wrong configuration, or no such program. Nothing is started again.
    Failed {
        /// Which.
        name: String,
        /// Why.
        reason: String,
    },
}

struct Shared {
    stopping: Mutex<bool>,
    changed: Condvar,
    pids: Mutex<Vec<(String, u32)>>,
}

/// Children that are kept running. Dropping it stops them.
pub struct Supervisor {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Supervisor").field("children", &lock(&self.shared.pids)).finish_non_exhaustive()
    }
}

impl Supervisor {
    /// Starts the children, each with a thread that looks after it. `events` tells what happens to them.
    ///
    /// # Errors
    /// If a thread cannot be started; what was started is stopped.
    pub fn start(children: Vec<ChildSpec>) -> io::Result<(Self, mpsc::Receiver<ChildEvent>)> {
        let (events, receiver) = mpsc::channel();
        let shared = Arc::new(Shared {
            stopping: Mutex::new(false),
            changed: Condvar::new(),
            pids: Mutex::new(Vec::new()),
        });
        let mut supervisor = Self { shared: shared.clone(), threads: Vec::with_capacity(children.len()) };
        for child in children {
            let (shared, events) = (shared.clone(), events.clone());
            let thread = Builder::new().name(format!("keep {}", child.name));
            supervisor.threads.push(thread.spawn(move || keep_running(&child, &shared, &events))?);
        }
        Ok((supervisor, receiver))
    }

    /// The children that run now, with their process ids.
    pub fn pids(&self) -> Vec<(String, u32)> {
        lock(&self.shared.pids).clone()
    }

    /// Asks every child to stop and waits; those that take longer than `limit` are killed.
    pub fn stop(mut self, limit: Duration) {
        self.end(limit);
    }

    fn end(&mut self, limit: Duration) {
        *lock(&self.shared.stopping) = true;
        self.shared.changed.notify_all();
        let start = Instant::now();
        while start.elapsed() < limit && !self.threads.iter().all(JoinHandle::is_finished) {
            std::thread::sleep(Duration::from_millis(10));
        }
        for (_, pid) in lock(&self.shared.pids).iter() {
            signal(*pid, Signal::SIGKILL);
        }
        for thread in self.threads.drain(..) {
            // A thread of the supervisor cannot do more than end.
            let _ = thread.join();
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if !self.threads.is_empty() {
            self.end(Duration::from_secs(10));
        }
    }
}

fn keep_running(spec: &ChildSpec, shared: &Shared, events: &mpsc::Sender<ChildEvent>) {
    let mut wait = FIRST_WAIT;
    let failed = |reason: String| {
        // Nobody listening means that nobody wants to know.
        let _ = events.send(ChildEvent::Failed { name: spec.name.clone(), reason });
    };
    while !*lock(&shared.stopping) {
        let started = Instant::now();
        let mut child = match spawn(spec) {
            Ok(child) => child,
            Err(error) => return failed(format!("cannot start {}: {error}", spec.program.display())),
        };
        let pid = child.id();
        lock(&shared.pids).push((spec.name.clone(), pid));
        let _ = events.send(ChildEvent::Started { name: spec.name.clone(), pid });
        let status = attend(&mut child, shared);
        lock(&shared.pids).retain(|(_, other)| *other != pid);
        if *lock(&shared.stopping) {
            return;
        }
        let status = match status {
            Ok(status) if status.code() == Some(i32::from(EXIT_CONFIG)) => {
                return failed("it cannot run as it is configured; its own message says why".into());
            }
            Ok(status) => status.to_string(),
            Err(error) => format!("cannot be waited for: {error}"),
        };
        wait = if started.elapsed() > SETTLED { FIRST_WAIT } else { wait };
        let again_in_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let _ = events.send(ChildEvent::Died { name: spec.name.clone(), status, again_in_ms });
        let stopping = lock(&shared.stopping);
        drop(shared.changed.wait_timeout_while(stopping, wait, |stopping| !*stopping));
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Waits until the child has ended, and asks it to when the supervisor is stopping.
fn attend(child: &mut Child, shared: &Shared) -> io::Result<ExitStatus> {
    let mut asked = false;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        let stopping = lock(&shared.stopping);
        let (stopping, _) =
            shared.changed.wait_timeout(stopping, TICK).unwrap_or_else(PoisonError::into_inner);
        let stop = *stopping;
        drop(stopping);
        if stop && !asked {
            asked = true;
            signal(child.id(), Signal::SIGTERM);
        }
    }
}

fn spawn(spec: &ChildSpec) -> io::Result<Child> {
    let mut command = Command::new(&spec.program);
    command.args(&spec.args).stdin(Stdio::piped());
    if let Some(path) = &spec.log {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
        command.stdout(file.try_clone()?).stderr(file);
    }
    command.spawn()
}

fn signal(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid) {
        // It may have ended by itself a moment ago.
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// For a child: runs `stop` when the supervisor is gone, that is, when standard input ends.
///
/// # Errors
/// If the thread that waits for it cannot be started.
pub fn stop_with_parent(stop: impl FnOnce() + Send + 'static) -> io::Result<()> {
    Builder::new().name("parent".into()).spawn(move || {
        let mut buffer = [0; 64];
        // Whatever is written is ignored; an error means that it is gone as well.
        while matches!(io::stdin().lock().read(&mut buffer), Ok(n) if n > 0) {}
        stop();
    })?;
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(name: &str, script: &str) -> ChildSpec {
        ChildSpec {
            name: name.into(),
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            log: None,
        }
    }

    fn next(events: &mpsc::Receiver<ChildEvent>) -> ChildEvent {
        events.recv_timeout(Duration::from_secs(60)).unwrap()
    }

    #[test]
    fn a_child_that_dies_is_started_again_until_it_is_stopped() {
        let (supervisor, events) = Supervisor::start(vec![shell("a", "exec sleep 600")]).unwrap();
        let ChildEvent::Started { pid, .. } = next(&events) else { panic!() };
        signal(pid, Signal::SIGKILL);
        assert!(matches!(next(&events), ChildEvent::Died { status, .. } if status.contains("signal")));
        let ChildEvent::Started { pid: again, .. } = next(&events) else { panic!() };
        assert_ne!(pid, again);
        assert_eq!(supervisor.pids(), [("a".to_owned(), again)]);
        supervisor.stop(Duration::from_secs(30));
        assert!(kill(Pid::from_raw(again as i32), None).is_err(), "it is gone");
        assert!(events.try_recv().is_err());
    }

    #[test]
    fn a_child_that_does_not_stop_is_killed() {
        let script = "trap '' TERM; while :; do sleep 0.05; done";
        let (supervisor, events) = Supervisor::start(vec![shell("stubborn", script)]).unwrap();
        let ChildEvent::Started { pid, .. } = next(&events) else { panic!() };
        std::thread::sleep(Duration::from_millis(200));
        supervisor.stop(Duration::from_millis(300));
        assert!(kill(Pid::from_raw(pid as i32), None).is_err(), "it is gone");
    }

    #[test]
    fn a_child_that_cannot_run_is_not_started_again() {
        let missing = ChildSpec { program: "/nonexistent/ingot".into(), ..shell("missing", "") };
        for (spec, reason) in [(shell("wrong", "exit 78"), "configured"), (missing, "/nonexistent/ingot")] {
            let (supervisor, events) = Supervisor::start(vec![spec]).unwrap();
            let failed = loop {
                match next(&events) {
                    ChildEvent::Started { .. } => {}
                    event => break event,
                }
            };
            assert!(
                matches!(&failed, ChildEvent::Failed { reason: found, .. } if found.contains(reason)),
                "{failed:?}"
            );
            supervisor.stop(Duration::from_secs(5));
        }
    }

    #[test]
    fn a_child_ends_when_its_standard_input_does() {
        // What `stop_with_parent` relies on: the pipe closes with the supervisor's end.
        let mut child = spawn(&shell("pipe", "cat > /dev/null")).unwrap();
        assert!(child.try_wait().unwrap().is_none());
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
    }
}
