//! What an executable of these commands is built around: a circuit set, its keys and its batch files.

use std::{fmt, fs, path::Path, sync::Arc};

use anyhow::Context as _;
use ingot_circuit_set::{CircuitSet, VkSource};
use ingot_core_api::BatchFormat;
use ingot_types::{BatchId, ChainId};

use crate::pinned::Pinned;

/// A circuit set with everything that the commands need to know of it. `ingot` has the ledger's, `ingot-era` Era's.
pub trait Edition: Sync {
    /// The executable's name.
    fn executable(&self) -> &'static str;

    /// Names of its security parameters, the default first.
    fn parameter_sets(&self) -> &'static [&'static str];

    /// The circuit set under the security parameters called `parameters`.
    ///
    /// # Errors
    /// If there are none of that name.
    fn circuit_set(&self, parameters: &str) -> anyhow::Result<Arc<dyn CircuitSet>>;

    /// The keys to trust under `parameters`, if any are built in.
    ///
    /// # Errors
    /// If what is built in is bad.
    fn pinned(&self, parameters: &str) -> anyhow::Result<Option<Pinned>>;

    /// Verification keys that somebody else publishes for this circuit set: its own must equal them.
    ///
    /// # Errors
    /// If what is built in is bad.
    fn official_vks(&self) -> anyhow::Result<Option<Arc<dyn VkSource>>> {
        Ok(None)
    }

    /// How setup keys are kept.
    fn key_policy(&self) -> KeyPolicy;

    /// Memory that one batch needs at least, in bytes: of synthesis, and of proving.
    fn least_memory(&self) -> LeastMemory;

    /// Reads a batch; `name` is its file's name, or what it is called in errors. `chain` is the chain that the user says it
    /// is of.
    ///
    /// # Errors
    /// If it is none, or of another chain.
    fn load_batch(&self, name: &str, bytes: Vec<u8>, chain: Option<ChainId>) -> anyhow::Result<LoadedBatch>;

    /// What `bytes`, which have no magic, can be of this circuit set, in words: a circuit input and the like. Must be safe on
    /// any bytes.
    fn describe(&self, _bytes: &[u8]) -> Option<String> {
        None
    }

    /// How its batches look in messages between core and gateway.
    ///
    /// # Errors
    /// If it has none.
    fn batch_format(&self) -> anyhow::Result<Arc<dyn BatchFormat>> {
        anyhow::bail!("{} has neither gateway nor proof data handler yet", self.executable())
    }

    /// A sample batch.
    ///
    /// # Errors
    /// If it cannot be made.
    fn sample(&self, seed: u64, operations: u32) -> anyhow::Result<Sample>;
}

/// How setup keys are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPolicy {
    /// All are made before anything is proved.
    All,
    /// Each is made when it is needed, and dropped when there is no room: together they are larger than most disks.
    OnDemand,
}

/// Memory that must be there, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct LeastMemory {
    /// For one synthesis.
    pub synthesis_bytes: u64,
    /// For one proof and its key.
    pub proving_bytes: u64,
    /// Of that, for the key.
    pub key_cache_bytes: u64,
}

/// A sample batch.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Its file's name.
    pub file: &'static str,
    /// The batch.
    pub bytes: Vec<u8>,
}

/// A batch file that was read.
#[derive(Clone, Debug)]
pub struct LoadedBatch {
    /// Chain and number.
    pub id: BatchId,
    /// What is in it, for people: `40 operations`.
    pub contents: String,
    /// What the circuit set is given: the file's bytes.
    pub witness_inputs: Vec<u8>,
}

/// An edition and the security parameters that were chosen.
#[derive(Clone)]
pub(crate) struct Chosen {
    pub edition: &'static dyn Edition,
    pub parameters: String,
}

impl fmt::Debug for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Chosen").field(&self.edition.executable()).field(&self.parameters).finish()
    }
}

impl Chosen {
    /// The parameters called `parameters`, or the edition's default.
    pub fn new(edition: &'static dyn Edition, parameters: Option<&str>) -> Self {
        let default = edition.parameter_sets().first().copied().unwrap_or_default();
        Self { edition, parameters: parameters.unwrap_or(default).to_owned() }
    }

    /// The circuit set.
    pub fn circuit_set(&self) -> anyhow::Result<Arc<dyn CircuitSet>> {
        self.edition.circuit_set(&self.parameters)
    }

    /// The keys to trust, if any are built in.
    pub fn pinned(&self) -> anyhow::Result<Option<Pinned>> {
        self.edition.pinned(&self.parameters)
    }

    /// Reads the batch file at `path`.
    pub fn read_batch(&self, path: &Path, chain: Option<u64>) -> anyhow::Result<LoadedBatch> {
        let name = path.display().to_string();
        let bytes = fs::read(path).with_context(|| format!("cannot read the batch file {name}"))?;
        self.edition.load_batch(&name, bytes, chain.map(ChainId))
    }

    /// A sample batch.
    pub fn sample_batch(&self, seed: u64, operations: u32) -> anyhow::Result<(Sample, LoadedBatch)> {
        let sample = self.edition.sample(seed, operations)?;
        let batch = self.edition.load_batch(sample.file, sample.bytes.clone(), None)?;
        Ok((sample, batch))
    }
}
