//! Times as people read them.

use std::time::{SystemTime, UNIX_EPOCH};

const DAY_MS: u64 = 24 * 3_600_000;

/// The present, in milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// `2026-11-23 21:35:59Z`, from milliseconds since the Unix epoch.
pub(crate) fn utc(ms: u64) -> String {
    let (days, rest) = (ms / DAY_MS, ms % DAY_MS / 1_000);
    // Years of 366 days at most: what is left after whole ones is found by counting.
    let (mut year, mut day) = (1970, days);
    if days > 4_000_000 {
        return format!("{ms} ms");
    }
    loop {
        let length = if leap(year) { 366 } else { 365 };
        if day < length {
            break;
        }
        (year, day) = (year + 1, day - length);
    }
    let february = if leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < length {
            break;
        }
        (month, day) = (month + 1, day - length);
    }
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{:02} {hour:02}:{minute:02}:{second:02}Z", day + 1)
}

const fn leap(year: u64) -> bool {
    (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400)
}

/// `1 h 02 min`, from milliseconds.
pub(crate) fn span(ms: u64) -> String {
    let s = ms / 1_000;
    match s {
        0..10 => format!("{:.1} s", ms as f64 / 1_000.0),
        10..60 => format!("{s} s"),
        60..3_600 => format!("{} min {:02} s", s / 60, s % 60),
        3_600..86_400 => format!("{} h {:02} min", s / 3_600, s / 60 % 60),
        _ => format!("{} d {:02} h", s / 86_400, s / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_people_read_them() {
        for (ms, text) in [
            (0, "1970-01-01 00:00:00Z"),
            (951_782_400_000, "2000-02-29 00:00:00Z"),
            (951_868_799_999, "2000-02-29 23:59:59Z"),
            (951_868_800_000, "2000-03-01 00:00:00Z"),
            (1_700_000_000_000, "2023-11-14 22:13:20Z"),
            (4_107_542_399_000, "2100-02-28 23:59:59Z"),
            (4_107_542_400_000, "2100-03-01 00:00:00Z"),
        ] {
            assert_eq!(utc(ms), text);
        }
        assert_eq!(utc(u64::MAX), format!("{} ms", u64::MAX));
        for (ms, text) in [
            (0, "0.0 s"),
            (9_949, "9.9 s"),
            (59_999, "59 s"),
            (61_000, "1 min 01 s"),
            (3_720_000, "1 h 02 min"),
            (90_000_000, "1 d 01 h"),
        ] {
            assert_eq!(span(ms), text);
        }
    }
}
