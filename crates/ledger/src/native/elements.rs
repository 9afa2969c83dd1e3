//! How field elements travel in files: 8 bytes each, little-endian, canonical. (The proof library's own form takes up to
//! 10 and accepts values beyond the modulus.)

use boojum::field::{Field, U64Representable};
use ingot_circuit_set::field::F;
use serde::{
    de::{Error, SeqAccess, Visitor},
    Deserializer, Serializer,
};

/// A value made of a fixed number of elements.
pub(crate) trait Elements: Sized {
    /// How many.
    const COUNT: usize;
    /// Appends them.
    fn put(&self, out: &mut Vec<F>);
    /// Reads them; `from` holds exactly `COUNT`.
    fn get(from: &[F]) -> Self;
}

impl Elements for F {
    const COUNT: usize = 1;
    fn put(&self, out: &mut Vec<F>) {
        out.push(*self);
    }
    fn get(from: &[F]) -> Self {
        from.first().copied().unwrap_or(F::ZERO)
    }
}

impl<T: Elements, const N: usize> Elements for [T; N] {
    const COUNT: usize = N * T::COUNT;
    fn put(&self, out: &mut Vec<F>) {
        for item in self {
            item.put(out);
        }
    }
    fn get(from: &[F]) -> Self {
        std::array::from_fn(|i| T::get(&from[i * T::COUNT..(i + 1) * T::COUNT]))
    }
}

pub(crate) fn serialize<T: Elements, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    let mut elements = Vec::with_capacity(T::COUNT);
    value.put(&mut elements);
    let bytes: Vec<u8> = elements.iter().flat_map(|x| x.as_u64_reduced().to_le_bytes()).collect();
    serializer.serialize_bytes(&bytes)
}

pub(crate) fn deserialize<'de, T: Elements, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    let bytes = deserializer.deserialize_bytes(Bytes)?;
    if bytes.len() != 8 * T::COUNT {
        return Err(D::Error::invalid_length(bytes.len(), &format!("{} bytes", 8 * T::COUNT).as_str()));
    }
    let mut elements = Vec::with_capacity(T::COUNT);
    for chunk in bytes.chunks_exact(8) {
        let mut raw = [0; 8];
        raw.copy_from_slice(chunk);
        let value = u64::from_le_bytes(raw);
        let element = F::from_u64(value).ok_or_else(|| {
            D::Error::custom(format_args!(
                "field element {value:#x} is not below the modulus {:#x}",
                F::ORDER
            ))
        })?;
        elements.push(element);
    }
    Ok(T::get(&elements))
}

struct Bytes;

impl<'de> Visitor<'de> for Bytes {
    type Value = Vec<u8>;
    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("field elements as bytes")
    }
    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<u8>, A::Error> {
        let mut out = Vec::new();
        while let Some(byte) = seq.next_element()? {
            out.push(byte);
        }
        Ok(out)
    }
}
