//! Memory and processors of this machine, as Linux tells them.

use std::{
    fs,
    sync::{
        atomic::{AtomicBool, AtomicU64, Ordering},
        Arc,
    },
    thread,
    time::Duration,
};

/// How often memory is looked at while a peak is measured.
const SAMPLE: Duration = Duration::from_millis(10);

/// Memory that can be had now, in bytes.
pub fn available_bytes() -> Option<u64> {
    kilobytes("/proc/meminfo", "MemAvailable:").map(|k| k * 1024)
}

/// Memory that this process has now, in bytes.
pub fn resident_bytes() -> Option<u64> {
    kilobytes("/proc/self/status", "VmRSS:").map(|k| k * 1024)
}

fn kilobytes(file: &str, field: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(field))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Processors this process may use.
pub fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Name of this machine; `localhost` if it has none.
pub fn host_name() -> String {
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".into())
}

/// Watches how much the memory of this process grows.
#[derive(Debug)]
pub struct GrowthWatch {
    start_bytes: u64,
    peak_bytes: Arc<AtomicU64>,
    done: Arc<AtomicBool>,
}

impl GrowthWatch {
    /// Begins; `None` if the system does not say, or has no thread left.
    pub fn start() -> Option<Self> {
        let start_bytes = resident_bytes()?;
        let watch =
            Self { start_bytes, peak_bytes: Arc::new(AtomicU64::new(start_bytes)), done: Arc::default() };
        let (peak, done) = (watch.peak_bytes.clone(), watch.done.clone());
        let sample = move || {
            while !done.load(Ordering::Relaxed) {
                peak.fetch_max(resident_bytes().unwrap_or(0), Ordering::Relaxed);
                thread::sleep(SAMPLE);
            }
        };
        thread::Builder::new().name("memory".into()).stack_size(64 << 10).spawn(sample).ok()?;
        Some(watch)
    }

    /// The growth so far, in bytes.
    pub fn growth_bytes(&self) -> u64 {
        let now = resident_bytes().unwrap_or(0);
        self.peak_bytes.load(Ordering::Relaxed).max(now).saturating_sub(self.start_bytes)
    }
}

impl Drop for GrowthWatch {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_growth_of_a_large_buffer_is_seen_although_it_is_gone() {
        let watch = GrowthWatch::start().unwrap();
        let buffer = vec![1u8; 96 << 20];
        while watch.peak_bytes.load(Ordering::Relaxed) < watch.start_bytes + (80 << 20) {
            thread::sleep(Duration::from_millis(1));
        }
        drop(buffer);
        assert!(watch.growth_bytes() >= 80 << 20);
    }

    #[test]
    fn this_machine_has_memory_processors_and_a_name() {
        assert!(available_bytes().unwrap() > 1 << 20 && processors() >= 1 && !host_name().is_empty());
    }
}
