//! Making keys: in dependency order, in parallel within a memory budget, resumable after a crash at any instant.

use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet},
    fs,
    panic::{catch_unwind, AssertUnwindSafe},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ingot_artifacts::{remove_leftovers, write_atomically, Blake3};
use ingot_circuit_set::{
    decode,
    field::{Vk, Worker},
    CircuitInfo, CircuitSet, SetError, SetupKey, VkSource,
};
use ingot_types::{CircuitKey, RetryClass};

use crate::{
    schedule::{Schedule, Task},
    BuildReceipt, FileRole, KeyEntry, KeyError, KeyManifest, Progress, MANIFEST_FILE, RECEIPT_FILE,
};

/// What is finished of a manifest that is being made for the first time.
const PARTIAL_MANIFEST: &str = "manifest.partial.toml";
/// Stack of a thread that synthesizes: the proof library's own threads have half of it.
const STACK_BYTES: usize = 16 << 20;

/// How to make keys.
#[derive(Clone, Copy)]
pub struct KeygenOptions<'a> {
    /// Threads, at least 1.
    pub threads: usize,
    /// Upper bound on the sum of the memory estimates of keys made at once, in bytes.
    pub max_ram_bytes: u64,
    /// Only these circuits; all, if empty. Their dependencies must be among them, or in `vks`.
    pub only: &'a [CircuitKey],
    /// Verification keys that are known already: with them circuits can be made in any order.
    pub vks: Option<&'a dyn VkSource>,
    /// Whether setup keys are written, and not only their pins.
    pub keep_setup_keys: bool,
    /// Asked before each key: whether to stop.
    pub stop: &'a (dyn Fn() -> bool + Sync),
    /// Told what happens.
    pub on_event: &'a (dyn Fn(KeygenEvent<'_>) + Sync),
}

impl KeygenOptions<'_> {
    fn includes(&self, key: CircuitKey) -> bool {
        self.only.is_empty() || self.only.contains(&key)
    }

    /// The files of a key that are written.
    fn written(&self) -> impl Iterator<Item = FileRole> + '_ {
        FileRole::ALL.into_iter().filter(|role| self.keep_setup_keys || *role != FileRole::SetupKey)
    }
}

impl std::fmt::Debug for KeygenOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeygenOptions")
            .field("threads", &self.threads)
            .field("max_ram_bytes", &self.max_ram_bytes)
            .field("only", &self.only)
            .finish_non_exhaustive()
    }
}

