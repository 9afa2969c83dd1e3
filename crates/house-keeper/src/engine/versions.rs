//! Which keys each protocol version has: what an operator has recorded binds every worker.

use ingot_job_store::{Home, StoreError, VersionRow};

use super::core::Core;
use crate::protocol::{Denial, Registration, Served, VersionInfo};

/// What differs between two that should be the same: its name, what was expected, what was found.
fn difference<'a>(expected: &'a Served, found: &'a Served) -> Option<(&'static str, &'a str, &'a str)> {
    [
        ("circuit set", expected.circuit_set.as_str(), found.circuit_set.as_str()),
        ("security parameters", &expected.parameter_set, &found.parameter_set),
        ("key manifest", &expected.key_manifest, &found.key_manifest),
    ]
    .into_iter()
    .find(|(_, expected, found)| expected != found)
}

fn served(row: &VersionRow) -> Served {
    Served {
        protocol_version: row.protocol_version,
        circuit_set: row.circuit_set.clone(),
        parameter_set: row.parameter_set.clone(),
        key_manifest: row.key_manifest.clone(),
    }
}

impl Core {
    /// Whether a worker has the keys that are recorded for its version. The store is asked each time: what is kept in
    /// memory may be of a change that was never stored.
    pub(super) fn check_recorded(
        &mut self,
        home: &dyn Home,
        registration: &Registration,
    ) -> Result<(), String> {
        let Some(found) = &registration.serves else { return Ok(()) };
        let rows = home.versions().map_err(|error| error.to_string())?;
        let Some(row) = rows.iter().find(|row| row.protocol_version == found.protocol_version) else {
            return Ok(());
        };
        let recorded = served(row);
        if let Some((what, expected, found)) = difference(&recorded, found) {
            return Err(format!(
                "worker {}, protocol version {}: expected {what} {expected}, as {} recorded it, found {found}",
                registration.name, row.protocol_version, row.who
            ));
        }
        self.peers.pin(recorded);
        Ok(())
    }

    /// Records a version's keys; says what that did.
    pub(super) fn record_version(
        &self,
        home: &mut dyn Home,
        new: &Served,
        replace: bool,
        who: &str,
        now_ms: u64,
    ) -> Result<String, Denial> {
        let version = new.protocol_version;
        for text in [&new.circuit_set, &new.parameter_set, &new.key_manifest] {
            if text.is_empty() || text.len() > 128 || !text.chars().all(|c| c.is_ascii_graphic()) {
                return Err(Denial::Refused(format!(
                    "protocol version {version}: `{}` names no circuits or keys: expected 1 to 128 printable characters",
                    text.escape_debug()
                )));
            }
        }
        let other_keys = self.peers.all().filter(|(_, peer)| peer.is_connected()).find_map(|(_, peer)| {
            let has = peer.registration.serves.as_ref().filter(|has| has.protocol_version == version)?;
            difference(new, has).map(|found| (&peer.registration.name, found))
        });
        if let Some((name, (what, expected, found))) = other_keys {
            return Err(Denial::Refused(format!(
                "protocol version {version}: worker {name} is connected with {what} {found}, which is not {expected}"
            )));
        }
        let rows = home.versions().map_err(super::core::denied)?;
        let old = rows.iter().find(|row| row.protocol_version == version).map(served);
        let result = match &old {
            None => format!("recorded with key manifest {}", new.key_manifest),
            Some(old) => match difference(old, new) {
                None => return Ok("recorded already, with the same keys".into()),
                Some((what, expected, found)) if !replace => {
                    return Err(Denial::Refused(format!(
                        "protocol version {version} is recorded with {what} {expected}, and this is {found}: replace it if that is meant"
                    )));
                }
                Some((what, expected, found)) => {
                    format!("recorded with {what} {found} in place of {expected}")
                }
            },
        };
        let row = VersionRow {
            protocol_version: version,
            circuit_set: new.circuit_set.clone(),
            parameter_set: new.parameter_set.clone(),
            key_manifest: new.key_manifest.clone(),
            recorded_at_ms: now_ms,
            who: who.to_owned(),
        };
        home.record_version(&row).map_err(super::core::denied)?;
        Ok(result)
    }

    /// The versions that are recorded, and those that workers have brought.
    pub(super) fn versions(&self, home: &dyn Home) -> Result<Vec<VersionInfo>, StoreError> {
        let workers = |served: &Served| {
            let serves = |(_, peer): &(_, &super::peers::Peer)| {
                peer.is_connected() && peer.version() == Some(served.protocol_version)
            };
            self.peers.all().filter(serves).map(|(_, peer)| peer.registration.name.clone()).collect()
        };
        let mut infos: Vec<VersionInfo> = home
            .versions()?
            .into_iter()
            .map(|row| VersionInfo {
                workers: workers(&served(&row)),
                served: served(&row),
                recorded: Some((row.recorded_at_ms, row.who)),
            })
            .collect();
        for brought in self.peers.served() {
            if infos.iter().all(|info| info.served.protocol_version != brought.protocol_version) {
                infos.push(VersionInfo {
                    workers: workers(brought),
                    served: brought.clone(),
                    recorded: None,
                });
            }
        }
        infos.sort_by_key(|info| info.served.protocol_version);
        Ok(infos)
    }
}
