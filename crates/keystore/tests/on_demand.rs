//! Setup keys that are made when they are needed, some circuits only, and checks that go on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    fs,
    path::Path,
    sync::{
        atomic::{AtomicUsize, Ordering},
        Mutex,
    },
    thread::sleep,
    time::Duration,
};

use ingot_circuit_set::{CircuitSet, VkSource};
use ingot_keystore::{
    check, generate, EmbeddedFiles, FileRole, FileSource, KeyError, KeyManifest, KeyStore, KeygenEvent,
    KeygenOptions, OnDemandKeys, Progress,
};
use ingot_types::CircuitKey;

mod support;

use support::{receipt, set};

fn options() -> KeygenOptions<'static> {
    KeygenOptions { threads: 1, ..support::options() }
}

/// A manifest, and its verification keys and hints as an executable carries them.
fn published() -> (KeyManifest, EmbeddedFiles) {
    let dir = tempfile::tempdir().unwrap();
    let manifest = generate(&set(), dir.path(), None, &receipt(), options()).unwrap().manifest;
    let mut files: Vec<(&'static str, &'static [u8])> = Vec::new();
    for entry in &manifest.keys {
        for role in [FileRole::VerificationKey, FileRole::FinalizationHint] {
            let name: &'static str = entry.pin(role).file.clone().leak();
            files.push((name, fs::read(dir.path().join(name)).unwrap().leak()));
        }
    }
    (manifest, files.leak())
}

/// A store that makes its keys, with nothing kept in memory.
fn open(dir: &Path, max_disk_bytes: u64, manifest: &KeyManifest, files: EmbeddedFiles) -> KeyStore {
    let keys = OnDemandKeys::new(dir, max_disk_bytes, 1).unwrap();
    KeyStore::new(&set(), Path::new("m"), manifest.clone(), FileSource::OnDemand(files, keys), 0).unwrap()
}

fn kept(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn keys_are_made_when_needed_and_the_least_recently_used_goes_first() {
    let (manifest, files) = published();
    let dir = tempfile::tempdir().unwrap();
    let keys: Vec<CircuitKey> = set().circuits().iter().map(|info| info.key).collect();
    let pin = |i: usize| manifest.entry(Path::new("m"), keys[i]).unwrap().setup_key.clone();
    // Room for the three that are asked for first, and no more.
    let room = (0..3).map(|i| pin(i).size_bytes).sum();
    let store = open(dir.path(), room, &manifest, files);
    for key in &keys[..3] {
        store.proving_key(&set(), *key).unwrap();
        sleep(Duration::from_millis(20));
    }
    let mut expected = vec![pin(0).file, pin(1).file, pin(2).file];
    expected.sort();
    assert_eq!(kept(dir.path()), expected);
    // The first is used again, so the second is the oldest now.
    store.proving_key(&set(), keys[0]).unwrap();
    sleep(Duration::from_millis(20));
    store.proving_key(&set(), keys[3]).unwrap();
    let left = kept(dir.path());
    assert!(left.contains(&pin(0).file) && left.contains(&pin(3).file), "{left:?}");
    assert!(!left.contains(&pin(1).file), "{left:?}");
    let total: u64 = left.iter().map(|name| fs::metadata(dir.path().join(name)).unwrap().len()).sum();
    assert!(total <= room, "{total} > {room}");
}

#[test]
fn a_damaged_key_is_made_again_and_one_that_does_not_fit_is_not_kept() {
    let (manifest, files) = published();
    let dir = tempfile::tempdir().unwrap();
    let key = set().circuits()[0].key;
    let pin = manifest.entry(Path::new("m"), key).unwrap().setup_key.clone();
    let path = dir.path().join(&pin.file);
    let store = open(dir.path(), 1 << 30, &manifest, files);
    store.proving_key(&set(), key).unwrap();
    let good = fs::read(&path).unwrap();
    for bad in [&good[..good.len() / 2], &b""[..]] {
        fs::write(&path, bad).unwrap();
        store.proving_key(&set(), key).unwrap();
        assert_eq!(fs::read(&path).unwrap(), good);
    }
    let mut flipped = good.clone();
    flipped[good.len() / 3] ^= 1;
    fs::write(&path, flipped).unwrap();
    store.proving_key(&set(), key).unwrap();
    assert_eq!(fs::read(&path).unwrap(), good);

    let small = tempfile::tempdir().unwrap();
    let store = open(small.path(), pin.size_bytes - 1, &manifest, files);
    store.proving_key(&set(), key).unwrap();
    assert!(kept(small.path()).is_empty(), "it would exceed what keys may take");
}

#[test]
fn a_build_that_makes_another_key_is_refused() {
    let (mut manifest, files) = published();
    let dir = tempfile::tempdir().unwrap();
    let key = set().circuits()[0].key;
    manifest.keys[0].setup_key.blake3 = manifest.keys[1].setup_key.blake3;
    let store = open(dir.path(), 1 << 30, &manifest, files);
    let error = store.proving_key(&set(), key).unwrap_err();
    assert!(matches!(error, KeyError::Pin { .. }), "{error}");
    assert!(kept(dir.path()).is_empty(), "nothing that is not pinned is kept");
}

#[test]
fn with_known_verification_keys_one_circuit_is_made_alone() {
    let (manifest, files) = published();
    let store =
        KeyStore::new(&set(), Path::new("m"), manifest.clone(), FileSource::Embedded(files), 0).unwrap();
    let last = set().circuits().last().unwrap().key;
    assert!(!set().key_dependencies(last).is_empty());
    let made = Mutex::new(vec![]);
    let alone = KeygenOptions {
        only: &[last],
        vks: Some(&store),
        keep_setup_keys: false,
        on_event: &|event| {
            if let KeygenEvent::Made(info, _) = event {
                made.lock().unwrap().push(info.key);
            }
        },
        ..options()
    };
    let rows = check(&set(), Path::new("m"), &manifest, alone, None).unwrap();
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|row| row.matches() && row.key == last));
    assert_eq!(*made.lock().unwrap(), [last]);
    // Without them its dependencies are missing, and that is said.
    let error = check(&set(), Path::new("m"), &manifest, KeygenOptions { vks: None, ..alone }, None);
    assert!(matches!(error, Err(KeyError::Cycle { key }) if key == last));

    let dir = tempfile::tempdir().unwrap();
    generate(&set(), dir.path(), Some((Path::new("m"), &manifest)), &receipt(), alone).unwrap();
    let names = kept(dir.path());
    assert!(names.iter().all(|name| !name.ends_with(".setup")), "pins alone: {names:?}");
}