/// What happens during key generation.
#[derive(Clone, Copy, Debug)]
pub enum KeygenEvent<'a> {
    /// The key's files are there and match.
    Kept(&'a CircuitInfo),
    /// A file of the key is damaged or gone; the key is made again.
    Damaged(&'a CircuitInfo, &'a KeyError),
    /// Work on the key begins.
    Started(&'a CircuitInfo),
    /// The key is on disk, or in a check compared.
    Made(&'a CircuitInfo, Duration),
}

/// What [`generate`] did.
#[derive(Clone, Debug)]
pub struct KeygenReport {
    /// The complete manifest, whose files are all on disk.
    pub manifest: KeyManifest,
    /// Keys that were there.
    pub kept: usize,
    /// Keys that were made.
    pub made: usize,
}

/// One file compared by [`check`].
#[derive(Clone, Debug)]
pub struct CheckRow {
    /// The circuit.
    pub key: CircuitKey,
    /// Its name.
    pub name: &'static str,
    /// The file's name.
    pub file: String,
    /// Hash by the manifest.
    pub expected: Blake3,
    /// Hash of what this build makes.
    pub found: Blake3,
}

impl CheckRow {
    /// Whether this build makes what the manifest pins.
    pub fn matches(&self) -> bool {
        self.expected == self.found
    }
}

/// Makes all keys of `set` in `dir`, except those whose files are there and match. With `pinned` (a manifest and the name
/// it has in errors) every key must come out as pinned; without, a manifest is made and written into `dir`.
///
/// # Errors
/// [`KeyError`]; after [`KeyError::Stopped`] or a crash a second call goes on.
pub fn generate(
    set: &dyn CircuitSet,
    dir: &Path,
    pinned: Option<(&Path, &KeyManifest)>,
    receipt: &BuildReceipt,
    options: KeygenOptions<'_>,
) -> Result<KeygenReport, KeyError> {
    fs::create_dir_all(dir).map_err(|e| KeyError::io("write", dir, e))?;
    remove_leftovers(dir)?;
    let manifest_path = dir.join(MANIFEST_FILE);
    let partial_path = dir.join(PARTIAL_MANIFEST);
    let known = known_manifest(set, &manifest_path, &partial_path, pinned)?;

    let mut finished = Finished::default();
    for info in set.circuits() {
        let Some(entry) = known.find(info.key) else { continue };
        match read_vk_of_whole_entry(dir, entry, options.written()) {
            Ok(vk) => {
                finished.add(info, entry.clone(), vk);
                (options.on_event)(KeygenEvent::Kept(info));
            }
            Err(error) if error.is_damaged_file() => (options.on_event)(KeygenEvent::Damaged(info, &error)),
            Err(error) => return Err(error),
        }
    }
    let kept = finished.entries.len();

    let finished = Mutex::new(finished);
    run(set, &finished, options, &|info, key, elapsed| {
        let (entry, files) = KeyEntry::of(info, &key).map_err(|source| KeyError::Set {
            key: info.key,
            name: info.name,
            source,
        })?;
        if let Some(expected) = known.find(info.key) {
            same(expected, &entry)?;
        }
        for role in options.written() {
            write_atomically(&dir.join(&entry.pin(role).file), &files[role as usize])?;
        }
        drop(files);
        let mut finished = lock(&finished);
        finished.add(info, entry, Arc::new(key.vk));
        if pinned.is_none() {
            write_atomically(&partial_path, finished.manifest(set).to_toml().as_bytes())?;
        }
        drop(finished);
        (options.on_event)(KeygenEvent::Made(info, elapsed));
        Ok(())
    })?;

    let finished = finished.into_inner().unwrap_or_else(PoisonError::into_inner);
    let manifest = finished.manifest(set);
    let made = manifest.keys.len() - kept;
    let text = manifest.to_toml();
    if fs::read(&manifest_path).ok().as_deref() != Some(text.as_bytes()) {
        write_atomically(&manifest_path, text.as_bytes())?;
    }
    if made > 0 || !dir.join(RECEIPT_FILE).exists() {
        write_atomically(&dir.join(RECEIPT_FILE), receipt.to_toml_now().as_bytes())?;
    }
    match fs::remove_file(&partial_path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(KeyError::io("write", &partial_path, e)),
        _ => Ok(KeygenReport { manifest, kept, made }),
    }
}

/// Makes keys again, in memory, and compares with `manifest` (named `path` in errors). Writes nothing but `progress`, with
/// which an interrupted check goes on.
///
/// # Errors
/// [`KeyError`]; a difference is no error but a row that does not match.
pub fn check(
    set: &dyn CircuitSet,
    path: &Path,
    manifest: &KeyManifest,
    options: KeygenOptions<'_>,
    progress: Option<Progress>,
) -> Result<Vec<CheckRow>, KeyError> {
    manifest.fits(path, set)?;
    let progress = Mutex::new(progress);
    let mut all = Finished::default();
    let mut rows = Vec::new();
    for info in set.circuits().iter().filter(|info| options.includes(info.key)) {
        let expected = manifest.entry(path, info.key)?;
        // Without known verification keys one made before is needed again by those that depend on it.
        let found =
            lock(&progress).as_ref().filter(|_| options.vks.is_some()).and_then(|p| p.found(info.key));
        let Some(found) = found else { continue };
        let Some(vks) = options.vks else { continue };
        let vk =
            vks.vk(info.key).map_err(|source| KeyError::Set { key: info.key, name: info.name, source })?;
        rows.extend(compare(info, expected, found));
        all.vks.insert(info.key, vk);
        (options.on_event)(KeygenEvent::Kept(info));
    }
    let finished = Mutex::new(all);
    let rows = Mutex::new(rows);
    run(set, &finished, options, &|info, key, elapsed| {
        let expected = manifest.entry(path, info.key)?;
        let (found, _) = KeyEntry::of(info, &key).map_err(|source| KeyError::Set {
            key: info.key,
            name: info.name,
            source,
        })?;
        let hashes = FileRole::ALL.map(|role| found.pin(role).blake3);
        if let Some(progress) = &mut *lock(&progress) {
            progress.add(info.key, hashes)?;
        }
        lock(&rows).extend(compare(info, expected, hashes));
        lock(&finished).add(info, found, Arc::new(key.vk));
        (options.on_event)(KeygenEvent::Made(info, elapsed));
        Ok(())
    })?;
    if let Some(progress) = lock(&progress).take() {
        progress.remove()?;
    }
    let mut rows = rows.into_inner().unwrap_or_else(PoisonError::into_inner);
    rows.sort_by(|a, b| (a.key, &a.file).cmp(&(b.key, &b.file)));
    Ok(rows)
}

fn compare(info: &CircuitInfo, expected: &KeyEntry, found: [Blake3; 3]) -> [CheckRow; 3] {
    FileRole::ALL.map(|role| CheckRow {
        key: info.key,
        name: info.name,
        file: expected.pin(role).file.clone(),
        expected: expected.pin(role).blake3,
        found: found[role as usize],
    })
}

/// Keys that exist.
#[derive(Default)]
struct Finished {
    entries: BTreeMap<CircuitKey, KeyEntry>,
    vks: BTreeMap<CircuitKey, Arc<Vk>>,
}

impl Finished {
    fn add(&mut self, info: &CircuitInfo, entry: KeyEntry, vk: Arc<Vk>) {
        self.entries.insert(info.key, entry);
        self.vks.insert(info.key, vk);
    }

    fn manifest(&self, set: &dyn CircuitSet) -> KeyManifest {
        let keys = set.circuits().iter().filter_map(|info| self.entries.get(&info.key).cloned()).collect();
        KeyManifest { keys, ..KeyManifest::empty(set) }
    }
}

/// Verification keys made so far.
struct MadeVks<'a>(&'a Mutex<Finished>);

impl VkSource for MadeVks<'_> {
    fn vk(&self, key: CircuitKey) -> Result<Arc<Vk>, SetError> {
        lock(self.0).vks.get(&key).cloned().ok_or_else(|| SetError::Source {
            what: format!("verification key of {key} (round:id)"),
            reason: "it has not been made; the circuit set does not list it as a dependency".into(),
            retry: RetryClass::Deterministic,
        })
    }
}

