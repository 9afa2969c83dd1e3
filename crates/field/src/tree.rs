//! Merkle trees over rows of columns, with a cap.

use rayon::prelude::*;

use crate::{
    coset,
    poseidon2::{hash_chunks, hash_pairs, hash_rows},
    Columns, CosetTwiddles, Level,
};

/// A Merkle digest: four canonical field elements.
pub type Digest = [u64; 4];

/// Leaves hashed by one task.
const TASK_LEAVES: usize = 512;

/// Digests of all nodes from the leaves up to the cap.
#[derive(Clone, Debug)]
pub struct Tree {
    layers: Vec<Vec<Digest>>,
}

impl Tree {
    /// Over `leaves`, 2^k of them, up to a cap of `cap_size` nodes.
    pub fn new(level: Level, leaves: Vec<Digest>, cap_size: usize) -> Self {
        let mut layers = vec![leaves];
        while let Some(below) = layers.last().filter(|layer| layer.len() > cap_size) {
            let mut above = vec![[0; 4]; below.len() / 2];
            above
                .par_chunks_mut(TASK_LEAVES)
                .zip(below.par_chunks(2 * TASK_LEAVES))
                .for_each(|(above, below)| hash_pairs(level, below, above));
            layers.push(above);
        }
        Self { layers }
    }

    /// From layers made elsewhere: leaves first, cap last.
    pub fn from_layers(layers: Vec<Vec<Digest>>) -> Self {
        Self { layers }
    }

    /// The tree over the values of `columns` on the whole domain, coset by coset: no more than one coset's values are in
    /// memory.
    pub fn of_columns(level: Level, columns: &Columns, lde_log2: u32, cap_size: usize) -> Self {
        let (rows_log2, rows) = (columns.rows_log2(), columns.rows());
        let mut leaves = vec![[0; 4]; rows << lde_log2];
        let mut values = Columns::zeros(rows_log2, columns.count());
        for (index, leaves) in leaves.chunks_exact_mut(rows).enumerate() {
            let twiddles = CosetTwiddles::new(rows_log2, coset(rows_log2 + lde_log2, lde_log2, index));
            columns.values_into(level, &twiddles, 0..columns.count(), &mut values, 0);
            let values = &values;
            leaves.par_chunks_mut(TASK_LEAVES).enumerate().for_each(|(task, leaves)| {
                let rows: Vec<&[u64]> = values.iter().map(|column| &column[task * TASK_LEAVES..]).collect();
                hash_rows(level, &rows, leaves);
            });
        }
        Self::new(level, leaves, cap_size)
    }

    /// The tree whose leaves are 2^`leaf_log2` places of c0 and then of c1.
    pub fn of_codeword(level: Level, [c0, c1]: &[Vec<u64>; 2], leaf_log2: u32, cap_size: usize) -> Self {
        let mut leaves = vec![[0; 4]; c0.len() >> leaf_log2];
        leaves.par_chunks_mut(TASK_LEAVES).enumerate().for_each(|(task, leaves)| {
            let start = (task * TASK_LEAVES) << leaf_log2;
            hash_chunks(level, &[&c0[start..], &c1[start..]], 1 << leaf_log2, leaves);
        });
        Self::new(level, leaves, cap_size)
    }

    /// All layers: leaves first, cap last.
    pub fn into_layers(self) -> Vec<Vec<Digest>> {
        self.layers
    }

    /// The cap.
    pub fn cap(&self) -> &[Digest] {
        self.layers.last().map_or(&[], Vec::as_slice)
    }

    /// Siblings of leaf `index` from the leaf to below the cap.
    pub fn path(&self, index: usize) -> Vec<Digest> {
        let below_cap = self.layers.len().saturating_sub(1);
        self.layers[..below_cap].iter().enumerate().map(|(up, layer)| layer[(index >> up) ^ 1]).collect()
    }
}
