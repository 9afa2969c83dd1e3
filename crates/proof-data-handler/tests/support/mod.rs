//! A proof data handler over the test circuit set, real proofs of it, and a client that speaks plain HTTP.
#![allow(dead_code, reason = "each test uses some of it")]

use std::{
    collections::{BTreeMap, HashMap},
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use ingot_artifacts::Blake3;
use ingot_circuit_set::{encode, field::Worker, AggregationJob, CircuitSet, ProofSlot, SetupKey};
use ingot_core_api::{BatchFormat, FormatError, HttpClient};
use ingot_proof_data_handler::{CircuitChecker, ProofDataHandler, ProofDataHandlerConfig};
use ingot_prover::{Prepared, ProofHeader, StoredProof};
use ingot_test_set::{Keys, Proofs, Sink, TestBatch, TestSet};
use ingot_types::{AggregationRound, BatchId, BatchNumber, ChainId, CircuitKey};

pub const CHAIN: u64 = 270;

/// A test batch of number `n` has the seed `n`.
pub struct TestFormat;

impl BatchFormat for TestFormat {
    fn identify(&self, name: &str, inputs: &[u8], chain: Option<ChainId>) -> Result<BatchId, FormatError> {
        let batch: TestBatch =
            ingot_circuit_set::decode(name, inputs).map_err(|e| FormatError(e.to_string()))?;
        let number = u32::try_from(batch.seed).map_err(|e| FormatError(e.to_string()))?;
        Ok(BatchId { chain: chain.unwrap_or(ChainId(CHAIN)), batch: BatchNumber(number) })
    }
    fn coordinates(&self, inputs: &[u8]) -> Result<[[u8; 32]; 4], FormatError> {
        Ok([0, 1, 2, 3].map(|n| *Blake3::of(&[inputs, &[n]].concat()).as_bytes()))
    }
    fn extension(&self) -> &'static str {
        "batch"
    }
}

/// The circuits with their keys.
pub struct World {
    pub set: Arc<TestSet>,
    pub vks: Arc<Keys>,
    setup: HashMap<CircuitKey, SetupKey>,
}

pub fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let (set, vks, worker) = (Arc::new(TestSet::new(8)), Arc::new(Keys::default()), Worker::new());
        let mut setup = HashMap::new();
        for circuit in set.circuits() {
            let made = set.setup(circuit.key, &*vks, &worker).unwrap();
            vks.insert(circuit.key, made.vk.clone());
            setup.insert(circuit.key, made);
        }
        World { set, vks, setup }
    })
}

pub fn inputs(n: u32) -> Vec<u8> {
    encode("test batch", &TestBatch { seed: n.into(), instances: [2, 1] }).unwrap()
}

/// Proves batch `n`; the final proof's file.
pub fn proved(n: u32) -> Vec<u8> {
    let World { set, vks, setup } = world();
    let prove = |key: CircuitKey, circuit: &[u8]| {
        let witness = set.synthesize(key, circuit, &setup[&key].hint, &**vks).unwrap();
        Prepared::new(&**set, key, &setup[&key]).unwrap().prove_unchecked(&witness).unwrap()
    };
    let mut sink = Sink::default();
    let aggregation = set.basic_circuits(&inputs(n), &**vks, &mut sink).unwrap();
    let (mut proofs, mut counts) = (Proofs::default(), BTreeMap::new());
    for (circuit_id, sequence, circuit) in sink.0 {
        *counts.entry(circuit_id).or_insert(0) += 1;
        let slot = ProofSlot { round: AggregationRound::Basic, circuit_id, depth: 0, sequence };
        let key = CircuitKey { round: AggregationRound::Basic, circuit_id };
        proofs.0.insert(slot, prove(key, &circuit));
    }
    let mut last = None;
    for planned in set.plan(&counts).proofs {
        let job = AggregationJob { slot: planned.slot, children: planned.children };
        let circuit = set.aggregation_circuit(&job, &aggregation, &**vks, &mut proofs).unwrap();
        let key = set.circuit_of(job.slot.round, job.slot.circuit_id);
        proofs.0.insert(job.slot, prove(key, &circuit));
        last = Some((job.slot, key));
    }
    let (slot, key) = last.unwrap();
    let batch = BatchId { chain: ChainId(CHAIN), batch: BatchNumber(n) };
    let header = ProofHeader::new(&**set, key, batch);
    StoredProof { header, proof: proofs.0.remove(&slot).unwrap() }.to_bytes().unwrap()
}

pub fn config(folder: &Path) -> ProofDataHandlerConfig {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    ProofDataHandlerConfig {
        folder: folder.to_owned(),
        chain: CHAIN,
        listen: any,
        external: Some(any),
        most_proof_bytes: 4 << 20,
        ..ProofDataHandlerConfig::default()
    }
}

pub fn start(config: &ProofDataHandlerConfig) -> ProofDataHandler {
    let World { set, vks, .. } = world();
    let checker = CircuitChecker {
        set: set.clone(),
        vks: vks.clone(),
        format: Arc::new(TestFormat),
        key_hashes: ([7; 32], [8; 32]),
    };
    ProofDataHandler::start(config, Arc::new(checker)).unwrap()
}

/// Hands a batch in, as a core does; the status.
pub fn hand_in(handler: &ProofDataHandler, n: u32, inputs: &[u8]) -> Result<u16, String> {
    let client = HttpClient::new(&format!("http://{}", handler.address()), None);
    let hash = Blake3::of(inputs).to_string();
    let version = world().set.protocol_version().to_string();
    let headers = [
        ("ingot-blake3", hash.as_str()),
        ("ingot-protocol-version", version.as_str()),
        ("ingot-sealed-at-ms", "1700000000000"),
    ];
    let path = format!("/batches/{n}");
    match client.send("PUT", &path, &headers, inputs.to_vec(), Duration::ZERO) {
        Ok(response) => Ok(response.status),
        Err(error) => Err(error.to_string()),
    }
}

/// A request as bytes, and whatever comes back.
pub fn raw(address: SocketAddr, request: &[u8]) -> (u16, String, Vec<u8>) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // The server may have answered and hung up before it has read everything.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").expect("an answer with a head");
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), answer[end + 4..].to_vec())
}

pub fn request(method: &str, path: &str, headers: &[(&str, String)], body: &[u8]) -> Vec<u8> {
    let mut out = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
    for (name, value) in headers {
        out += &format!("{name}: {value}\r\n");
    }
    if !headers.iter().any(|(name, _)| *name == "content-length") {
        out += &format!("content-length: {}\r\n", body.len());
    }
    [out.as_bytes(), b"\r\n", body].concat()
}

pub fn get(address: SocketAddr, path: &str, headers: &[(&str, String)]) -> (u16, String, Vec<u8>) {
    raw(address, &request("GET", path, headers, b""))
}

pub fn post(address: SocketAddr, path: &str, kind: &str, body: &[u8]) -> (u16, String) {
    let (status, _, answer) = raw(address, &request("POST", path, &[("content-type", kind.into())], body));
    (status, String::from_utf8_lossy(&answer).into_owned())
}
