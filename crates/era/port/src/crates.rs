//! Which crates are ported, and the hashes that pin them before and after.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

/// The version of all of them.
pub const VERSION: &str = "0.153.12";

/// A crate and what it must contain.
#[derive(Clone, Copy, Debug)]
pub struct Crate {
    /// Its name.
    pub name: &'static str,
    /// [`tree_hash`] as published.
    pub published: &'static str,
    /// [`tree_hash`] once ported.
    pub ported: &'static str,
}

/// The crates.
pub const CRATES: &[Crate] = &[
    Crate {
        name: "circuit_definitions",
        published: "e6893d96775b000cad445bd5810d071c16ce2c936288fc8cd74ee094c9580104",
        ported: "58a87843ffcff4b6bbd1a1c629d61396e532d25d0e0fe85e7cccfc1d0265ebb4",
    },
    Crate {
        name: "circuit_encodings",
        published: "ab295601911f5368c1731a216d5f1a8f7751d83ac60b746fcdd7ad14f86c1107",
        ported: "94b1df459c177f4d012e4cb40566ec41d93d8cedb94fad20c5afefd0a02de6e7",
    },
    Crate {
        name: "circuit_sequencer_api",
        published: "f93ebcf75e2f917605a3177cfe96f3b8284b1feb0dfb6e09e8c439ec37732c26",
        ported: "827646833aa55dafc7827403f0ef2dca0f74c6d8ef31d83146ab245ff737f43d",
    },
    Crate {
        name: "zk_evm",
        published: "50926ddcd334252c54faca21670744427ec1e67fd304115228056602ef4c9495",
        ported: "b22bbd9a9170593a6a43b4e8d4e6a3af2bcb5973c263e8450155c3092cc7723a",
    },
    Crate {
        name: "zk_evm_abstractions",
        published: "e9af630b027619160fb1004d5fc9691e2a13919a50d263ce44670e7699179418",
        ported: "6850c3cd28b9269ac7aedb51813ac96e290d7d2d1d246ad5599a9432e89ade60",
    },
    Crate {
        name: "zkevm-assembly",
        published: "3e8b7ac3c7b60ab18c7fa2c1da74fdebb3e5411849ab4312939075a164c569ec",
        ported: "54a083b60dda45ccfd985e98ef2c76e91e44f1cfef1ff0aaf058774d659769c6",
    },
    Crate {
        name: "zkevm_circuits",
        published: "130b0330ac39334d801681df93c25025ce300c4ae2b0fde75f55c941cc04bbcf",
        ported: "1a76e51b25da97e41e182b62b81d57eb0efd933ca5165d83b147b961d197d69d",
    },
    Crate {
        name: "zkevm_opcode_defs",
        published: "b2a30d5895f16170078d972e0c2a6d9962d8b4ccd28e4c18dcbb259bf5cfef5c",
        ported: "ebd73710ce20d2e93bca8702c2a12b05c95615c9d733964e5abdbf7267a174ad",
    },
    Crate {
        name: "zkevm_test_harness",
        published: "2d57bb2ffca780dd07f31d6fcf7dbcd72a5baf8e0be34720c1fa74a00e8185c6",
        ported: "b13757ca5ae3929e001954073e7243d7fc49648ff8eb1c74153867080811cff8",
    },
    Crate {
        name: "zksync_kzg",
        published: "edbf047a80d3d28c062ac09e0ed4a0ed8f3f5a1d76e67178db88c13c3eda5ae1",
        ported: "2b8dd01582f8e1964ff50a4ba026920025755e741b98fbf9af37363cb8e74dae",
    },
];

/// Files that come from the registry or from vendoring, not from the crate.
const IGNORED: [&str; 6] = [
    ".cargo-ok",
    ".cargo-checksum.json",
    ".cargo_vcs_info.json",
    "Cargo.toml.orig",
    "Cargo.lock",
    ".gitignore",
];

/// BLAKE3 over the paths, lengths and contents of all files below `folder`, in the order of their paths.
///
/// # Errors
/// If a file cannot be read.
pub fn tree_hash(folder: &Path) -> anyhow::Result<String> {
    let mut hasher = blake3::Hasher::new();
    for path in files(folder)? {
        let relative = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        for part in [relative.as_bytes(), &bytes] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// All files below `folder` that belong to the crate, sorted.
///
/// # Errors
/// If a folder cannot be listed.
pub fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
            let entry = entry?;
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else if !IGNORED.iter().any(|name| path.ends_with(name)) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
