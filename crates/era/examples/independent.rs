//! Gives every proof file below a folder to the published crates' own verifier, under the keys that ZKsync publishes, and
//! changed copies of it too: nothing of Ingot's prover or of its verifier takes part.
//!
//! `cargo run --release --manifest-path crates/era/Cargo.toml --example independent -- FOLDER`
#![feature(generic_const_exprs)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use boojum::{
    cs::{
        implementations::{
            pow::NoPow,
            proof::Proof as ProofOf,
            transcript::GoldilocksPoisedon2Transcript as Transcript,
            verifier::{VerificationKey, Verifier},
        },
        traits::circuit::{CircuitBuilderProxy, ErasedBuilderForVerifier},
    },
    field::{
        goldilocks::{GoldilocksExt2 as Ext, GoldilocksField as F},
        Field as _,
    },
};
use circuit_definitions::circuit_definitions::{
    base_layer::BaseProofsTreeHasher as Hasher,
    recursion_layer::{
        recursion_tip::ZkSyncRecursionTipCircuit,
        verifier_builder::dyn_verifier_builder_for_recursive_circuit_type, ZkSyncRecursionLayerStorageType,
    },
    verifier_builder::dyn_verifier_builder_for_circuit_type,
};
use ingot_era::OfficialKeys;
use ingot_prover::StoredProof;
use ingot_types::{AggregationRound, CircuitKey};

type Proof = ProofOf<F, Hasher, Ext>;
/// An element of a proof.
type Place = fn(&mut Proof) -> &mut F;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1) else {
        eprintln!("error: expected a folder with proof files");
        return ExitCode::from(2);
    };
    let mut paths = Vec::new();
    find(Path::new(&folder), &mut paths);
    let (mut proofs, mut bad) = (0, 0);
    for path in paths {
        let Ok(stored) = StoredProof::load(&path) else { continue };
        proofs += 1;
        match check(stored.header.circuit, &stored.proof) {
            Ok(refused) => println!(
                "{} of batch {:?}: valid under the official key; {refused} changed copies refused",
                stored.header.circuit, stored.header.batch.batch.0
            ),
            Err(why) => {
                bad += 1;
                println!("{} {}: {why}", stored.header.circuit, path.display());
            }
        }
    }
    println!("{proofs} proofs, {bad} bad");
    ExitCode::from(u8::from(bad > 0 || proofs == 0))
}

/// All files below `folder`.
fn find(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        match path.is_dir() {
            true => find(&path, found),
            false => found.push(path),
        }
    }
}

/// How many changed copies were refused, or what is wrong.
fn check(circuit: CircuitKey, proof: &Proof) -> Result<usize, String> {
    let official = OfficialKeys::get().map_err(|error| error.to_string())?;
    let vk = &official.of(circuit).ok_or("no such circuit")?.vk;
    let verifier = builder(circuit).ok_or("no such circuit")?.create_verifier();
    if !verify(&verifier, vk, proof) {
        return Err("INVALID".into());
    }
    let bump = |x: &mut F| {
        x.add_assign(&F::ONE);
    };
    let mut refused = 0;
    let changes: [(&str, Place); 6] = [
        ("public input", |p| &mut p.public_inputs[0]),
        ("opening at z", |p| &mut p.values_at_z[0].coeffs[0]),
        ("opening at z·ω", |p| &mut p.values_at_z_omega[0].coeffs[1]),
        ("witness cap", |p| &mut p.witness_oracle_cap[0][0]),
        ("last FRI polynomial", |p| &mut p.final_fri_monomials[0][0]),
        ("queried leaf", |p| &mut p.queries_per_fri_repetition[7].witness_query.leaf_elements[0]),
    ];
    for (what, place) in &changes {
        let mut changed = proof.clone();
        bump(place(&mut changed));
        if verify(&verifier, vk, &changed) {
            return Err(format!("ACCEPTED with another {what}"));
        }
        refused += 1;
    }
    // Under another circuit's key as well.
    let other = official
        .iter()
        .find(|(key, other)| *key != circuit && other.vk.fixed_parameters == vk.fixed_parameters);
    if other.is_some_and(|(_, other)| verify(&verifier, &other.vk, proof)) {
        return Err("ACCEPTED under another circuit's key".into());
    }
    Ok(refused)
}

fn verify(verifier: &Verifier<F, Ext>, vk: &VerificationKey<F, Hasher>, proof: &Proof) -> bool {
    verifier.verify::<Hasher, Transcript, NoPow>((), vk, proof)
}

/// The published crates' own choice of verifier.
fn builder(circuit: CircuitKey) -> Option<Box<dyn ErasedBuilderForVerifier<F, Ext>>> {
    Some(match circuit.round {
        AggregationRound::Basic => dyn_verifier_builder_for_circuit_type(circuit.circuit_id.0),
        AggregationRound::Leaf => dyn_verifier_builder_for_recursive_circuit_type(
            ZkSyncRecursionLayerStorageType::LeafLayerCircuitForMainVM,
        ),
        AggregationRound::Node => {
            dyn_verifier_builder_for_recursive_circuit_type(ZkSyncRecursionLayerStorageType::NodeLayerCircuit)
        }
        AggregationRound::RecursionTip => {
            CircuitBuilderProxy::<F, ZkSyncRecursionTipCircuit>::dyn_verifier_builder::<Ext>()
        }
        AggregationRound::Scheduler => {
            dyn_verifier_builder_for_recursive_circuit_type(ZkSyncRecursionLayerStorageType::SchedulerCircuit)
        }
    })
}
