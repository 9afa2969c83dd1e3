//! A whole batch through `Work`, without sockets and workers: what jobs make, what they inherit, whom they blame.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::fs;

use ingot_artifacts::ArtifactStore;
use ingot_job_store::{Filter, JobStore as _, Lease};
use ingot_services::work::{first_key, role, Graph, JobFailure, Made, Work};
use ingot_types::{AggregationRound, CircuitKey, JobKind, ProtocolVersion, RetryClass};
use support::{circuit_work, graph, inputs, output, submitted, BATCH, PROOFS};

/// Both halves of a prove job, through the bytes that would travel.
fn prove(work: &dyn Work, lease: &Lease, artifacts: &ArtifactStore) -> Result<Made, JobFailure> {
    let sections = work.synthesize(lease, artifacts)?;
    let proof = work.prove(lease.job.key(), sections.as_bytes())?;
    work.verify(lease.job.key(), &proof)?;
    Ok(Made { outputs: vec![ingot_services::work::put(artifacts, role::PROOF, &proof)?], new_jobs: vec![] })
}

fn work_on(work: &dyn Work, lease: &Lease, artifacts: &ArtifactStore) -> Result<Made, JobFailure> {
    match lease.job.key().kind {
        JobKind::Witness => work.witness(lease, artifacts),
        _ => prove(work, lease, artifacts),
    }
}

#[test]
fn a_batch_is_proved_and_its_jobs_inherit_what_it_was_submitted_with() {
    let folder = tempfile::tempdir().unwrap();
    let work = circuit_work(&folder.path().join("keys"));
    let artifacts = ArtifactStore::open(folder.path().join("artifacts")).unwrap();
    let mut store = submitted(&*work, &artifacts);
    let mut proofs = 0;
    while let Some(lease) = store.lease(&Filter::default(), "w", 1 << 40, 0).unwrap() {
        let key = lease.job.key();
        assert_eq!(Graph::of(&lease.job.spec), graph(work.served().protocol_version));
        assert_ne!(work.name(key), "unknown circuit");
        if key.kind == JobKind::Prove {
            proofs += 1;
            let known =
                work.circuits().iter().find(|c| (c.round, c.circuit_id) == (key.round, key.circuit_id));
            assert!(known.is_some_and(|c| c.synthesis_ram_bytes > 0), "{key} is not among the circuits");
        }
        let made = work_on(&*work, &lease, &artifacts).unwrap();
        store.complete(key, lease.token, made.outputs, made.new_jobs, 0).unwrap();
    }
    assert_eq!(proofs, PROOFS);
    assert!(store.progress(BATCH).unwrap().is_done());
    let last = work.last_job(BATCH);
    let file = output(&store.job(&last).unwrap().unwrap(), role::PROOF);
    let proof = fs::read(folder.path().join("artifacts").join(&file.hash)).unwrap();
    work.check_final(BATCH, &inputs(), &proof).unwrap();

    // Other inputs, another batch, another circuit's proof, and a flipped bit are refused.
    let mut other_inputs = inputs();
    other_inputs[0] ^= 1;
    let blamed = |result: Result<(), JobFailure>| match result.unwrap_err() {
        JobFailure::BadFile { maker, reason } => (maker, reason),
        failure => panic!("{failure:?}"),
    };
    assert!(blamed(work.check_final(BATCH, &other_inputs, &proof)).1.contains("other witness inputs"));
    let mut other = BATCH;
    other.batch.0 += 1;
    assert_eq!(blamed(work.check_final(other, &inputs(), &proof)).0, work.last_job(other));
    let tip = store.batch_jobs(BATCH).unwrap();
    let tip = tip
        .iter()
        .find(|j| j.key().round == AggregationRound::RecursionTip && j.key().kind == JobKind::Prove);
    let tip = fs::read(folder.path().join("artifacts").join(output(tip.unwrap(), role::PROOF).hash)).unwrap();
    blamed(work.check_final(BATCH, &inputs(), &tip));
    let mut flipped = proof.clone();
    flipped[proof.len() / 2] ^= 4;
    blamed(work.check_final(BATCH, &inputs(), &flipped));
}

