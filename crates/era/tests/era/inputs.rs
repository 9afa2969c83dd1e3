//! Witness inputs: what is read, and what is refused and how.

use std::sync::OnceLock;

use ingot_cli::Edition as _;
use ingot_era::{inputs::WitnessInputs, sample_batch, Era};
use ingot_types::ChainId;

/// The sample batch: made once, it takes seconds.
pub fn sample() -> &'static WitnessInputs {
    static SAMPLE: OnceLock<WitnessInputs> = OnceLock::new();
    SAMPLE.get_or_init(|| sample_batch().unwrap())
}

fn cbor() -> Vec<u8> {
    sample().to_cbor().unwrap()
}

/// The batch with one value of its CBOR changed.
fn changed(path: &[&str], value: ciborium::Value) -> Vec<u8> {
    let mut root: ciborium::Value = ciborium::from_reader(&cbor()[..]).unwrap();
    let mut at = &mut root;
    for step in path {
        at = match at {
            ciborium::Value::Map(entries) => {
                let found = entries.iter_mut().find(|(key, _)| key.as_text() == Some(*step));
                &mut found.unwrap_or_else(|| panic!("no {step}")).1
            }
            ciborium::Value::Array(items) => &mut items[step.parse::<usize>().unwrap()],
            other => panic!("{step} of {other:?}"),
        };
    }
    *at = value;
    let mut bytes = Vec::new();
    ciborium::into_writer(&root, &mut bytes).unwrap();
    bytes
}

fn refusal(bytes: &[u8]) -> String {
    let decoded = WitnessInputs::decode(bytes);
    decoded.and_then(|inputs| inputs.check()).expect_err("must be refused").to_string()
}

#[test]
fn all_three_encodings_hold_the_same() {
    let sample = sample();
    assert_eq!(WitnessInputs::decode(&cbor()).unwrap(), *sample);
    let bincode = bincode::serialize(sample).unwrap();
    assert_eq!(WitnessInputs::decode(&bincode).unwrap(), *sample);
    // Without an emulator the field is left out, and the older structure is what is read.
    let legacy = sample.clone().without_emulator();
    let bincode = bincode::serialize(&legacy).unwrap();
    assert_eq!(WitnessInputs::decode(&bincode).unwrap(), legacy);
    sample.check().unwrap();
}

#[test]
fn a_truncated_or_lengthened_file_is_refused() {
    let whole = cbor();
    for length in [0, 1, 12, 100, whole.len() / 2, whole.len() - 1] {
        let error = WitnessInputs::decode(&whole[..length]).unwrap_err().to_string();
        assert!(error.starts_with("witness inputs:"), "{length}: {error}");
    }
    assert!(refusal(&whole[..whole.len() / 2]).contains("truncated"));
    let mut longer = whole;
    longer.push(0);
    assert!(refusal(&longer).contains("1 bytes too many"));
    assert!(refusal(b"not a batch at all").contains("neither CBOR"));
}

#[test]
fn another_protocol_version_is_refused_by_name() {
    for (version, found) in [("Version30", "found 30"), ("Version32", "found 32")] {
        let error = refusal(&changed(&["vm_run_data", "protocol_version"], version.into()));
        assert!(error.contains("protocol version: expected 31") && error.contains(found), "{error}");
    }
    let error = refusal(&changed(&["vm_run_data", "protocol_version"], "Version999".into()));
    assert!(error.contains("Version999"), "{error}");
}

#[test]
fn another_chain_or_batch_is_refused_by_name() {
    let name = "some/folder/witness_inputs_1_270.cbor";
    let loaded = Era.load_batch(name, cbor(), None).unwrap();
    assert_eq!((loaded.id.chain.0, loaded.id.batch.0), (270, 1));
    assert_eq!(Era.load_batch("batch.cbor", cbor(), Some(ChainId(9))).unwrap().id.chain.0, 9);
    let error = |name: &str, chain| format!("{:#}", Era.load_batch(name, cbor(), chain).unwrap_err());
    let other = error(name, Some(ChainId(324)));
    assert!(other.contains("of chain 270, expected chain 324"), "{other}");
    let other = error("witness_inputs_7_270.cbor", None);
    assert!(other.contains("batch 7") && other.contains("batch 1"), "{other}");
    let none = error("batch.cbor", None);
    assert!(none.contains("--chain"), "{none}");
    // The state tells its chain as well: slot 0 of the system context.
    let text = |text: String| ciborium::Value::Text(text);
    let map = |entries: Vec<(&str, ciborium::Value)>| {
        ciborium::Value::Map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
    };
    let account = map(vec![("address", text(format!("0x{:040x}", 0x800b)))]);
    let key = map(vec![("account", account), ("key", text(format!("0x{:064x}", 0)))]);
    let slot =
        ciborium::Value::Array(vec![ciborium::Value::Array(vec![key, text(format!("0x{:064x}", 324))])]);
    let bytes = changed(&["vm_run_data", "witness_block_state", "read_storage_key"], slot);
    let error = format!("{:#}", Era.load_batch(name, bytes, None).unwrap_err());
    assert!(error.contains("that of chain 324, expected chain 270"), "{error}");
}

#[test]
fn every_part_of_the_state_tree_is_checked() {
    let zeros = || ciborium::Value::Bytes(vec![0; 32]);
    let refused = [
        (vec!["previous_batch_metadata", "root_hash"], format!("0x{:064x}", 1).into(), "merkle_paths[0]"),
        (
            vec!["merkle_paths", "merkle_paths", "0", "merkle_paths", "3"],
            zeros(),
            "merkle_paths[0]: the path",
        ),
        (vec!["merkle_paths", "merkle_paths", "5", "root_hash"], zeros(), "merkle_paths[5]: root_hash"),
        (vec!["merkle_paths", "merkle_paths", "5", "leaf_hashed_key"], "0x5".into(), "merkle_paths[5]"),
        (
            vec!["merkle_paths", "merkle_paths", "5", "leaf_enumeration_index"],
            99_999.into(),
            "merkle_paths[5]",
        ),
        (
            vec!["merkle_paths", "merkle_paths", "0", "merkle_paths"],
            ciborium::Value::Array(vec![]),
            "expected 256 siblings, found 0",
        ),
        (
            vec!["vm_run_data", "bootloader_code"],
            ciborium::Value::Array(vec![]),
            "bootloader_code: expected an odd number",
        ),
        (
            vec!["eip_4844_blobs", "blobs", "0"],
            ciborium::Value::Array(vec![1.into()]),
            "eip_4844_blobs[0]: expected 126976 bytes, found 1",
        ),
    ];
    for (path, value, expected) in refused {
        let error = refusal(&changed(&path, value));
        assert!(error.contains(expected), "{path:?}: {error}");
    }
}

#[test]
fn no_flipped_byte_makes_reading_panic() {
    let whole = bincode::serialize(sample()).unwrap();
    for bytes in [cbor(), whole] {
        for at in (0..bytes.len()).step_by(bytes.len() / 300) {
            let mut bad = bytes.clone();
            bad[at] ^= 0x55;
            // Some bytes matter only to the virtual machine.
            let _ = WitnessInputs::decode(&bad).and_then(|inputs| inputs.check());
        }
    }
}
