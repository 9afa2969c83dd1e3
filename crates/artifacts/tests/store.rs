//! The store's promises, with damaged files, crash leftovers and several writers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests are tests

use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::Path,
    process::Command,
    sync::Barrier,
    time::{Duration, SystemTime},
};

use ingot_artifacts::{hash_file, ArtifactError, ArtifactRef, ArtifactStore, Blake3};

fn store() -> (tempfile::TempDir, ArtifactStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = ArtifactStore::open(folder.path().join("a/b")).unwrap();
    (folder, store)
}

/// Names in the store's folder, without the lock file.
fn names(store: &ArtifactStore) -> BTreeSet<String> {
    let entries =
        fs::read_dir(store.folder()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    entries.filter(|name| name != ".lock").collect()
}

fn age(path: &Path, by: Duration) {
    File::options().append(true).open(path).unwrap().set_modified(SystemTime::now() - by).unwrap();
}

#[test]
fn what_was_put_comes_back() {
    let (_folder, store) = store();
    for content in [&b""[..], b"x", &[7; 300_000]] {
        let artifact = store.put(content).unwrap();
        assert_eq!(artifact, ArtifactRef { hash: Blake3::of(content), size_bytes: content.len() as u64 });
        assert_eq!(store.get(&artifact).unwrap(), content);
        assert_eq!(hash_file(&store.path(&artifact)).unwrap(), (artifact.hash, artifact.size_bytes));
        assert!(store.contains(&artifact).unwrap());
    }
    assert_eq!(names(&store).len(), 3, "no temporary file stays");
}

#[test]
fn every_flipped_byte_is_found_and_put_repairs_it() {
    let (_folder, store) = store();
    let content = b"sixteen bytes...".to_vec();
    let artifact = store.put(&content).unwrap();
    for position in 0..content.len() {
        let mut damaged = content.clone();
        damaged[position] ^= 1 << (position % 8);
        fs::write(store.path(&artifact), &damaged).unwrap();
        let error = store.get(&artifact).unwrap_err();
        assert!(error.is_bad_artifact());
        let text = error.to_string();
        for part in [
            store.path(&artifact).display().to_string(),
            format!("expected 16 bytes with BLAKE3 {}", artifact.hash),
            format!("found 16 bytes with BLAKE3 {}", Blake3::of(&damaged)),
        ] {
            assert!(text.contains(&part), "{text}: no {part}");
        }
        assert_eq!(store.put(&content).unwrap(), artifact);
        assert_eq!(store.get(&artifact).unwrap(), content);
    }
}

#[test]
fn truncated_extended_and_missing_files_are_told_apart() {
    let (_folder, store) = store();
    let artifact = store.put(b"0123456789").unwrap();
    for damaged in [&b""[..], b"012345678", b"0123456789x"] {
        fs::write(store.path(&artifact), damaged).unwrap();
        assert!(!store.contains(&artifact).unwrap());
        match store.get(&artifact).unwrap_err() {
            ArtifactError::Corrupt { expected_size: 10, found_size, found, .. } => {
                assert_eq!((found_size, found), (damaged.len() as u64, Blake3::of(damaged)));
            }
            other => panic!("{other}"),
        }
    }
    assert!(store.remove(&artifact).unwrap());
    assert!(!store.remove(&artifact).unwrap());
    assert!(!store.contains(&artifact).unwrap());
    assert!(matches!(store.get(&artifact), Err(ArtifactError::Missing { .. })));
}

#[test]
fn a_wrong_size_in_the_reference_is_refused() {
    let (_folder, store) = store();
    let artifact = store.put(b"0123456789").unwrap();
    for size_bytes in [0, 9, 11, u64::MAX] {
        let wrong = ArtifactRef { size_bytes, ..artifact };
        assert!(matches!(store.get(&wrong), Err(ArtifactError::Corrupt { found_size: 10, .. })));
    }
}

#[test]
fn writers_of_the_same_content_agree() {
    let (_folder, store) = store();
    let content = vec![5u8; 200_000];
    let barrier = Barrier::new(8);
    let artifacts: BTreeSet<ArtifactRef> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    let artifact = store.put(&content).unwrap();
                    assert_eq!(store.get(&artifact).unwrap(), content);
                    artifact
                })
            })
            .collect();
        writers.into_iter().map(|w| w.join().unwrap()).collect()
    });
    assert_eq!(artifacts.len(), 1);
    assert_eq!(names(&store).len(), 1);
}

