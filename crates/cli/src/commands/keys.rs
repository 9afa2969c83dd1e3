//! Getting keys ready: what `demo`, `prove` and `keygen` share.

use std::{
    path::{Path, PathBuf},
    sync::{mpsc, Arc},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use ingot_circuit_set::{CircuitInfo, CircuitSet, VkSource};
use ingot_keystore::{
    generate, FileSource, KeyError, KeyManifest, KeyStore, KeygenEvent, KeygenOptions, KeygenReport,
    MANIFEST_FILE,
};
use ingot_types::CircuitKey;

use crate::{
    args::ResourceArgs,
    edition::{Chosen, KeyPolicy, LeastMemory},
    home::Home,
    interrupt::{self, Interrupted},
    memory::{available_bytes, processors},
    pinned::build_receipt,
    ui::{Event, Ui},
};

/// Most memory that is planned with unless told otherwise, or the circuit set needs more: what the smallest machine in mind
/// has to spare.
const DEFAULT_RAM: u64 = 5 << 30;
/// How long key generation may take to notice that it should stop.
const GRACE: Duration = Duration::from_millis(300);

/// What a command may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resources {
    pub threads: usize,
    pub ram_bytes: u64,
    /// What one batch needs at least.
    pub least: LeastMemory,
    /// Disk for setup keys that are made on demand; `None`: by what is free.
    pub disk_bytes: Option<u64>,
}

impl Resources {
    pub fn new(chosen: &Chosen, args: &ResourceArgs) -> Self {
        let least = chosen.edition.least_memory();
        let useful = DEFAULT_RAM.max((least.synthesis_bytes + least.proving_bytes) / 8 * 9);
        let spare = available_bytes().map_or(useful, |bytes| bytes / 4 * 3);
        Self {
            threads: args.threads.map_or_else(processors, usize::from),
            ram_bytes: args.max_ram.unwrap_or(spare.min(useful)),
            least,
            disk_bytes: args.max_disk,
        }
    }

    /// Memory for synthesis.
    pub fn synthesis_bytes(&self) -> u64 {
        self.least.synthesis_bytes.max(self.ram_bytes / 3)
    }

    /// Memory for keys that are ready to prove with. One is always kept: it is part of what proving needs.
    pub fn key_cache_bytes(&self) -> u64 {
        self.least.key_cache_bytes.max(self.ram_bytes / 3)
    }
}

/// Keys that are ready, and what it took.
#[derive(Debug)]
pub(crate) struct ReadyKeys {
    pub store: Arc<KeyStore>,
    pub made: usize,
    pub seconds: f64,
}

/// Says loudly what must not be overlooked.
pub(crate) fn warn_if_insecure(ui: &Ui, set: &dyn CircuitSet) {
    if let Some(reason) = set.insecure_because() {
        ui.warn(format!("these proofs must not be trusted with money: {reason}"));
    }
}

/// Which keys to make.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    /// Only these; all, if empty.
    pub only: Vec<CircuitKey>,
    /// Leave the setup keys themselves away, and keep their pins.
    pub pins_alone: bool,
}

impl Selection {
    /// How many they are of `set`.
    pub fn count(&self, set: &dyn CircuitSet) -> u64 {
        (if self.only.is_empty() { set.circuits().len() } else { self.only.len() }) as u64
    }
}

/// Makes the keys that are missing and opens them.
pub(crate) fn ready(
    ui: &Arc<Ui>,
    chosen: &Chosen,
    home: &Home,
    set: &Arc<dyn CircuitSet>,
    res: Resources,
) -> anyhow::Result<ReadyKeys> {
    let start = Instant::now();
    let dir = home.keys(&**set);
    let pinned = chosen.pinned()?;
    let trusted = pinned.map(|p| anyhow::Ok((p.path(), p.parse()?))).transpose()?;
    if chosen.edition.key_policy() == KeyPolicy::OnDemand {
        // The prover makes its keys when it needs them.
        if let Some(store) = trusted_vks(chosen, &**set, &dir)? {
            return Ok(ReadyKeys { store: Arc::new(store), made: 0, seconds: start.elapsed().as_secs_f64() });
        }
    }
    if trusted.is_none() {
        ui.note(format!(
            "no key manifest for parameters {} is built in: keys are made and pinned in {}",
            set.parameter_set(),
            dir.join(MANIFEST_FILE).display()
        ));
    }
    let report = make(ui, set, dir.clone(), trusted, None, res, Selection::default())?;
    // A third of the memory keeps keys; the rest is for synthesis and proving.
    let path = dir.join(MANIFEST_FILE);
    let store = KeyStore::new(&**set, &path, report.manifest, FileSource::Folder(dir), res.ram_bytes / 3)?;
    Ok(ReadyKeys { store: Arc::new(store), made: report.made, seconds: start.elapsed().as_secs_f64() })
}

