//! What an operator does with a house keeper as a whole: backing it up while it runs, and restoring it where none is.

use std::{path::Path, process, time::Duration};

use ingot_artifacts::{ArtifactError, ArtifactStore, Artifacts};
use ingot_house_keeper::{
    backup::{back_up as make, restore as unpack, BackupError, BackupOptions, Manifest, Restored},
    client::{Address, Client, ClientError, ClientOptions, Link, RemoteArtifacts, Stop},
    protocol::{Component, Registration},
};
use ingot_types::RetryClass;
use ingot_wire::{Token, TokenError};

use crate::config::Config;

/// How long the house keeper may take to be there.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a file may not get anywhere.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CareError {
    /// The backup.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The connection.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The token's file.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The folder of artifacts on this host.
    #[error(transparent)]
    Artifacts(#[from] ArtifactError),
    /// There is none where the configuration says.
    #[error("no house keeper at {address}: {why}")]
    NoHouseKeeper {
        /// Where it should be.
        address: String,
        /// How the connection is.
        why: String,
    },
}

impl CareError {
    /// How a failed attempt with this error is to be treated.
    pub fn retry_class(&self) -> RetryClass {
        match self {
            Self::Backup(error) => error.retry_class(),
            Self::Client(error) => error.retry_class(),
            Self::Artifacts(error) => error.retry_class(),
            Self::Token(_) => RetryClass::Deterministic,
            Self::NoHouseKeeper { .. } => RetryClass::Transient,
        }
    }
}

/// Backs up the house keeper that `config` names, which goes on working, to the folder `out`. With `link`, files on the same
/// file system are linked rather than copied.
///
/// # Errors
/// [`CareError`]; nothing is at `out` then.
pub fn back_up(
    config: &Config,
    out: &Path,
    link: bool,
    go_on: impl FnMut(usize, usize) -> bool,
) -> Result<Manifest, CareError> {
    let address: Address = config.host.house_keeper.parse().map_err(|error| CareError::NoHouseKeeper {
        address: config.host.house_keeper.clone(),
        why: format!("{error}"),
    })?;
    let token = config.host.token_file.as_deref().map(Token::load).transpose()?;
    let registration = Registration {
        component: Component::Operator,
        name: format!("backup-{}", process::id()),
        instance: [0; 16],
        host: crate::host::host_name(),
        pid: process::id(),
        zone: None,
        group: None,
        serves: None,
        stream: None,
    };
    let client = Client::start(ClientOptions::new(address.clone(), token.clone(), registration))?;
    match client.wait_connected(CONNECT, &Stop::new()) {
        Link::Connected => {}
        Link::Connecting { why } | Link::Refused { why } => {
            return Err(CareError::NoHouseKeeper { address: address.to_string(), why })
        }
    }
    let local = config.host.shared_artifacts.as_ref().map(ArtifactStore::open).transpose()?;
    let remote = RemoteArtifacts::new(address, token, "backup", PATIENCE);
    let artifacts: &dyn Artifacts = match &local {
        Some(local) => local,
        None => &remote,
    };
    let options = BackupOptions { client: &client, artifacts, local: local.as_ref(), link };
    let made = make(options, out, go_on);
    client.close(CONNECT);
    Ok(made?)
}

/// Makes the house keeper's folder that `config` names from the backup in `from`.
///
/// # Errors
/// [`CareError`]; nothing is restored then.
pub fn restore(from: &Path, config: &Config) -> Result<Restored, CareError> {
    Ok(unpack(from, &config.house_keeper)?)
}

/// A backup in words.
pub fn describe(manifest: &Manifest) -> String {
    format!(
        "{} batches, {} of them not proved, and {} archived; {} artifacts; {} in all",
        manifest.batches,
        manifest.unproved,
        manifest.archived,
        manifest.artifacts.len(),
        crate::config::human_bytes(manifest.size_bytes()),
    )
}
