//! The order in which queued jobs are taken: total, so every home takes the same one.

use std::cmp::Reverse;

use ingot_types::{AggregationRound, CircuitId, JobKey};

use crate::JobSpec;

/// The place of a job in the queue: the least goes first.
///
/// Priority (higher first), then when the batch was sealed (earlier first), then round (later first, so that batches
/// finish), then circuit id, then sequence; the key decides between jobs that agree in all of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueuePlace {
    priority: Reverse<i32>,
    sealed_at_ms: u64,
    round: Reverse<AggregationRound>,
    circuit_id: CircuitId,
    sequence: u32,
    key: JobKey,
}

impl QueuePlace {
    /// Where this job stands.
    pub fn of(spec: &JobSpec) -> Self {
        Self {
            priority: Reverse(spec.priority),
            sealed_at_ms: spec.sealed_at_ms,
            round: Reverse(spec.key.round),
            circuit_id: spec.key.circuit_id,
            sequence: spec.key.sequence,
            key: spec.key,
        }
    }

    /// Whose place it is.
    pub fn key(&self) -> JobKey {
        self.key
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use ingot_types::ProtocolVersion;
    use proptest::prelude::*;

    use super::*;

    fn spec(priority: i32, sealed_at_ms: u64, key: &str) -> JobSpec {
        JobSpec {
            key: key.parse().unwrap(),
            protocol_version: ProtocolVersion { minor: 1, patch: 0 },
            priority,
            sealed_at_ms,
            max_attempts: 1,
            group: None,
            zone: None,
            depends_on: vec![],
            inputs: vec![],
        }
    }

    #[test]
    fn each_criterion_decides_before_the_next() {
        let expected = [
            spec(1, 9, "1/2/prove/0/3/0/9"),
            spec(0, 5, "1/2/prove/0/3/0/9"),
            spec(0, 6, "1/2/prove/4/3/0/9"),
            spec(0, 6, "1/2/prove/2/2/0/9"),
            spec(0, 6, "1/2/prove/2/3/1/4"),
            spec(0, 6, "1/2/prove/2/3/0/5"),
            spec(0, 6, "1/2/prove/0/1/0/0"),
            // Only the key tells the rest apart.
            spec(0, 6, "1/2/witness/0/1/0/1"),
            spec(0, 6, "1/2/prove/0/1/0/1"),
            spec(0, 6, "1/3/prove/0/1/0/1"),
            spec(0, 6, "2/1/prove/0/1/0/1"),
            spec(-1, 1, "1/1/prove/4/1/0/1"),
        ];
        let mut sorted = expected.to_vec();
        sorted.reverse();
        sorted.sort_by_key(QueuePlace::of);
        assert_eq!(sorted, expected);
    }

    prop_compose! {
        /// Few values each, so that ties are common.
        fn any_spec()(
            priority in -1..2i32, sealed in 0..3u64, chain in 0..2u64, batch in 0..2u32,
            kind in prop::sample::select(&["witness", "prove", "compress"][..]),
            round in 0..5u8, circuit in 0..3u8, depth in 0..2u16, sequence in 0..3u32,
        ) -> JobSpec {
            spec(priority, sealed, &format!("{chain}/{batch}/{kind}/{round}/{circuit}/{depth}/{sequence}"))
        }
    }

    proptest! {
        #[test]
        fn the_order_is_total(a in any_spec(), b in any_spec(), c in any_spec()) {
            let [x, y, z] = [&a, &b, &c].map(QueuePlace::of);
            prop_assert_eq!(x.cmp(&y), y.cmp(&x).reverse());
            if x <= y && y <= z {
                prop_assert!(x <= z);
            }
            // Different jobs never share a place; the key alone is not the order.
            prop_assert_eq!(x.cmp(&y) == Ordering::Equal, (a.key, a.priority, a.sealed_at_ms) == (b.key, b.priority, b.sealed_at_ms));
        }
    }
}
