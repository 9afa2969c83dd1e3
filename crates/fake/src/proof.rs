//! Fake proofs: a chain of hashes that says what was "proved" from what, and is no proof.
//!
//! **Invariant:** everything made here begins with [`MAGIC`], which every verifier and every service of `ingot` refuses.

use ingot_types::JobKey;
use serde::{de::DeserializeOwned, Deserialize, Serialize};

/// The first bytes of everything fake.
pub const MAGIC: [u8; 16] = *b"INGOT FAKE PROOF";

/// What a fake circuit is to prove: the basic circuit's seed, or the proofs below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FakeCircuit {
    /// The job that proves it.
    pub job: JobKey,
    /// For a basic circuit: what the batch says of it.
    pub seed: u64,
    /// Hashes of the proofs it merges, in the order of the plan.
    pub children: Vec<[u8; 32]>,
    /// How long its synthesis takes, in milliseconds.
    pub synthesis_ms: u64,
    /// How long proving takes, in milliseconds.
    pub proving_ms: u64,
    /// How large the witness vector is, in bytes.
    pub vector_bytes: u64,
}

/// A fake proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FakeProof {
    /// The job that made it.
    pub job: JobKey,
    /// What it claims: see [`claim`].
    pub claim: [u8; 32],
}

/// What a proof of `circuit` claims: a hash over the job, the seed and the claims below, so that a proof that was left
/// out, taken twice, swapped or made from other inputs changes the last one.
pub fn claim(circuit: &FakeCircuit) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(circuit.job.to_string().as_bytes());
    hasher.update(&circuit.seed.to_le_bytes());
    for child in &circuit.children {
        hasher.update(child);
    }
    *hasher.finalize().as_bytes()
}

/// The bytes of a fake file: [`MAGIC`], then postcard.
///
/// # Errors
/// If it cannot be encoded, in words.
pub fn to_bytes<T: Serialize>(value: &T) -> Result<Vec<u8>, String> {
    let body = postcard::to_stdvec(value).map_err(|e| e.to_string())?;
    Ok([&MAGIC[..], &body].concat())
}

/// Reads a fake file.
///
/// # Errors
/// If it is none, in words.
pub fn from_bytes<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, String> {
    let body = bytes.strip_prefix(&MAGIC[..]).ok_or_else(|| format!("{what} is not a fake one"))?;
    match postcard::take_from_bytes(body) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(format!("{what} has {} bytes too many", rest.len())),
        Err(error) => Err(format!("{what} cannot be decoded: {error}")),
    }
}

/// The witness vector of `circuit`: bytes that depend on its claim, so that one that was mixed up or damaged is found out.
pub fn vector(circuit: &FakeCircuit) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(circuit.vector_bytes).unwrap_or(0)];
    blake3::Hasher::new_keyed(&claim(circuit)).finalize_xof().fill(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn circuit() -> FakeCircuit {
        let job = "1/2/prove/0/1/0/3".parse().unwrap();
        FakeCircuit {
            job,
            seed: 7,
            children: vec![[1; 32], [2; 32]],
            synthesis_ms: 0,
            proving_ms: 0,
            vector_bytes: 100,
        }
    }

    #[test]
    fn a_claim_depends_on_everything_below_it() {
        let base = claim(&circuit());
        let mut others = vec![FakeCircuit { seed: 8, ..circuit() }];
        others.push(FakeCircuit { job: "1/2/prove/0/1/0/4".parse().unwrap(), ..circuit() });
        others.push(FakeCircuit { children: vec![[2; 32], [1; 32]], ..circuit() });
        others.push(FakeCircuit { children: vec![[1; 32]], ..circuit() });
        assert!(others.iter().all(|other| claim(other) != base));
        assert_ne!(vector(&circuit()), vector(&others[0]));
        assert_eq!(vector(&circuit()).len(), 100);
    }

    #[test]
    fn files_are_read_back_and_others_refused() {
        let proof = FakeProof { job: circuit().job, claim: claim(&circuit()) };
        let bytes = to_bytes(&proof).unwrap();
        assert_eq!(from_bytes::<FakeProof>("it", &bytes).unwrap(), proof);
        for bad in [&bytes[1..], &bytes[..20], &[&bytes[..], &[0]].concat(), b""] {
            assert!(from_bytes::<FakeProof>("it", bad).is_err());
        }
    }

    #[test]
    fn the_real_reader_refuses_a_fake_proof() {
        let bytes = to_bytes(&FakeProof { job: circuit().job, claim: claim(&circuit()) }).unwrap();
        let error = ingot_prover::StoredProof::from_bytes(Path::new("fake.proof"), &bytes).unwrap_err();
        assert!(error.to_string().contains("INGOT FA"), "{error}");
    }
}
