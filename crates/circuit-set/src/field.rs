//! The proof library's types at the parameters that every circuit set here uses: Goldilocks, its quadratic extension,
//! Poseidon2 trees and transcript.

use boojum::{
    algebraic_props::{round_function::AbsorptionModeOverwrite, sponge::GoldilocksPoseidon2Sponge},
    config::ProvingCSConfig,
    cs::implementations::{
        hints::{DenseVariablesCopyHint, DenseWitnessCopyHint},
        polynomial_storage::{SetupBaseStorage, SetupStorage},
        reference_cs::CSReferenceAssembly,
        setup::FinalizationHintsForProver,
        transcript::GoldilocksPoisedon2Transcript,
        verifier::{VerificationKey, Verifier},
        witness::WitnessVec,
    },
    cs::oracle::merkle_tree::MerkleTreeWithCap,
    field::goldilocks::{GoldilocksExt2, GoldilocksField, MixedGL},
    implementations::poseidon2::Poseidon2Goldilocks,
};

/// The base field, p = 2^64 − 2^32 + 1.
pub type F = GoldilocksField;
/// Its quadratic extension F\[x\]/(x² − 7).
pub type Ext = GoldilocksExt2;
/// Vectorised base field that the CPU prover computes with.
pub type Packed = MixedGL;
/// Poseidon2 over 12 elements, as a circuit round function.
pub type RoundFunction = Poseidon2Goldilocks;
/// Merkle tree hasher.
pub type TreeHasher = GoldilocksPoseidon2Sponge<AbsorptionModeOverwrite>;
/// Fiat–Shamir transcript.
pub type Transcript = GoldilocksPoisedon2Transcript;
/// Four field elements: the output of the sponge.
pub type Digest = [F; 4];

/// A proof.
pub type Proof = boojum::cs::implementations::proof::Proof<F, TreeHasher, Ext>;
/// A verification key.
pub type Vk = VerificationKey<F, TreeHasher>;
/// Native verifier for one circuit's gates.
pub type NativeVerifier = Verifier<F, Ext>;
/// How rows and columns were finalized at setup; synthesis repeats it.
pub type FinalizationHint = FinalizationHintsForProver;
/// A synthesized circuit's values, ready to be proved.
pub type WitnessVector = WitnessVec<F>;
/// The empty assembly a prover needs beside setup key and witness vector.
pub type ProvingAssembly = CSReferenceAssembly<F, Packed, ProvingCSConfig>;
/// Setup polynomials on the base domain.
pub type SetupBase = SetupBaseStorage<F, Packed>;
/// Setup polynomials on all cosets.
pub type SetupLde = SetupStorage<F, Packed>;
/// Merkle tree over the setup polynomials.
pub type SetupTree = MerkleTreeWithCap<F, TreeHasher>;
/// Where each copied variable sits.
pub type VariablesHint = DenseVariablesCopyHint;
/// Where each witness-only variable sits.
pub type WitnessHint = DenseWitnessCopyHint;
pub use boojum::cs::implementations::prover::ProofConfig;
pub use boojum::worker::Worker;
