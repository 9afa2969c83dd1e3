//! A server whose slow and idle peers cost others nothing.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread::{Builder, JoinHandle},
    time::Duration,
};

use axum::{
    extract::Request,
    http::{header, StatusCode},
    middleware::Next,
    response::Response,
    Router,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::sync::{watch, Semaphore};

use crate::{Bearer, Problem};

/// How long a peer may take to say what it wants, and stay idle between two requests.
const HEAD_WITHIN: Duration = Duration::from_secs(15);
/// How long requests under way may go on once the server is to stop.
const FAREWELL: Duration = Duration::from_secs(5);
/// Connections at once. Beyond, new ones wait until one ends.
const MOST_CONNECTIONS: usize = 8_192;

/// How a server is to be.
#[derive(Debug)]
pub struct ServerOptions {
    /// What it is, for its threads and messages.
    pub name: &'static str,
    /// Where it listens; port 0 picks a free one.
    pub address: SocketAddr,
    /// The secret that peers must show. Needed for any address but loopback.
    pub bearer: Option<Bearer>,
    /// Whether it is for anybody, without a secret, wherever it listens.
    pub public: bool,
}

/// Why a server cannot be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// It would be open to strangers.
    #[error("{name} is to listen on {address}, which others can reach: expected a token file")]
    Open {
        /// Which.
        name: &'static str,
        /// Where.
        address: SocketAddr,
    },
    /// The address cannot be had, or no thread.
    #[error("{name} cannot listen on {address}: {source}")]
    Listen {
        /// Which.
        name: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
}

/// A running server, on threads of its own. Dropped, it stops.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts it.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn start(options: ServerOptions, router: Router) -> Result<Self, ServerError> {
        let ServerOptions { name, address, bearer, public } = options;
        if !address.ip().is_loopback() && bearer.is_none() && !public {
            return Err(ServerError::Open { name, address });
        }
        let failed = |source| ServerError::Listen { name, address, source };
        more_files();
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name(name)
            .enable_all()
            .build()
            .map_err(failed)?;
        let router = match bearer {
            Some(bearer) => require_bearer(router, bearer),
            None => router,
        };
        let (stop, stopped) = watch::channel(false);
        let thread = Builder::new()
            .name(name.into())
            .spawn(move || {
                runtime.block_on(serve(name, listener, router, stopped));
                // Whoever is still being served has had the time for it.
                runtime.shutdown_timeout(FAREWELL);
            })
            .map_err(failed)?;
        tracing::info!("{name}: http://{bound}");
        Ok(Self { address: bound, stop, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it still serves.
    pub fn is_alive(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // It has nothing to say.
            let _ = thread.join();
        }
    }
}

async fn serve(
    name: &'static str,
    listener: TcpListener,
    router: Router,
    mut stopped: watch::Receiver<bool>,
) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!("{name} is not served: {error}"),
    };
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let permit = tokio::select! {
            permit = room.clone().acquire_owned() => permit,
            _ = stopped.changed() => break,
        };
        let Ok(permit) = permit else { break };
        let stream = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => break,
        };
        let (stream, _) = match stream {
            Ok(accepted) => accepted,
            Err(error) => {
                // Such as too many open files: it passes.
                tracing::warn!("{name}: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(router.clone());
        let mut stopped = stopped.clone();
        tokio::spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_WITHIN)
                .serve_connection(TokioIo::new(stream), service);
            tokio::pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = raised(&mut stopped) => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!("{name}: a connection ended: {error}");
            }
            drop(permit);
        });
    }
    // Everyone who is being served holds a permit.
    let all = u32::try_from(MOST_CONNECTIONS).unwrap_or(u32::MAX);
    let _ = tokio::time::timeout(FAREWELL, room.acquire_many(all)).await;
}

/// Waits until the server is to stop.
async fn raised(stopped: &mut watch::Receiver<bool>) {
    // An error means that the server is gone: then it is to stop all the more.
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// The same routes for those who show the secret.
fn require_bearer(router: Router, bearer: Bearer) -> Router {
    router.layer(axum::middleware::from_fn(move |request: Request, next: Next| {
        let bearer = bearer.clone();
        async move { check(&bearer, request, next).await }
    }))
}

async fn check(bearer: &Bearer, request: Request, next: Next) -> Result<Response, Problem> {
    let shown = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match shown {
        Some(shown) if bearer.is_shown_by(shown) => Ok(next.run(request).await),
        Some(_) => Err(Problem::new(StatusCode::FORBIDDEN, "this is not the token")),
        None => Err(Problem::new(StatusCode::UNAUTHORIZED, "expected `Authorization: Bearer TOKEN`")),
    }
}

/// Lets this process have as many open files as it is allowed to ask for: the usual limit of 1024 is fewer than idle peers
/// may be.
fn more_files() {
    use nix::sys::resource::{getrlimit, setrlimit, Resource};
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let wanted = hard.min(65_536);
        if soft < wanted {
            if let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, wanted, hard) {
                tracing::debug!("the limit of open files stays at {soft}: {error}");
            }
        }
    }
}
