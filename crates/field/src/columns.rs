//! Polynomials as columns of one allocation, and their transforms.

use rayon::prelude::*;

use crate::{CosetTwiddles, Level};

/// Elements between the end of one column and the start of the next: nine cache lines. Columns a power of two apart would
/// all fall into the same few sets of the caches.
const GAP: usize = 72;

/// Columns of 2^`rows_log2` field elements in one allocation.
#[derive(Clone, Debug)]
pub struct Columns {
    rows_log2: u32,
    count: usize,
    data: Vec<u64>,
}

impl Columns {
    /// `count` columns of zeros.
    pub fn zeros(rows_log2: u32, count: usize) -> Self {
        Self { rows_log2, count, data: vec![0; count * ((1 << rows_log2) + GAP)] }
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
        self.count
    }

    fn stride(&self) -> usize {
        self.rows() + GAP
    }

    /// Column `index`.
    pub fn column(&self, index: usize) -> &[u64] {
        &self.data[index * self.stride()..][..self.rows()]
    }

    /// Column `index`.
    pub fn column_mut(&mut self, index: usize) -> &mut [u64] {
        let (rows, stride) = (self.rows(), self.stride());
        &mut self.data[index * stride..][..rows]
    }

    /// Columns in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u64]> {
        let rows = self.rows();
        self.data.chunks_exact(self.stride()).map(move |column| &column[..rows])
    }

    /// Columns in order, two at a time.
    pub fn pairs_mut(&mut self) -> impl Iterator<Item = [&mut [u64]; 2]> {
        let (rows, stride) = (self.rows(), self.stride());
        self.data.chunks_exact_mut(2 * stride).map(move |pair| {
            let (c0, c1) = pair.split_at_mut(stride);
            [&mut c0[..rows], &mut c1[..rows]]
        })
    }

    /// Columns in order, on all threads.
    pub fn par_iter_mut(&mut self) -> impl IndexedParallelIterator<Item = &mut [u64]> {
        let (rows, stride) = (self.rows(), self.stride());
        self.data.par_chunks_exact_mut(stride).map(move |column| &mut column[..rows])
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        self.data.len() * size_of::<u64>()
    }

    /// Appends the columns of `other`.
    pub fn append(&mut self, other: Self) {
        debug_assert_eq!(self.rows_log2, other.rows_log2);
        self.count += other.count;
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
        let (rows, stride) = (self.rows(), self.stride());
        let from = &self.data[range.start * stride..range.end * stride];
        let to = &mut to.data[at * stride..(at + range.len()) * stride];
        to.par_chunks_exact_mut(stride).zip(from.par_chunks_exact(stride)).for_each(|(to, from)| {
            to[..rows].copy_from_slice(&from[..rows]);
            twiddles.to_values(level, &mut to[..rows]);
        });
    }
}
