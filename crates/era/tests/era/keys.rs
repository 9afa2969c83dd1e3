//! The official keys.

use std::{collections::BTreeSet, path::Path};

use ingot_circuit_set::CircuitSet;
use ingot_cli::Edition as _;
use ingot_era::{catalog, Commitments, Era, EraSet, OfficialKeys};
use ingot_house_keeper::engine::Groups;
use ingot_keystore::{FileRole, FileSource, KeyStore};
use ingot_services::work::{job_circuits, JobCircuit};
use ingot_types::{AggregationRound, CircuitKey};

#[test]
fn commitments_are_those_that_zksync_publishes_for_protocol_version_31() {
    // `prover/data/keys/commitments.json` of ZKsync's repository, July 2026.
    let found = Commitments::of(OfficialKeys::get().unwrap()).unwrap();
    assert_eq!(found, Commitments::OFFICIAL);
    assert_eq!(
        Commitments::hex(found.leaf),
        "fa89b8cf2ea163502c74b570348414307e220e876f470aa8b363c636629468c9"
    );
    assert_eq!(
        Commitments::hex(found.node),
        "96803f6a9b4a92f38284b59c2feb1ce1c1f6335e65ef1f48ee57e14b30adce9d"
    );
    assert_eq!(
        Commitments::hex(found.scheduler),
        "d2c2b3c78206f079c4ba01a18d63e348442461b6a66443c03040a030cd12030c"
    );
}

#[test]
fn the_manifest_pins_the_official_keys_and_hints_of_all_43_circuits() {
    let pinned = Era.pinned("era100").unwrap().expect("a committed manifest");
    let manifest = pinned.parse().unwrap();
    let official = OfficialKeys::get().unwrap();
    assert_eq!(manifest.keys.len(), 43);
    let store =
        KeyStore::new(&EraSet, &pinned.path(), manifest, FileSource::Embedded(pinned.files), 0).unwrap();
    for (key, official) in official.iter() {
        // Reading verifies the hash.
        assert_eq!(*store.verification_key(key).unwrap(), *official.vk, "{key}");
        assert_eq!(*store.hint(key).unwrap(), official.hint, "{key}");
        let entry = store.manifest().entry(Path::new("m"), key).unwrap();
        assert!(entry.pin(FileRole::SetupKey).size_bytes > 1 << 30, "{key}");
    }
}

#[test]
fn every_circuit_has_gates_and_a_verifier_and_its_keys_shape() {
    let set = EraSet;
    let official = OfficialKeys::get().unwrap();
    for info in set.circuits() {
        let gates = set.gates(info.key).unwrap();
        let fixed = &official.of(info.key).unwrap().vk.fixed_parameters;
        assert_eq!(gates.geometry, fixed.parameters, "{}", info.key);
        assert_eq!(fixed.domain_size, 1 << info.trace_len_log2, "{}", info.key);
        set.verifier(info.key).unwrap();
        for needed in set.key_dependencies(info.key) {
            assert!(official.of(needed).is_some(), "{} needs {needed}", info.key);
        }
    }
    for unknown in [CircuitKey::new(AggregationRound::Basic, 20), CircuitKey::new(AggregationRound::Leaf, 2)]
    {
        let error = set.gates(unknown).unwrap_err().to_string();
        assert!(error.contains("era has no circuit"), "{error}");
        assert!(set.verifier(unknown).is_err() && set.proof_config(unknown).is_err());
    }
}

#[test]
fn the_prover_groups_have_every_circuit_once() {
    let all: BTreeSet<CircuitKey> = job_circuits(&EraSet).iter().map(JobCircuit::key).collect();
    let groups = Groups::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("groups.toml")).unwrap();
    groups.validate(&all.iter().copied().collect()).unwrap();
    // ZKsync's own file has no group for these: the check says so.
    let without = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("groups.toml"))
        .unwrap()
        .replace("[0, 16], [0, 17], [0, 18], [0, 19], ", "");
    let error =
        Groups::parse(&without).unwrap().validate(&all.into_iter().collect()).unwrap_err().to_string();
    assert!(error.contains("0:16"), "{error}");
    assert_eq!(catalog::circuits().len(), 43);
}
