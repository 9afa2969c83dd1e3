//! `Range: bytes=…`: one range, as RFC 9110 has it.

/// What a range asks of something of a known length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of it: no range, or one that is not understood, which is to be ignored.
    Whole,
    /// These bytes: the first, and how many.
    Part { first: u64, bytes: u64 },
    /// Bytes that are not there.
    Unsatisfiable,
}

/// Reads the header's value.
pub(crate) fn wanted(header: Option<&str>, length: u64) -> Wanted {
    let Some(spec) = header.and_then(|value| value.strip_prefix("bytes=")) else { return Wanted::Whole };
    let Some((first, last)) = spec.trim().split_once('-') else { return Wanted::Whole };
    if spec.contains(',') {
        return Wanted::Whole;
    }
    match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(first), Ok(last)) if last < first => Wanted::Whole,
        (Ok(first), _) if first >= length => Wanted::Unsatisfiable,
        (Ok(first), Ok(last)) => {
            Wanted::Part { first, bytes: last.min(length - 1).saturating_sub(first).saturating_add(1) }
        }
        (Ok(first), Err(_)) if last.trim().is_empty() => Wanted::Part { first, bytes: length - first },
        (Err(_), Ok(0)) if first.trim().is_empty() => Wanted::Unsatisfiable,
        (Err(_), Ok(bytes)) if first.trim().is_empty() && length > 0 => {
            let bytes = bytes.min(length);
            Wanted::Part { first: length - bytes, bytes }
        }
        _ => Wanted::Whole,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_are_read_as_the_rfc_has_them() {
        let part = |first, bytes| Wanted::Part { first, bytes };
        for (header, found) in [
            ("bytes=0-0", part(0, 1)),
            ("bytes=2-", part(2, 8)),
            ("bytes=2-99", part(2, 8)),
            ("bytes=-3", part(7, 3)),
            ("bytes=-30", part(0, 10)),
            ("bytes=10-", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=5-2", Wanted::Whole),
            ("bytes=0-1,4-5", Wanted::Whole),
            ("lines=1-2", Wanted::Whole),
            ("bytes=x-y", Wanted::Whole),
        ] {
            assert_eq!(wanted(Some(header), 10), found, "{header}");
        }
        assert_eq!(wanted(None, 10), Wanted::Whole);
        assert_eq!(wanted(Some("bytes=0-"), 0), Wanted::Unsatisfiable);
    }

    proptest! {
        #[test]
        fn a_part_is_never_beyond_the_end(text in "bytes=[0-9]{0,20}-[0-9]{0,20}", length in 0u64..1000) {
            if let Wanted::Part { first, bytes } = wanted(Some(&text), length) {
                prop_assert!(bytes > 0 && first + bytes <= length);
            }
        }
    }
}
