//! Embeds what is committed of the ledger's keys (manifests, verification keys, hints) and notes which build this is.
#![allow(clippy::expect_used, clippy::panic)] // a build script fails by panicking

use std::{
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn main() {
    let keys = Path::new(&env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo")).join("../ledger/keys");
    // Cargo takes a path that is missing for one that has always just changed.
    let watched = if keys.exists() { keys.as_path() } else { Path::new("../ledger") };
    println!("cargo:rerun-if-changed={}", watched.display());
    for path in ["../../.git/HEAD", "../../.git/refs/heads"].iter().filter(|path| Path::new(path).exists()) {
        println!("cargo:rerun-if-changed={path}");
    }
    println!("cargo:rerun-if-changed=build.rs");
    let mut code = String::from("/// Committed key folders.\npub(crate) static PINNED: &[Pinned] = &[\n");
    for dir in sorted(&keys).into_iter().filter(|dir| dir.join("manifest.toml").is_file()) {
        let name = dir.file_name().and_then(|n| n.to_str()).expect("a UTF-8 folder name");
        println!("cargo:rerun-if-changed={}", dir.display());
        let include = |path: &Path| format!("{:?}", path.canonicalize().expect("a file that is there"));
        writeln!(
            code,
            "    Pinned {{ parameter_set: {name:?}, manifest: include_str!({}), files: &[",
            include(&dir.join("manifest.toml"))
        )
        .expect("writing to a string");
        for file in sorted(&dir) {
            if file.extension().is_some_and(|e| e == "vk" || e == "hint") {
                let name = file.file_name().and_then(|n| n.to_str()).expect("a UTF-8 file name");
                writeln!(code, "        ({name:?}, include_bytes!({})),", include(&file))
                    .expect("writing to a string");
            }
        }
        code.push_str("    ] },\n");
    }
    code.push_str("];\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo")).join("pinned_keys.rs");
    fs::write(out, code).expect("OUT_DIR is writable");

    let print = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).output().ok().filter(|o| o.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    println!(
        "cargo:rustc-env=INGOT_RUSTC={}",
        print(&rustc, &["--version"]).unwrap_or_else(|| "unknown".into())
    );
    if let Some(commit) = print("git", &["rev-parse", "HEAD"]) {
        println!("cargo:rustc-env=INGOT_COMMIT={commit}");
    }
}

fn sorted(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path()).collect();
    paths.sort();
    paths
}
