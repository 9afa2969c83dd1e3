//! The house keeper through its client.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{mpsc, Arc},
    time::Duration,
};

use ingot_artifacts::{ArtifactStore, Artifacts, CachedArtifacts};
use ingot_house_keeper::{
    client::{Address, Client, ClientError, ClientOptions, HeldLease, Link, RemoteArtifacts},
    protocol::{Answer, Grant, Notice, ProverLoad, Registration, Request},
};
use ingot_job_store::{CountKey, Filter, Lease, Token};
use ingot_types::{JobKey, RetryClass};

use crate::{
    config::HostConfig,
    queue::{HeldJob, JobQueue, LinkState, QueueError},
    start::{Connect, Connection},
    stop::Stop,
    work::Made,
    ServiceError,
};

/// How long a file may not get anywhere before the attempt fails: longer than a house keeper takes to be started again.
const ARTIFACT_PATIENCE: Duration = Duration::from_secs(600);
/// Room for copies of artifacts where the configuration says `auto`.
const CACHE_BYTES: u64 = 1 << 30;
/// How long the governor waits to hear what waits.
const COUNTS_WAIT: Duration = Duration::from_secs(10);

impl From<ClientError> for QueueError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Stale(why) => Self::Stale(why),
            other => Self::Failed { class: other.retry_class(), reason: other.to_string() },
        }
    }
}

/// Makes connections to the house keeper of a configuration.
#[derive(Debug)]
pub struct RemoteHouseKeeper {
    address: Address,
    token: Option<ingot_wire::Token>,
    shared_artifacts: Option<ArtifactStore>,
    heartbeat: Duration,
    /// Folder and bytes of copies.
    cache: Option<(PathBuf, u64)>,
}

impl RemoteHouseKeeper {
    /// Reads what it needs of the configuration: the address, the token, the shared folder.
    ///
    /// # Errors
    /// [`ServiceError::File`] if the token or the shared folder cannot be used; [`ServiceError::Client`] if the address is
    /// none.
    pub fn new(host: &HostConfig) -> Result<Self, ServiceError> {
        let address =
            host.house_keeper.parse::<Address>().map_err(|e| ServiceError::Client(e.to_string()))?;
        let file = |action, path: &Path, reason: String| ServiceError::File {
            action,
            path: path.to_owned(),
            reason,
        };
        let token = match &host.token_file {
            Some(path) => Some(
                ingot_wire::Token::load(path).map_err(|e| file("use the token file", path, e.to_string()))?,
            ),
            None => None,
        };
        let shared_artifacts = match &host.shared_artifacts {
            Some(path) => Some(
                ArtifactStore::open(path)
                    .map_err(|e| file("use the shared artifacts in", path, e.to_string()))?,
            ),
            None => None,
        };
        let heartbeat = Duration::from_millis(host.heartbeat_ms);
        let cache =
            host.artifact_cache.map(|size| (host.state_dir.join("artifact-copies"), size.or(|| CACHE_BYTES)));
        Ok(Self { address, token, shared_artifacts, heartbeat, cache })
    }

    /// With copies on this host, if they are wanted.
    fn cached(&self, home: Arc<dyn Artifacts>) -> Result<Arc<dyn Artifacts>, ServiceError> {
        let Some((folder, bytes)) = &self.cache else { return Ok(home) };
        let cached = CachedArtifacts::new(home, folder, *bytes).map_err(|error| ServiceError::File {
            action: "keep copies of artifacts in",
            path: folder.clone(),
            reason: error.to_string(),
        })?;
        Ok(Arc::new(cached))
    }
}

impl RemoteHouseKeeper {
    /// A connection, and the files of the house keeper's node.
    ///
    /// # Errors
    /// [`ServiceError`] if no connection can ever come about as things are.
    pub fn client(&self, registration: Registration) -> Result<(Client, Arc<dyn Artifacts>), ServiceError> {
        let mut options = ClientOptions::new(self.address.clone(), self.token.clone(), registration);
        options.heartbeat = self.heartbeat;
        let name = options.registration.name.clone();
        let client = Client::start(options).map_err(|e| ServiceError::Client(e.to_string()))?;
        let artifacts: Arc<dyn Artifacts> = match &self.shared_artifacts {
            Some(store) => Arc::new(store.clone()),
            None => {
                let (address, token) = (self.address.clone(), self.token.clone());
                self.cached(Arc::new(RemoteArtifacts::new(address, token, &name, ARTIFACT_PATIENCE)))?
            }
        };
        Ok((client, artifacts))
    }
}

impl Connect for RemoteHouseKeeper {
    fn connect(&self, registration: Registration) -> Result<Connection, ServiceError> {
        let (client, artifacts) = self.client(registration)?;
        Ok(Connection { queue: Arc::new(Remote { client, address: self.address.to_string() }), artifacts })
    }
}

/// The house keeper through its client.
struct Remote {
    client: Client,
    address: String,
}

impl Remote {
    fn held(&self, held: HeldLease) -> Arc<dyn HeldJob> {
        Arc::new(RemoteJob { client: self.client.clone(), held })
    }
}