#[test]
fn collection_removes_orphans_and_leftovers_only() {
    let (_folder, store) = store();
    let live = store.put(b"live").unwrap();
    let orphan = store.put(b"orphan").unwrap();
    let young = store.put(b"young").unwrap();
    let hour = Duration::from_secs(3600);
    age(&store.path(&live), hour);
    age(&store.path(&orphan), hour);
    let leftover = store.folder().join(format!(".{}.1-1.tmp", live.hash));
    fs::write(&leftover, "li").unwrap();
    fs::write(store.folder().join("README"), "not ours").unwrap();
    fs::write(store.folder().join(".hidden"), "not ours").unwrap();

    let live_set = BTreeSet::from([live.hash]);
    let collected = store.collect(&live_set, hour / 2).unwrap();
    assert_eq!(collected.orphans, [orphan]);
    assert_eq!(collected.leftovers, [leftover]);
    assert!(store.contains(&live).unwrap() && store.contains(&young).unwrap());
    assert!(names(&store).is_superset(&BTreeSet::from(["README".to_owned(), ".hidden".to_owned()])));

    assert_eq!(store.collect(&live_set, Duration::ZERO).unwrap().orphans, [young]);
    assert_eq!(store.get(&live).unwrap(), b"live");
}

#[test]
fn an_orphan_that_is_put_again_is_young_again() {
    let (_folder, store) = store();
    let artifact = store.put(b"again").unwrap();
    let hour = Duration::from_secs(3600);
    age(&store.path(&artifact), 2 * hour);
    store.put(b"again").unwrap();
    assert_eq!(store.collect(&BTreeSet::new(), hour).unwrap().orphans, []);
    assert!(store.contains(&artifact).unwrap());
}

#[test]
fn collection_beside_writers_never_breaks_a_write() {
    let (_folder, store) = store();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let collector = scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let collected = store.collect(&BTreeSet::new(), Duration::from_secs(3600)).unwrap();
                assert_eq!(
                    collected.leftovers,
                    [] as [std::path::PathBuf; 0],
                    "a write in progress lost its file"
                );
            }
        });
        let writers: Vec<_> = (0..3u32)
            .map(|writer| {
                let store = &store;
                scope.spawn(move || {
                    for n in 0..40u32 {
                        let artifact = store.put(&[writer.to_le_bytes(), n.to_le_bytes()].concat()).unwrap();
                        store.get(&artifact).unwrap();
                    }
                })
            })
            .collect();
        let results: Vec<_> = writers.into_iter().map(|w| w.join()).collect();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        results.into_iter().for_each(|result| result.unwrap());
        collector.join().unwrap();
    });
    assert_eq!(names(&store).len(), 120);
}

/// Runs in a process of its own with a limit on file size, which fails a write half-way like a full disk does.
#[test]
fn a_write_that_runs_out_of_space_leaves_nothing() {
    if let Some(folder) = std::env::var_os("INGOT_TEST_LIMITED_FOLDER") {
        let store = ArtifactStore::open(folder).unwrap();
        let small = store.put(&[1; 1000]).unwrap();
        let error = store.put(&[1; 100_000]).unwrap_err();
        assert_eq!(error.retry_class(), ingot_types::RetryClass::Resource, "{error}");
        assert_eq!(names(&store), BTreeSet::from([small.hash.to_string()]));
        println!("limit reached");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new("sh")
        // The signal is ignored so that the write reports the limit instead of ending the process.
        .args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "a_write_that_runs_out_of_space_leaves_nothing", "--nocapture"])
        .env("INGOT_TEST_LIMITED_FOLDER", folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("limit reached"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
