//! A cache of paths that were recently missing on disk.
//!
//! Most requests are for the app, but for each nginx would check the disk for a file of that name. A path that was
//! missing several times within one second is not checked again in that second: a busy URI costs a few system calls per
//! second instead of two per request, and a new file is found at most a second later. A path that is rarely requested
//! is checked each time.

use std::hash::{BuildHasher, RandomState};

/// Missing paths, by the hash of their name. Two paths with the same hash would be confused, which the keyed 64-bit
/// hash makes practically impossible.
#[derive(Debug)]
pub struct NegativeCache {
    hasher: RandomState,
    slots: Box<[Slot]>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    hash: u64,
    second: i64,
    times: u8,
}

/// The key under which [`NegativeCache::insert`] records a missing path.
#[derive(Debug, Clone, Copy)]
pub struct MissKey(u64);

/// How many times per second a path is checked.
const CHECKS_PER_SECOND: u8 = 4;

/// More than a worker's busy URIs; two that share a slot are checked more often.
const CAPACITY: usize = 1024;

impl Default for NegativeCache {
    fn default() -> Self {
        Self { hasher: RandomState::new(), slots: vec![Slot::default(); CAPACITY].into() }
    }
}

impl NegativeCache {
    /// Returns `None` when the path is known to be missing; otherwise the caller checks it.
    ///
    /// `kind` distinguishes what is searched under the same name. `second` is the current time.
    pub fn check(&mut self, path: &[u8], kind: bool, second: i64) -> Option<MissKey> {
        let hash = self.hasher.hash_one((path, kind));
        let slot = self.slot(hash);
        let is_known = slot.hash == hash && slot.second == second && slot.times >= CHECKS_PER_SECOND;
        (!is_known).then_some(MissKey(hash))
    }

    /// Records that a path was checked and was missing.
    pub fn insert(&mut self, key: MissKey, second: i64) {
        let slot = self.slot(key.0);
        if slot.hash != key.0 || slot.second != second {
            *slot = Slot { hash: key.0, second, times: 0 };
        }
        slot.times = slot.times.saturating_add(1);
    }

    fn slot(&mut self, hash: u64) -> &mut Slot {
        &mut self.slots[hash as usize % CAPACITY]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn miss(cache: &mut NegativeCache, path: &[u8], second: i64) -> bool {
        match cache.check(path, true, second) {
            Some(key) => {
                cache.insert(key, second);
                true
            }
            None => false,
        }
    }

    #[test]
    fn a_missing_path_is_checked_a_few_times_per_second() {
        let mut cache = NegativeCache::default();
        let looked = (0..100).filter(|_| miss(&mut cache, b"/srv/app/public/posts", 7)).count();
        assert_eq!(looked, usize::from(CHECKS_PER_SECOND));
        assert!(miss(&mut cache, b"/srv/app/public/posts", 8));
    }

    #[test]
    fn other_paths_are_checked() {
        let mut cache = NegativeCache::default();
        while miss(&mut cache, b"/a", 7) {}
        assert!(cache.check(b"/b", true, 7).is_some());
        assert!(cache.check(b"/a", false, 7).is_some());
    }

    #[test]
    fn an_existing_path_is_checked_each_time() {
        let mut cache = NegativeCache::default();
        assert!((0..100).all(|_| cache.check(b"/a", true, 7).is_some()));
    }
}
