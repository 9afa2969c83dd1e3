//! A ledger batch as messages between core and gateway need to know it.

use ingot_core_api::{BatchFormat, FormatError};
use ingot_types::{BatchId, BatchNumber, ChainId};

use ingot_ledger::native::{
    batch::Batch,
    executor::{execute, Checks},
};

/// Batches of the ledger. Witness inputs and proofs travel as Base64; the four digests are the roots before and after, and
/// the hashes of pubdata and deposits.
#[derive(Clone, Copy, Debug)]
pub struct LedgerFormat;

impl BatchFormat for LedgerFormat {
    fn identify(&self, name: &str, inputs: &[u8], chain: Option<ChainId>) -> Result<BatchId, FormatError> {
        let batch = Batch::from_bytes(name, inputs).map_err(|e| FormatError(e.to_string()))?;
        let id = BatchId { chain: ChainId(batch.chain_id), batch: BatchNumber(batch.number) };
        match chain.filter(|chain| *chain != id.chain) {
            None => Ok(id),
            Some(expected) => Err(FormatError(format!(
                "{name} is a batch of chain {}: expected chain {}",
                id.chain.0, expected.0
            ))),
        }
    }

    fn coordinates(&self, inputs: &[u8]) -> Result<[[u8; 32]; 4], FormatError> {
        let batch = Batch::from_bytes("the batch", inputs).map_err(|e| FormatError(e.to_string()))?;
        // What the header says of the state needs no signature.
        let trace = execute(&batch, Checks::Full).map_err(|e| FormatError(e.to_string()))?;
        let header = trace.header(&Default::default());
        Ok([header.old_root, header.new_root, header.pubdata_hash, header.deposits_hash])
    }

    fn extension(&self) -> &'static str {
        "batch"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ingot_ledger::native::sample::{sample_batch, SAMPLE_CHAIN_ID};

    #[test]
    fn a_batch_is_known_by_its_contents() {
        let batch = sample_batch(3, 5);
        let bytes = batch.to_bytes("b").unwrap();
        let id = LedgerFormat.identify("b", &bytes, Some(ChainId(SAMPLE_CHAIN_ID))).unwrap();
        assert_eq!(id.batch.0, batch.number);
        let other = LedgerFormat.identify("b", &bytes, Some(ChainId(1))).unwrap_err();
        assert!(other.0.contains("expected chain 1"), "{other}");
        assert!(LedgerFormat.identify("b", &bytes[1..], None).is_err());
        let digests = LedgerFormat.coordinates(&bytes).unwrap();
        assert_ne!(digests[0], digests[1], "the state changes");
        let json = LedgerFormat.inputs_to_json(&bytes).unwrap();
        assert_eq!(LedgerFormat.inputs_from_json(&json).unwrap(), bytes);
    }
}
