//! `ingot file-info`: what a file is, by its first bytes, its hash, or what it can be decoded as.

use std::{
    fs::File,
    io::{Read as _, Seek as _},
    panic::{catch_unwind, AssertUnwindSafe},
    path::Path,
    sync::Arc,
};

use anyhow::{ensure, Context as _};
use ingot_artifacts::Blake3;
use ingot_circuit_set::{
    decode,
    field::{FinalizationHint, Vk},
};
use ingot_keystore::{vk_commitment, FileRole, KeyManifest};
use ingot_prover::{decode_witness_vector, StoredProof, PROOF_MAGIC};
use ingot_wire::{HeaderLimits, StreamHeader, STREAM_HEADER_BYTES};
use serde::Serialize;

use super::desk::batch_name;
use crate::{edition::Chosen, exit::Outcome, memory::human_bytes, ui::Ui};

/// Larger files are told by their first bytes and their hash alone.
const MOST_DECODED_BYTES: u64 = 1 << 30;
/// Bytes that are looked at first.
const HEAD_BYTES: u64 = 4_096;

#[derive(Debug, PartialEq, Serialize)]
struct Info {
    file: String,
    bytes: u64,
    blake3: String,
    /// `unknown` if it is none of those that are known.
    kind: String,
    details: Vec<String>,
}

/// What a file was found to be.
#[derive(Debug, PartialEq)]
struct Found {
    kind: String,
    details: Vec<String>,
}

impl Found {
    fn new(kind: &str, details: impl IntoIterator<Item = String>) -> Self {
        Self { kind: kind.into(), details: details.into_iter().collect() }
    }
}

/// Says what a file is.
pub(crate) fn file_info(ui: &Arc<Ui>, chosen: &Chosen, path: &Path) -> anyhow::Result<Outcome> {
    let name = path.display().to_string();
    let context = || format!("cannot read {name}");
    let mut file = File::open(path).with_context(context)?;
    let meta = file.metadata().with_context(context)?;
    ensure!(meta.is_file(), "{name} is a folder or a device: expected a file");
    let mut head = Vec::new();
    file.by_ref().take(HEAD_BYTES).read_to_end(&mut head).with_context(context)?;
    file.rewind().with_context(context)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(&mut file).with_context(context)?;
    let hash = hasher.finalize().to_hex().to_string();
    let whole = match meta.len() <= MOST_DECODED_BYTES {
        true => Some(std::fs::read(path).with_context(context)?),
        false => None,
    };
    let file =
        Candidate { path, name: &name, bytes: meta.len(), hash: &hash, head: &head, whole: whole.as_deref() };
    // Decoders of other libraries see bytes here that nobody has vouched for.
    let found = catch_unwind(AssertUnwindSafe(|| recognize(chosen, &file))).unwrap_or_else(|_| {
        Ok(Found::new("unknown", ["a decoder failed on it, which is a defect".to_owned()]))
    })?;
    let info = Info {
        bytes: file.bytes,
        blake3: hash.clone(),
        kind: found.kind,
        details: found.details,
        file: name.clone(),
    };
    let mut text =
        format!("{}: {}, {}, BLAKE3 {}", info.file, info.kind, human_bytes(info.bytes), info.blake3);
    for line in &info.details {
        text.push_str(&format!("\n  {line}"));
    }
    ui.show("file", &info, &text);
    Ok(Outcome::Done)
}

struct Candidate<'a> {
    path: &'a Path,
    name: &'a str,
    bytes: u64,
    hash: &'a str,
    head: &'a [u8],
    /// All of it, unless it is too large.
    whole: Option<&'a [u8]>,
}

fn recognize(chosen: &Chosen, file: &Candidate<'_>) -> anyhow::Result<Found> {
    if file.bytes == 0 {
        return Ok(Found::new("empty file", []));
    }
    if let Some(found) = by_magic(chosen, file) {
        return Ok(found);
    }
    if let Some(found) = by_pin(chosen, file)? {
        return Ok(found);
    }
    if let Some(found) =
        file.whole.and_then(|bytes| by_text(bytes, file).or_else(|| by_decoding(chosen, bytes, file)))
    {
        return Ok(found);
    }
    let first: Vec<String> = file.head.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let text = file.head.get(..file.head.len().min(16)).unwrap_or_default().escape_ascii();
    Ok(Found::new("unknown", [format!("first bytes {} \"{text}\"", first.join(" "))]))
}

