//! A witness vector as the three byte sections that travel: public input locations, values, multiplicities.

use ingot_circuit_set::field::{WitnessVector, F};
use ingot_wire::{bytes_of_u32, bytes_of_u64, payload_layout};

use super::JobFailure;

/// An owned witness vector that can be seen as bytes. Its memory is the witness vector's own: nothing is copied but the
/// few public input locations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WitnessSections {
    /// Column and row of each public input, one after the other.
    pub locations: Vec<u64>,
    /// Field elements, canonical.
    pub values: Vec<u64>,
    /// Lookup multiplicities.
    pub multiplicities: Vec<u32>,
}

impl WitnessSections {
    /// Takes a witness vector apart.
    pub fn new(witness: WitnessVector) -> Self {
        let locations = witness
            .public_inputs_locations
            .iter()
            .flat_map(|&(column, row)| [column as u64, row as u64])
            .collect();
        // Same size and alignment: the standard library collects in place, and the values are made canonical in passing.
        let values = witness.all_values.into_iter().map(|value| value.to_reduced_u64()).collect();
        Self { locations, values, multiplicities: witness.multiplicities }
    }

    /// The three sections.
    pub fn as_bytes(&self) -> [&[u8]; 3] {
        [bytes_of_u64(&self.locations), bytes_of_u64(&self.values), bytes_of_u32(&self.multiplicities)]
    }

    /// Size of the three as they lie in a slab, in bytes.
    pub fn size_bytes(&self) -> u64 {
        let lengths = self.as_bytes().map(|section| section.len() as u64);
        // What lies in memory is not too long to be counted.
        payload_layout(lengths).map_or(u64::MAX, |(_, bytes)| bytes)
    }
}

/// Puts a witness vector together. Safe on any bytes: nothing is allocated beyond their size, and values must be
/// canonical field elements.
pub(super) fn decode([locations, values, multiplicities]: [&[u8]; 3]) -> Result<WitnessVector, JobFailure> {
    let malformed =
        |what: &str, reason: String| JobFailure::deterministic(format!("witness vector: {what}: {reason}"));
    let words = |what: &str, bytes: &[u8], size: usize| match bytes.len() % size {
        0 => Ok(()),
        _ => Err(malformed(what, format!("{} bytes, expected a multiple of {size}", bytes.len()))),
    };
    words("public input locations", locations, 16)?;
    words("values", values, 8)?;
    words("multiplicities", multiplicities, 4)?;
    let index = |word: u64| {
        usize::try_from(word).map_err(|_| malformed("public input locations", format!("{word} is no index")))
    };
    let mut public_inputs_locations = Vec::with_capacity(locations.len() / 16);
    for pair in locations.chunks_exact(16) {
        let (column, row) = pair.split_at(8);
        public_inputs_locations.push((index(word(column))?, index(word(row))?));
    }
    if let Some(at) = values.chunks_exact(8).position(|bytes| word(bytes) >= F::ORDER) {
        return Err(malformed("values", format!("value {at} is no field element")));
    }
    let all_values = values.chunks_exact(8).map(|bytes| F::from_nonreduced_u64(word(bytes))).collect();
    let multiplicities =
        multiplicities.chunks_exact(4).map(|bytes| bytes.try_into().map_or(0, u32::from_le_bytes)).collect();
    Ok(WitnessVector { public_inputs_locations, all_values, multiplicities })
}

/// Eight bytes as an integer.
fn word(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector() -> WitnessVector {
        WitnessVector {
            public_inputs_locations: vec![(1, 7), (2, 9)],
            all_values: (0..1000).map(F::from_nonreduced_u64).collect(),
            multiplicities: vec![3, 1, 4],
        }
    }

    #[test]
    fn sections_survive_the_round_trip_and_take_the_vectors_own_memory() {
        let vector = vector();
        let at = vector.all_values.as_ptr() as usize;
        let sections = WitnessSections::new(vector.clone());
        assert_eq!(sections.size_bytes(), 64 + 8000 + 12, "aligned to 64 bytes");
        let back = decode(sections.as_bytes()).unwrap();
        assert_eq!(back.public_inputs_locations, vector.public_inputs_locations);
        assert_eq!(back.all_values, vector.all_values);
        assert_eq!(back.multiplicities, vector.multiplicities);
        let moved = WitnessSections::new(vector);
        assert_eq!(moved.values.as_ptr() as usize, at, "the values were copied");
    }

    /// A field element whose representation need not be canonical.
    fn element(raw: u64) -> F {
        let mut element = F::from_nonreduced_u64(0);
        element.0 = raw;
        element
    }

    #[test]
    fn values_that_are_not_canonical_are_made_so_on_the_way_out_and_refused_on_the_way_in() {
        let order = F::ORDER;
        let vector = WitnessVector { all_values: vec![element(order + 5), element(order - 1)], ..vector() };
        assert_eq!(WitnessSections::new(vector).values, [5, order - 1]);
        for bad in [order, order + 1, u64::MAX] {
            let failure = decode([&[], &bad.to_le_bytes(), &[]]).unwrap_err();
            assert!(failure.to_string().contains("value 0 is no field element"), "{failure}");
        }
    }

    #[test]
    fn odd_lengths_are_refused_by_name() {
        for (sections, what) in [
            ([&[0u8; 24][..], &[], &[]], "public input locations: 24 bytes"),
            ([&[], &[0; 7], &[]], "values: 7 bytes"),
            ([&[], &[], &[0; 6]], "multiplicities: 6 bytes"),
        ] {
            let failure = decode(sections).unwrap_err();
            assert!(failure.to_string().contains(what), "{failure}");
        }
        // Alignment is no matter.
        let bytes = [1u8; 33];
        assert_eq!(decode([&[], &bytes[1..], &[]]).unwrap().all_values.len(), 4);
    }
}
