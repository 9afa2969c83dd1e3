//! Witness vectors as bytes: raw little-endian field elements, written as they lie in memory.

use boojum::cs::implementations::fast_serialization::MemcopySerializable;
use ingot_circuit_set::{
    field::{WitnessVector, F},
    SetError,
};

/// Encodes `witness`: public input locations, values, multiplicities, each with its count as u64.
///
/// # Errors
/// [`SetError::Malformed`] if it cannot be encoded.
pub fn encode_witness_vector(witness: &WitnessVector) -> Result<Vec<u8>, SetError> {
    let size = 24 + witness.public_inputs_locations.len() * 16 + witness.all_values.len() * 8;
    let mut out = Vec::with_capacity(size + witness.multiplicities.len() * 4);
    witness.write_into_buffer(&mut out).map_err(|e| SetError::malformed("witness vector", e))?;
    Ok(out)
}

/// Decodes a witness vector. Safe on any bytes: counts are compared with the length before anything is allocated, and
/// values must be canonical field elements.
///
/// # Errors
/// [`SetError::Malformed`].
pub fn decode_witness_vector(bytes: &[u8]) -> Result<WitnessVector, SetError> {
    let mut rest = bytes;
    section(&mut rest, "public input locations", 16)?;
    section(&mut rest, "values", 8)?;
    section(&mut rest, "multiplicities", 4)?;
    if !rest.is_empty() {
        return Err(SetError::malformed("witness vector", format!("{} bytes too many", rest.len())));
    }
    let witness =
        WitnessVector::read_from_buffer(bytes).map_err(|e| SetError::malformed("witness vector", e))?;
    match witness.all_values.iter().position(|value| value.0 >= F::ORDER) {
        Some(at) => Err(SetError::malformed("witness vector", format!("value {at} is no field element"))),
        None => Ok(witness),
    }
}

/// Skips a count and that many items of `size` bytes.
fn section(rest: &mut &[u8], what: &str, size: usize) -> Result<(), SetError> {
    let cut = || SetError::malformed("witness vector", format!("cut off in its {what}"));
    let (count, after) = rest.split_first_chunk::<8>().ok_or_else(cut)?;
    let length =
        usize::try_from(u64::from_le_bytes(*count)).ok().and_then(|n| n.checked_mul(size)).ok_or_else(cut)?;
    *rest = after.get(length..).ok_or_else(cut)?;
    Ok(())
}
