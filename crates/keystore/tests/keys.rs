//! Keys made for real (tiny) circuits: determinism, resuming, and files that are not what the manifest says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    fs,
    path::Path,
    sync::{
        atomic::{AtomicUsize, Ordering},
        Mutex,
    },
};

use ingot_artifacts::ArtifactError;
use ingot_circuit_set::{CircuitSet, VkSource};
use ingot_keystore::{
    check, generate, FileRole, FileSource, KeyError, KeyManifest, KeyStore, KeygenEvent, KeygenOptions,
    KeygenReport, MANIFEST_FILE, RECEIPT_FILE,
};

mod support;

use support::{options, receipt, set};

fn make(dir: &Path) -> KeygenReport {
    generate(&set(), dir, None, &receipt(), options()).unwrap()
}

fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap())
        .map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap()))
        .filter(|(name, _)| name != RECEIPT_FILE)
        .collect();
    files.sort();
    files
}

#[test]
fn keys_are_the_same_however_many_threads_and_whatever_the_order() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let report = make(a.path());
    assert_eq!((report.kept, report.made), (0, 7));
    let one = KeygenOptions { threads: 1, ..options() };
    let again = generate(&set(), b.path(), None, &receipt(), one).unwrap();
    assert_eq!(report.manifest, again.manifest);
    assert_eq!(files(a.path()), files(b.path()));
    assert_eq!(files(a.path()).len(), 7 * 3 + 1, "three files a circuit, the manifest, and nothing else");
    let text = fs::read_to_string(a.path().join(RECEIPT_FILE)).unwrap();
    assert!(text.contains("rustc = \"rustc\"") && !text.contains("made_at_unix = 0"), "{text}");
}

#[test]
fn stopped_after_any_number_of_keys_it_goes_on_where_it_was() {
    for stop_after in 0..7 {
        let dir = tempfile::tempdir().unwrap();
        let made = AtomicUsize::new(0);
        let stopping = KeygenOptions {
            threads: 1,
            stop: &|| made.load(Ordering::SeqCst) >= stop_after,
            on_event: &|event| {
                if matches!(event, KeygenEvent::Made(..)) {
                    made.fetch_add(1, Ordering::SeqCst);
                }
            },
            ..options()
        };
        let error = generate(&set(), dir.path(), None, &receipt(), stopping).unwrap_err();
        assert!(matches!(error, KeyError::Stopped), "{error}");
        // What a crash in the middle of a write leaves behind.
        fs::write(dir.path().join(".0-1-chain.setup.1-1.tmp"), "torn").unwrap();
        let report = make(dir.path());
        assert_eq!((report.kept, report.made), (stop_after, 7 - stop_after));
        assert_eq!(files(dir.path()).len(), 7 * 3 + 1);
    }
}

#[test]
fn torn_and_missing_files_are_made_again_and_come_out_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let report = make(dir.path());
    let before = files(dir.path());
    let entry = &report.manifest.keys[1];
    fs::write(dir.path().join(&entry.setup_key.file), "torn").unwrap();
    fs::remove_file(dir.path().join(&report.manifest.keys[4].finalization_hint.file)).unwrap();
    let damaged = Mutex::new(vec![]);
    let watching = KeygenOptions {
        on_event: &|event| {
            if let KeygenEvent::Damaged(info, error) = event {
                damaged.lock().unwrap().push(format!("{}: {error}", info.name));
            }
        },
        ..options()
    };
    let again = generate(&set(), dir.path(), None, &receipt(), watching).unwrap();
    assert_eq!((again.kept, again.made), (5, 2));
    assert_eq!(files(dir.path()), before);
    let damaged = damaged.into_inner().unwrap();
    assert!(damaged[0].contains(&entry.setup_key.file) && damaged[0].contains("expected"), "{damaged:?}");
}

