//! `/livez`, `/readyz` and `/metrics` of a worker, on a thread of its own.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread::{Builder, JoinHandle},
    time::Duration,
};

use axum::{
    extract::State,
    http::{header, StatusCode},
    response::IntoResponse,
    routing::get,
    Json, Router,
};
use serde_json::json;
use tokio::sync::oneshot;

use super::Observed;
use crate::ServiceError;

/// A thread that has stood still for so long is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(60);

/// The server. Dropping it ends it.
#[derive(Debug)]
pub struct HttpServer {
    address: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl HttpServer {
    /// Serves on `address`; port 0 picks a free one.
    ///
    /// # Errors
    /// [`ServiceError::Listen`], [`ServiceError::Thread`].
    pub fn start(address: SocketAddr, observed: Arc<Observed>) -> Result<Self, ServiceError> {
        let error = |source| ServiceError::Listen { what: "health and metrics", address, source };
        let listener = TcpListener::bind(address).map_err(error)?;
        listener.set_nonblocking(true).map_err(error)?;
        let address = listener.local_addr().map_err(error)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(error)?;
        let (end, ended) = oneshot::channel::<()>();
        let serve = move || {
            runtime.block_on(async move {
                let listener = match tokio::net::TcpListener::from_std(listener) {
                    Ok(listener) => listener,
                    Err(error) => return tracing::error!("health and metrics are not served: {error}"),
                };
                let server = axum::serve(listener, routes(observed));
                tokio::select! {
                    result = server => if let Err(error) = result {
                        tracing::error!("health and metrics are no longer served: {error}");
                    },
                    // The sender is dropped, or says so.
                    _ = ended => {}
                }
            });
        };
        let thread = Builder::new()
            .name("http".into())
            .spawn(serve)
            .map_err(|source| ServiceError::Thread { name: "http".into(), source })?;
        Ok(Self { address, end: Some(end), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // It has nothing to say.
            let _ = thread.join();
        }
    }
}

fn routes(observed: Arc<Observed>) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(observed)
}

async fn livez(State(observed): State<Arc<Observed>>) -> impl IntoResponse {
    let stuck = observed.health.stuck(STUCK_AFTER);
    let status = if stuck.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "alive": stuck.is_empty(), "stuck": stuck })))
}

async fn readyz(State(observed): State<Arc<Observed>>) -> impl IntoResponse {
    let readiness = observed.health.readiness();
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness))
}

async fn metrics(State(observed): State<Arc<Observed>>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], observed.metrics.text())
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpStream,
    };

    use super::*;

    fn fetch(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn it_says_what_it_waits_for_and_then_that_it_is_ready() {
        let observed = Arc::new(Observed::default());
        observed.health.wait_for("x", "the house keeper at tcp:h:1");
        let server = HttpServer::start(([127, 0, 0, 1], 0).into(), observed.clone()).unwrap();
        let answer = fetch(server.address(), "/readyz");
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(answer.contains("\"waiting_for\":[\"the house keeper at tcp:h:1\"]"), "{answer}");
        observed.health.got("x");
        assert!(fetch(server.address(), "/readyz").starts_with("HTTP/1.1 200"));
        assert!(fetch(server.address(), "/livez").starts_with("HTTP/1.1 200"));
        assert!(fetch(server.address(), "/metrics").contains("ingot_worker_connected 0"));
        assert!(fetch(server.address(), "/else").starts_with("HTTP/1.1 404"));
        let address = server.address();
        drop(server);
        assert!(TcpListener::bind(address).is_ok() || TcpStream::connect(address).is_err());
    }
}