#[test]
fn whoever_made_a_bad_file_is_blamed_and_what_cannot_be_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let work = circuit_work(&folder.path().join("keys"));
    let artifacts = ArtifactStore::open(folder.path().join("artifacts")).unwrap();
    let mut store = submitted(&*work, &artifacts);
    let first = store.lease(&Filter::default(), "w", 1 << 40, 0).unwrap().unwrap();
    let made = work.witness(&first, &artifacts).unwrap();
    store.complete(first.job.key(), first.token, made.outputs, made.new_jobs, 0).unwrap();
    let basic = store.lease(&Filter::default(), "w", 1 << 40, 0).unwrap().unwrap();

    // A damaged circuit input is the first job's.
    let path = folder.path().join("artifacts").join(&basic.job.spec.inputs[0].hash);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, b"damaged").unwrap();
    let failure = work.synthesize(&basic, &artifacts).unwrap_err();
    assert!(
        matches!(&failure, JobFailure::BadFile { maker, .. } if *maker == first_key(BATCH)),
        "{failure:?}"
    );
    fs::write(&path, &whole).unwrap();

    // A job without its file, and one of another version.
    let mut changed = basic.clone();
    let mut spec = (*changed.job.spec).clone();
    spec.inputs.clear();
    changed.job.spec = spec.clone().into();
    let failed = |failure: JobFailure| match failure {
        JobFailure::Failed { class, reason } => (class, reason),
        failure => panic!("{failure:?}"),
    };
    let (class, reason) = failed(work.synthesize(&changed, &artifacts).unwrap_err());
    assert_eq!(class, RetryClass::Deterministic);
    assert!(reason.contains("no file `circuit`"), "{reason}");
    spec.protocol_version = ProtocolVersion { minor: 99, patch: 0 };
    changed.job.spec = spec.into();
    let (class, reason) = failed(work.synthesize(&changed, &artifacts).unwrap_err());
    assert_eq!(class, RetryClass::Transient, "another worker may serve it");
    assert!(reason.contains("0.99.0"), "{reason}");

    // Hostile sections are refused with a reason; none ends the process, and none makes a proof.
    let good = work.synthesize(&basic, &artifacts).unwrap();
    assert!((good.size_bytes()..good.size_bytes() + (64 << 20)).contains(&work.vector_bytes()));
    let [locations, values, multiplicities] = good.as_bytes();
    let ones = vec![1u8; values.len()];
    let mut changed_value = values.to_vec();
    changed_value[40] ^= 1;
    let mut unreduced = values.to_vec();
    unreduced[..8].fill(0xff);
    let mut moved = locations.to_vec();
    moved[0] ^= 1;
    for (what, sections) in [
        ("nothing", [&[][..], &[], &[]]),
        ("no values", [locations, &[], multiplicities]),
        ("few values", [locations, &values[..values.len() / 2], multiplicities]),
        ("odd values", [locations, &values[..7], multiplicities]),
        ("ones", [locations, &ones, multiplicities]),
        ("one value changed", [locations, &changed_value, multiplicities]),
        ("no field elements", [locations, &unreduced, multiplicities]),
        ("other locations", [&moved, values, multiplicities]),
        ("swapped", [values, locations, multiplicities]),
    ] {
        let Err(failure) = work.prove(basic.job.key(), sections) else { panic!("a proof of {what}") };
        assert!(!failure.to_string().is_empty(), "{what}");
    }
    let unknown = CircuitKey::new(AggregationRound::Basic, 77);
    let mut key = basic.job.key();
    key.circuit_id = unknown.circuit_id;
    assert_eq!(work.name(key), "unknown circuit");
    work.prove(key, good.as_bytes()).unwrap_err();
    work.prove(basic.job.key(), good.as_bytes()).unwrap();
}
