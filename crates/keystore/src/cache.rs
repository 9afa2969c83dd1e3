//! A cache of decoded keys, bounded in bytes, that drops what was used least recently.

use std::sync::Arc;

use ingot_types::CircuitKey;

/// The cache. Entries are shared: one that is dropped here lives on where it is in use.
#[derive(Debug)]
pub(crate) struct Cache<T> {
    max_bytes: u64,
    /// Least recently used first.
    entries: Vec<(CircuitKey, u64, Arc<T>)>,
}

impl<T> Cache<T> {
    pub fn new(max_bytes: u64) -> Self {
        Self { max_bytes, entries: Vec::new() }
    }

    pub fn get(&mut self, key: CircuitKey) -> Option<Arc<T>> {
        let at = self.entries.iter().position(|(k, ..)| *k == key)?;
        let entry = self.entries.remove(at);
        let value = entry.2.clone();
        self.entries.push(entry);
        Some(value)
    }

    /// Makes room for `bytes`, as far as the bound allows. Called before the room is needed.
    pub fn make_room(&mut self, bytes: u64) {
        while !self.entries.is_empty() && self.bytes().saturating_add(bytes) > self.max_bytes {
            self.entries.remove(0);
        }
    }

    /// Keeps `value`, unless it alone exceeds the bound.
    pub fn put(&mut self, key: CircuitKey, bytes: u64, value: Arc<T>) {
        self.entries.retain(|(k, ..)| *k != key);
        self.make_room(bytes);
        if bytes <= self.max_bytes {
            self.entries.push((key, bytes, value));
        }
    }

    fn bytes(&self) -> u64 {
        self.entries.iter().map(|(_, bytes, _)| bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use ingot_types::AggregationRound;

    use super::*;

    #[test]
    fn the_least_recently_used_goes_first_and_the_bound_holds() {
        let key = |id| CircuitKey::new(AggregationRound::Basic, id);
        let mut cache = Cache::new(10);
        cache.put(key(1), 4, Arc::new(1));
        cache.put(key(2), 4, Arc::new(2));
        assert_eq!(cache.get(key(1)).as_deref(), Some(&1));
        cache.put(key(3), 4, Arc::new(3));
        assert_eq!(cache.bytes(), 8);
        assert!(cache.get(key(2)).is_none());
        assert!(cache.get(key(1)).is_some() && cache.get(key(3)).is_some());
        cache.put(key(4), 11, Arc::new(4));
        assert!(cache.get(key(4)).is_none(), "too big to keep");
    }
}
