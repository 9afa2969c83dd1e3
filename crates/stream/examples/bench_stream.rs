//! Measures the witness stream on this host: `bench_stream [BYTES]`, one gigabyte unless told otherwise.

use ingot_stream::bench::{run, BenchOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bytes = match std::env::args().nth(1) {
        Some(text) => text.parse()?,
        None => 1_000_000_000,
    };
    println!("{}", run(&BenchOptions::new(bytes))?);
    Ok(())
}