/// Files that say what they are.
fn by_magic(chosen: &Chosen, file: &Candidate<'_>) -> Option<Found> {
    let head = file.head;
    if head.starts_with(&PROOF_MAGIC) {
        return Some(proof(file));
    }
    if head.starts_with(b"INGOTBAT") {
        return Some(batch(chosen, file, "ledger batch (witness inputs)"));
    }
    if head.starts_with(b"INGOTSIG") {
        return Some(Found::new(
            "signing journal of one-time keys",
            ["it must never be restored from a copy".into()],
        ));
    }
    if head.starts_with(b"INGOT FAKE PROOF") {
        return Some(Found::new("file of the test-only executable", ["nothing else accepts it".into()]));
    }
    if head.starts_with(b"ingot journal 1\n") {
        return Some(Found::new("job journal", []));
    }
    if head.starts_with(b"SQLite format 3\0") {
        return Some(database(file));
    }
    if head.starts_with(b"IWIT") {
        return Some(stream(file));
    }
    None
}

fn proof(file: &Candidate<'_>) -> Found {
    let kind = "proof file";
    let Some(bytes) = file.whole else { return Found::new(kind, ["too large to be one".into()]) };
    match StoredProof::from_bytes(file.path, bytes) {
        Ok(stored) => {
            let header = stored.header;
            let mut details = vec![
                format!(
                    "circuit {} ({}), batch {}",
                    header.circuit,
                    header.circuit.round,
                    batch_name(header.batch)
                ),
                format!(
                    "circuit set {}, protocol version {}, parameters {}",
                    header.circuit_set, header.protocol_version, header.parameter_set
                ),
            ];
            details.extend(header.insecure.map(|why| format!("not to be trusted with money: {why}")));
            details.push("its checksum is right; `debug-proof` verifies it".into());
            Found::new(kind, details)
        }
        Err(error) => Found::new(kind, [format!("damaged: {error}")]),
    }
}

fn batch(chosen: &Chosen, file: &Candidate<'_>, kind: &str) -> Found {
    let Some(bytes) = file.whole else { return Found::new(kind, ["too large to be read here".into()]) };
    match chosen.edition.load_batch(file.name, bytes.to_vec(), None) {
        Ok(batch) => Found::new(kind, [format!("batch {}, {}", batch_name(batch.id), batch.contents)]),
        Err(error) => Found::new(kind, [format!("cannot be proved by this executable: {error:#}")]),
    }
}

/// The database's header, which lies at fixed places: the file is not opened, another process may have it.
fn database(file: &Candidate<'_>) -> Found {
    let u16_at =
        |at: usize| file.head.get(at..at + 2).and_then(|b| b.try_into().ok()).map(u16::from_be_bytes);
    let u32_at =
        |at: usize| file.head.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes);
    let page = u16_at(16).map_or(0, |size| if size == 1 { 65_536 } else { u32::from(size) });
    let (pages, schema) = (u32_at(28).unwrap_or(0), u32_at(60).unwrap_or(0));
    // The statements that made the tables are in the first pages, as text.
    let text = file.whole.unwrap_or(file.head);
    let has = |needle: &[u8]| text.windows(needle.len()).any(|window| window == needle);
    let store = has(b"CREATE TABLE batches") && has(b"CREATE TABLE jobs");
    let newest = ingot_job_store::SCHEMA_VERSION;
    let known = match u64::from(schema) {
        found if found > newest => format!("newer than this build's {newest}"),
        found if found == newest => "this build's".into(),
        _ => format!("older than this build's {newest}: it is migrated when the house keeper opens it"),
    };
    match store {
        true => Found::new(
            "job store (SQLite)",
            [
                format!("schema {schema}, {known}; {pages} pages of {page} bytes"),
                "what was written last may be in the file beside it that ends with -wal".into(),
            ],
        ),
        false => Found::new("SQLite database, no job store", [format!("{pages} pages of {page} bytes")]),
    }
}

fn stream(file: &Candidate<'_>) -> Found {
    let kind = "witness stream";
    let header: Option<&[u8; STREAM_HEADER_BYTES]> = file.head.first_chunk();
    let limits = HeaderLimits { max_payload_bytes: u64::MAX };
    match header.map(|bytes| StreamHeader::decode(bytes, limits)) {
        Some(Ok(header)) => {
            let [locations, values, multiplicities] = header.section_bytes;
            Found::new(
                kind,
                [
                    format!("witness vector of job {}", header.job),
                    format!(
                        "public input locations {}, values {}, multiplicities {}",
                        human_bytes(locations),
                        human_bytes(values),
                        human_bytes(multiplicities)
                    ),
                ],
            )
        }
        Some(Err(error)) => Found::new(kind, [format!("damaged: {error}")]),
        None => Found::new(kind, ["cut off within its header".into()]),
    }
}

const fn role_name(role: FileRole) -> &'static str {
    match role {
        FileRole::SetupKey => "setup key",
        FileRole::VerificationKey => "verification key",
        FileRole::FinalizationHint => "finalization hint",
    }
}

