//! The CPU device: all cores, the widest SIMD of the host, memory for one coset beside the coefficients.

mod fri;
mod grind;
mod inverse;
mod openings;
mod program;
mod query;
mod quotient;
mod setup;
mod stage2;

use ingot_circuit_set::{field::WitnessVector, GateSet, SetupKey};
use ingot_field::{
    bit_reverse, canonical, Columns, CosetTwiddles, Digest, Ext, ExtLanes, Lanes, Level, Tree,
};
use rayon::prelude::*;

pub use fri::Codeword;
pub use setup::CpuSetup;

use crate::{
    device::{Device, Leaf, Opening, Part, Stage2Challenges},
    protocol::PowSeed,
    Layout, ProverError,
};

/// `start` + Σ factor_i · column_i at one place of the columns.
#[inline(always)]
fn combination<L: Lanes>(start: ExtLanes<L>, columns: &[&[u64]], factors: &[Ext], at: usize) -> ExtLanes<L> {
    let mut sum = start;
    for (column, &factor) in columns.iter().zip(factors) {
        sum = sum.add_scaled(L::load(&column[at..]), ExtLanes::splat(factor));
    }
    sum
}

/// The CPU as a device. Its work runs on the rayon pool it is called in.
#[derive(Clone, Copy, Debug)]
pub struct CpuDevice {
    level: Level,
}

impl CpuDevice {
    /// At the best level of this host.
    pub fn new() -> Self {
        Self::at(Level::detect())
    }

    /// At a given level, which the host must have.
    pub fn at(level: Level) -> Self {
        Self { level: level.min(Level::host()) }
    }
}

impl Default for CpuDevice {
    fn default() -> Self {
        Self::new()
    }
}

impl Device for CpuDevice {
    type Setup = CpuSetup;
    type Columns = Columns;
    type Tree = Tree;
    type Codeword = Codeword;

    fn setup(&self, key: &SetupKey, gates: &GateSet, layout: &Layout) -> Result<CpuSetup, ProverError> {
        CpuSetup::new(self.level, key, gates, layout)
    }

    fn setup_columns<'a>(&self, setup: &'a CpuSetup) -> &'a Columns {
        &setup.columns
    }

    fn setup_tree<'a>(&self, setup: &'a CpuSetup) -> &'a Tree {
        &setup.tree
    }

    fn witness(&self, setup: &CpuSetup, layout: &Layout, witness: &WitnessVector) -> Columns {
        let rows_log2 = layout.rows_log2;
        let mut columns = Columns::zeros(rows_log2, layout.witness_columns());
        columns.par_iter_mut().zip(&setup.places).for_each(|(column, places)| {
            for (row, &place) in places.iter().enumerate() {
                let value = (place as usize).checked_sub(1).and_then(|index| witness.all_values.get(index));
                if let Some(value) = value {
                    column[bit_reverse(row, rows_log2)] = value.0;
                }
            }
        });
        if layout.lookup.is_some() {
            let column = columns.column_mut(layout.variables + layout.witnesses);
            for (row, &multiplicity) in witness.multiplicities.iter().enumerate().take(layout.rows()) {
                column[bit_reverse(row, rows_log2)] = u64::from(multiplicity);
            }
        }
        columns.interpolate(self.level, &CosetTwiddles::new(rows_log2, 1));
        columns
    }

    fn commit(&self, layout: &Layout, columns: &Columns) -> Tree {
        Tree::of_columns(self.level, columns, layout.lde_log2, layout.cap_size)
    }

    fn cap(&self, tree: &Tree) -> Vec<Digest> {
        tree.cap().to_vec()
    }

    fn stage2(
        &self,
        setup: &CpuSetup,
        layout: &Layout,
        witness: &Columns,
        challenges: &Stage2Challenges,
    ) -> Result<Columns, ProverError> {
        stage2::stage2(self.level, setup, layout, witness, challenges)
    }

    fn quotient(
        &self,
        setup: &CpuSetup,
        layout: &Layout,
        witness: &Columns,
        stage2: &Columns,
        challenges: &Stage2Challenges,
        alpha: Ext,
    ) -> Result<Columns, ProverError> {
        quotient::quotient(self.level, setup, layout, witness, stage2, challenges, alpha)
    }

    fn evaluate(&self, parts: &[Part<'_, Columns>], at: Ext) -> Vec<Ext> {
        openings::evaluate(self.level, parts, at)
    }

    fn deep(&self, layout: &Layout, openings: &[Opening<'_, Columns>]) -> Result<Codeword, ProverError> {
        let coefficients = openings::deep(self.level, layout, openings)?;
        Ok(Codeword::extend(self.level, &coefficients, layout.lde_log2))
    }

    fn commit_codeword(&self, layout: &Layout, codeword: &Codeword, leaf_log2: u32) -> Tree {
        Tree::of_codeword(self.level, &codeword.values, leaf_log2, layout.cap_size)
    }

    fn fold(&self, codeword: &Codeword, fold_log2: u32, challenge: Ext) -> Codeword {
        codeword.fold(fold_log2, challenge)
    }

    fn coefficients(&self, codeword: &Codeword, degree: usize) -> Result<[Vec<u64>; 2], ProverError> {
        codeword.coefficients(self.level, degree)
    }

    fn query(&self, layout: &Layout, columns: &Columns, tree: &Tree, indices: &[usize]) -> Vec<Leaf> {
        query::query(self.level, columns, tree, layout.lde_log2, indices)
    }

    fn query_codeword(
        &self,
        codeword: &Codeword,
        tree: &Tree,
        leaf_log2: u32,
        indices: &[usize],
    ) -> Vec<Leaf> {
        let leaf = |&index: &usize| Leaf {
            elements: codeword
                .values
                .iter()
                .flat_map(|column| &column[index << leaf_log2..(index + 1) << leaf_log2])
                .map(|&x| canonical(x))
                .collect(),
            path: tree.path(index),
        };
        indices.iter().map(leaf).collect()
    }

    fn grind(&self, seed: &PowSeed, bits: u32) -> u64 {
        grind::lowest_nonce(seed, bits)
    }
}
