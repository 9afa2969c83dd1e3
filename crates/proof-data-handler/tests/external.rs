//! The external API: witness inputs, and verdicts on proofs that are cryptographic ones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![feature(allocator_api)]
#![feature(generic_const_exprs)]

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use ingot_artifacts::Blake3;
use proptest::prelude::*;

mod support;
use support::*;

const OCTETS: &str = "application/octet-stream";

#[test]
fn the_true_proof_is_accepted_and_everything_else_refused() {
    let folder = tempfile::tempdir().unwrap();
    let handler = start(&config(folder.path()));
    let address = handler.external_address().unwrap();
    hand_in(&handler, 1, &inputs(1)).unwrap();
    hand_in(&handler, 2, &inputs(2)).unwrap();
    let (proof, other) = (proved(1), proved(2));
    for path in ["/verify_proof/1", "/verify_batch/1"] {
        let (code, body) = post(address, path, OCTETS, &proof);
        assert_eq!(code, 200, "{body}");
        assert!(body.contains("\"valid\":true") && body.contains("\"same_as_stored\":false"), "{body}");
    }
    let form = |name: &str, proof: &[u8]| {
        let head = format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"; filename=\"p\"\r\n\r\n");
        [head.as_bytes(), proof, b"\r\n--b--\r\n"].concat()
    };
    let multipart = "multipart/form-data; boundary=b";
    assert_eq!(post(address, "/verify_proof/1", multipart, &form("proof", &proof)).0, 200);
    for (what, path, kind, body, code) in [
        ("another batch's proof", "/verify_proof/1", OCTETS, other, 422),
        ("an empty body", "/verify_proof/1", OCTETS, vec![], 400),
        ("JSON", "/verify_proof/1", "application/json", proof.clone(), 400),
        ("text", "/verify_proof/1", "text/plain", proof.clone(), 400),
        ("no proof", "/verify_proof/1", OCTETS, b"PK\x03\x04 something else".to_vec(), 400),
        ("cut", "/verify_proof/1", OCTETS, proof[..proof.len() - 1].to_vec(), 422),
        ("longer", "/verify_proof/1", OCTETS, [&proof[..], b"x"].concat(), 422),
        ("an unknown batch", "/verify_proof/9", OCTETS, proof.clone(), 404),
        ("no number", "/verify_proof/one", OCTETS, proof.clone(), 400),
        ("another field", "/verify_proof/1", multipart, form("other", &proof), 400),
        ("a broken form", "/verify_proof/1", multipart, b"--b\r\nxx".to_vec(), 400),
        ("a form without boundary", "/verify_proof/1", "multipart/form-data", form("proof", &proof), 400),
        ("too much", "/verify_proof/1", OCTETS, vec![0; 5 << 20], 413),
    ] {
        let (found, reason) = post(address, path, kind, &body);
        assert_eq!(found, code, "{what}: {reason}");
    }
}

#[test]
fn three_gigabytes_are_refused_before_they_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let handler = start(&config(folder.path()));
    let address = handler.external_address().unwrap();
    hand_in(&handler, 1, &inputs(1)).unwrap();
    for kind in [OCTETS, "multipart/form-data; boundary=b"] {
        let headers = [("content-type", kind.to_owned()), ("content-length", (3u64 << 30).to_string())];
        let start = Instant::now();
        // Nothing of the body is ever sent: an answer that needed it would not come.
        let (code, _, body) = raw(address, &request("POST", "/verify_proof/1", &headers, b""));
        assert_eq!(code, 413, "{}", String::from_utf8_lossy(&body));
        assert!(start.elapsed() < Duration::from_secs(20));
    }
    // Without a length, it ends where it goes beyond.
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
        .write_all(b"POST /verify_proof/1 HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        .unwrap();
    let chunk = [b"100000\r\n".as_slice(), &vec![0; 1 << 20], b"\r\n"].concat();
    // It may hang up while this is still being sent.
    let sent = (0..3_000).take_while(|_| stream.write_all(&chunk).is_ok()).count();
    assert!(sent < 100, "{sent} MiB were taken");
    let mut answer = String::new();
    if stream.read_to_string(&mut answer).is_ok() {
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    }
}