/// Makes the keys that are not in `finished` and hands each to `store`, from several threads.
fn run(
    set: &dyn CircuitSet,
    finished: &Mutex<Finished>,
    options: KeygenOptions<'_>,
    store: &(dyn Fn(&CircuitInfo, SetupKey, Duration) -> Result<(), KeyError> + Sync),
) -> Result<(), KeyError> {
    let done: BTreeSet<CircuitKey> = lock(finished).vks.keys().copied().collect();
    let tasks: Vec<Task> = set
        .circuits()
        .iter()
        .filter(|info| !done.contains(&info.key) && options.includes(info.key))
        .map(|info| Task {
            key: info.key,
            name: info.name,
            ram_bytes: info.setup_ram_bytes,
            needs: if options.vks.is_some() { Vec::new() } else { set.key_dependencies(info.key) },
        })
        .collect();
    let threads = options.threads.clamp(1, tasks.len().max(1));
    let state = Mutex::new((Schedule::new(tasks, done, options.max_ram_bytes)?, None::<KeyError>));
    let changed = Condvar::new();
    let worker = Worker::new_with_num_threads(options.threads.max(1));

    let work = || loop {
        let task = {
            let mut guard = lock(&state);
            loop {
                if guard.1.is_some() || guard.0.all_started() {
                    return;
                }
                if (options.stop)() {
                    guard.1 = Some(KeyError::Stopped);
                    changed.notify_all();
                    return;
                }
                if let Some(task) = guard.0.start() {
                    break task;
                }
                guard = changed.wait(guard).unwrap_or_else(PoisonError::into_inner);
            }
        };
        let result = make(set, &task, finished, &worker, options, store);
        let mut guard = lock(&state);
        match result {
            Ok(()) => guard.0.finish(task.key),
            Err(error) => {
                guard.1.get_or_insert(error);
            }
        }
        changed.notify_all();
    };
    std::thread::scope(|scope| {
        for i in 0..threads {
            let builder = std::thread::Builder::new().name(format!("keygen-{i}")).stack_size(STACK_BYTES);
            if let Err(source) = builder.spawn_scoped(scope, work) {
                let path = PathBuf::from("a thread");
                lock(&state).1.get_or_insert(KeyError::Io { action: "start", path, source });
                changed.notify_all();
            }
        }
    });
    match state.into_inner().unwrap_or_else(PoisonError::into_inner).1 {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

fn make(
    set: &dyn CircuitSet,
    task: &Task,
    finished: &Mutex<Finished>,
    worker: &Worker,
    options: KeygenOptions<'_>,
    store: &(dyn Fn(&CircuitInfo, SetupKey, Duration) -> Result<(), KeyError> + Sync),
) -> Result<(), KeyError> {
    let (key, name) = (task.key, task.name);
    let Some(info) = set.circuits().iter().find(|info| info.key == key) else {
        return Err(KeyError::Cycle { key });
    };
    (options.on_event)(KeygenEvent::Started(info));
    let start = Instant::now();
    let made_vks = MadeVks(finished);
    let vks = options.vks.unwrap_or(&made_vks);
    let made = catch_unwind(AssertUnwindSafe(|| set.setup(key, vks, worker)))
        .map_err(|panic| KeyError::Panicked { key, name, message: message(&*panic) })?
        .map_err(|source| KeyError::Set { key, name, source })?;
    store(info, made, start.elapsed())
}

/// The text of a panic.
pub(crate) fn message(panic: &(dyn Any + Send)) -> String {
    ingot_types::panic_text(panic).unwrap_or_else(|| "no message".into())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn known_manifest(
    set: &dyn CircuitSet,
    manifest_path: &Path,
    partial_path: &Path,
    pinned: Option<(&Path, &KeyManifest)>,
) -> Result<KeyManifest, KeyError> {
    if let Some((path, manifest)) = pinned {
        manifest.fits(path, set)?;
        return Ok(manifest.clone());
    }
    if manifest_path.exists() {
        let manifest = KeyManifest::load(manifest_path)?;
        manifest.fits(manifest_path, set)?;
        return Ok(manifest);
    }
    // A partial manifest only saves work: one that cannot be used is as good as none.
    let partial = KeyManifest::load(partial_path).ok();
    let head = KeyManifest::empty(set);
    let same_head = |m: &KeyManifest| KeyManifest { keys: Vec::new(), ..m.clone() } == head;
    Ok(partial.filter(same_head).unwrap_or(head))
}

pub(crate) fn same(expected: &KeyEntry, found: &KeyEntry) -> Result<(), KeyError> {
    // The verification key first: if it differs, that is what matters.
    for role in [FileRole::VerificationKey, FileRole::FinalizationHint, FileRole::SetupKey] {
        let (expected, found) = (expected.pin(role), found.pin(role));
        if expected.blake3 != found.blake3 || expected.file != found.file {
            return Err(KeyError::Pin {
                file: expected.file.clone(),
                expected: expected.blake3,
                found: found.blake3,
            });
        }
    }
    Ok(())
}

/// Verifies the files of `entry` with `roles` and decodes the verification key.
fn read_vk_of_whole_entry(
    dir: &Path,
    entry: &KeyEntry,
    roles: impl Iterator<Item = FileRole>,
) -> Result<Arc<Vk>, KeyError> {
    let mut vk = None;
    for role in roles {
        let bytes = entry.pin(role).read(dir)?;
        if role == FileRole::VerificationKey {
            vk = Some(bytes);
        }
    }
    let pin = entry.pin(FileRole::VerificationKey);
    decode("verification key", &vk.unwrap_or_default())
        .map(Arc::new)
        .map_err(|source| KeyError::Contents { path: dir.join(&pin.file), source })
}