impl JobQueue for Remote {
    fn link(&self) -> LinkState {
        let at = &self.address;
        match self.client.link() {
            Link::Connected => LinkState::Connected,
            Link::Connecting { why } => LinkState::Waiting(format!("the house keeper at {at}: {why}")),
            Link::Refused { why } => {
                LinkState::Waiting(format!("the house keeper at {at} to let it in: {why}"))
            }
        }
    }

    fn lease(
        &self,
        filter: Filter,
        wait: Duration,
        stop: &Stop,
    ) -> Result<Option<Arc<dyn HeldJob>>, QueueError> {
        Ok(self.client.lease_within(filter, wait, stop)?.map(|held| self.held(held)))
    }

    fn hand_over(&self, key: JobKey, token: Token) -> Result<Arc<dyn HeldJob>, QueueError> {
        Ok(self.held(self.client.hand_over(key, token)?))
    }

    fn slab_reserved(&self, ticket: u64, accepted: bool) -> Result<(), QueueError> {
        Ok(self.client.call(Request::SlabReserved { ticket, accepted }).map(drop)?)
    }

    fn slab_returned(&self, ticket: u64) -> Result<(), QueueError> {
        self.client.tell(Request::SlabReturned { ticket });
        Ok(())
    }

    fn load(&self, load: ProverLoad) {
        self.client.tell(Request::Load(load));
    }

    fn status(&self, text: &str) {
        self.client.tell(Request::Status(text.to_owned()));
    }

    fn draining(&self) {
        self.client.tell(Request::Draining);
    }

    fn counts(&self) -> Result<BTreeMap<CountKey, u64>, QueueError> {
        match self.client.call_within(Request::Counts { batch: None }, COUNTS_WAIT)? {
            Answer::Counts(counts) => Ok(counts),
            other => {
                Err(ClientError::Unexpected { found: format!("{other:?}").chars().take(60).collect() }.into())
            }
        }
    }

    fn notices(&self) -> Option<mpsc::Receiver<Notice>> {
        self.client.notices()
    }

    fn close(&self, limit: Duration) {
        self.client.close(limit);
    }
}

/// A job whose lease the client keeps.
struct RemoteJob {
    client: Client,
    held: HeldLease,
}

impl HeldJob for RemoteJob {
    fn lease(&self) -> &Lease {
        self.held.lease()
    }

    fn is_lost(&self) -> bool {
        self.held.is_lost()
    }

    fn complete(&self, made: Made) -> Result<(), QueueError> {
        Ok(self.held.complete(made.outputs, made.new_jobs)?)
    }

    fn fail(&self, class: RetryClass, reason: &str) -> Result<(), QueueError> {
        Ok(self.held.fail(class, reason)?)
    }

    fn bad_file(&self, maker: JobKey, reason: &str) -> Result<(), QueueError> {
        Ok(self.held.bad_file(maker, reason)?)
    }

    fn release(&self) -> Result<(), QueueError> {
        Ok(self.held.release()?)
    }

    fn forget(&self) {
        self.held.forget();
    }

    fn slab(&self, bytes: u64, wait: Duration, stop: &Stop) -> Result<Option<Grant>, QueueError> {
        Ok(self.client.slab(self.held.key(), self.held.token(), bytes, wait, stop)?)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use ingot_house_keeper::protocol::Component;

    use super::*;

    #[test]
    fn what_cannot_be_used_is_named() {
        let error = |host: HostConfig| RemoteHouseKeeper::new(&host).map(drop).unwrap_err().to_string();
        let host = HostConfig { house_keeper: "tcp:nowhere".into(), ..HostConfig::default() };
        assert!(error(host).contains("`tcp:nowhere`"));
        let host = HostConfig { token_file: Some("/nonexistent/token".into()), ..HostConfig::default() };
        assert!(error(host).contains("/nonexistent/token"));
    }

    #[test]
    fn without_a_house_keeper_the_link_says_where_it_was_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("none.sock");
        let host = HostConfig { house_keeper: format!("unix:{}", socket.display()), ..HostConfig::default() };
        let registration = Registration {
            component: Component::WitnessGenerator,
            name: "w".into(),
            instance: [1; 16],
            host: "h".into(),
            pid: 1,
            zone: None,
            group: None,
            serves: None,
            stream: None,
        };
        let connection = RemoteHouseKeeper::new(&host).unwrap().connect(registration).unwrap();
        let start = Instant::now();
        loop {
            assert!(start.elapsed() < Duration::from_secs(60));
            match connection.queue.link() {
                LinkState::Waiting(why) if why.contains("o such file") => {
                    assert!(why.contains("none.sock"), "{why}");
                    break;
                }
                LinkState::Connected => panic!("to whom?"),
                LinkState::Waiting(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
        // A lease is waited for and not had; the stop flag ends it.
        let stop = Stop::new();
        let raise = stop.clone();
        let waiting = std::thread::spawn(move || {
            connection
                .queue
                .lease(Filter::default(), Duration::from_secs(600), &raise)
                .map(|job| job.is_none())
        });
        stop.raise();
        assert_eq!(waiting.join().unwrap(), Ok(true));
    }
}
