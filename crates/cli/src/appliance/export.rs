//! `ingot export`: the files of a batch under readable names.

use std::{collections::BTreeSet, fs, sync::Arc};

use anyhow::{bail, Context as _};
use ingot_artifacts::write_atomically;
use ingot_house_keeper::protocol::{Answer, Request};
use ingot_services::names::name_of;
use ingot_types::{BatchId, BatchNumber, ChainId};
use serde::{Deserialize, Serialize};

use crate::{
    args::ExportArgs,
    exit::Outcome,
    operate::{batch_name, Desk},
    ui::Ui,
};

/// Version of the index's form.
pub(super) const INDEX_FORMAT: u32 = 1;
/// The index's name in its folder.
pub(super) const INDEX_FILE: &str = "index.json";

/// What lies in an exported folder.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Index {
    pub format: u32,
    /// `chain/number`.
    pub batch: String,
    pub protocol_version: String,
    pub files: Vec<Entry>,
}

/// One file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    /// `folder/name`, by the scheme of ZKsync's prover.
    pub name: String,
    pub job: String,
    pub role: String,
    pub blake3: String,
    pub size_bytes: u64,
}

/// `chain/batch`.
pub(super) fn batch_id(text: &str) -> anyhow::Result<BatchId> {
    let parse = || {
        let (chain, batch) = text.split_once('/')?;
        Some(BatchId { chain: ChainId(chain.parse().ok()?), batch: BatchNumber(batch.parse().ok()?) })
    };
    parse().with_context(|| format!("`{text}` is no batch: expected chain/number, such as 270/17"))
}

/// Writes every file that the jobs of a batch read or made, and an index.
pub(crate) fn export(ui: &Arc<Ui>, args: &ExportArgs) -> anyhow::Result<Outcome> {
    let desk = Desk::open(&args.service, Some(&args.chain))?;
    let operator = desk.operator();
    let batch = desk.batch(&args.batch)?;
    let name = batch_name(batch);
    let Answer::Jobs(jobs) = desk.ask(Request::Jobs { batch })? else {
        bail!("the house keeper answers something else")
    };
    if jobs.is_empty() {
        bail!("the house keeper has no jobs of batch {name}: it is unknown, or archived");
    }
    let mut index = Vec::new();
    let mut names = BTreeSet::new();
    for job in &jobs {
        for file in job.spec.inputs.iter().chain(job.outputs()) {
            let Some((folder, name)) = name_of(job.key(), &file.role) else { continue };
            // A circuit input is the output of one job and what another reads.
            if !names.insert((folder, name.clone())) {
                continue;
            }
            let folder_path = args.out.join(folder);
            fs::create_dir_all(&folder_path)
                .with_context(|| format!("cannot create {}", folder_path.display()))?;
            write_atomically(&folder_path.join(&name), &operator.file(file)?)?;
            index.push(Entry {
                name: format!("{folder}/{name}"),
                job: job.key().to_string(),
                role: file.role.clone(),
                blake3: file.hash.clone(),
                size_bytes: file.size_bytes,
            });
        }
    }
    let protocol_version = jobs.first().map(|job| job.spec.protocol_version.to_string()).unwrap_or_default();
    let index = Index { format: INDEX_FORMAT, batch: name.clone(), protocol_version, files: index };
    let text = serde_json::to_string_pretty(&index).context("the index cannot be written")?;
    write_atomically(&args.out.join(INDEX_FILE), text.as_bytes())?;
    ui.note(format!("{} files in {}", index.files.len(), args.out.display()));
    Ok(Outcome::Done)
}
