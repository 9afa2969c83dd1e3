//! `ingot-era-port [FOLDER]`: fetches ZKsync's published circuit crates with cargo, checks their hashes, applies the
//! [`rules`] and writes the result, whose hashes are checked as well. Nothing is written if anything differs.
//!
//! Written, the crates lie in `crates/era/ported`, where `[patch.crates-io]` of `crates/era/Cargo.toml` points. They are
//! never committed.

mod crates;
mod rules;

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{bail, ensure, Context as _};
use fancy_regex::RegexBuilder;
use serde::Deserialize;

use crate::{
    crates::{files, tree_hash, CRATES, VERSION},
    rules::RULES,
};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(1)
        }
    }
}

fn run() -> anyhow::Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut out = here.join("../ported");
    let mut print_hashes = false;
    for arg in env::args_os().skip(1) {
        match arg.to_str() {
            // For whoever changes a rule or a version: says the hashes to pin instead of comparing them.
            Some("--print-hashes") => print_hashes = true,
            Some(flag) if flag.starts_with('-') => {
                bail!("unknown option {flag}: expected [--print-hashes] [FOLDER]")
            }
            _ => out = PathBuf::from(arg),
        }
    }
    let published = fetch(here)?;
    let fresh = out.with_extension("new");
    remove(&fresh)?;
    let result = port(&published, &fresh, print_hashes);
    if result.is_err() {
        remove(&fresh)?;
    }
    result?;
    // Files that did not change keep their time of change, or cargo would build everything anew.
    if out.is_dir() && same(&out, &fresh)? {
        remove(&fresh)?;
        println!("{} crates, unchanged: {}", CRATES.len(), out.display());
        return Ok(());
    }
    remove(&out)?;
    fs::rename(&fresh, &out)
        .with_context(|| format!("cannot rename {} to {}", fresh.display(), out.display()))?;
    println!("{} crates, {} rules: {}", CRATES.len(), RULES.len(), out.display());
    Ok(())
}

/// What `cargo metadata` says.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    manifest_path: PathBuf,
}

/// Has cargo fetch the crates (or find them where it was told to, without a network), and says where they are.
fn fetch(here: &Path) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = here.join("published/Cargo.toml");
    let output = Command::new(cargo)
        .args(["metadata", "--locked", "--format-version", "1", "--manifest-path"])
        .arg(&manifest)
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    ensure!(output.status.success(), "`cargo metadata` for {} failed", manifest.display());
    let metadata: Metadata = serde_json::from_slice(&output.stdout)
        .context("`cargo metadata` said something else than expected")?;
    let mut found = BTreeMap::new();
    for package in metadata.packages.into_iter().filter(|package| package.version == VERSION) {
        if let Some(folder) = package.manifest_path.parent() {
            found.insert(package.name, folder.to_owned());
        }
    }
    Ok(found)
}

/// Copies the published crates to `out` and applies the rules there.
fn port(published: &BTreeMap<String, PathBuf>, out: &Path, print_hashes: bool) -> anyhow::Result<()> {
    for krate in CRATES {
        let name = krate.name;
        let folder = published.get(name).with_context(|| format!("cargo did not fetch {name} {VERSION}"))?;
        let hash = tree_hash(folder)?;
        if print_hashes {
            println!("{name} published {hash}");
        } else {
            ensure!(
                hash == krate.published,
                "{name} {VERSION} in {} is not the crate that the rules were made for: expected the hash {}, found {hash}",
                folder.display(),
                krate.published
            );
        }
        for path in files(folder)? {
            let to = out.join(name).join(path.strip_prefix(folder)?);
            if let Some(parent) = to.parent() {
                fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
            }
            let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            fs::write(&to, bytes).with_context(|| format!("cannot write {}", to.display()))?;
        }
    }
    apply(out)?;
    for krate in CRATES {
        let hash = tree_hash(&out.join(krate.name))?;
        if print_hashes {
            println!("{} ported {hash}", krate.name);
        } else {
            ensure!(
                hash == krate.ported,
                "{} came out otherwise than it should: expected the hash {}, found {hash}",
                krate.name,
                krate.ported
            );
        }
    }
    Ok(())
}

/// Applies every rule to every file, and counts.
fn apply(out: &Path) -> anyhow::Result<()> {
    let mut counts = vec![0; RULES.len()];
    let expressions = RULES
        .iter()
        .map(|rule| {
            RegexBuilder::new(rule.find)
                .backtrack_limit(100_000_000)
                .build()
                .with_context(|| format!("rule `{}`", rule.name))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    for path in files(out)? {
        let relative = format!("/{}", path.strip_prefix(out)?.display());
        let rules: Vec<usize> = (0..RULES.len()).filter(|i| relative.ends_with(RULES[*i].files)).collect();
        if rules.is_empty() {
            continue;
        }
        let before = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut text = before.clone();
        for i in rules {
            let (rule, expression) = (&RULES[i], &expressions[i]);
            let mut matches = 0;
            for found in expression.find_iter(&text) {
                found.with_context(|| format!("rule `{}` in {relative}", rule.name))?;
                matches += 1;
            }
            if matches > 0 {
                text = expression.replace_all(&text, rule.replace).into_owned();
                counts[i] += matches;
            }
        }
        if text != before {
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    for (rule, count) in RULES.iter().zip(counts) {
        ensure!(count == rule.count, "rule `{}` matched {count} times: expected {}", rule.name, rule.count);
    }
    Ok(())
}

fn same(a: &Path, b: &Path) -> anyhow::Result<bool> {
    for krate in CRATES {
        let (a, b) = (a.join(krate.name), b.join(krate.name));
        if !a.is_dir() || tree_hash(&a)? != tree_hash(&b)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn remove(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// A folder of its own, removed by whoever made it.
    fn scratch(name: &str) -> PathBuf {
        let folder = env::temp_dir().join(format!("ingot-port-{name}-{}", std::process::id()));
        remove(&folder).unwrap();
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_rule_that_matches_too_seldom_stops_the_port_by_name() {
        let folder = scratch("rules");
        let error = apply(&folder).unwrap_err().to_string();
        assert!(error.contains(RULES[0].name) && error.contains("matched 0 times: expected 2"), "{error}");
        // And one that matches once too often.
        let file = folder.join("a.rs");
        let twice = "let mut it = fs_input.array_chunks::<8>();\n    for chunk in &mut it {\n}\nlet remainder = it.remainder();\n";
        fs::write(&file, twice.repeat(3)).unwrap();
        let error = apply(&folder).unwrap_err().to_string();
        assert!(error.contains("matched 3 times: expected 2"), "{error}");
        remove(&folder).unwrap();
    }

    #[test]
    fn another_crate_than_the_one_the_rules_were_made_for_is_refused_and_nothing_is_written() {
        let folder = scratch("crates");
        let published = CRATES
            .iter()
            .map(|krate| {
                let path = folder.join(krate.name);
                fs::create_dir_all(&path).unwrap();
                fs::write(path.join("Cargo.toml"), "[package]\n").unwrap();
                (krate.name.to_owned(), path)
            })
            .collect();
        let out = folder.join("out");
        let error = port(&published, &out, false).unwrap_err().to_string();
        assert!(error.contains(CRATES[0].name) && error.contains(CRATES[0].published), "{error}");
        assert!(!out.exists());
        let error = port(&BTreeMap::new(), &out, false).unwrap_err().to_string();
        assert!(error.contains("cargo did not fetch"), "{error}");
        remove(&folder).unwrap();
    }
}
