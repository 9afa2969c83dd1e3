//! `ingot bench`: what parts of the appliance can do on this machine.

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use anyhow::{ensure, Context};
use ingot_prover::bench::{make, measure, Engine, Measured, Shape};
use ingot_stream::bench::{run, BenchOptions};

use crate::{
    args::{BenchCommand, BenchProveArgs},
    exit::Outcome,
    memory::peak_rss_bytes,
    ui::Ui,
};

/// Measures, and prints a table.
pub(crate) fn bench(ui: &Arc<Ui>, command: &BenchCommand) -> anyhow::Result<Outcome> {
    match command {
        BenchCommand::Stream { bytes } => {
            ui.note(run(&BenchOptions::new(*bytes))?.to_string());
        }
        BenchCommand::Prove(args) => match &args.measure {
            Some(dir) => {
                let engine = if args.library { Engine::Library } else { Engine::Own };
                let measured = measure(dir, engine, args.runs)?;
                println!("{}", serde_json::to_string(&(measured, peak_rss_bytes()))?);
            }
            None => prove(ui, args)?,
        },
    }
    Ok(Outcome::Done)
}

/// Each size with each prover, one after the other.
fn prove(ui: &Arc<Ui>, args: &BenchProveArgs) -> anyhow::Result<()> {
    ui.note("  rows  prover    proving s    CPU s  ready after s   peak GiB    planned");
    for &rows_log2 in &args.rows_log2 {
        ensure!((13..=24).contains(&rows_log2), "--rows-log2 {rows_log2}: expected 13 to 24");
        ensure!(
            args.lde.is_power_of_two() && (2..=64).contains(&args.lde),
            "--lde {}: expected a power of two from 2 to 64",
            args.lde
        );
        let dir = tempfile::tempdir().context("cannot make a folder for keys")?;
        make(dir.path(), &Shape { rows_log2, lde: args.lde, queries: args.queries })?;
        let (own, own_peak) = in_process(dir.path(), Engine::Own, args.runs)?;
        row(ui, rows_log2, Engine::Own, &own, own_peak);
        if args.only_own {
            continue;
        }
        let (library, library_peak) = in_process(dir.path(), Engine::Library, args.runs)?;
        row(ui, rows_log2, Engine::Library, &library, library_peak);
        ensure!(own.proof_hash == library.proof_hash, "2^{rows_log2} rows: the two proofs differ");
        let time = library.proving.as_secs_f64() / own.proving.as_secs_f64();
        let memory = library_peak as f64 / own_peak.max(1) as f64;
        ui.note(format!(
            "  2^{rows_log2}  same bytes, {time:.1} times as fast with 1/{memory:.1} of the memory"
        ));
    }
    Ok(())
}

fn row(ui: &Arc<Ui>, rows_log2: u32, engine: Engine, measured: &Measured, peak_bytes: u64) {
    let Measured { proving, preparing, cpu, planned_bytes, .. } = measured;
    let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    let planned = if *planned_bytes == 0 { String::new() } else { format!("{:.2}", gib(*planned_bytes)) };
    ui.note(format!(
        "  2^{rows_log2}  {:<8} {:>10.2} {:>8.2} {:>14.2} {:>10.2} {planned:>10}",
        engine.to_string(),
        proving.as_secs_f64(),
        cpu.as_secs_f64(),
        preparing.as_secs_f64(),
        gib(peak_bytes),
    ));
}

/// Measures in a new process, whose peak of memory, in bytes, is its own.
fn in_process(dir: &Path, engine: Engine, runs: usize) -> anyhow::Result<(Measured, u64)> {
    let exe = std::env::current_exe().context("cannot find this executable")?;
    let mut command = Command::new(exe);
    command.args(["bench", "prove", "--runs"]).arg(runs.to_string()).arg("--measure").arg(dir);
    if engine == Engine::Library {
        command.arg("--library");
    }
    let output = command.stderr(Stdio::inherit()).output().context("cannot start a process to measure in")?;
    ensure!(
        output.status.success(),
        "the process that measured the {engine} prover ended with {}",
        output.status
    );
    serde_json::from_slice(&output.stdout).context("the process that measured printed something else")
}