#[test]
fn pinned_keys_must_come_out_as_pinned() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = make(dir.path()).manifest;
    let path = Path::new("pinned/manifest.toml");
    let fresh = tempfile::tempdir().unwrap();
    let report = generate(&set(), fresh.path(), Some((path, &manifest)), &receipt(), options()).unwrap();
    assert_eq!(report.manifest, manifest);

    // Another circuit under the same name: its keys differ.
    let other = set().variant(1);
    let empty = tempfile::tempdir().unwrap();
    let error = generate(&other, empty.path(), Some((path, &manifest)), &receipt(), options()).unwrap_err();
    let KeyError::Pin { file, expected, found } = &error else { panic!("{error}") };
    assert_ne!(expected, found);
    assert!(error.to_string().contains(file.as_str()), "{error}");
    assert!(!empty.path().join(MANIFEST_FILE).exists());
}

#[test]
fn check_reports_each_file_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let mut manifest = make(dir.path()).manifest;
    let path = Path::new("m");
    let rows = check(&set(), path, &manifest, options(), None).unwrap();
    assert_eq!(rows.len(), 21);
    assert!(rows.iter().all(|row| row.matches()));
    manifest.keys[3].verification_key.blake3 = manifest.keys[0].verification_key.blake3;
    let rows = check(&set(), path, &manifest, options(), None).unwrap();
    let bad: Vec<_> = rows.iter().filter(|row| !row.matches()).collect();
    assert_eq!(bad.len(), 1);
    assert_eq!(bad[0].file, manifest.keys[3].verification_key.file);
}

#[test]
fn too_little_memory_is_said_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let small = KeygenOptions { max_ram_bytes: 1000, ..options() };
    let error = generate(&set(), dir.path(), None, &receipt(), small).unwrap_err();
    assert!(matches!(error, KeyError::Memory { allowed: 1000, .. }), "{error}");
}

fn open(dir: &Path, manifest: &KeyManifest) -> KeyStore {
    KeyStore::new(&set(), Path::new("m"), manifest.clone(), FileSource::Folder(dir.to_owned()), 1 << 30)
        .unwrap()
}

#[test]
fn every_flipped_byte_of_every_key_file_is_reported_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = make(dir.path()).manifest;
    let set = set();
    for info in set.circuits() {
        let entry = manifest.entry(Path::new("m"), info.key).unwrap();
        for role in FileRole::ALL {
            let pin = entry.pin(role);
            let path = dir.path().join(&pin.file);
            let good = fs::read(&path).unwrap();
            let step = (good.len() / 12).max(1);
            for at in (0..good.len()).step_by(step).chain([good.len() - 1]) {
                let mut bad = good.clone();
                bad[at] ^= 1;
                fs::write(&path, &bad).unwrap();
                let store = open(dir.path(), &manifest);
                let error = match role {
                    FileRole::SetupKey => store.setup_key(info.key).unwrap_err(),
                    FileRole::VerificationKey => store.verification_key(info.key).unwrap_err(),
                    FileRole::FinalizationHint => store.hint(info.key).unwrap_err(),
                };
                let KeyError::File(ArtifactError::Corrupt { path: named, expected, found, .. }) = &error
                else {
                    panic!("{error}")
                };
                assert_eq!((named, *expected), (&path, pin.blake3));
                assert_ne!(expected, found);
            }
            fs::write(&path, &good).unwrap();
        }
    }
    let store = open(dir.path(), &manifest);
    for info in set.circuits() {
        store.setup_key(info.key).unwrap();
        store.vk(info.key).unwrap();
    }
}

#[test]
fn setup_keys_are_read_again_once_the_cache_has_dropped_them() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = make(dir.path()).manifest;
    let set = set();
    let key = set.circuits()[0].key;
    let file = dir.path().join(&manifest.entry(Path::new("m"), key).unwrap().setup_key.file);

    let cached = open(dir.path(), &manifest);
    cached.proving_key(&set, key).unwrap();
    let uncached =
        KeyStore::new(&set, Path::new("m"), manifest, FileSource::Folder(dir.path().into()), 0).unwrap();
    uncached.proving_key(&set, key).unwrap();
    fs::remove_file(file).unwrap();
    cached.proving_key(&set, key).unwrap();
    let error = uncached.proving_key(&set, key).unwrap_err();
    assert!(matches!(error, KeyError::File(ArtifactError::Missing { .. })), "{error}");
}

