//! Polynomials as columns of one allocation, and their transforms.

use ingot_field::{CosetTwiddles, Level};
use rayon::prelude::*;

/// Columns of 2^`rows_log2` field elements, one after the other.
#[derive(Clone, Debug)]
pub struct Columns {
    rows_log2: u32,
    data: Vec<u64>,
}

impl Columns {
    /// `count` columns of zeros.
    pub fn zeros(rows_log2: u32, count: usize) -> Self {
        Self { rows_log2, data: vec![0; count << rows_log2] }
    }

    /// Columns that lie one after the other in `data`, whose length is a multiple of the number of rows.
    pub fn from_flat(rows_log2: u32, data: Vec<u64>) -> Self {
        debug_assert_eq!(data.len() % (1 << rows_log2), 0);
        Self { rows_log2, data }
    }

    /// log2 of the rows.
    pub fn rows_log2(&self) -> u32 {
        self.rows_log2
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        1 << self.rows_log2
    }

    /// Number of columns.
    pub fn count(&self) -> usize {
        self.data.len() >> self.rows_log2
    }

    /// Column `index`.
    pub fn column(&self, index: usize) -> &[u64] {
        let rows = self.rows();
        &self.data[index * rows..(index + 1) * rows]
    }

    /// Columns in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u64]> {
        self.data.chunks_exact(self.rows())
    }

    /// Columns in order, on all threads.
    pub fn par_iter_mut(&mut self) -> impl IndexedParallelIterator<Item = &mut [u64]> {
        let rows = self.rows();
        self.data.par_chunks_exact_mut(rows)
    }

    /// All columns, one after the other.
    pub fn data_mut(&mut self) -> &mut [u64] {
        &mut self.data
    }

    /// Appends the columns of `other`.
    pub fn append(&mut self, other: Self) {
        debug_assert_eq!(self.rows_log2, other.rows_log2);
        self.data.extend(other.data);
    }

    /// Values in bit-reversed order on the twiddles' coset become coefficients.
    pub fn interpolate(&mut self, level: Level, twiddles: &CosetTwiddles) {
        self.par_iter_mut().for_each(|column| twiddles.to_coefficients(level, column));
    }

    /// Writes the values of columns `range` on the twiddles' coset, in bit-reversed order, over `to`.
    pub fn values_into(
        &self,
        level: Level,
        twiddles: &CosetTwiddles,
        range: std::ops::Range<usize>,
        to: &mut Columns,
        at: usize,
    ) {
        let rows = self.rows();
        let from = &self.data[range.start * rows..range.end * rows];
        let to = &mut to.data[at * rows..(at + range.len()) * rows];
        to.par_chunks_exact_mut(rows).zip(from.par_chunks_exact(rows)).for_each(|(to, from)| {
            to.copy_from_slice(from);
            twiddles.to_values(level, to);
        });
    }
}
