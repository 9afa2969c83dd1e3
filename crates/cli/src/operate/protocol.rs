//! `ingot protocol`: which versions there are, and whose keys count.

use std::sync::Arc;

use anyhow::{bail, Context as _};
use ingot_artifacts::Blake3;
use ingot_house_keeper::protocol::{Change, OperatorAnswer, OperatorRequest, Served};
use ingot_keystore::KeyManifest;
use serde::Serialize;

use super::{args::InsertVersionArgs, desk::Desk, time::utc};
use crate::{args::ServiceArgs, edition::Chosen, exit::Outcome, ui::Ui};

#[derive(Serialize)]
struct Shown {
    version: String,
    circuit_set: String,
    parameter_set: String,
    key_manifest: String,
    recorded_at_ms: Option<u64>,
    recorded_by: Option<String>,
    workers: Vec<String>,
    /// Whether this executable has the same keys built in.
    own: bool,
}

/// What this executable would serve: its circuits, and the hash of the manifest that is built in, if one is.
pub(crate) fn own(chosen: &Chosen) -> anyhow::Result<Option<Served>> {
    let set = chosen.circuit_set()?;
    let Some(pinned) = chosen.pinned()? else { return Ok(None) };
    Ok(Some(Served {
        protocol_version: set.protocol_version(),
        circuit_set: set.name().to_owned(),
        parameter_set: set.parameter_set().to_owned(),
        key_manifest: manifest_hash(&pinned.parse()?),
    }))
}

/// As workers name it when they register.
fn manifest_hash(manifest: &KeyManifest) -> String {
    Blake3::of(manifest.to_toml().as_bytes()).to_string()
}

/// Lists the versions that are recorded, or that workers have brought.
pub(crate) fn list(ui: &Arc<Ui>, chosen: &Chosen, args: &ServiceArgs) -> anyhow::Result<Outcome> {
    let own = own(chosen)?;
    let desk = Desk::open(args, None)?;
    let OperatorAnswer::Versions(versions) = desk.ask_operator(OperatorRequest::Versions)? else {
        bail!("the house keeper answers something else")
    };
    if versions.is_empty() {
        ui.note("no protocol version is recorded, and no worker has brought one");
    }
    for info in versions {
        let shown = Shown {
            version: info.served.protocol_version.to_string(),
            own: own.as_ref() == Some(&info.served),
            circuit_set: info.served.circuit_set,
            parameter_set: info.served.parameter_set,
            key_manifest: info.served.key_manifest,
            recorded_at_ms: info.recorded.as_ref().map(|(at_ms, _)| *at_ms),
            recorded_by: info.recorded.map(|(_, who)| who),
            workers: info.workers,
        };
        let recorded = match (&shown.recorded_by, shown.recorded_at_ms) {
            (Some(who), Some(at_ms)) => format!("recorded by {who} {}", utc(at_ms)),
            _ => "not recorded: the first worker decided".into(),
        };
        let own = if shown.own { ", this executable's" } else { "" };
        let text = format!(
            "{}  {} with {}, key manifest {}{own}; {recorded}; {} workers",
            shown.version,
            shown.circuit_set,
            shown.parameter_set,
            shown.key_manifest,
            shown.workers.len()
        );
        ui.show("protocol_version", &shown, &text);
    }
    Ok(Outcome::Done)
}

/// Records a version's keys.
pub(crate) fn insert(ui: &Arc<Ui>, chosen: &Chosen, args: &InsertVersionArgs) -> anyhow::Result<Outcome> {
    let set = chosen.circuit_set()?;
    let version = args.version.unwrap_or_else(|| set.protocol_version());
    let key_manifest = match (&args.manifest, &args.key_manifest) {
        (Some(path), _) => {
            let manifest = KeyManifest::load(path)?;
            if manifest.protocol_version != version.to_string() {
                bail!(
                    "{} is a manifest of protocol version {}: expected {version}",
                    path.display(),
                    manifest.protocol_version
                );
            }
            manifest_hash(&manifest)
        }
        (None, Some(hash)) => {
            let hash: Blake3 = hash.parse().with_context(|| format!("--key-manifest {hash}"))?;
            hash.to_string()
        }
        (None, None) => {
            let own = own(chosen)?.filter(|own| own.protocol_version == version);
            let own = own.with_context(|| {
                format!("no key manifest of protocol version {version} is built in: give --manifest or --key-manifest")
            })?;
            own.key_manifest
        }
    };
    let served = Served {
        protocol_version: version,
        circuit_set: args.circuit_set.clone().unwrap_or_else(|| set.name().to_owned()),
        parameter_set: args.parameter_set.clone().unwrap_or_else(|| set.parameter_set().to_owned()),
        key_manifest,
    };
    let desk = Desk::open(&args.service, None)?;
    desk.change(ui, &Change::InsertVersion { served, replace: args.replace }, args.dry_run)
}
