//! How long each step of a proof takes: `cargo run --release -p ingot-prover --example steps -- ROWS_LOG2 LDE QUERIES`.
#![allow(clippy::unwrap_used)]

use ingot_prover::bench::{make, measure, Engine, Shape};

fn main() {
    tracing_subscriber::fmt().with_env_filter("ingot_prover=debug").without_time().init();
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<usize>().unwrap());
    let mut next = |default| args.next().unwrap_or(default);
    let shape = Shape { rows_log2: next(14) as u32, lde: next(2), queries: next(100) };
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), &shape).unwrap();
    println!("{:?}", measure(dir.path(), Engine::Own, 2).unwrap());
}
