//! What a proving device does: whole operations on columns, so that nothing but challenges, caps and openings crosses
//! between the protocol and the device.

use ingot_circuit_set::{field::WitnessVector, GateSet, SetupKey};
use ingot_field::{Digest, Ext};

use crate::{protocol::PowSeed, Layout, ProverError};

/// Challenges of stage 2.
#[derive(Clone, Copy, Debug)]
pub struct Stage2Challenges {
    /// β of the copy permutation.
    pub beta: Ext,
    /// γ of the copy permutation.
    pub gamma: Ext,
    /// β of the lookup argument; zero without one.
    pub lookup_beta: Ext,
    /// γ of the lookup argument; zero without one.
    pub lookup_gamma: Ext,
}

/// Polynomials that are opened together: those of one oracle, or some of them.
#[derive(Debug)]
pub struct Part<'a, C> {
    /// The oracle's polynomials.
    pub columns: &'a C,
    /// Which of them.
    pub range: std::ops::Range<usize>,
    /// Whether they are pairs (c0, c1) of one polynomial over the extension.
    pub pairs: bool,
}

impl<C> Part<'_, C> {
    /// Polynomials, a pair counting as one.
    pub fn polynomials(&self) -> usize {
        if self.pairs {
            self.range.len() / 2
        } else {
            self.range.len()
        }
    }
}

/// Polynomials opened at one point, with a challenge for each.
#[derive(Debug)]
pub struct Opening<'a, C> {
    /// The point.
    pub at: Ext,
    /// What is opened there.
    pub parts: Vec<Part<'a, C>>,
    /// One per polynomial.
    pub challenges: Vec<Ext>,
    /// The values claimed, one per polynomial.
    pub values: Vec<Ext>,
}

/// One leaf of an oracle with its path to the cap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The leaf's elements, canonical.
    pub elements: Vec<u64>,
    /// Siblings from the leaf upwards.
    pub path: Vec<Digest>,
}

/// A device that proves.
pub trait Device {
    /// A circuit's setup on the device.
    type Setup;
    /// Polynomials of one oracle, all of as many coefficients as the circuit has rows.
    type Columns;
    /// A Merkle tree.
    type Tree;
    /// A codeword of FRI: an extension polynomial's values on the whole domain.
    type Codeword;

    /// Brings a setup key onto the device, for as many proofs as are wanted.
    ///
    /// # Errors
    /// [`ProverError::Setup`] if the key does not fit its layout.
    fn setup(&self, key: &SetupKey, gates: &GateSet, layout: &Layout) -> Result<Self::Setup, ProverError>;

    /// The setup oracle's polynomials.
    fn setup_columns<'a>(&self, setup: &'a Self::Setup) -> &'a Self::Columns;

    /// The setup oracle's tree.
    fn setup_tree<'a>(&self, setup: &'a Self::Setup) -> &'a Self::Tree;

    /// Lays the witness out in columns and interpolates them.
    fn witness(&self, setup: &Self::Setup, layout: &Layout, witness: &WitnessVector) -> Self::Columns;

    /// Extends columns to the whole domain and hashes its rows.
    fn commit(&self, layout: &Layout, columns: &Self::Columns) -> Self::Tree;

    /// The nodes of a tree's cap.
    fn cap(&self, tree: &Self::Tree) -> Vec<Digest>;

    /// The grand product of the copy permutation with its partial products, and the lookup argument's fractions.
    ///
    /// # Errors
    /// [`ProverError::Unsatisfied`] if the grand product does not close.
    fn stage2(
        &self,
        setup: &Self::Setup,
        layout: &Layout,
        witness: &Self::Columns,
        challenges: &Stage2Challenges,
    ) -> Result<Self::Columns, ProverError>;

    /// The quotient of all constraints, combined with powers of `alpha`, by the vanishing polynomial, in chunks.
    ///
    /// # Errors
    /// [`ProverError::Unsatisfied`] if it is none.
    fn quotient(
        &self,
        setup: &Self::Setup,
        layout: &Layout,
        witness: &Self::Columns,
        stage2: &Self::Columns,
        challenges: &Stage2Challenges,
        alpha: Ext,
    ) -> Result<Self::Columns, ProverError>;

    /// The values of polynomials at `at`, part after part.
    fn evaluate(&self, parts: &[Part<'_, Self::Columns>], at: Ext) -> Vec<Ext>;

    /// The DEEP combination Σ c (f − v) / (x − z) over all openings, on the whole domain.
    ///
    /// # Errors
    /// [`ProverError::Unsatisfied`] if a value is not what its polynomial has at the point.
    fn deep(
        &self,
        layout: &Layout,
        openings: &[Opening<'_, Self::Columns>],
    ) -> Result<Self::Codeword, ProverError>;

    /// Hashes a codeword into a tree with 2^`leaf_log2` places a leaf.
    fn commit_codeword(&self, layout: &Layout, codeword: &Self::Codeword, leaf_log2: u32) -> Self::Tree;

    /// Folds a codeword by 2^`fold_log2`.
    fn fold(&self, codeword: &Self::Codeword, fold_log2: u32, challenge: Ext) -> Self::Codeword;

    /// The coefficients of a folded codeword, of which `degree` may be nonzero.
    ///
    /// # Errors
    /// [`ProverError::Unsatisfied`] if more are.
    fn coefficients(&self, codeword: &Self::Codeword, degree: usize) -> Result<[Vec<u64>; 2], ProverError>;

    /// Leaves `indices` of the oracle over `columns`, with paths in `tree`.
    fn query(
        &self,
        layout: &Layout,
        columns: &Self::Columns,
        tree: &Self::Tree,
        indices: &[usize],
    ) -> Vec<Leaf>;

    /// Leaves `indices` of a codeword's oracle.
    fn query_codeword(
        &self,
        codeword: &Self::Codeword,
        tree: &Self::Tree,
        leaf_log2: u32,
        indices: &[usize],
    ) -> Vec<Leaf>;

    /// The lowest nonce whose hash with `seed` ends in `bits` zero bits.
    fn grind(&self, seed: &PowSeed, bits: u32) -> u64;
}