#[test]
fn witness_inputs_are_given_whole_and_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let handler = start(&config(folder.path()));
    let address = handler.external_address().unwrap();
    assert_eq!(get(address, "/proof_generation_data", &[]).0, 404, "none is proved");
    hand_in(&handler, 1, &inputs(1)).unwrap();
    let expected = inputs(1);
    let (code, head, body) = get(address, "/proof_generation_data/1", &[]);
    assert_eq!((code, &body), (200, &expected));
    let etag = format!("\"{}\"", Blake3::of(&expected));
    for line in [
        format!("etag: {etag}"),
        "content-disposition: attachment; filename=\"witness_inputs_1_270.batch\"".into(),
        format!("ingot-vk-commitment: {}", "07".repeat(32)),
        format!("ingot-key-manifest: {}", "08".repeat(32)),
        "ingot-protocol-version: 0.".into(),
    ] {
        assert!(head.contains(&line), "{line}\n{head}");
    }
    let with = |name: &'static str, value: &str| {
        get(address, "/proof_generation_data/1", &[(name, value.to_owned())])
    };
    assert_eq!(with("if-none-match", &etag).0, 304);
    let (code, head, body) = with("range", "bytes=1-2");
    assert_eq!((code, &body[..]), (206, &expected[1..3]));
    assert!(head.contains(&format!("content-range: bytes 1-2/{}", expected.len())), "{head}");
    assert_eq!(with("range", "bytes=99999-").0, 416);
    let stale = [("range", "bytes=1-2".to_owned()), ("if-range", "\"other\"".to_owned())];
    assert_eq!(get(address, "/proof_generation_data/1", &stale).0, 200);
    assert_eq!(get(address, "/proof_generation_data/8", &[]).0, 404);
    // Inputs that are not kept are gone; a proof of that batch can be verified all the same.
    let proof = ingot_artifacts::ArtifactRef { hash: Blake3::of(b"p"), size_bytes: 1 };
    drop(handler);
    let store = ingot_proof_data_handler::Store::open(&folder.path().join("batches.db")).unwrap();
    store.prove(1, &proof, 5).unwrap();
    drop(store);
    let handler = start(&config(folder.path()));
    let address = handler.external_address().unwrap();
    assert_eq!(handler.handler().tidy(u64::MAX, Duration::ZERO).unwrap(), 1);
    assert_eq!(get(address, "/proof_generation_data/1", &[]).0, 410);
    assert_eq!(get(address, "/proof_generation_data", &[]).0, 410);
    assert_eq!(post(address, "/verify_proof/1", OCTETS, &proved(1)).0, 200);
}

#[test]
fn idle_and_slow_peers_hold_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let handler = start(&config(folder.path()));
    let address = handler.external_address().unwrap();
    hand_in(&handler, 1, &inputs(1)).unwrap();
    let idle: Vec<TcpStream> = (0..1_000).map(|_| TcpStream::connect(address).unwrap()).collect();
    let slow: Vec<TcpStream> = (0..50)
        .map(|_| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream
                .write_all(b"POST /verify_proof/1 HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nabc")
                .unwrap();
            stream
        })
        .collect();
    let (code, body) = post(address, "/verify_proof/1", OCTETS, &proved(1));
    assert_eq!(code, 200, "{body}");
    drop((idle, slow));
}

fn shared() -> std::net::SocketAddr {
    use std::sync::OnceLock;
    static ADDRESS: OnceLock<std::net::SocketAddr> = OnceLock::new();
    *ADDRESS.get_or_init(|| {
        let folder = Box::leak(Box::new(tempfile::tempdir().unwrap()));
        let handler = Box::leak(Box::new(start(&config(folder.path()))));
        hand_in(handler, 1, &inputs(1)).unwrap();
        handler.external_address().unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_proof_with_any_flipped_bit_is_refused(at in any::<proptest::sample::Index>(), bit in 0u8..8) {
        static PROOF: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        let mut proof = PROOF.get_or_init(|| proved(1)).clone();
        let at = at.index(proof.len());
        proof[at] ^= 1 << bit;
        let (code, reason) = post(shared(), "/verify_proof/1", OCTETS, &proof);
        prop_assert!(code == 400 || code == 422, "byte {at}, bit {bit}: {code} {reason}");
    }

    #[test]
    fn no_body_makes_anything_but_a_refusal(
        body in prop::collection::vec(any::<u8>(), 0..300),
        form in any::<bool>(),
        magic in any::<bool>(),
    ) {
        let kind = if form { "multipart/form-data; boundary=b" } else { OCTETS };
        let body = if magic { [&b"INGOTPRF"[..], &body].concat() } else { body };
        let (code, _) = post(shared(), "/verify_proof/1", kind, &body);
        prop_assert!((400..500).contains(&code), "{code}");
    }
}
