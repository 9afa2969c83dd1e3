//! The messages, in the JSON that ZKsync's core and gateway speak.
//!
//! Field names, enum tags and number forms are those of its `prover_interface` crate (`prover-v17.0.0`, and the state of
//! July 2026). Additions of ours are optional fields, which either side may leave out.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ingot_types::{BatchId, BatchNumber, ChainId, ProtocolVersion};
use serde::{de, Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// A batch to prove, as a core hands it over.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProofGenerationData {
    /// Its number.
    pub l1_batch_number: u32,
    /// Its chain; older cores do not say, and have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain_id: Option<u64>,
    /// When it was sealed; older cores do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_sealed_at: Option<SealedAt>,
    /// What round 0 reads: see [`BatchFormat`](crate::BatchFormat).
    pub witness_input_data: Box<RawValue>,
    /// Whose circuits prove it.
    #[serde(with = "version")]
    pub protocol_version: ProtocolVersion,
    /// The verifier on L1.
    pub l1_verifier_config: L1VerifierConfig,
}

/// What the verifier on L1 will accept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct L1VerifierConfig {
    /// Commitment to the verification key of the last step.
    #[serde(
        rename(serialize = "recursion_scheduler_level_vk_hash"),
        alias = "recursion_scheduler_level_vk_hash"
    )]
    #[serde(with = "hash")]
    pub snark_wrapper_vk_hash: [u8; 32],
    /// The same for the other proof system, if it is in use.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_hash")]
    pub fflonk_snark_wrapper_vk_hash: Option<[u8; 32]>,
}

/// What a gateway asks a core for. ZKsync's sends `{}`; the fields are ours, and tell that batches may come several at a
/// time, and that 204 is understood.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchRequest {
    /// Most batches wanted at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_batches: Option<u32>,
    /// How long to wait for one, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
    /// Who asks: what was handed to a gateway of this name and is not among `holding` never reached it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// Batches that the gateway has: their leases are prolonged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holding: Vec<u32>,
}

/// What a core answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum FetchResponse {
    /// One batch, or none: what ZKsync's core says.
    Success(Option<Box<ProofGenerationData>>),
    /// Several, in order of their numbers: only to those that asked for several.
    Batches(Vec<ProofGenerationData>),
    /// It failed.
    Error(String),
}

/// The final proof of a batch, as it goes to L1.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProofForL1 {
    /// Four digests that tie the proof to the batch; what they are is the circuit set's business.
    pub aggregation_result_coords: [[u8; 32]; 4],
    /// The proof.
    pub scheduler_proof: Box<RawValue>,
    /// Whose circuits made it.
    #[serde(with = "version")]
    pub protocol_version: ProtocolVersion,
}

/// What a gateway submits.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum SubmitProofRequest {
    /// A proof.
    Proof(Box<ProofForL1>),
    /// The batch was left out on purpose: sampling, which was given up. Never sent from here, and refused.
    SkippedProofGeneration,
}

/// What a core answers to that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SubmitProofResponse {
    /// It has it.
    Success,
    /// It will not have it.
    Error(String),
}

/// A batch in today's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct L1BatchId {
    /// Its chain.
    pub chain_id: u64,
    /// Its number.
    pub batch_number: u32,
}

impl From<BatchId> for L1BatchId {
    fn from(id: BatchId) -> Self {
        Self { chain_id: id.chain.0, batch_number: id.batch.0 }
    }
}

impl From<L1BatchId> for BatchId {
    fn from(id: L1BatchId) -> Self {
        Self { chain: ChainId(id.chain_id), batch: BatchNumber(id.batch_number) }
    }
}

/// A core asks a gateway for a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollRequest {
    /// Of this batch.
    pub l1_batch_id: L1BatchId,
}

/// A gateway's answer, where there is a proof; `null` where there is none.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PollResponse {
    /// Whose.
    pub l1_batch_id: L1BatchId,
    /// The proof.
    pub proof: ProofForL1,
}

/// A core says that it has a proof (an addition of ours: without it, a proof can be polled as long as it is kept).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AckRequest {
    /// Whose.
    pub l1_batch_id: L1BatchId,
}

/// A point in time, in milliseconds since the Unix epoch; in JSON as RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SealedAt(pub u64);

impl fmt::Display for SealedAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNIX_EPOCH.checked_add(Duration::from_millis(self.0)) {
            // Later than the year 9999 it cannot be written.
            Some(time) if self.0 < 253_402_300_800_000 => humantime::format_rfc3339_millis(time).fmt(f),
            _ => f.write_str("9999-12-31T23:59:59.999Z"),
        }
    }
}

