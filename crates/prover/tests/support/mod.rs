//! One circuit through both provers.

use boojum::{config::ProvingCSConfig, cs::implementations::pow::PoWRunner};
use ingot_circuit_set::{
    encode,
    field::{Ext, Packed, Proof, ProofConfig, Transcript, TreeHasher, WitnessVector, Worker},
    gate_set, setup_key, synthesize_with, verifier, witness_vector, SetCircuit, SetupKey,
};
use ingot_field::Level;
use ingot_prover::{cpu::CpuDevice, Prepared, ProverError};
use ingot_types::{AggregationRound, CircuitKey};

pub const KEY: CircuitKey = CircuitKey::new(AggregationRound::Basic, 1);

pub fn config(lde: usize, cap: usize, queries: usize, pow_bits: u32) -> ProofConfig {
    ProofConfig {
        fri_lde_factor: lde,
        merkle_tree_cap_size: cap,
        fri_folding_schedule: None,
        security_level: queries * lde.trailing_zeros() as usize + pow_bits as usize,
        pow_bits,
    }
}

/// A circuit with its key and witness.
pub struct Made {
    pub setup: SetupKey,
    pub witness: WitnessVector,
    pub config: ProofConfig,
}

pub fn make<C: SetCircuit>(circuit: &C, config: ProofConfig) -> Made {
    let worker = Worker::new_with_num_threads(2);
    let setup = setup_key(circuit, &config, &worker).unwrap();
    let witness = witness_vector(circuit, &setup.hint).unwrap();
    Made { setup, witness, config }
}

pub fn ours<C: SetCircuit>(made: &Made, level: Level) -> Result<Proof, ProverError> {
    let gates = gate_set::<C>().unwrap();
    let device = CpuDevice::at(level);
    Prepared::with_gates(device, KEY, &gates, made.config.clone(), &made.setup)?
        .prove_unchecked(&made.witness)
}

pub fn theirs<C: SetCircuit, POW: PoWRunner>(circuit: &C, made: &Made) -> Proof {
    let worker = Worker::new_with_num_threads(2);
    let setup = &made.setup;
    // With its rows: tables whose ids are variables cannot be added to an empty assembly.
    let (assembly, _) = synthesize_with::<C, ProvingCSConfig, Packed>(circuit, Some(&setup.hint));
    assembly.prove_from_precomputations::<Ext, Transcript, TreeHasher, POW>(
        made.config.clone(),
        &setup.base,
        &setup.lde(&worker),
        &setup.tree,
        &setup.vk,
        &setup.variables_hint,
        &setup.witness_hint,
        (),
        &worker,
    )
}

pub fn verifies<C: SetCircuit, POW: PoWRunner>(made: &Made, proof: &Proof) -> bool {
    verifier::<C>().verify::<TreeHasher, Transcript, POW>((), &made.setup.vk, proof)
}

/// Both provers give the same bytes at every level, and the library's verifier accepts them.
pub fn same_bytes<C: SetCircuit, POW: PoWRunner>(circuit: &C, config: ProofConfig) {
    let made = make(circuit, config);
    let expected = theirs::<C, POW>(circuit, &made);
    for level in [Level::Base, Level::host()] {
        let proof = ours::<C>(&made, level).unwrap();
        assert_eq!(proof.public_inputs, expected.public_inputs);
        assert_eq!(proof.witness_oracle_cap, expected.witness_oracle_cap, "witness");
        assert_eq!(proof.stage_2_oracle_cap, expected.stage_2_oracle_cap, "stage 2");
        assert_eq!(proof.quotient_oracle_cap, expected.quotient_oracle_cap, "quotient");
        assert_eq!(
            encode("proof", &proof).unwrap(),
            encode("proof", &expected).unwrap(),
            "{:?}",
            made.config
        );
        assert!(verifies::<C, POW>(&made, &proof));
    }
}
