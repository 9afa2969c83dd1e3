//! `ingot backup` and `ingot restore`.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use clap::Args;
use ingot_house_keeper::backup::Manifest;
use ingot_services::care;

use super::components::load;
use crate::{
    args::ServiceArgs,
    exit::Outcome,
    interrupt::{self, Interrupted},
    ui::Ui,
};

/// How often it is said how far a backup is.
const TELL: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// The folder to write; nothing may be there.
    #[arg(long)]
    pub out: std::path::PathBuf,
    /// Links files on the same file system instead of copying them: quick, but lost with the same disk.
    #[arg(long)]
    pub link: bool,
    #[command(flatten)]
    pub service: ServiceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The folder that `ingot backup` wrote.
    pub folder: std::path::PathBuf,
    #[command(flatten)]
    pub service: ServiceArgs,
}

/// Backs up the house keeper while it runs.
pub(crate) fn backup(ui: &Arc<Ui>, args: &BackupArgs) -> anyhow::Result<Outcome> {
    let config = load(&args.service)?;
    let mut told = Instant::now();
    let made = care::back_up(&config, &args.out, args.link, |done, all| {
        if told.elapsed() > TELL {
            told = Instant::now();
            ui.note(format!("{done} of {all} artifacts"));
        }
        !interrupt::requested()
    });
    let manifest = match made {
        Err(_) if interrupt::requested() => return Err(Interrupted.into()),
        made => made?,
    };
    ui.note(format!("{}: {}", args.out.display(), care::describe(&manifest)));
    Ok(missing(ui, &manifest))
}

/// Makes a house keeper's folder from a backup.
pub(crate) fn restore(ui: &Arc<Ui>, args: &RestoreArgs) -> anyhow::Result<Outcome> {
    let config = load(&args.service)?;
    let manifest = care::restore(&args.folder, &config)?.manifest;
    ui.note(format!(
        "restored to {}: {}; {} old",
        config.house_keeper.folder.display(),
        care::describe(&manifest),
        age(manifest.made_at_ms)
    ));
    Ok(missing(ui, &manifest))
}

/// Files that were damaged or missing before the backup was made are told, and show in the exit code.
fn missing(ui: &Ui, manifest: &Manifest) -> Outcome {
    for file in &manifest.left_out {
        ui.warn(format!("not in the backup: {}: {}", file.blake3, file.reason));
    }
    match manifest.left_out.is_empty() {
        true => Outcome::Done,
        false => {
            ui.warn("the jobs that made these files run again when somebody needs them; witness inputs have to be submitted again");
            Outcome::Refused
        }
    }
}

/// How long ago that was, for people.
fn age(at_ms: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = now.saturating_sub(Duration::from_millis(at_ms)).as_secs();
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}
