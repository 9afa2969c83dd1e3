//! The minor protocol version, as an enumeration's variant: by name in CBOR, by number in bincode.

use std::{fmt, sync::LazyLock};

use serde::{
    de::{EnumAccess, Error, Unexpected, VariantAccess, Visitor},
    Deserialize, Deserializer, Serialize, Serializer,
};

/// Versions that can be named. Far more than there are.
const KNOWN: u16 = 128;

static NAMES: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| (0..KNOWN).map(|n| &*Box::leak(format!("Version{n}").into_boxed_str())).collect());

/// A minor protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProtocolVersionId(pub u16);

impl fmt::Display for ProtocolVersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for ProtocolVersionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let name = NAMES.get(usize::from(self.0)).copied().unwrap_or("Version");
        serializer.serialize_unit_variant("ProtocolVersionId", u32::from(self.0), name)
    }
}

/// Which variant it is.
struct Variant(u16);

impl<'de> Deserialize<'de> for Variant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Expected;

        impl Visitor<'_> for Expected {
            type Value = Variant;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a protocol version such as `Version31`")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Variant, E> {
                let found = u16::try_from(number).ok().filter(|n| *n < KNOWN);
                found.map(Variant).ok_or_else(|| E::invalid_value(Unexpected::Unsigned(number), &self))
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Variant, E> {
                let number = name.strip_prefix("Version").and_then(|n| n.parse().ok()).filter(|n| *n < KNOWN);
                number.map(Variant).ok_or_else(|| E::invalid_value(Unexpected::Str(name), &self))
            }
        }

        deserializer.deserialize_identifier(Expected)
    }
}

impl<'de> Deserialize<'de> for ProtocolVersionId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Expected;

        impl<'de> Visitor<'de> for Expected {
            type Value = ProtocolVersionId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a protocol version such as `Version31`")
            }

            fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<ProtocolVersionId, A::Error> {
                let (Variant(number), rest) = data.variant()?;
                rest.unit_variant()?;
                Ok(ProtocolVersionId(number))
            }
        }

        // The names only matter to formats that describe themselves by position.
        deserializer.deserialize_enum("ProtocolVersionId", &[], Expected)
    }
}
