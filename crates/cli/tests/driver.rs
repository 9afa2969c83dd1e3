//! The driver on real (tiny) proofs: resuming after kills and stops, and damaged artifacts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc,
    },
    thread,
    time::{Duration, Instant},
};

use ingot_circuit_set::{encode, CircuitSet};
use ingot_cli::{
    driver::{prove_batch, BatchProof, BatchRun},
    ui::Ui,
};
use ingot_job_store::{Backoff, CountKey, JobStore as _, MemoryStore, StateName};
use ingot_keystore::{generate, BuildReceipt, FileSource, KeyStore, KeygenOptions};
use ingot_prover::verify;
use ingot_test_set::{TestBatch, TestSet};
use ingot_types::{AggregationRound, BatchId, BatchNumber, ChainId, JobKind};

const BATCH: TestBatch = TestBatch { seed: 42, instances: [5, 2] };

fn keys(dir: &Path, set: &dyn CircuitSet) -> Arc<KeyStore> {
    let receipt = BuildReceipt {
        version: String::new(),
        commit: None,
        rustc: String::new(),
        crates: Default::default(),
        made_at_unix: 0,
    };
    let options = KeygenOptions { threads: 2, max_ram_bytes: 1 << 30, stop: &|| false, on_event: &|_| {} };
    let manifest = generate(set, dir, None, &receipt, options).unwrap().manifest;
    Arc::new(
        KeyStore::new(set, Path::new("m"), manifest, FileSource::Folder(dir.to_owned()), 1 << 24).unwrap(),
    )
}

fn run(dir: &Path) -> BatchRun {
    let set: Arc<dyn CircuitSet> = Arc::new(TestSet::new(9));
    BatchRun {
        keys: keys(&dir.join("keys"), &*set),
        set,
        batch: BatchId { chain: ChainId(7), batch: BatchNumber(3) },
        witness_inputs: encode("batch", &BATCH).unwrap(),
        folder: dir.join("work"),
        threads: 2,
        max_ram_bytes: 1 << 30,
        stop: Arc::new(|| false),
        ui: Arc::new(Ui::silent()),
    }
}

/// The proof is what it should be, by other means than the driver's.
fn assert_proved(run: &BatchRun, proved: &BatchProof) {
    let key = proved.proof.header.circuit;
    assert_eq!(key.round, AggregationRound::Scheduler);
    let vk = run.keys.verification_key(key).unwrap();
    assert_eq!(verify(&*run.set, key, &vk, &proved.proof.proof).unwrap(), Ok(()));
    let expected = run.set.batch_public_input(&run.witness_inputs, &*run.keys).unwrap();
    assert_eq!(proved.proof.proof.public_inputs, expected);
    // 7 basic; leaves of 2 and nodes of 2 over them: 3 + 1, 2 + 1 + 1; tip; scheduler.
    let count = |round| proved.stats.rounds[&round].proofs;
    use AggregationRound as R;
    assert_eq!([R::Basic, R::Leaf, R::Node, R::RecursionTip, R::Scheduler].map(count), [7, 4, 4, 1, 1]);
}

fn artifacts(run: &BatchRun) -> Vec<PathBuf> {
    let hash = |p: &PathBuf| p.file_name().unwrap().len() == 64;
    let dir = fs::read_dir(run.folder.join("artifacts")).unwrap();
    let mut files: Vec<_> = dir.map(|e| e.unwrap().path()).filter(hash).collect();
    files.sort();
    files
}

/// Proofs that the journal says are done.
fn proofs_done(run: &BatchRun) -> u64 {
    let (store, _) = MemoryStore::open(&run.folder.join("journal"), Backoff::default(), 0).unwrap();
    let done = |(key, n): (CountKey, u64)| {
        if key.kind == JobKind::Prove && key.state == StateName::Done {
            n
        } else {
            0
        }
    };
    store.counts(Some(run.batch)).unwrap().into_iter().map(done).sum()
}

#[test]
fn a_batch_is_proved_and_a_second_run_does_nothing_again() {
    let dir = tempfile::tempdir().unwrap();
    let run = run(dir.path());
    let first = prove_batch(&run).unwrap();
    assert_proved(&run, &first);
    assert_eq!(first.stats.made_now(), 17);
    let second = prove_batch(&run).unwrap();
    assert_proved(&run, &second);
    assert_eq!(second.stats.made_now(), 0);
    assert_eq!(first.bytes, second.bytes);
}

