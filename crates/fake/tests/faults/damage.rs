//! Artifacts that are damaged, cut or gone: whoever made them makes them again.

use std::{fs, thread, time::Duration};

use rand::Rng as _;

use crate::support::{for_seeds, large, Cluster};

#[test]
fn damaged_files_are_made_again_by_the_jobs_that_made_them() {
    for_seeds(|mut rng| {
        let mut cluster = Cluster::with_workers();
        cluster.max_attempts = 1000;
        cluster.start_all();
        cluster.submit(&large(1));
        let inputs: Vec<String> =
            cluster.batches.iter().map(|b| blake3::hash(&b.inputs).to_hex().to_string()).collect();
        let mut damaged = 0;
        let folder = cluster.folder().join("hk").join("artifacts");
        for _ in 0..60 {
            thread::sleep(Duration::from_millis(100));
            if cluster.all_proved() {
                break;
            }
            let names = fs::read_dir(&folder).into_iter().flatten().flatten();
            // Nobody could make the witness inputs again.
            let files: Vec<_> = names
                .map(|entry| entry.path())
                .filter(|path| {
                    let name = path.file_name().unwrap().to_string_lossy().into_owned();
                    name.len() == 64 && !inputs.contains(&name)
                })
                .collect();
            let Some(file) = files.get(rng.gen_range(0..files.len().max(1))) else { continue };
            let Ok(mut bytes) = fs::read(file) else { continue };
            if bytes.is_empty() {
                continue;
            }
            let at = rng.gen_range(0..bytes.len());
            match rng.gen_range(0..3) {
                0 => bytes[at] ^= 1,
                1 => bytes.truncate(at),
                _ => {
                    let _ = fs::remove_file(file);
                    damaged += 1;
                    continue;
                }
            }
            fs::write(file, bytes).unwrap();
            damaged += 1;
        }
        assert!(damaged > 5, "only {damaged} files were damaged");
        cluster.wait("the batch", |cluster| cluster.all_proved());
    });
}
