//! What circuits cost on this machine: measured, kept in a small file, used instead of the circuit set's estimates.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use ingot_artifacts::write_atomically;
use ingot_types::{AggregationRound, CircuitId, CircuitKey};
use serde::{Deserialize, Serialize};

use crate::ServiceError;

/// A measured peak is exceeded now and then: by so much it is believed, in percent.
const HEADROOM_PERCENT: u64 = 25;
/// Measurements after which memory is not looked at any more.
const ENOUGH: u64 = 8;
/// Weight of the newest duration in the average.
const NEWEST: f64 = 0.3;

/// What one circuit costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Cost {
    /// The largest growth of the process that was seen while it was made alone, in bytes.
    pub peak_bytes: u64,
    /// How often that was measured.
    pub peaks: u64,
    /// Average duration, in seconds; newer ones weigh more.
    pub seconds: f64,
    /// How often that was measured.
    pub samples: u64,
}

/// The costs of all circuits, and the file that keeps them.
#[derive(Debug)]
pub struct Costs {
    path: Option<PathBuf>,
    costs: Mutex<BTreeMap<CircuitKey, Cost>>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    /// Version of the protocol and name of the parameters: costs of others are of no use.
    of: String,
    circuits: BTreeMap<String, Cost>,
}

impl Costs {
    /// Costs that are forgotten with the process.
    pub fn in_memory() -> Self {
        Self { path: None, costs: Mutex::default() }
    }

    /// Reads what is known about circuits `of` some version. A file that cannot be read is begun anew: it holds nothing
    /// that cannot be measured again.
    ///
    /// # Errors
    /// [`ServiceError::File`] if the folder cannot be created.
    pub fn open(path: &Path, of: &str) -> Result<Self, ServiceError> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|e| ServiceError::File {
                action: "create the folder",
                path: folder.to_owned(),
                reason: e.to_string(),
            })?;
        }
        let costs = match fs::read_to_string(path) {
            Ok(text) => match toml::from_str::<File>(&text) {
                Ok(file) if file.of == of => parsed(file),
                Ok(_) => BTreeMap::new(),
                Err(error) => {
                    tracing::warn!("{}: measured costs are forgotten: {error}", path.display());
                    BTreeMap::new()
                }
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => {
                tracing::warn!("{}: measured costs cannot be read: {error}", path.display());
                BTreeMap::new()
            }
        };
        Ok(Self { path: Some(path.to_owned()), costs: Mutex::new(costs) })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<CircuitKey, Cost>> {
        self.costs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known about a circuit.
    pub fn get(&self, circuit: CircuitKey) -> Option<Cost> {
        self.lock().get(&circuit).copied()
    }

    /// Memory to set aside for a circuit, in bytes: measured, with headroom, or else `estimate`.
    pub fn ram_bytes(&self, circuit: CircuitKey, estimate: u64) -> u64 {
        match self.get(circuit) {
            Some(cost) if cost.peaks > 0 => {
                cost.peak_bytes.saturating_add(cost.peak_bytes / 100 * HEADROOM_PERCENT)
            }
            _ => estimate,
        }
    }

    /// Whether its memory should be measured again.
    pub fn wants_peak(&self, circuit: CircuitKey) -> bool {
        self.get(circuit).is_none_or(|cost| cost.peaks < ENOUGH)
    }

    /// It took so long, and the process grew by `peak_bytes` meanwhile, if that was measured while it was made alone. `of`
    /// is as in [`Self::open`].
    pub fn measured(&self, of: &str, circuit: CircuitKey, seconds: f64, peak_bytes: Option<u64>) {
        let mut costs = self.lock();
        let cost = costs.entry(circuit).or_default();
        cost.seconds = match cost.samples {
            0 => seconds,
            _ => cost.seconds * (1.0 - NEWEST) + seconds * NEWEST,
        };
        cost.samples += 1;
        let mut worth_keeping = cost.samples.is_power_of_two();
        if let Some(bytes) = peak_bytes {
            // An allocator that kept memory from before hides a part: the largest is nearest to the truth.
            worth_keeping |= bytes > cost.peak_bytes || cost.peaks == 0;
            cost.peak_bytes = cost.peak_bytes.max(bytes);
            cost.peaks += 1;
        }
        if let (true, Some(path)) = (worth_keeping, &self.path) {
            let circuits = costs.iter().map(|(key, cost)| (key.to_string(), *cost)).collect();
            let text = toml::to_string(&File { of: of.to_owned(), circuits }).unwrap_or_default();
            if let Err(error) = write_atomically(path, text.as_bytes()) {
                tracing::warn!("measured costs are not kept: {error}");
            }
        }
    }
}

fn parsed(file: File) -> BTreeMap<CircuitKey, Cost> {
    let key = |text: &str| {
        let (round, id) = text.split_once(':')?;
        let round = AggregationRound::try_from(round.parse::<u8>().ok()?).ok()?;
        Some(CircuitKey { round, circuit_id: CircuitId(id.parse().ok()?) })
    };
    let usable = |cost: &Cost| cost.seconds.is_finite() && cost.seconds >= 0.0;
    file.circuits
        .iter()
        .filter(|(_, cost)| usable(cost))
        .filter_map(|(text, cost)| Some((key(text)?, *cost)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measured_memory_replaces_the_estimate_and_survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/costs.toml");
        let (a, b) =
            (CircuitKey::new(AggregationRound::Basic, 1), CircuitKey::new(AggregationRound::Node, 9));
        let costs = Costs::open(&path, "0.1.0 test").unwrap();
        assert_eq!(costs.ram_bytes(a, 77), 77);
        costs.measured("0.1.0 test", a, 2.0, Some(1000));
        costs.measured("0.1.0 test", a, 4.0, Some(900));
        costs.measured("0.1.0 test", b, 1.0, None);
        let seconds = costs.get(a).unwrap().seconds;
        assert!((2.5..2.7).contains(&seconds), "{seconds}");
        let again = Costs::open(&path, "0.1.0 test").unwrap();
        assert_eq!(again.ram_bytes(a, 77), 1250);
        assert_eq!(again.ram_bytes(b, 77), 77, "its memory was never measured");
        assert_eq!(again.get(b).unwrap().samples, 1);
        assert!(Costs::open(&path, "0.2.0 test").unwrap().get(a).is_none(), "other circuits");
        fs::write(&path, "of = 3").unwrap();
        assert!(Costs::open(&path, "0.1.0 test").unwrap().get(a).is_none());
    }
}
