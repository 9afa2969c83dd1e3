//! Files of several MiB to and from the house keeper's node, over a link that is cut and stalled again and again: they go on
//! where they were, and arrive whole.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
    time::Duration,
};

use ingot_artifacts::Artifacts as _;
use ingot_fake::link::Link;
use ingot_house_keeper::client::{Address, RemoteArtifacts};
use ingot_wire::Token;
use rand::{Rng as _, RngCore as _};
use rand_chacha::ChaCha8Rng;

use crate::support::{for_seeds, Cluster, PATIENCE};

const FILE_BYTES: usize = 24 << 20;
/// The link lasts for so many bytes, at least.
const CUT_EVERY_BYTES: u64 = 3 << 20;

/// Cuts or stalls the link whenever some more bytes have come through; how often it was cut.
fn disturb(link: &Link, mut rng: ChaCha8Rng, over: &AtomicBool, cuts: &AtomicU32) {
    let mut next = CUT_EVERY_BYTES;
    while !over.load(Ordering::SeqCst) {
        if link.bytes() < next {
            thread::yield_now();
            continue;
        }
        if rng.gen_ratio(3, 4) {
            link.cut();
            cuts.fetch_add(1, Ordering::SeqCst);
        } else {
            link.stall();
        }
        thread::sleep(Duration::from_millis(rng.gen_range(0..300)));
        link.heal();
        next = link.bytes() + CUT_EVERY_BYTES;
    }
}

#[test]
fn large_files_over_a_link_that_is_cut() {
    for_seeds(|mut rng| {
        let mut cluster = Cluster::new();
        let token = cluster.folder().join("token");
        fs::write(&token, "a token of sufficient length").unwrap();
        fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
        cluster.node("hk").set("house-keeper.token-file", token.display());
        let link = Link::to(cluster.at(3000)).unwrap();
        let address = Address::Tcp(link.address().to_string());
        let remote = RemoteArtifacts::new(address, Some(Token::load(&token).unwrap()), "far", PATIENCE);
        cluster.start_all();
        let (over, cuts) = (AtomicBool::new(false), AtomicU32::new(0));
        let seed = rand::SeedableRng::seed_from_u64(rng.next_u64());
        thread::scope(|scope| {
            scope.spawn(|| disturb(&link, seed, &over, &cuts));
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                for _ in 0..2 {
                    let mut file = vec![0; FILE_BYTES];
                    rng.fill_bytes(&mut file);
                    let name = remote.put(&file).unwrap();
                    assert!(remote.contains(&name).unwrap());
                    assert!(remote.get(&name).unwrap() == file, "another file came back");
                    assert!(cluster.remote.get(&name).unwrap() == file, "another file is there");
                }
            }));
            over.store(true, Ordering::SeqCst);
            if let Err(panic) = result {
                std::panic::resume_unwind(panic);
            }
        });
        cluster.all_alive();
        let (cuts, sent) = (cuts.into_inner(), link.bytes());
        eprintln!("{cuts} cuts; {sent} bytes came through for {} bytes of files", 4 * FILE_BYTES);
        assert!(cuts >= 3, "the link was cut {cuts} times");
        // It goes on where it was: at most what was under way comes twice.
        assert!(sent < 6 * FILE_BYTES as u64, "{sent} bytes");
    });
}