#[test]
fn embedded_files_are_verified_too() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = make(dir.path()).manifest;
    let key = set().circuits()[0].key;
    let pin = &manifest.entry(Path::new("m"), key).unwrap().verification_key;
    let name: &'static str = pin.file.clone().leak();
    let good: &'static [u8] = fs::read(dir.path().join(name)).unwrap().leak();
    let bad: &'static [u8] = {
        let mut b = good.to_vec();
        b[0] ^= 1;
        b
    }
    .leak();
    let store = |bytes: &'static [u8]| {
        let files: &'static [(&'static str, &'static [u8])] = vec![(name, bytes)].leak();
        KeyStore::new(&set(), Path::new("m"), manifest.clone(), FileSource::Embedded(files), 0).unwrap()
    };
    store(good).verification_key(key).unwrap();
    let error = store(bad).verification_key(key).unwrap_err();
    assert!(error.to_string().contains(name), "{error}");
    assert!(store(good).hint(key).is_err(), "not embedded");
}

#[test]
fn manifests_are_read_strictly() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = make(dir.path()).manifest;
    let path = Path::new("keys/manifest.toml");
    let text = manifest.to_toml();
    assert_eq!(KeyManifest::parse(path, &text).unwrap(), manifest);
    assert!(text.contains("insecure = "), "the test set is marked");

    let refused = |text: String, expected_line: Option<usize>| {
        let error = KeyManifest::parse(path, &text).unwrap_err();
        let KeyError::Manifest { line, .. } = &error else { panic!("{error}") };
        if let Some(expected) = expected_line {
            assert_eq!(*line, expected, "{error}");
        }
        assert!(error.to_string().starts_with("keys/manifest.toml, line "), "{error}");
    };
    let line_of = |needle: &str| 1 + text.lines().position(|l| l.starts_with(needle)).unwrap();
    refused(text.replace("format = 1", "format = 2"), Some(line_of("format")));
    refused(text.replace("circuit_set =", "circuit_sets ="), None);
    refused(
        text.replace("protocol_version = \"0.", "protocol_version = \"1."),
        Some(line_of("protocol_version")),
    );
    refused(text.replacen("round = 0", "round = 7", 1), None);
    refused(text.replacen("circuit_id = 2", "circuit_id = 1", 1), None);
    refused(text.replacen("0-1-chain.vk", "../0-1-chain.vk", 1), None);
    refused(text.replacen("blake3 = \"", "blake3 = \"zz", 1), None);
    refused(format!("{text}\nextra = 1\n"), None);
    refused(text[..text.len() / 2].to_owned(), None);

    // Every flipped byte is an error, or another manifest that no longer pins the same: never a panic.
    let bytes = text.into_bytes();
    for at in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[at] ^= 1;
        let file = dir.path().join("bad.toml");
        if at % 97 == 0 {
            fs::write(&file, &bad).unwrap();
            assert!(!matches!(KeyManifest::load(&file), Ok(m) if m == manifest && at > 300), "byte {at}");
        }
        if let Ok(text) = String::from_utf8(bad) {
            let _ = KeyManifest::parse(path, &text);
        }
    }
}

#[test]
fn a_manifest_of_another_set_or_without_a_circuit_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = make(dir.path()).manifest;
    let open =
        |manifest| KeyStore::new(&set(), Path::new("m"), manifest, FileSource::Folder(dir.path().into()), 0);
    for change in [
        |m: &mut KeyManifest| m.circuit_set = "era".into(),
        |m: &mut KeyManifest| m.protocol_version = "0.9.9".into(),
        |m: &mut KeyManifest| m.parameter_set = "strong".into(),
        |m: &mut KeyManifest| m.insecure = None,
    ] {
        let mut other = manifest.clone();
        change(&mut other);
        assert!(matches!(open(other), Err(KeyError::OtherSet { .. })));
    }
    let mut short = manifest.clone();
    short.keys.remove(2);
    assert!(matches!(open(short), Err(KeyError::NoEntry { .. })));
}