/// Makes keys in `dir` on a thread of its own, so that an interruption need not wait for the key that is being made.
pub(crate) fn make(
    ui: &Arc<Ui>,
    set: &Arc<dyn CircuitSet>,
    dir: PathBuf,
    trusted: Option<(PathBuf, KeyManifest)>,
    vks: Option<Arc<dyn VkSource>>,
    res: Resources,
    selection: Selection,
) -> anyhow::Result<KeygenReport> {
    ui.tell(&Event::Keys { total: selection.count(&**set) });
    let (task_ui, set) = (ui.clone(), set.clone());
    let hint = if trusted.is_some() {
        "the keys that this build makes are not the ones it was built to trust"
    } else {
        "if the circuits have changed since the keys were made, remove the folder of keys"
    };
    interruptible(move || {
        let options = KeygenOptions {
            threads: res.threads,
            max_ram_bytes: res.ram_bytes,
            only: &selection.only,
            vks: vks.as_deref(),
            keep_setup_keys: !selection.pins_alone,
            stop: &interrupt::requested,
            on_event: &|event| tell(&task_ui, event),
        };
        let pinned = trusted.as_ref().map(|(path, manifest)| (path.as_path(), manifest));
        generate(&*set, &dir, pinned, &build_receipt(), options)
    })?
    .map_err(|error| match error {
        KeyError::Stopped => Interrupted.into(),
        KeyError::Pin { .. } => anyhow::Error::new(error).context(hint),
        other => other.into(),
    })
}

/// Runs `work` on another thread; gives up waiting for it soon after an interruption.
pub(crate) fn interruptible<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> anyhow::Result<T> {
    let (sender, receiver) = mpsc::channel();
    std::thread::Builder::new()
        .name("keys".into())
        .spawn(move || sender.send(work()))
        .context("cannot start a thread")?;
    let mut asked: Option<Instant> = None;
    loop {
        match receiver.recv_timeout(Duration::from_millis(50)) {
            Ok(result) => return Ok(result),
            Err(mpsc::RecvTimeoutError::Disconnected) => anyhow::bail!("the thread that makes keys panicked"),
            Err(mpsc::RecvTimeoutError::Timeout) if interrupt::requested() => {
                if asked.get_or_insert_with(Instant::now).elapsed() > GRACE {
                    return Err(Interrupted.into());
                }
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {}
        }
    }
}

/// Passes on what key generation says.
pub(crate) fn tell(ui: &Ui, event: KeygenEvent<'_>) {
    let id = |info: &CircuitInfo| (info.key.to_string(), info.name.to_owned());
    ui.tell(&match event {
        KeygenEvent::Kept(info) => {
            let (circuit, name) = id(info);
            Event::KeyKept { circuit, name }
        }
        KeygenEvent::Damaged(info, error) => {
            let (circuit, name) = id(info);
            Event::KeyDamaged { circuit, name, reason: error.to_string() }
        }
        KeygenEvent::Started(info) => {
            let (circuit, name) = id(info);
            Event::KeyStarted { circuit, name }
        }
        KeygenEvent::Made(info, took) => {
            let (circuit, name) = id(info);
            Event::KeyMade { circuit, name, seconds: took.as_secs_f64() }
        }
    });
}

/// The verification keys to trust, for a command that only verifies: part of this executable, or files in `dir` that the
/// built-in manifest pins. `None` if no manifest is built in.
pub(crate) fn trusted_vks(
    chosen: &Chosen,
    set: &dyn CircuitSet,
    dir: &Path,
) -> anyhow::Result<Option<KeyStore>> {
    let Some(pinned) = chosen.pinned()? else { return Ok(None) };
    let files = match pinned.files {
        [] => FileSource::Folder(dir.to_owned()),
        files => FileSource::Embedded(files),
    };
    Ok(Some(KeyStore::new(set, &pinned.path(), pinned.parse()?, files, 0)?))
}
