//! Keys for keyed BLAKE3, and comparisons that take the same time whatever differs.

use std::fmt;

/// Length of an authentication code on the wire, in bytes.
pub(crate) const MAC_BYTES: usize = 16;

/// A key for keyed BLAKE3. Its `Debug` shows nothing of it.
#[derive(Clone)]
pub struct MacKey([u8; 32]);

impl MacKey {
    /// Derives a key from key material. `context` names the one purpose that the key has.
    pub(crate) fn derive(context: &str, material: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(context);
        for part in material {
            hasher.update(part);
        }
        Self(*hasher.finalize().as_bytes())
    }

    /// A hasher under this key.
    pub(crate) fn hasher(&self) -> blake3::Hasher {
        blake3::Hasher::new_keyed(&self.0)
    }

    /// The hash of `parts`, one after the other.
    pub(crate) fn hash(&self, parts: &[&[u8]]) -> blake3::Hash {
        let mut hasher = self.hasher();
        for part in parts {
            hasher.update(part);
        }
        hasher.finalize()
    }

    /// The first 16 bytes of [`Self::hash`].
    pub(crate) fn mac(&self, parts: &[&[u8]]) -> [u8; MAC_BYTES] {
        truncate(&self.hash(parts))
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(***)")
    }
}

/// The first 16 bytes of a hash.
pub(crate) fn truncate(hash: &blake3::Hash) -> [u8; MAC_BYTES] {
    let mut mac = [0; MAC_BYTES];
    mac.copy_from_slice(&hash.as_bytes()[..MAC_BYTES]);
    mac
}

/// Whether two codes are equal, in a time that does not depend on where they differ.
pub(crate) fn same<const N: usize>(a: &[u8; N], b: &[u8; N]) -> bool {
    // `black_box` keeps the compiler from leaving the loop at the first difference.
    std::hint::black_box(
        a.iter().zip(b).fold(0, |difference, (x, y)| difference | std::hint::black_box(x ^ y)),
    ) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_equal_only_when_every_byte_is() {
        let a = [7u8; MAC_BYTES];
        assert!(same(&a, &a));
        for i in 0..MAC_BYTES {
            let mut b = a;
            b[i] ^= 0x80;
            assert!(!same(&a, &b), "byte {i}");
        }
    }

    #[test]
    fn keys_differ_by_purpose_and_material_and_stay_secret() {
        let key = MacKey::derive("ingot test a", &[b"material"]);
        assert_ne!(key.mac(&[b"x"]), MacKey::derive("ingot test b", &[b"material"]).mac(&[b"x"]));
        assert_ne!(key.mac(&[b"x"]), MacKey::derive("ingot test a", &[b"matter"]).mac(&[b"x"]));
        assert_eq!(format!("{key:?}"), "MacKey(***)");
    }
}
