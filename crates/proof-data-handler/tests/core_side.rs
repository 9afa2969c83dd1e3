//! The core's and the gateway's door, with real proofs of small circuits.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![feature(allocator_api)]
#![feature(generic_const_exprs)]

use std::{thread, time::Duration};

use ingot_core_api::{
    BatchFormat as _, ClientError, CoreClient, FetchRequest, ProofForL1, ProofGenerationData,
    SubmitProofRequest,
};
use ingot_proof_data_handler::{ProofDataHandler, ProofDataHandlerConfig};
use serde_json::{json, value::RawValue, Value};

mod support;
use support::*;

fn client(handler: &ProofDataHandler) -> CoreClient {
    CoreClient::new(&format!("http://{}", handler.address()), None)
}

fn several(max_batches: u32) -> FetchRequest {
    FetchRequest { max_batches: Some(max_batches), ..FetchRequest::default() }
}

fn submission(data: &ProofGenerationData, proof: &[u8]) -> SubmitProofRequest {
    let inputs = TestFormat.inputs_from_json(&data.witness_input_data).unwrap();
    SubmitProofRequest::Proof(Box::new(ProofForL1 {
        aggregation_result_coords: TestFormat.coordinates(&inputs).unwrap(),
        scheduler_proof: TestFormat.proof_to_json(proof).unwrap(),
        protocol_version: data.protocol_version,
    }))
}

fn refused(result: Result<(), ClientError>) -> (u16, String) {
    match result.unwrap_err() {
        ClientError::Refused { status, reason, .. } => (status, reason),
        other => panic!("{other}"),
    }
}

fn status(handler: &ProofDataHandler, n: u32) -> Value {
    let (status, _, body) = get(handler.address(), &format!("/batches/{n}"), &[]);
    assert_eq!(status, 200);
    serde_json::from_slice(&body).unwrap()
}

