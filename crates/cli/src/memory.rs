//! Memory and processors of this machine, as Linux tells them.

use std::{fs, path::Path};

/// The largest resident set this process has had, in bytes; 0 if unknown.
pub(crate) fn peak_rss_bytes() -> u64 {
    kilobytes("/proc/self/status", "VmHWM:").unwrap_or(0) * 1024
}

/// The same of another process; 0 if it is gone.
pub(crate) fn peak_rss_of(pid: u32) -> u64 {
    kilobytes(&format!("/proc/{pid}/status"), "VmHWM:").unwrap_or(0) * 1024
}

/// Memory that can be had now, in bytes.
pub(crate) fn available_bytes() -> Option<u64> {
    kilobytes("/proc/meminfo", "MemAvailable:").map(|k| k * 1024)
}

/// All memory of this machine, in bytes.
pub(crate) fn total_bytes() -> Option<u64> {
    kilobytes("/proc/meminfo", "MemTotal:").map(|k| k * 1024)
}

/// Size of the file system of `folder` or of the nearest folder above it that exists, in bytes.
pub(crate) fn disk_bytes(folder: &Path) -> Option<u64> {
    let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("."));
    let stat = nix::sys::statvfs::statvfs(there).ok()?;
    Some(stat.blocks() * stat.fragment_size())
}

/// Disk that can be had now in the file system of `folder` or of the nearest folder above it that exists, in bytes.
pub(crate) fn free_disk_bytes(folder: &Path) -> Option<u64> {
    let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("."));
    let stat = nix::sys::statvfs::statvfs(there).ok()?;
    Some(stat.blocks_available() * stat.fragment_size())
}

fn kilobytes(file: &str, field: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(field))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Processors this process may use.
pub(crate) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A size in bytes as people write it: `4G`, `512M`, `1000000`. Powers of 1024.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let error =
        || format!("`{text}` is no size: expected a number of bytes, or one with K, M or G, such as 4G");
    let upper = text.trim().to_ascii_uppercase();
    let digits = upper.trim_end_matches(['B', 'I']).trim_end_matches(['K', 'M', 'G']);
    let unit = match upper[digits.len()..].chars().next() {
        None | Some('B') => 1u64,
        Some('K') => 1 << 10,
        Some('M') => 1 << 20,
        Some('G') => 1 << 30,
        Some(_) => return Err(error()),
    };
    digits.parse::<u64>().ok().and_then(|n| n.checked_mul(unit)).ok_or_else(error)
}

/// Bytes as people read them.
pub(crate) fn human_bytes(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.0} KiB", bytes as f64 / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.2} GiB", bytes as f64 / 1_073_741_824.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_others_refused() {
        for (text, bytes) in
            [("0", 0), ("17", 17), ("4G", 4 << 30), ("512M", 512 << 20), ("3k", 3072), ("2GiB", 2 << 30)]
        {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for bad in ["", "G", "-1", "4T", "1.5G", "99999999999999999999", "18446744073709551615G"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn this_process_has_a_peak() {
        assert!(peak_rss_bytes() > 100_000);
    }
}
