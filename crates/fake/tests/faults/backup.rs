//! Backups of a house keeper that works, and the way back: the folder is lost with everything in it, and every batch is
//! proved all the same.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use ingot_fake::cluster::files_below;
use ingot_house_keeper::backup::Manifest;

use crate::support::{large, program, small, wait_for, Cluster};

/// Three batches under way, some of their jobs done.
fn at_work() -> Cluster {
    let mut cluster = Cluster::with_workers();
    cluster.max_attempts = 1000;
    cluster.start_all();
    (1..=3).for_each(|seed| cluster.submit(&large(seed)));
    cluster.wait("a part of the jobs", |cluster| cluster.done() > 20);
    cluster
}

fn home(cluster: &Cluster) -> PathBuf {
    cluster.folder.join("hk")
}

/// `ingot-fake` with the house keeper's configuration.
fn command(cluster: &Cluster, arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let (name, rest) = arguments.split_first().unwrap();
    command.arg(name);
    let socket = cluster.folder.join("hk.sock");
    for (key, value) in [
        ("host.house-keeper", format!("unix:{}", socket.display())),
        ("house-keeper.folder", home(cluster).display().to_string()),
    ] {
        command.args(["--set", &format!("{key}={value}")]);
    }
    // The last one counts.
    command.args(rest);
    command
}

fn run(cluster: &Cluster, arguments: &[&str]) -> Output {
    command(cluster, arguments).output().unwrap()
}

fn ok(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What it was refused with.
fn refused(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).lines().filter(|line| line.starts_with("error")).collect()
}

fn back_up(cluster: &Cluster, out: &Path, more: &[&str]) -> Manifest {
    let mut arguments = vec!["backup", "--out", out.to_str().unwrap()];
    arguments.extend(more);
    ok(&run(cluster, &arguments));
    Manifest::read(out).unwrap()
}

/// Everything dies, and the house keeper's folder is gone.
fn lose_everything(cluster: &mut Cluster) {
    cluster.nodes.values_mut().for_each(|node| node.kill());
    fs::remove_dir_all(home(cluster)).unwrap();
}

#[test]
fn what_was_backed_up_at_work_is_proved_after_everything_was_lost() {
    // Over the connection, copied from the folder, and linked into it.
    for how in ["remote", "local", "linked"] {
        let mut cluster = at_work();
        let out = cluster.folder.join("backup");
        let shared = format!("host.shared-artifacts={}", home(&cluster).join("artifacts").display());
        let more: &[&str] = match how {
            "remote" => &[],
            "local" => &["--set", &shared],
            _ => &["--set", &shared, "--link"],
        };
        let manifest = back_up(&cluster, &out, more);
        assert_eq!((manifest.batches, manifest.left_out.len()), (3, 0), "{how}: {manifest:?}");
        assert!(manifest.unproved > 0, "{how}: all was proved before the backup was made");
        assert!(manifest.artifacts.len() > 20, "{how}: {}", manifest.artifacts.len());
        // The appliance has gone on meanwhile, and grants leases that the backup knows nothing of.
        let done = cluster.done();
        cluster.wait("more jobs", |cluster| cluster.done() > done + 5);
        lose_everything(&mut cluster);
        let told = ok(&run(&cluster, &["restore", out.to_str().unwrap()]));
        assert!(told.starts_with("3 batches"), "{told}");
        cluster.start_all();
        let audit = cluster.finish();
        assert!(audit.jobs > 0, "{how}");
        // The backup is untouched, links or not.
        let again = cluster.folder.join("again");
        let elsewhere = format!("house-keeper.folder={}", again.display());
        ok(&run(&cluster, &["restore", out.to_str().unwrap(), "--set", &elsewhere]));
    }
}

/// Workers that were not killed hold leases that the restored house keeper never granted. None of their completions may
/// count for a lease of its own.
#[test]
fn workers_that_live_on_find_their_leases_stale() {
    let mut cluster = at_work();
    let out = cluster.folder.join("backup");
    back_up(&cluster, &out, &[]);
    let done = cluster.done();
    cluster.wait("more jobs", |cluster| cluster.done() > done + 5);
    cluster.node("hk").kill();
    fs::remove_dir_all(home(&cluster)).unwrap();
    ok(&run(&cluster, &["restore", out.to_str().unwrap()]));
    cluster.start("hk");
    cluster.finish();
}

