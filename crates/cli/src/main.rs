//! The `ingot` executable.

fn main() -> std::process::ExitCode {
    ingot_cli::run(&ingot_cli::Ledger, std::env::args_os())
}
