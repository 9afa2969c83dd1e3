//! Sections of a witness vector: arrays of little-endian integers, seen as bytes without a copy.

use zerocopy::{FromBytes, IntoBytes};

// The wire is little-endian and the arrays are sent as they lie in memory.
#[cfg(not(target_endian = "little"))]
compile_error!("the witness stream sends arrays as they lie in memory, which must be little-endian");

/// Bytes that cannot be seen as an array of integers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found_bytes} bytes at address {address:#x} are no array of aligned {element_bytes}-byte integers")]
pub struct NotASection {
    /// How many bytes there are.
    pub found_bytes: usize,
    /// Where they begin.
    pub address: usize,
    /// Size of an integer, in bytes.
    pub element_bytes: usize,
}

/// The bytes of an array of 64-bit integers.
pub fn bytes_of_u64(values: &[u64]) -> &[u8] {
    values.as_bytes()
}

/// The bytes of an array of 32-bit integers.
pub fn bytes_of_u32(values: &[u32]) -> &[u8] {
    values.as_bytes()
}

/// Bytes as an array of 64-bit integers; they must be aligned to 8 bytes, as the sections of a received stream are.
pub fn u64_of_bytes(bytes: &[u8]) -> Result<&[u64], NotASection> {
    // Nothing has no alignment: an empty section may lie anywhere.
    if bytes.is_empty() {
        return Ok(&[]);
    }
    <[u64]>::ref_from_bytes(bytes).map_err(|_| not_a_section(bytes, 8))
}

/// Bytes as an array of 32-bit integers; they must be aligned to 4 bytes, as the sections of a received stream are.
pub fn u32_of_bytes(bytes: &[u8]) -> Result<&[u32], NotASection> {
    // Nothing has no alignment: an empty section may lie anywhere.
    if bytes.is_empty() {
        return Ok(&[]);
    }
    <[u32]>::ref_from_bytes(bytes).map_err(|_| not_a_section(bytes, 4))
}

fn not_a_section(bytes: &[u8], element_bytes: usize) -> NotASection {
    NotASection { found_bytes: bytes.len(), address: bytes.as_ptr() as usize, element_bytes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_travel_as_little_endian_bytes() {
        let values = [0x0102_0304_0506_0708u64, u64::MAX, 0];
        assert_eq!(bytes_of_u64(&values)[..8], [8, 7, 6, 5, 4, 3, 2, 1]);
        assert_eq!(u64_of_bytes(bytes_of_u64(&values)).unwrap(), values);
        assert_eq!(u32_of_bytes(bytes_of_u32(&[5, 6])).unwrap(), [5, 6]);
        assert_eq!(u64_of_bytes(&[]).unwrap(), [0u64; 0]);
    }

    #[test]
    fn odd_lengths_and_misaligned_bytes_are_refused() {
        let values = [1u64, 2, 3];
        let bytes = bytes_of_u64(&values);
        assert_eq!(u64_of_bytes(&bytes[..23]).unwrap_err().found_bytes, 23);
        assert!(u64_of_bytes(&bytes[1..9]).is_err());
        assert!(u64_of_bytes(&bytes[4..12]).is_err());
        assert!(u32_of_bytes(&bytes[4..12]).is_ok());
        assert!(u32_of_bytes(&bytes[2..10]).is_err());
    }
}
