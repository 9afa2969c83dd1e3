//! The house keeper's doors: a Unix socket and TCP addresses.
//!
//! **Invariant:** whatever a peer sends or leaves out costs its connection and a line in the log, never the process.

mod artifacts;
mod backups;
mod connection;

use std::{
    io,
    net::SocketAddr,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicUsize, Ordering},
        Arc,
    },
    time::Duration,
};

use ingot_artifacts::ArtifactStore;
use ingot_wire::Token;
use nix::sys::socket::{setsockopt, sockopt};
use tokio::{
    net::{TcpListener, UnixListener},
    sync::watch,
};

use crate::engine::EngineHandle;
pub use backups::Backups;

/// What can be wrong with an address to listen on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// It cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// Another process answers on it.
    #[error("{path} is in use by another house keeper", path = path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something else is where the socket should be.
    #[error("cannot listen on unix:{path}: expected a socket or nothing there, found {found}", path = path.display())]
    NoSocket {
        /// The path.
        path: PathBuf,
        /// What is there.
        found: String,
    },
    /// Strangers could connect.
    #[error("refusing to listen on {address} without a token: it can be reached from other hosts; configure `token-file`")]
    NoToken {
        /// The address.
        address: SocketAddr,
    },
}

/// What every connection needs.
#[derive(Debug)]
pub(super) struct Door {
    pub engine: EngineHandle,
    pub artifacts: ArtifactStore,
    pub backups: Backups,
    pub token: Option<Token>,
    pub limits: Limits,
    pub open: AtomicUsize,
    /// Ends the connections.
    pub closing: watch::Receiver<bool>,
}

/// What peers may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// Requests of one connection under way.
    pub requests: usize,
    /// How long the handshake may take.
    pub handshake: Duration,
    /// How long an artifact connection may be silent.
    pub artifact_silence: Duration,
    /// The largest artifact that is taken, in bytes.
    pub largest_artifact_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 2_000,
            requests: 1_024,
            handshake: Duration::from_secs(5),
            artifact_silence: Duration::from_secs(60),
            largest_artifact_bytes: 64 << 30,
        }
    }
}

/// The doors, open.
#[derive(Debug)]
pub struct Server {
    /// The TCP addresses, with the ports that were chosen.
    pub tcp: Vec<SocketAddr>,
    closing: watch::Sender<bool>,
    socket: Option<PathBuf>,
}

impl Server {
    /// Opens the doors. Over TCP, `token` is asked for; on the Unix socket
    /// (mode 0660) the kernel lets this user and its group connect.
    ///
    /// # Errors
    /// [`ServerError`].
    pub async fn open(
        engine: EngineHandle,
        artifacts: ArtifactStore,
        backups: Backups,
        token: Option<Token>,
        limits: Limits,
        unix: Option<&Path>,
        tcp: &[SocketAddr],
    ) -> Result<Self, ServerError> {
        let (closing, is_closing) = watch::channel(false);
        let door = Arc::new(Door {
            engine,
            artifacts,
            backups,
            token,
            limits,
            open: AtomicUsize::new(0),
            closing: is_closing,
        });
        let mut addresses = Vec::new();
        let mut listeners = Vec::new();
        for address in tcp {
            if !address.ip().is_loopback() && door.token.is_none() {
                return Err(ServerError::NoToken { address: *address });
            }
            let failed = |source| ServerError::Listen { address: address.to_string(), source };
            let listener = TcpListener::bind(address).await.map_err(failed)?;
            addresses.push(listener.local_addr().map_err(failed)?);
            listeners.push(listener);
        }
        if let Some(path) = unix {
            let listener = bind_unix(path).await?;
            let door = door.clone();
            tokio::spawn(accept_unix(listener, door));
        }
        for listener in listeners {
            tokio::spawn(accept_tcp(listener, door.clone()));
        }
        Ok(Self { tcp: addresses, closing, socket: unix.map(Path::to_owned) })
    }