/// Key files, by the manifest that is built in: by hash, or by a name that the hash belies.
fn by_pin(chosen: &Chosen, file: &Candidate<'_>) -> anyhow::Result<Option<Found>> {
    let Some(pinned) = chosen.pinned()? else { return Ok(None) };
    let manifest = pinned.parse()?;
    let own_name = file.path.file_name().unwrap_or_default();
    let mut named = None;
    for info in chosen.circuit_set()?.circuits() {
        let entry = manifest.entry(&pinned.path(), info.key)?;
        for role in FileRole::ALL {
            let (pin, kind) = (entry.pin(role), role_name(role));
            if pin.size_bytes == file.bytes && pin.blake3.to_string() == file.hash {
                let detail =
                    format!("of circuit {} ({}), as the built-in manifest pins it", info.key, info.name);
                return Ok(Some(Found::new(kind, [detail])));
            }
            if own_name == pin.file.as_str() {
                let detail = format!(
                    "named as that of circuit {} ({}), and NOT what the built-in manifest pins: expected {} bytes with BLAKE3 {}",
                    info.key, info.name, pin.size_bytes, pin.blake3
                );
                named = Some(Found::new(kind, [detail]));
            }
        }
    }
    Ok(named)
}

/// Files that people can read.
fn by_text(bytes: &[u8], file: &Candidate<'_>) -> Option<Found> {
    let text = std::str::from_utf8(bytes).ok()?;
    if let Ok(manifest) = KeyManifest::parse(file.path, text) {
        let hash = Blake3::of(manifest.to_toml().as_bytes());
        let version = manifest.protocol_version;
        return Some(Found::new(
            "key manifest",
            [format!("protocol version {version}; workers name it {hash}")],
        ));
    }
    if let Ok(index) = serde_json::from_str::<serde_json::Value>(text) {
        let of = |name: &str| index.get(name).and_then(|value| value.as_str());
        if let (Some(batch), Some(version), Some(files)) =
            (of("batch"), of("protocol_version"), index.get("files").and_then(|files| files.as_array()))
        {
            let detail = format!("batch {batch}, protocol version {version}, {} files", files.len());
            return Some(Found::new("index of an exported batch", [detail]));
        }
        // A number alone is JSON as well.
        if index.is_object() || index.is_array() {
            return Some(Found::new("JSON", []));
        }
    }
    if ingot_house_keeper::engine::Groups::parse(text).is_ok() && text.contains("[[group]]") {
        return Some(Found::new("prover groups", []));
    }
    if text.contains("[host]") || text.contains("[house-keeper]") || text.contains("[circuit-prover]") {
        let valid = ingot_services::config::Config::load(Some(file.path), &[]);
        let detail = valid.map_or_else(|error| format!("it is not valid: {error}"), |_| "it is valid".into());
        return Some(Found::new("configuration", [detail]));
    }
    if text.starts_with("of = ") && text.contains("[") {
        return Some(Found::new(
            "measured costs of circuits",
            ["for the governor; it is measured again if it is gone".into()],
        ));
    }
    if text.starts_with("version = ") && text.contains("rustc = ") {
        return Some(Found::new("receipt of the build that made keys", []));
    }
    None
}

/// Files without a magic, by what they can be decoded as, the strictest form first.
fn by_decoding(chosen: &Chosen, bytes: &[u8], file: &Candidate<'_>) -> Option<Found> {
    if let Ok(batch) = chosen.edition.load_batch(file.name, bytes.to_vec(), None) {
        let detail = format!("batch {}, {}", batch_name(batch.id), batch.contents);
        return Some(Found::new("witness inputs", [detail]));
    }
    if let Ok(vk) = decode::<Vk>("verification key", bytes) {
        if !vk.setup_merkle_tree_cap.is_empty() && vk.fixed_parameters.domain_size.is_power_of_two() {
            let detail = format!(
                "{} rows, commitment {}; the built-in manifest does not know it",
                vk.fixed_parameters.domain_size,
                vk_commitment(&vk)
            );
            return Some(Found::new("verification key", [detail]));
        }
    }
    if let Ok(hint) = decode::<FinalizationHint>("finalization hint", bytes) {
        if hint.final_trace_len.is_power_of_two() {
            let detail = format!("{} rows; the built-in manifest does not know it", hint.final_trace_len);
            return Some(Found::new("finalization hint", [detail]));
        }
    }
    if let Ok(witness) = decode_witness_vector(bytes) {
        if !witness.all_values.is_empty() {
            let detail = format!("{} values", witness.all_values.len());
            return Some(Found::new("witness vector", [detail]));
        }
    }
    chosen.edition.describe(bytes).map(|kind| Found::new(&kind, []))
}

