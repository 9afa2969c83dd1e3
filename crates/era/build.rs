//! Lists the verification keys and finalization hints that ZKsync ships inside `zkevm_test_harness`, as the port left them.
#![allow(clippy::expect_used, clippy::panic)] // a build script fails by panicking

use std::{env, fmt::Write as _, fs, path::Path};

fn main() {
    let here = env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo");
    let setup = Path::new(&here).join("ported/zkevm_test_harness/setup");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={}", setup.display());
    let mut code = String::from("/// Round, id, verification key, finalization hint: JSON as published.\n");
    code.push_str("static OFFICIAL_JSON: &[(u8, u8, &str, &str)] = &[\n");
    let mut pairs: Vec<(u8, u8, String)> = Vec::new();
    for id in (1..=19).chain([255]) {
        pairs.push((0, id, format!("base_layer/@_{id}.json")));
    }
    for id in 3..=22 {
        pairs.push((1, id, format!("recursion_layer/@_{id}.json")));
    }
    pairs.push((2, 2, "recursion_layer/@_node.json".into()));
    pairs.push((3, 255, "recursion_layer/@_recursion_tip.json".into()));
    pairs.push((4, 1, "recursion_layer/@_1.json".into()));
    for (round, id, name) in pairs {
        let include = |what: &str| format!("{:?}", setup.join(name.replace('@', what)));
        writeln!(
            code,
            "    ({round}, {id}, include_str!({}), include_str!({})),",
            include("vk"),
            include("finalization_hint")
        )
        .expect("writing to a string");
    }
    code.push_str("];\n");
    let out = env::var_os("OUT_DIR").expect("set by cargo");
    let out = Path::new(&out);
    fs::write(out.join("official.rs"), code).expect("OUT_DIR is writable");

    // Without a manifest the executable can make one, and nothing else.
    let manifest = Path::new(&here).join("keys/era100/manifest.toml");
    println!("cargo:rerun-if-changed=keys");
    let value = if manifest.is_file() { format!("Some(include_str!({manifest:?}))") } else { "None".into() };
    let code = format!("/// The committed key manifest.\nconst MANIFEST: Option<&str> = {value};\n");
    fs::write(out.join("manifest.rs"), code).expect("OUT_DIR is writable");
}
