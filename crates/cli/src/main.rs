//! The `ingot` executable.

fn main() -> std::process::ExitCode {
    ingot_cli::run(std::env::args_os())
}
