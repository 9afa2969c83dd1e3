//! Times of the kernels at each level, in one run: `cargo run --release -p ingot-field --example kernels`.
#![allow(missing_docs, clippy::unwrap_used)]
use std::time::Instant;

use boojum::{
    algebraic_props::{round_function::AbsorptionModeOverwrite, sponge::GoldilocksPoseidon2Sponge},
    cs::oracle::TreeHasher,
    field::goldilocks::GoldilocksField as F,
};
use ingot_field::{poseidon2, CosetTwiddles, Level, GENERATOR};

fn main() {
    let (rows, width) = (1 << 14, 128);
    let columns: Vec<Vec<u64>> = (0..width)
        .map(|i| (0..rows as u64).map(|j| (i + 1) * 0x9e37_79b9_7f4a_7c15 * (j + 1)).collect())
        .collect();
    let slices: Vec<&[u64]> = columns.iter().map(|c| &c[..]).collect();
    let mut leaves = vec![[0; 4]; rows];
    let permutations = (rows as u64 * width / 8) as f64;
    let start = Instant::now();
    let mut sum = 0;
    for row in 0..rows {
        type Hasher = GoldilocksPoseidon2Sponge<AbsorptionModeOverwrite>;
        sum ^= Hasher::hash_into_leaf_owned(columns.iter().map(|c| F(c[row])))[0].0;
    }
    println!(
        "proof library: {:.0} ns a permutation ({sum})",
        start.elapsed().as_nanos() as f64 / permutations
    );
    for level in [Level::Base, Level::host()] {
        let start = Instant::now();
        poseidon2::hash_rows(level, &slices, &mut leaves);
        println!("{level:?}: {:.0} ns a permutation", start.elapsed().as_nanos() as f64 / permutations);
        for log2 in [14, 18] {
            let twiddles = CosetTwiddles::new(log2, GENERATOR);
            let mut data = vec![12345; 1 << log2];
            let start = Instant::now();
            let runs = 20;
            for _ in 0..runs {
                twiddles.to_values(level, &mut data);
            }
            let butterflies = f64::from(runs << (log2 - 1)) * f64::from(log2);
            println!(
                "{level:?}: 2^{log2} {:.2} ns a butterfly",
                start.elapsed().as_nanos() as f64 / butterflies
            );
        }
    }
}