#[cfg(test)]
mod tests {
    use ingot_circuit_set::encode;

    use super::*;
    use crate::Ledger;

    fn chosen() -> Chosen {
        Chosen::new(&Ledger, None)
    }

    fn look(name: &str, bytes: &[u8]) -> Found {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let hash = blake3::hash(bytes).to_hex().to_string();
        let head = &bytes[..bytes.len().min(HEAD_BYTES as usize)];
        let file =
            Candidate { path: &path, name, bytes: bytes.len() as u64, hash: &hash, head, whole: Some(bytes) };
        recognize(&chosen(), &file).unwrap()
    }

    #[test]
    fn every_kind_is_told_from_the_others() {
        let pinned = chosen().pinned().unwrap().unwrap();
        let (vk_name, vk) = *pinned.files.iter().find(|(name, _)| name.ends_with(".vk")).unwrap();
        let (_, hint) = *pinned.files.iter().find(|(name, _)| name.ends_with(".hint")).unwrap();
        let batch = chosen().sample_batch(3, 4).unwrap().1.witness_inputs;
        let header = StreamHeader {
            job: "1/2/prove/0/1/0/3".parse().unwrap(),
            lease_token: 5,
            chunk_log2: 20,
            section_bytes: [16, 800, 0],
        };
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("jobs.db");
        drop(ingot_job_store::SqliteStore::open(&database, ingot_job_store::Backoff::default()).unwrap());
        let store = std::fs::read(&database).unwrap();
        let mut damaged = vk.to_vec();
        damaged[40] ^= 1;
        for (name, bytes, kind, detail) in [
            ("x", vk, "verification key", "as the built-in manifest pins it"),
            ("x", hint, "finalization hint", "as the built-in manifest pins it"),
            (vk_name, &damaged, "verification key", "NOT what the built-in manifest pins"),
            ("m", pinned.manifest.as_bytes(), "key manifest", "protocol version"),
            ("b", &batch, "ledger batch (witness inputs)", "4 operations"),
            ("b", &batch[..batch.len() - 1], "ledger batch (witness inputs)", "cannot be proved"),
            ("s", &header.encode(), "witness stream", "1/2/prove/0/1/0/3"),
            ("s", &header.encode()[..20], "witness stream", "cut off"),
            ("d", &store, "job store (SQLite)", "schema 3, this build's"),
            ("p", b"INGOTPRF and then nothing", "proof file", "damaged"),
            ("j", b"ingot journal 1\n", "job journal", ""),
            ("k", b"INGOTSIG....", "signing journal of one-time keys", "never be restored"),
            ("f", b"INGOT FAKE PROOF", "file of the test-only executable", ""),
            (
                "i",
                br#"{"format":1,"batch":"1/2","protocol_version":"0.1.0","files":[]}"#,
                "index of an exported batch",
                "1/2",
            ),
            ("g", b"[[group]]\nid = 0\ncircuits = [[0, 1]]\n", "prover groups", ""),
            ("c", b"[host]\nzone = \"a\"\n", "configuration", "it is valid"),
            ("c", b"[host]\ncolour = \"a\"\n", "configuration", "it is not valid"),
            ("u", b"\x7fELF and so on", "unknown", "7f 45 4c 46"),
            ("u", b"4711", "unknown", "34 37 31 31"),
            ("o", br#"{"a":1}"#, "JSON", ""),
            ("e", b"", "empty file", ""),
        ] {
            let found = look(name, bytes);
            assert_eq!(found.kind, kind, "{found:?}");
            assert!(found.details.join("\n").contains(detail), "{found:?}");
        }
        // What is no pinned key is told from its contents.
        let mut other: Vk = decode("vk", vk).unwrap();
        other.setup_merkle_tree_cap.reverse();
        let found = look("x", &encode("vk", &other).unwrap());
        assert_eq!(found.kind, "verification key");
        assert!(found.details[0].contains("does not know it"), "{found:?}");
    }

    #[test]
    fn damaged_and_random_files_are_no_panic() {
        let pinned = chosen().pinned().unwrap().unwrap();
        let batch = chosen().sample_batch(3, 4).unwrap().1.witness_inputs;
        let mut random = 7u32;
        let mut next = || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            random >> 8
        };
        for (_, original) in pinned.files.iter().take(4).copied().chain([("", &batch[..])]) {
            for _ in 0..40 {
                let mut bytes = original.to_vec();
                let at = next() as usize % bytes.len();
                bytes[at] = next() as u8;
                bytes.truncate(next() as usize % original.len() + 1);
                look("x", &bytes);
            }
        }
        for length in [1, 2, 15, 64, 1_000] {
            let bytes: Vec<u8> = (0..length).map(|_| next() as u8).collect();
            look("x", &bytes);
        }
    }
}
