//! The house keeper's time: the wall clock when it started, and how long it has run since.
//!
//! So a clock that is set, by hand or by a time server, neither ends leases nor makes them last for ever.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A clock that never jumps.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    wall_at_start_ms: u64,
    start: Instant,
}

impl Clock {
    /// Starts at the time on the wall.
    pub fn start() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { wall_at_start_ms: millis(wall), start: Instant::now() }
    }

    /// Milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> u64 {
        self.wall_at_start_ms.saturating_add(millis(self.start.elapsed()))
    }
}

/// Whole milliseconds.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_starts_at_the_wall_clock_and_never_goes_back() {
        let clock = Clock::start();
        let wall = millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap());
        let first = clock.now_ms();
        assert!(wall.abs_diff(first) < 60_000, "{wall} {first}");
        assert!(clock.now_ms() >= first);
    }
}