#[test]
fn an_interrupted_check_goes_on_in_the_same_build_only() {
    let (manifest, files) = published();
    let store =
        KeyStore::new(&set(), Path::new("m"), manifest.clone(), FileSource::Embedded(files), 0).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("progress.toml");
    let (made, kept) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let count = |event: KeygenEvent<'_>| {
        match event {
            KeygenEvent::Made(..) => made.fetch_add(1, Ordering::SeqCst),
            KeygenEvent::Kept(..) => kept.fetch_add(1, Ordering::SeqCst),
            _ => 0,
        };
    };
    let stopping = KeygenOptions {
        vks: Some(&store),
        stop: &|| made.load(Ordering::SeqCst) >= 4,
        on_event: &count,
        ..options()
    };
    let run = |options, build: &str| {
        let progress = Progress::open(&path, build, &manifest);
        check(&set(), Path::new("m"), &manifest, options, Some(progress))
    };
    assert!(matches!(run(stopping, "a"), Err(KeyError::Stopped)));
    assert_eq!(Progress::open(&path, "a", &manifest).circuits(), 4);
    assert_eq!(Progress::open(&path, "b", &manifest).circuits(), 0, "another build begins anew");
    let mut other = manifest.clone();
    other.keys[0].vk_commitment = other.keys[1].vk_commitment;
    assert_eq!(Progress::open(&path, "a", &other).circuits(), 0, "another manifest as well");

    let rows = run(KeygenOptions { stop: &|| false, ..stopping }, "a").unwrap();
    assert_eq!((made.load(Ordering::SeqCst), kept.load(Ordering::SeqCst)), (7, 4));
    assert_eq!(rows.len(), 21);
    assert!(rows.iter().all(|row| row.matches()));
    assert!(!path.exists(), "the next check begins anew");
    // What was noted is compared, not trusted.
    fs::write(&path, "torn").unwrap();
    assert_eq!(Progress::open(&path, "a", &manifest).circuits(), 0);
    assert!(store.vk(set().circuits()[0].key).is_ok());
}