    /// Takes no more connections and ends those that are there.
    pub fn close(&self) {
        // No receiver: no connection.
        let _ = self.closing.send(true);
        if let Some(path) = &self.socket {
            // Another house keeper may have replaced it, or somebody removed it.
            let _ = std::fs::remove_file(path);
        }
    }
}

async fn bind_unix(path: &Path) -> Result<UnixListener, ServerError> {
    let failed = |source| ServerError::Listen { address: format!("unix:{}", path.display()), source };
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
        Ok(there) if !there.file_type().is_socket() => {
            let path = path.to_owned();
            return Err(ServerError::NoSocket { path, found: kind(there.file_type()) });
        }
        Ok(_) => match tokio::net::UnixStream::connect(path).await {
            Ok(_) => return Err(ServerError::InUse { path: path.to_owned() }),
            // A process that died leaves its socket behind: nobody listens on it.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path).map_err(failed)?;
            }
            Err(error) => {
                let found = format!("a socket that cannot be tried: {error}");
                return Err(ServerError::NoSocket { path: path.to_owned(), found });
            }
        },
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(failed)?;
    Ok(listener)
}

/// What is in the way, in words.
fn kind(found: std::fs::FileType) -> String {
    let known = [
        (found.is_dir(), "a folder"),
        (found.is_file(), "a file"),
        (found.is_symlink(), "a symbolic link"),
        (found.is_fifo(), "a pipe"),
    ];
    known.iter().find(|(is, _)| *is).map_or("a device", |(_, name)| name).into()
}

/// How long to rest after an error of `accept`, such as too many open files.
const AFTER_ERROR: Duration = Duration::from_millis(100);

async fn accept_unix(listener: UnixListener, door: Arc<Door>) {
    let mut closing = door.closing.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = closing.wait_for(|closing| *closing) => return,
        };
        match accepted {
            Ok((stream, _)) => {
                // Who may connect is what the socket's mode and folder say, and the kernel has checked that.
                let process = stream.peer_cred().ok().and_then(|peer| Some((peer.pid()?, peer.uid())));
                let name = process
                    .map_or_else(|| "unix".into(), |(pid, uid)| format!("process {pid} of user {uid}"));
                let Some(place) = Place::take(&door) else {
                    tracing::warn!("{name}: too many connections");
                    continue;
                };
                tokio::spawn(connection::serve(stream, door.clone(), None, name, place));
            }
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(AFTER_ERROR).await;
            }
        }
    }
}

async fn accept_tcp(listener: TcpListener, door: Arc<Door>) {
    let mut closing = door.closing.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = closing.wait_for(|closing| *closing) => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Some(place) = Place::take(&door) else {
                    tracing::warn!("{peer}: too many connections");
                    continue;
                };
                // Without it small answers wait for others to go with.
                let _ = stream.set_nodelay(true);
                if let Err(error) = notice_death(&stream) {
                    tracing::debug!("{peer}: {error}");
                }
                let token = door.token.clone();
                tokio::spawn(connection::serve(stream, door.clone(), token, peer.to_string(), place));
            }
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(AFTER_ERROR).await;
            }
        }
    }
}

/// A host that died says nothing: the kernel finds out within half a minute, so that its workers' names become free.
fn notice_death(stream: &tokio::net::TcpStream) -> nix::Result<()> {
    setsockopt(stream, sockopt::KeepAlive, &true)?;
    setsockopt(stream, sockopt::TcpKeepIdle, &10)?;
    setsockopt(stream, sockopt::TcpKeepInterval, &5)?;
    setsockopt(stream, sockopt::TcpKeepCount, &3)?;
    setsockopt(stream, sockopt::TcpUserTimeout, &25_000)
}

/// One of the connections that there may be.
pub(super) struct Place(Arc<Door>);

impl Place {
    fn take(door: &Arc<Door>) -> Option<Self> {
        let before = door.open.fetch_add(1, Ordering::SeqCst);
        let place = Self(door.clone());
        (before < door.limits.connections).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}
