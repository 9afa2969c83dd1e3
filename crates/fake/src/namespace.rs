//! A mount namespace that a process holds, and how others are started in it.

use std::{
    ffi::OsStr,
    io::{self, BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

/// Runs a shell script in a mount namespace of its own, made `way` (more arguments of `unshare`), until it says `ready`. It
/// lives as long as its standard input. Returns it and the command that a process is to be started through to join it.
///
/// # Errors
/// What the script said, if it did not get ready.
pub(crate) fn hold(script: &str, arguments: &[&OsStr], way: &[&str]) -> io::Result<(Child, Vec<String>)> {
    let mut command = Command::new("unshare");
    command.args(way).args(["--mount", "sh", "-c", script]).args(arguments);
    let mut holder = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut told = String::new();
    if let Some(stdout) = holder.stdout.take() {
        BufReader::new(stdout).read_line(&mut told)?;
    }
    if told.trim() != "ready" {
        let output = holder.wait_with_output()?;
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    let pid = holder.id().to_string();
    let mut join: Vec<String> = ["nsenter", "--target", &pid, "--mount"].map(str::to_owned).into();
    if !way.is_empty() {
        join.extend(["--user", "--preserve-credentials"].map(str::to_owned));
    }
    Ok((holder, join))
}
