//! The keys an executable trusts: manifests, verification keys and hints that are part of it.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use ingot_keystore::{BuildReceipt, EmbeddedFiles, KeyManifest};

/// A committed folder of keys.
#[derive(Clone, Copy, Debug)]
pub struct Pinned {
    /// Name of the parameter set, which is the folder's name.
    pub parameter_set: &'static str,
    /// The manifest's text.
    pub manifest: &'static str,
    /// Verification keys and hints: file name and contents.
    pub files: EmbeddedFiles,
}

impl Pinned {
    /// What the manifest is called in messages.
    pub fn path(&self) -> PathBuf {
        Path::new("(built in)").join(self.parameter_set).join(ingot_keystore::MANIFEST_FILE)
    }

    /// The manifest.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(&self) -> anyhow::Result<KeyManifest> {
        KeyManifest::parse(&self.path(), self.manifest)
            .context("the key manifest built into this executable is bad")
    }
}

/// Which build this is.
pub(crate) fn build_receipt() -> BuildReceipt {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let crates = [("ingot", version.as_str()), ("boojum", "0.32.11")];
    BuildReceipt {
        crates: crates.into_iter().map(|(name, version)| (name.to_owned(), version.to_owned())).collect(),
        version,
        commit: option_env!("INGOT_COMMIT").map(str::to_owned),
        rustc: env!("INGOT_RUSTC").to_owned(),
        made_at_unix: 0,
    }
}
