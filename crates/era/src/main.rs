//! The `ingot-era` executable.

fn main() -> std::process::ExitCode {
    ingot_cli::run(&ingot_era::Era, std::env::args_os())
}