#[test]
fn stopped_at_any_moment_it_keeps_every_finished_proof() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = run(dir.path());
    let mut present = 0;
    for round in 0..100 {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = stop.clone();
        run.stop = Arc::new(move || asked.load(Ordering::SeqCst));
        let timer = thread::spawn(move || {
            thread::sleep(Duration::from_millis(20 + round * 7));
            stop.store(true, Ordering::SeqCst);
        });
        let result = prove_batch(&run);
        timer.join().unwrap();
        match result {
            Ok(proved) => {
                assert_proved(&run, &proved);
                assert_eq!(proved.stats.made_now(), 17 - present, "those that were there are not made again");
                assert!(round > 0, "never stopped");
                return;
            }
            Err(error) => assert!(error.to_string().contains("interrupted"), "{error:#}"),
        }
        // Threads that were not waited for may still have the journal open.
        thread::sleep(Duration::from_millis(300));
        let now = proofs_done(&run);
        assert!(now >= present, "{present} proofs were done, now {now}");
        present = now;
    }
    panic!("never done");
}

/// Some artifacts are damaged, the scheduler proof always: what is read on the way to a new one is found out and made again by
/// the job that made it, layer by layer, and what is not read does not matter.
#[test]
fn damaged_artifacts_are_made_again_by_the_jobs_that_made_them() {
    let dir = tempfile::tempdir().unwrap();
    let run = run(dir.path());
    let whole = prove_batch(&run).unwrap();
    let files = artifacts(&run);
    assert!(files.len() > 20, "circuit inputs and proofs");
    let pristine: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    let journal = fs::read(run.folder.join("journal")).unwrap();
    let scheduler = pristine.iter().position(|bytes| *bytes == whole.bytes).unwrap();
    let mut made_again = vec![];
    for seed in 0..12usize {
        fs::write(run.folder.join("journal"), &journal).unwrap();
        for (i, (file, good)) in files.iter().zip(&pristine).enumerate() {
            let mut bytes = good.clone();
            let at = (i * 31 + seed) % bytes.len();
            bytes[at] ^= 4;
            // The last seed damages everything.
            let damaged = i == scheduler || seed == 11 || (i * 7 + seed * 5) % 12 < seed;
            match (i + seed) % 3 {
                _ if !damaged => fs::write(file, good).unwrap(),
                0 => fs::write(file, &bytes).unwrap(),
                1 => fs::write(file, &bytes[..at]).unwrap(),
                _ => fs::remove_file(file).or_else(|_| fs::write(file, "")).unwrap(),
            }
        }
        let again = prove_batch(&run).unwrap();
        assert_proved(&run, &again);
        assert_eq!(again.bytes, whole.bytes);
        made_again.push(again.stats.made_now());
    }
    assert_eq!((made_again[0], made_again[11]), (1, 17), "{made_again:?}");
}

#[test]
fn a_damaged_journal_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let run = run(dir.path());
    prove_batch(&run).unwrap();
    let journal = run.folder.join("journal");
    let mut bytes = fs::read(&journal).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&journal, bytes).unwrap();
    let error = format!("{:#}", prove_batch(&run).unwrap_err());
    assert!(error.contains("journal") && error.contains("remove the folder"), "{error}");
}

#[test]
fn a_job_that_fails_for_good_ends_the_run_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = run(dir.path());
    run.witness_inputs = b"no batch".to_vec();
    let error = format!("{:#}", prove_batch(&run).unwrap_err());
    assert!(error.contains("witness generation") && error.contains("test batch"), "{error}");
}

/// What the child process of the next test does: this test binary, told by the environment.
#[test]
fn child_process() {
    let Some(dir) = std::env::var_os("INGOT_DRIVER_TEST_DIR") else { return };
    let run = run(Path::new(&dir));
    assert_proved(&run, &prove_batch(&run).unwrap());
}

#[test]
fn killed_at_random_moments_it_completes() {
    let kills: u32 = std::env::var("INGOT_KILLS").map_or(25, |n| n.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let spawn = || {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_process", "--nocapture"])
            .env("INGOT_DRIVER_TEST_DIR", dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    // How long a whole run takes, to spread the kills over it.
    let start = Instant::now();
    let output = spawn().wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let whole = start.elapsed();

    let mut random: u64 = 0x9e37_79b9_7f4a_7c15;
    for kill in 0..kills {
        if kill % 8 == 0 {
            // From the start, keys included.
            fs::remove_dir_all(dir.path().join("work")).unwrap();
            if kill % 16 == 0 {
                fs::remove_dir_all(dir.path().join("keys")).unwrap();
            }
        }
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let mut child = spawn();
        thread::sleep(whole.mul_f64((random >> 11) as f64 / (1u64 << 53) as f64 * 0.5));
        // SIGKILL, as a power cut would be for the process.
        let _ = child.kill();
        child.wait().unwrap();
    }
    let output = spawn().wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