#[test]
fn batches_go_out_once_and_proofs_come_back_verified() {
    let folder = tempfile::tempdir().unwrap();
    let handler = start(&config(folder.path()));
    let core = client(&handler);
    assert!(core.fetch(&several(4)).unwrap().is_empty());
    // Batch 0 is a batch like any other.
    for n in 0..3 {
        assert_eq!(hand_in(&handler, n, &inputs(n)), Ok(201));
        assert_eq!(hand_in(&handler, n, &inputs(n)), Ok(200), "the same again");
    }
    assert!(hand_in(&handler, 1, &inputs(2)).unwrap_err().contains("(409)"));
    assert!(hand_in(&handler, 9, &inputs(2)).unwrap_err().contains("found witness inputs of batch 2"));
    assert!(hand_in(&handler, 9, b"garbage").unwrap_err().contains("(422)"));
    let batches = core.fetch(&several(2)).unwrap();
    assert_eq!(batches.iter().map(|data| data.l1_batch_number).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(
        (batches[0].chain_id, batches[0].batch_sealed_at.unwrap().0),
        (Some(CHAIN), 1_700_000_000_000)
    );
    assert_eq!(batches[0].l1_verifier_config.snark_wrapper_vk_hash, [7; 32]);
    assert_eq!(core.fetch(&several(9)).unwrap().len(), 1, "what is out is not handed out again");
    assert_eq!(status(&handler, 0)["state"], "proving");

    let (proof, other) = (proved(0), proved(1));
    assert_eq!(refused(core.submit(77, &submission(&batches[0], &proof))).0, 404);
    let (code, reason) = refused(core.submit(0, &submission(&batches[0], &other)));
    assert_eq!(code, 422);
    assert!(reason.contains("about another batch"), "{reason}");
    let mut flipped = proof.clone();
    flipped[proof.len() / 2] ^= 1;
    assert_eq!(refused(core.submit(0, &submission(&batches[0], &flipped))).0, 422);
    assert_eq!(refused(core.submit(0, &submission(&batches[0], b""))).0, 400);
    let SubmitProofRequest::Proof(mut wrong) = submission(&batches[0], &proof) else { panic!() };
    wrong.aggregation_result_coords[2][31] ^= 1;
    assert_eq!(refused(core.submit(0, &SubmitProofRequest::Proof(wrong))).0, 422);
    assert_eq!(refused(core.submit(0, &SubmitProofRequest::SkippedProofGeneration)).0, 422);
    assert_eq!(status(&handler, 0)["proofs_refused"], 4);
    assert_eq!(status(&handler, 0)["state"], "proving", "none of that changed anything");

    core.submit(0, &submission(&batches[0], &proof)).unwrap();
    core.submit(0, &submission(&batches[0], &proof)).unwrap();
    assert_eq!(status(&handler, 0)["state"], "proved");
    assert_eq!(get(handler.address(), "/proofs/0", &[]).2, proof);
    assert_eq!(get(handler.address(), "/proofs/1", &[]).0, 404);
    // All of it is there after a restart.
    drop(handler);
    let handler = start(&config(folder.path()));
    assert_eq!(status(&handler, 0)["state"], "proved");
    assert_eq!(client(&handler).fetch(&several(9)).unwrap().len(), 0, "leases last");
    client(&handler).submit(1, &submission(&batches[1], &other)).unwrap();
    let (_, _, list) = get(handler.address(), "/batches?from=1", &[]);
    let list: Value = serde_json::from_slice(&list).unwrap();
    assert_eq!(list.as_array().unwrap().len(), 2);
}

#[test]
fn a_client_of_the_older_api_gets_a_batch_and_submits_a_proof() {
    let folder = tempfile::tempdir().unwrap();
    let handler = start(&config(folder.path()));
    let address = handler.address();
    let json_type = "application/json";
    // What ZKsync's gateway sends and expects, byte for byte.
    assert_eq!(
        post(address, "/proof_generation_data", json_type, b"{}"),
        (200, r#"{"Success":null}"#.into())
    );
    hand_in(&handler, 5, &inputs(5)).unwrap();
    let (code, body) = post(address, "/proof_generation_data", json_type, b"{}");
    assert_eq!(code, 200);
    let answer: Value = serde_json::from_str(&body).unwrap();
    let data = &answer["Success"];
    assert_eq!(data["l1_batch_number"], 5);
    assert_eq!(data["protocol_version"], world_version());
    assert!(data["l1_verifier_config"]["recursion_scheduler_level_vk_hash"]
        .as_str()
        .unwrap()
        .starts_with("0x0707"));
    let raw_inputs = RawValue::from_string(data["witness_input_data"].to_string()).unwrap();
    let inputs = TestFormat.inputs_from_json(&raw_inputs).unwrap();
    assert_eq!(inputs, support::inputs(5));
    let proof: Value = serde_json::from_str(TestFormat.proof_to_json(&proved(5)).unwrap().get()).unwrap();
    let body = json!({ "Proof": {
        "aggregation_result_coords": TestFormat.coordinates(&inputs).unwrap(),
        "scheduler_proof": proof,
        "protocol_version": world_version(),
    }});
    let sent = post(address, "/submit_proof/5", json_type, body.to_string().as_bytes());
    assert_eq!(sent, (200, r#""Success""#.into()));
    for (path, body, code) in [
        ("/submit_proof/5", "", 400),
        ("/submit_proof/5", "{\"Proof\":{}}", 400),
        ("/submit_proof/x", "{}", 400),
        ("/proof_generation_data", "[]x", 400),
        ("/nothing", "{}", 404),
    ] {
        assert_eq!(post(address, path, json_type, body.as_bytes()).0, code, "{path} {body}");
    }
}

fn world_version() -> String {
    use ingot_circuit_set::CircuitSet as _;
    world().set.protocol_version().to_string()
}

#[test]
fn a_lease_that_is_not_renewed_ends_and_one_that_is_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let handler = start(&ProofDataHandlerConfig { lease_s: 1, ..config(folder.path()) });
    let core = client(&handler);
    hand_in(&handler, 1, &inputs(1)).unwrap();
    hand_in(&handler, 2, &inputs(2)).unwrap();
    assert_eq!(core.fetch(&several(9)).unwrap().len(), 2);
    let holding = FetchRequest { holding: vec![1], ..several(9) };
    let mut again = Vec::new();
    for _ in 0..40 {
        thread::sleep(Duration::from_millis(100));
        again.extend(core.fetch(&holding).unwrap().into_iter().map(|data| data.l1_batch_number));
        if !again.is_empty() {
            break;
        }
    }
    assert_eq!(again, [2], "batch 1 is held, batch 2 is not");
}

#[test]
fn whoever_waits_is_woken_by_a_batch() {
    let folder = tempfile::tempdir().unwrap();
    let handler = start(&config(folder.path()));
    let core = client(&handler);
    let waiting =
        thread::spawn(move || core.fetch(&FetchRequest { wait_ms: Some(60_000), ..several(1) }).unwrap());
    thread::sleep(Duration::from_millis(200));
    hand_in(&handler, 3, &inputs(3)).unwrap();
    assert_eq!(waiting.join().unwrap()[0].l1_batch_number, 3);
}

#[test]
fn only_those_with_the_token_are_let_in() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "0123456789abcdef0123456789abcdef\n").unwrap();
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
    let handler = start(&ProofDataHandlerConfig {
        token_file: Some(token.clone()),
        ..config(&folder.path().join("data"))
    });
    for (shown, code) in
        [(None, 401), (Some("Bearer nope"), 403), (Some("Bearer 0123456789abcdef0123456789abcdef"), 200)]
    {
        let headers: Vec<_> = shown.map(|value| ("authorization", value.to_owned())).into_iter().collect();
        assert_eq!(get(handler.address(), "/batches", &headers).0, code);
    }
    let open = ProofDataHandlerConfig {
        listen: "0.0.0.0:0".parse().unwrap(),
        ..config(&folder.path().join("open"))
    };
    let World { set, vks, .. } = world();
    let checker = ingot_proof_data_handler::CircuitChecker {
        set: set.clone(),
        vks: vks.clone(),
        format: std::sync::Arc::new(TestFormat),
        key_hashes: ([0; 32], [0; 32]),
    };
    let error = ProofDataHandler::start(&open, std::sync::Arc::new(checker)).unwrap_err();
    assert!(error.to_string().contains("expected a token file"), "{error}");
}