impl Serialize for SealedAt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SealedAt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time: SystemTime = humantime::parse_rfc3339_weak(text.trim_end_matches("+00:00"))
            .map_err(|e| de::Error::custom(format!("`{text}`: expected a time in UTC (RFC 3339): {e}")))?;
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)))
    }
}

mod version {
    use super::*;

    pub fn serialize<S: Serializer>(version: &ProtocolVersion, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(version)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ProtocolVersion, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

mod hash {
    use super::*;

    pub fn serialize<S: Serializer>(hash: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("0x{}", hex::encode(hash)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        parse(&String::deserialize(deserializer)?)
    }

    pub fn parse<E: de::Error>(text: &str) -> Result<[u8; 32], E> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), &mut bytes)
            .map_err(|e| E::custom(format!("`{text}`: expected 32 bytes in hexadecimal: {e}")))?;
        Ok(bytes)
    }
}

mod optional_hash {
    use super::*;

    pub fn serialize<S: Serializer>(hash: &Option<[u8; 32]>, serializer: S) -> Result<S::Ok, S::Error> {
        match hash {
            Some(bytes) => hash::serialize(bytes, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<[u8; 32]>, D::Error> {
        Option::<String>::deserialize(deserializer)?.map(|text| hash::parse(&text)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_batch_of_the_older_core_is_read() {
        let text = r#"{"Success":{"l1_batch_number":12,"witness_input_data":{"vm_run_data":{}},
            "protocol_version":"0.24.2",
            "l1_verifier_config":{"recursion_scheduler_level_vk_hash":"0x0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20"}}}"#;
        let FetchResponse::Success(Some(data)) = serde_json::from_str(text).unwrap() else { panic!() };
        assert_eq!((data.l1_batch_number, data.chain_id, data.batch_sealed_at), (12, None, None));
        assert_eq!(data.protocol_version, ProtocolVersion { minor: 24, patch: 2 });
        assert_eq!(data.witness_input_data.get(), r#"{"vm_run_data":{}}"#);
        assert_eq!(data.l1_verifier_config.snark_wrapper_vk_hash[31], 0x20);
        let none: FetchResponse = serde_json::from_str(r#"{"Success":null}"#).unwrap();
        assert!(matches!(none, FetchResponse::Success(None)));
    }

    #[test]
    fn a_batch_of_todays_core_is_read() {
        let text = r#"{"l1_batch_number":3,"chain_id":270,"batch_sealed_at":"2026-07-01T10:20:30.123456789Z",
            "witness_input_data":null,"protocol_version":"0.31.0","l1_verifier_config":{"snark_wrapper_vk_hash":
            "0x0000000000000000000000000000000000000000000000000000000000000001","fflonk_snark_wrapper_vk_hash":null}}"#;
        let data: ProofGenerationData = serde_json::from_str(text).unwrap();
        assert_eq!((data.chain_id, data.batch_sealed_at), (Some(270), Some(SealedAt(1_782_901_230_123))));
        let written = serde_json::to_string(&data).unwrap();
        assert!(written.contains(r#""batch_sealed_at":"2026-07-01T10:20:30.123Z""#), "{written}");
        assert!(written.contains(r#""recursion_scheduler_level_vk_hash":"0x00"#), "{written}");
        let poll = r#"{"l1_batch_id":{"chain_id":270,"batch_number":3}}"#;
        let read: PollRequest = serde_json::from_str(poll).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), poll);
    }

    #[test]
    fn the_plainest_request_asks_for_one_and_answers_are_tags() {
        assert_eq!(serde_json::from_str::<FetchRequest>("{}").unwrap(), FetchRequest::default());
        assert_eq!(serde_json::to_string(&FetchRequest::default()).unwrap(), "{}");
        assert_eq!(serde_json::to_string(&SubmitProofResponse::Success).unwrap(), r#""Success""#);
        let skipped: SubmitProofRequest = serde_json::from_str(r#""SkippedProofGeneration""#).unwrap();
        assert!(matches!(skipped, SubmitProofRequest::SkippedProofGeneration));
    }

    proptest! {
        #[test]
        fn times_survive(ms in 0u64..253_402_300_800_000) {
            let text = serde_json::to_string(&SealedAt(ms)).unwrap();
            prop_assert_eq!(serde_json::from_str::<SealedAt>(&text).unwrap(), SealedAt(ms));
        }

        #[test]
        fn no_text_makes_a_reader_panic(text in ".{0,200}") {
            let _ = serde_json::from_str::<ProofGenerationData>(&text);
            let _ = serde_json::from_str::<SubmitProofRequest>(&text);
            let _ = serde_json::from_str::<SealedAt>(&format!("{text:?}"));
        }
    }
}
