//! What both tests of keys start from.

use ingot_keystore::{BuildReceipt, KeygenOptions};
use ingot_test_set::TestSet;

pub fn set() -> TestSet {
    TestSet::new(9)
}

pub fn receipt() -> BuildReceipt {
    BuildReceipt {
        version: "0".into(),
        commit: None,
        rustc: "rustc".into(),
        crates: Default::default(),
        made_at_unix: 0,
    }
}

pub fn options() -> KeygenOptions<'static> {
    KeygenOptions {
        threads: 2,
        max_ram_bytes: 1 << 30,
        only: &[],
        vks: None,
        keep_setup_keys: true,
        stop: &|| false,
        on_event: &|_| {},
    }
}
