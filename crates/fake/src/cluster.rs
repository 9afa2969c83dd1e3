//! Components as real processes that a test starts, kills, freezes and looks at.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU8, Ordering},
    thread,
    time::{Duration, Instant},
};

use ingot_services::component::ComponentName;
use ingot_types::ProtocolVersion;
pub use nix::sys::signal::Signal;
use nix::{sys::signal::kill, unistd::Pid};

/// How long one HTTP request may take.
const HTTP: Duration = Duration::from_secs(10);
/// How often a child that should end is looked at.
const TICK: Duration = Duration::from_millis(5);

/// A loopback address that no other cluster of this machine is likely to use, so that ports can be fixed: a component that
/// is started again has to come back where it was.
pub fn own_address() -> IpAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let pid = std::process::id();
    let [.., high, low] = pid.to_be_bytes();
    // 127.0.0.0/16 is everybody's.
    IpAddr::V4(Ipv4Addr::new(127, high.max(1), low, NEXT.fetch_add(1, Ordering::SeqCst)))
}

/// One component: how it is started, and its process while it runs. Dropped, it is killed.
#[derive(Debug)]
pub struct Node {
    program: PathBuf,
    /// Which.
    pub component: ComponentName,
    /// Its name, also that of its log.
    pub name: String,
    version: ProtocolVersion,
    set: Vec<(String, String)>,
    through: Vec<String>,
    environment: Vec<(String, String)>,
    log: PathBuf,
    child: Option<Child>,
    /// How often it was started.
    pub starts: u32,
}

impl Node {
    /// One that is not started yet. Its log, `NAME.log` in `folder`, has the lines of all its processes.
    pub fn new(program: &Path, component: ComponentName, name: &str, folder: &Path) -> Self {
        Self {
            program: program.to_owned(),
            component,
            name: name.to_owned(),
            version: ProtocolVersion { minor: 99, patch: 0 },
            set: Vec::new(),
            through: Vec::new(),
            environment: Vec::new(),
            log: folder.join(format!("{name}.log")),
            child: None,
            starts: 0,
        }
    }

    /// Sets a value of its configuration, such as `host.zone`; the last one counts.
    pub fn set(&mut self, key: &str, value: impl ToString) -> &mut Self {
        self.set.retain(|(old, _)| old != key);
        self.set.push((key.to_owned(), value.to_string()));
        self
    }

    /// Starts it through another command, which has to become it (`exec`) after preparing what surrounds it.
    pub fn through(&mut self, command: impl IntoIterator<Item = String>) -> &mut Self {
        self.through = command.into_iter().collect();
        self
    }

    /// Sets a variable of its environment.
    pub fn environment(&mut self, name: &str, value: impl ToString) -> &mut Self {
        self.environment.push((name.to_owned(), value.to_string()));
        self
    }

    /// The protocol version that it serves.
    pub fn version(&mut self, version: ProtocolVersion) -> &mut Self {
        self.version = version;
        self
    }

    /// What `key` was set to.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.set.iter().find(|(of, _)| of == key).map(|(_, value)| value.as_str())
    }

    /// Starts it, if it does not run.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(&mut self) -> io::Result<()> {
        if self.is_running() {
            return Ok(());
        }
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let mut command = match self.through.split_first() {
            None => Command::new(&self.program),
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(&self.program);
                command
            }
        };
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.args(["--version-served", &self.version.to_string(), self.component.name()]);
        for (key, value) in &self.set {
            command.args(["--set", &format!("{key}={value}")]);
        }
        // Whatever becomes of the test, no process stays behind.
        command.arg("--stop-with-parent").stdin(Stdio::piped());
        command.stdout(log.try_clone()?).stderr(log);
        self.child = Some(command.spawn()?);
        self.starts += 1;
        Ok(())
    }

    /// Whether its process is there, frozen or not.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Its process id.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Sends a signal, if it runs.
    pub fn signal(&mut self, signal: Signal) {
        if !self.is_running() {
            return;
        }
        if let Some(pid) = self.pid().and_then(|pid| i32::try_from(pid).ok()) {
            // It may have ended this moment.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    /// Kills it with SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended this moment.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Asks it to stop with SIGTERM and waits for its end: how it ended, and how long that took; `None` if it did not end
    /// within `limit`.
    pub fn stop(&mut self, limit: Duration) -> Option<(ExitStatus, Duration)> {
        self.signal(Signal::SIGTERM);
        let start = Instant::now();
        let child = self.child.as_mut()?;
        while start.elapsed() < limit {
            if let Ok(Some(status)) = child.try_wait() {
                self.child = None;
                return Some((status, start.elapsed()));
            }
            thread::sleep(TICK);
        }
        None
    }

    /// How it ended, if it was started and runs no more although nobody waited for it.
    pub fn ended(&mut self) -> Option<String> {
        match self.child.as_mut()?.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(match status.signal() {
                Some(signal) => format!("{} was ended by signal {signal}", self.name),
                None => format!("{} ended with exit code {:?}", self.name, status.code()),
            }),
            Err(error) => Some(format!("{}: {error}", self.name)),
        }
    }

    /// Everything that its processes logged.
    pub fn log(&self) -> String {
        let mut bytes = Vec::new();
        // Not started yet: nothing.
        if let Ok(mut file) = File::open(&self.log) {
            let _ = file.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The last `lines` lines of its log.
    pub fn log_tail(&self, lines: usize) -> String {
        let log = self.log();
        let all: Vec<&str> = log.lines().collect();
        all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Fetches a page: the status code and the body.
///
/// # Errors
/// If nobody answers.
pub fn fetch(address: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, HTTP)?;
    stream.set_read_timeout(Some(HTTP))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, format!("no HTTP answer: {text}"));
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(malformed)?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(malformed)?;
    Ok((status, body.to_owned()))
}

/// All files below `folder`, with their sizes in bytes.
///
/// # Errors
/// If a folder cannot be read. What disappears meanwhile is left out.
pub fn files_below(folder: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries.flatten() {
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => folders.push(entry.path()),
                Ok(meta) if meta.is_file() => files.push((entry.path(), meta.len())),
                _ => {}
            }
        }
    }
    files.sort();
    Ok(files)
}
