//! Our prover against the proof library's, on one circuit at several sizes.
//!
//! Keys and witness are made once, in files; each measurement then runs in a process of its own, whose peak of memory is
//! its own.

mod circuit;

use std::{
    fmt, fs,
    path::Path,
    time::{Duration, Instant},
};

use ingot_circuit_set::{
    decode, empty_assembly, encode,
    field::{FinalizationHint, Proof, ProofConfig, Vk, Worker},
    gate_set, setup_key, witness_vector, SetError, SetupKey,
};
use ingot_types::{AggregationRound, CircuitKey};
use serde::{Deserialize, Serialize};

pub use circuit::BenchCircuit;

use crate::{
    cpu::CpuDevice, decode_witness_vector, encode_witness_vector, library::prove_in, Prepared, ProverError,
};

const KEY: CircuitKey = CircuitKey::new(AggregationRound::Basic, 1);

/// Which prover is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Engine {
    /// Ours.
    Own,
    /// The proof library's.
    Library,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Own => "own",
            Self::Library => "library",
        })
    }
}

/// What is proved.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Shape {
    /// log2 of the rows.
    pub rows_log2: u32,
    /// Factor of the low-degree extension.
    pub lde: usize,
    /// Queries.
    pub queries: usize,
}

impl Shape {
    fn config(&self) -> ProofConfig {
        ProofConfig {
            fri_lde_factor: self.lde,
            merkle_tree_cap_size: 16,
            fri_folding_schedule: None,
            security_level: self.queries * self.lde.trailing_zeros() as usize,
            pow_bits: 0,
        }
    }
}

/// What one process measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured {
    /// Fastest proof, without making the prover ready.
    pub proving: Duration,
    /// Making a loaded setup key ready for any number of proofs.
    pub preparing: Duration,
    /// Processor time of the fastest proof.
    pub cpu: Duration,
    /// What [`crate::Layout::proving_bytes`] says, with the witness vector; 0 for the library.
    pub planned_bytes: u64,
    /// BLAKE3 of the proof.
    pub proof_hash: [u8; 32],
}

/// A file of a measurement that cannot be read or written, or is not what it should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// A file.
    #[error("{path}: {source}")]
    File {
        /// Its path.
        path: String,
        /// What went wrong.
        source: std::io::Error,
    },
    /// Its contents, or the circuit.
    #[error(transparent)]
    Set(#[from] SetError),
    /// Proving.
    #[error(transparent)]
    Prover(#[from] ProverError),
}

fn write(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), BenchError> {
    let path = dir.join(name);
    fs::write(&path, bytes).map_err(|source| BenchError::File { path: path.display().to_string(), source })
}

fn read(dir: &Path, name: &str) -> Result<Vec<u8>, BenchError> {
    let path = dir.join(name);
    fs::read(&path).map_err(|source| BenchError::File { path: path.display().to_string(), source })
}

/// Makes keys and witness of `shape` in `dir`.
///
/// # Errors
/// [`BenchError`].
pub fn make(dir: &Path, shape: &Shape) -> Result<(), BenchError> {
    let circuit = BenchCircuit { rows_log2: shape.rows_log2 };
    let setup = setup_key(&circuit, &shape.config(), &Worker::new())?;
    write(dir, "shape", &encode("shape", shape)?)?;
    write(dir, "vk", &encode("verification key", &setup.vk)?)?;
    write(dir, "hint", &encode("finalization hint", &setup.hint)?)?;
    write(dir, "setup", &setup.prover_part()?)?;
    let hint = setup.hint.clone();
    drop(setup);
    write(dir, "witness", &encode_witness_vector(&witness_vector(&circuit, &hint)?)?)
}

/// Proves what [`make`] left in `dir`, `runs` times.
///
/// # Errors
/// [`BenchError`].
pub fn measure(dir: &Path, engine: Engine, runs: usize) -> Result<Measured, BenchError> {
    let shape: Shape = decode("shape", &read(dir, "shape")?)?;
    let vk: Vk = decode("verification key", &read(dir, "vk")?)?;
    let hint: FinalizationHint = decode("finalization hint", &read(dir, "hint")?)?;
    let witness = decode_witness_vector(&read(dir, "witness")?)?;
    let setup = SetupKey::from_parts(vk, hint, &read(dir, "setup")?)?;
    let circuit = BenchCircuit { rows_log2: shape.rows_log2 };
    let start = Instant::now();
    match engine {
        Engine::Own => {
            let gates = gate_set::<BenchCircuit>()?;
            let prepared = Prepared::with_gates(CpuDevice::new(), KEY, &gates, shape.config(), &setup)?;
            drop(setup);
            let preparing = start.elapsed();
            let planned_bytes = prepared.layout().proving_bytes() + 8 * witness.all_values.len() as u64;
            let measured = repeat(runs, preparing, || Ok(prepared.prove_unchecked(&witness)?))?;
            Ok(Measured { planned_bytes, ..measured })
        }
        Engine::Library => {
            let worker = Worker::new();
            let lde = setup.lde(&worker);
            let assembly = empty_assembly(&circuit, &setup.hint);
            let preparing = start.elapsed();
            repeat(runs, preparing, || {
                Ok(prove_in(&assembly, &witness, shape.config(), &setup, &lde, &worker))
            })
        }
    }
}

fn repeat(
    runs: usize,
    preparing: Duration,
    mut prove: impl FnMut() -> Result<Proof, BenchError>,
) -> Result<Measured, BenchError> {
    let mut best: Option<Measured> = None;
    for _ in 0..runs.max(1) {
        let (cpu, start) = (cpu_time(), Instant::now());
        let proof = prove()?;
        let (proving, cpu) = (start.elapsed(), cpu_time().saturating_sub(cpu));
        if best.as_ref().is_none_or(|best| proving < best.proving) {
            let proof_hash = blake3::hash(&encode("proof", &proof)?).into();
            best = Some(Measured { proving, preparing, cpu, planned_bytes: 0, proof_hash });
        }
    }
    best.ok_or_else(|| SetError::Inconsistent("nothing was measured".into()).into())
}

/// Processor time of this process, in the system's ticks of 10 ms.
fn cpu_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<u64>().ok()).sum();
    Duration::from_millis(10 * ticks)
}
