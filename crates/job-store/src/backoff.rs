//! When to try again: exponential, capped, with jitter that a seed decides.

use ingot_types::{JobKey, RetryClass};

/// How long failed jobs wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first wait, in milliseconds; each further one doubles.
    pub base_ms: u64,
    /// The longest wait, in milliseconds.
    pub cap_ms: u64,
    /// What the jitter depends on, beside the job and the attempt.
    pub seed: u64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base_ms: 1_000, cap_ms: 5 * 60_000, seed: 0 }
    }
}

impl Backoff {
    /// The wait after a job's `failures`th failure (from 1) of one class, in milliseconds: half of the exponential wait
    /// and a random part of the other half, so that jobs that failed together do not come back together.
    pub fn delay_ms(&self, key: JobKey, class: RetryClass, failures: u32) -> u64 {
        let doublings = failures.saturating_sub(1).min(63);
        let full = self.base_ms.saturating_mul(1 << doublings).min(self.cap_ms);
        let half = full / 2;
        let hash = blake3::hash(format!("{}/{key}/{class:?}/{failures}", self.seed).as_bytes());
        let random = hash.as_bytes().iter().take(8).fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
        half.saturating_add(random % (full - half).saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn key(sequence: u32) -> JobKey {
        format!("1/2/prove/0/1/0/{sequence}").parse().unwrap()
    }

    #[test]
    fn waits_grow_to_the_cap_and_stay_within_their_half() {
        let backoff = Backoff { base_ms: 100, cap_ms: 5_000, seed: 7 };
        for (failures, full) in
            [(1, 100), (2, 200), (3, 400), (6, 3_200), (7, 5_000), (80, 5_000), (u32::MAX, 5_000)]
        {
            let delays: BTreeSet<u64> =
                (0..200).map(|n| backoff.delay_ms(key(n), RetryClass::Transient, failures)).collect();
            assert!(delays.iter().all(|d| (full / 2..=full).contains(d)), "{failures}: {delays:?}");
            assert!(delays.len() > 30, "{failures}: jitter spreads");
        }
    }

    #[test]
    fn the_seed_decides_and_extremes_do_not_overflow() {
        let with = |seed| Backoff { seed, ..Backoff::default() };
        let delays =
            |seed| (0..20).map(|n| with(seed).delay_ms(key(n), RetryClass::Resource, 3)).collect::<Vec<_>>();
        assert_eq!(delays(1), delays(1));
        assert_ne!(delays(1), delays(2));
        let extreme = Backoff { base_ms: u64::MAX, cap_ms: u64::MAX, seed: 0 };
        assert!(extreme.delay_ms(key(0), RetryClass::Transient, 9) >= u64::MAX / 2);
        assert_eq!(Backoff { base_ms: 0, cap_ms: 0, seed: 0 }.delay_ms(key(0), RetryClass::Transient, 9), 0);
    }
}
