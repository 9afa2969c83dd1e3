//! Compresses a scheduler proof to a SNARK, and tells each step's time and the memory held at most so far.
//!
//! `whole_chain SCHEDULER_PROOF SCHEDULER_VK OUT_FOLDER`: minutes, and some gigabytes. Keys are made anew. The SNARK and its
//! verification key are left in the folder as bellman writes them.
#![feature(allocator_api)]
#![feature(generic_const_exprs)]
#![allow(incomplete_features)]

use std::{fs, path::PathBuf, time::Instant};

use boojum::{cs::implementations::pow::NoPow, worker::Worker};
use ingot_circuit_set::{
    decode,
    field::{Transcript, TreeHasher, Vk},
    security::PROVEN80,
};
use ingot_prover::StoredProof;
use ingot_snark::{
    compression::{Bn254Hasher, Bn254Transcript, CompressionKey, First, Last, FIRST, LAST},
    crs::{generate, Expected, LoadedCrs},
    plonk::{self, PlonkKey},
    wrapper::WrapperCircuit,
};

type Failure = Box<dyn std::error::Error>;

/// log2 of the wrapper's rows.
const DEGREE_LOG2: u32 = 20;

fn step<T, E: Into<Failure>>(name: &str, run: impl FnOnce() -> Result<T, E>) -> Result<T, Failure> {
    let start = Instant::now();
    let made = run().map_err(Into::into)?;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("VmHWM: ?").to_owned();
    println!("{name:24} {:7.1} s  {}", start.elapsed().as_secs_f64(), peak.replace('\t', " "));
    Ok(made)
}

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let mut next = |what: &str| arguments.next().ok_or_else(|| format!("expected an argument: {what}"));
    let (proof, vk, out) = (next("the scheduler's proof")?, next("its key")?, next("a folder")?);
    let scheduler = StoredProof::load(&proof)?.proof;
    fs::create_dir_all(&out)?;
    let vk: Vk = decode("verification key", &fs::read(vk)?)?;
    let crs_path = out.join("powers.crs");
    let (_, blake3) = step("powers: make", || generate(&crs_path, DEGREE_LOG2, "whole_chain", |_| {}))?;
    let expected = Expected { degree_log2: DEGREE_LOG2, pinned: None };
    step("powers: load and check", || LoadedCrs::load(&crs_path, expected))?;
    let expected = Expected { pinned: Some(blake3), ..expected };
    let powers = step("powers: load pinned", || LoadedCrs::load(&crs_path, expected))?.powers;

    let worker = Worker::new();

    let first = First::for_setup(vk, &PROVEN80.proof_config())?;
    let first_key = step("first: key", || CompressionKey::<TreeHasher>::generate(&first, &FIRST, &worker))?;
    let first_proof = step("first: proof", || {
        let circuit = first.with_proof(scheduler)?;
        first_key.prove::<First, Transcript, NoPow>("first", &circuit, &FIRST, &worker)
    })?;

    let last = Last::for_setup(first_key.vk.clone(), &FIRST.proof_config())?;
    drop(first_key);
    let last_key = step("last: key", || CompressionKey::<Bn254Hasher>::generate(&last, &LAST, &worker))?;
    let last_proof = step("last: proof", || {
        let circuit = last.with_proof(first_proof)?;
        last_key.prove::<Last, Bn254Transcript, Bn254Hasher>("last", &circuit, &LAST, &worker)
    })?;

    let setup_circuit = WrapperCircuit::for_setup(&last_key.vk)?;
    drop(last_key);
    let key = step("wrapper: key", || PlonkKey::generate(&setup_circuit, &powers))?;
    let circuit = setup_circuit.with_proof(last_proof);
    let snark = step("wrapper: proof", || key.prove(&circuit, &powers))?;
    let valid = step("wrapper: verify", || Ok::<_, Failure>(plonk::verify(&key.vk, &snark)))?;

    let (mut proof_bytes, mut vk_bytes) = (Vec::new(), Vec::new());
    snark.write(&mut proof_bytes)?;
    key.vk.write(&mut vk_bytes)?;
    println!("valid: {valid}, proof {} bytes, key {} bytes", proof_bytes.len(), vk_bytes.len());
    fs::write(out.join("snark.proof"), proof_bytes)?;
    fs::write(out.join("snark.vk"), vk_bytes)?;
    Ok(())
}