#[test]
fn a_damaged_or_incomplete_backup_is_refused_by_name_and_leaves_nothing() {
    let mut cluster = Cluster::with_workers();
    cluster.start_all();
    cluster.submit(&small(1));
    cluster.wait("the batch", |cluster| cluster.all_proved());
    let out = cluster.folder.join("backup");
    let manifest = back_up(&cluster, &out, &[]);
    lose_everything(&mut cluster);
    let artifact = out.join("artifacts").join(manifest.artifacts[3].blake3.to_string());
    for file in [artifact, out.join("jobs.db"), out.join("manifest.json"), out.join("manifest.blake3")] {
        let good = fs::read(&file).unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        let mut bad = good.clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 1;
        let shorter = good[..good.len() - 3].to_vec();
        for content in [Some(bad), Some(shorter), Some(vec![]), None] {
            match &content {
                Some(content) => fs::write(&file, content).unwrap(),
                None => fs::remove_file(&file).unwrap(),
            }
            let why = refused(&run(&cluster, &["restore", out.to_str().unwrap()]));
            let known = ["is damaged", "is missing", "expected BLAKE3"].iter().any(|word| why.contains(word));
            assert!(known && (why.contains(name) || why.contains("manifest")), "{name}: {why}");
            assert!(!home(&cluster).exists(), "{name}");
            assert!(!cluster.folder.join("hk.restoring").exists(), "{name}");
        }
        fs::write(&file, good).unwrap();
    }
    ok(&run(&cluster, &["restore", out.to_str().unwrap()]));
    cluster.start_all();
    cluster.finish();
}

#[test]
fn nothing_is_overwritten() {
    let mut cluster = Cluster::with_workers();
    cluster.start_all();
    cluster.submit(&small(1));
    let out = cluster.folder.join("backup");
    back_up(&cluster, &out, &[]);
    let before = files_below(&out).unwrap();
    let why = refused(&run(&cluster, &["backup", "--out", out.to_str().unwrap()]));
    assert!(why.contains("is not empty"), "{why}");
    assert_eq!(files_below(&out).unwrap(), before);
    // A house keeper that lives, and one that was stopped.
    let why = refused(&run(&cluster, &["restore", out.to_str().unwrap()]));
    assert!(why.contains("is in use: a house keeper runs on it"), "{why}");
    cluster.wait("the batch", |cluster| cluster.all_proved());
    cluster.node("hk").stop(Duration::from_secs(10)).unwrap();
    let why = refused(&run(&cluster, &["restore", out.to_str().unwrap()]));
    assert!(why.contains("is not empty"), "{why}");
    // What is no backup.
    let nothing = cluster.folder.join("nothing");
    fs::create_dir(&nothing).unwrap();
    let why = refused(&run(&cluster, &["restore", nothing.to_str().unwrap()]));
    assert!(why.contains("is missing"), "{why}");
    let why = refused(&run(&cluster, &["backup", "--out", cluster.folder.join("x").to_str().unwrap()]));
    assert!(why.contains("no house keeper at"), "{why}");
    assert!(!cluster.folder.join("x").exists());
    cluster.start("hk");
    cluster.finish();
}

#[test]
fn one_that_is_killed_midway_is_none_and_the_next_succeeds() {
    let mut cluster = at_work();
    let out = cluster.folder.join("backup");
    let part = cluster.folder.join("backup.part");
    let mut killed = 0;
    for _ in 0..30 {
        let arguments = ["backup", "--out", out.to_str().unwrap()];
        let mut child = command(&cluster, &arguments).stderr(Stdio::null()).spawn().unwrap();
        wait_for("a part of the backup", || {
            let files = files_below(&part.join("artifacts")).unwrap();
            (files.len() > 2 || child.try_wait().unwrap().is_some()).then_some(())
        });
        child.kill().unwrap();
        if child.wait().unwrap().success() || out.exists() {
            // It was quicker.
            fs::remove_dir_all(&out).unwrap();
            continue;
        }
        killed += 1;
        let why = refused(&run(&cluster, &["restore", part.to_str().unwrap()]));
        assert!(why.contains("is missing: the backup is not whole"), "{why}");
        if killed == 3 {
            break;
        }
    }
    assert!(killed > 0, "each was finished before it was killed");
    let manifest = back_up(&cluster, &out, &[]);
    assert!(!part.exists() && manifest.left_out.is_empty(), "{manifest:?}");
    lose_everything(&mut cluster);
    ok(&run(&cluster, &["restore", out.to_str().unwrap()]));
    cluster.start_all();
    cluster.finish();
}

#[test]
fn a_file_that_was_damaged_before_is_left_out_and_made_again() {
    let mut cluster = at_work();
    let out = cluster.folder.join("backup");
    // One that a job made which is done.
    let first = cluster.batches[0].id;
    let job = cluster.jobs(first).into_iter().rfind(|job| !job.outputs().is_empty()).unwrap();
    let file = home(&cluster).join("artifacts").join(&job.outputs()[0].hash);
    let mut bytes = fs::read(&file).unwrap();
    bytes[0] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let manifest = back_up(&cluster, &out, &[]);
    // A worker may have found out first, and the file was made again.
    assert!(manifest.left_out.len() <= 1, "{manifest:?}");
    lose_everything(&mut cluster);
    ok(&run(&cluster, &["restore", out.to_str().unwrap()]));
    cluster.start_all();
    cluster.wait("all batches", |cluster| cluster.all_proved());
}
