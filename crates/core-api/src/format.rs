//! What is inside a batch's messages: known to a circuit set's edition only.

use base64::{engine::general_purpose::STANDARD, Engine as _};
use ingot_types::{BatchId, ChainId, RetryClass};
use serde_json::value::{to_raw_value, RawValue};

/// Why witness inputs or a proof cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FormatError(pub String);

impl FormatError {
    /// Trying again changes nothing.
    pub const fn retry_class(&self) -> RetryClass {
        RetryClass::Deterministic
    }
}

/// How a circuit set's witness inputs and proofs look in JSON, and what can be told of a batch from them.
pub trait BatchFormat: Send + Sync {
    /// Which batch these witness inputs are of; `chain` is the one it should be of, where somebody knows.
    ///
    /// # Errors
    /// [`FormatError`] if they are none, or of another chain.
    fn identify(&self, name: &str, inputs: &[u8], chain: Option<ChainId>) -> Result<BatchId, FormatError>;

    /// Four digests that tie a proof to its batch.
    ///
    /// # Errors
    /// [`FormatError`] if these are no witness inputs.
    fn coordinates(&self, inputs: &[u8]) -> Result<[[u8; 32]; 4], FormatError>;

    /// Extension of a file of witness inputs: `batch`, `cbor`.
    fn extension(&self) -> &'static str;

    /// Witness inputs as JSON; unless a set knows better, text in Base64.
    ///
    /// # Errors
    /// [`FormatError`].
    fn inputs_to_json(&self, inputs: &[u8]) -> Result<Box<RawValue>, FormatError> {
        bytes_to_json(inputs)
    }

    /// Witness inputs from JSON.
    ///
    /// # Errors
    /// [`FormatError`].
    fn inputs_from_json(&self, json: &RawValue) -> Result<Vec<u8>, FormatError> {
        bytes_from_json("witness_input_data", json)
    }

    /// A final proof's file as JSON.
    ///
    /// # Errors
    /// [`FormatError`].
    fn proof_to_json(&self, proof: &[u8]) -> Result<Box<RawValue>, FormatError> {
        bytes_to_json(proof)
    }

    /// A final proof's file from JSON.
    ///
    /// # Errors
    /// [`FormatError`].
    fn proof_from_json(&self, json: &RawValue) -> Result<Vec<u8>, FormatError> {
        bytes_from_json("scheduler_proof", json)
    }
}

fn bytes_to_json(bytes: &[u8]) -> Result<Box<RawValue>, FormatError> {
    to_raw_value(&STANDARD.encode(bytes)).map_err(|e| FormatError(e.to_string()))
}

fn bytes_from_json(what: &str, json: &RawValue) -> Result<Vec<u8>, FormatError> {
    let text: &str = serde_json::from_str(json.get()).map_err(|_| {
        let found: String = json.get().chars().take(40).collect();
        FormatError(format!("{what}: expected bytes in Base64, found {found}"))
    })?;
    STANDARD.decode(text).map_err(|e| FormatError(format!("{what}: expected bytes in Base64: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_and_what_is_no_base64_is_said_so() {
        let format = OpaqueFormat(ChainId(1));
        let bytes: Vec<u8> = (0..=255).collect();
        let json = format.inputs_to_json(&bytes).unwrap();
        assert_eq!(format.inputs_from_json(&json).unwrap(), bytes);
        let object = RawValue::from_string("{\"a\":1}".into()).unwrap();
        let error = format.inputs_from_json(&object).unwrap_err();
        assert!(error.0.contains("expected bytes in Base64, found {\"a\":1}"), "{error}");
    }

    /// Opaque bytes that are all of one chain, numbered by their first four bytes (little-endian): a format that keeps every default.
    #[derive(Clone, Copy, Debug)]
    struct OpaqueFormat(ChainId);

    impl BatchFormat for OpaqueFormat {
        fn identify(
            &self,
            name: &str,
            inputs: &[u8],
            chain: Option<ChainId>,
        ) -> Result<BatchId, FormatError> {
            let number = inputs.first_chunk::<4>().ok_or_else(|| {
                FormatError(format!("{name}: expected at least 4 bytes, found {}", inputs.len()))
            })?;
            if let Some(expected) = chain.filter(|chain| *chain != self.0) {
                return Err(FormatError(format!(
                    "{name}: expected chain {}, found {}",
                    expected.0, self.0 .0
                )));
            }
            Ok(BatchId { chain: self.0, batch: ingot_types::BatchNumber(u32::from_le_bytes(*number)) })
        }

        fn coordinates(&self, inputs: &[u8]) -> Result<[[u8; 32]; 4], FormatError> {
            Ok([0, 1, 2, 3].map(|n| {
                let mut digest = [0; 32];
                for (at, byte) in digest.iter_mut().zip(inputs) {
                    *at = byte.wrapping_add(n);
                }
                digest
            }))
        }

        fn extension(&self) -> &'static str {
            "bin"
        }
    }
}
