//! A cache of paths that were recently missing on disk.
//!
//! Most requests are for the app, but for each nginx would check the disk for a file of that name. A path that was
//! missing several times within one second is not checked again in that second: a busy URI costs a few system calls per
//! second instead of two per request, and a new file is found at most a second later. A path that is rarely requested
//! is checked each time.

/// Missing paths. Each has one slot, in which it replaces another path.
#[derive(Debug)]
pub struct NegativeCache {
    slots: Box<[Slot]>,
}

#[derive(Debug, Clone, Default)]
struct Slot {
    path: Vec<u8>,
    kind: bool,
    second: i64,
    times: u8,
}

/// A path to be checked, which [`NegativeCache::insert`] records if it is missing.
#[derive(Debug, Clone, Copy)]
pub struct MissKey<'p> {
    path: &'p [u8],
    kind: bool,
    slot: usize,
}

/// How many times per second a path is checked.
const CHECKS_PER_SECOND: u8 = 4;

/// More than a worker's busy URIs; two that share a slot are checked more often.
const CAPACITY: usize = 1 << CAPACITY_BITS;
const CAPACITY_BITS: u32 = 10;

/// A longer path is checked each time, so that clients cannot fill the memory with long ones.
const MAX_PATH: usize = 512;

impl Default for NegativeCache {
    fn default() -> Self {
        Self { slots: vec![Slot::default(); CAPACITY].into() }
    }
}

impl NegativeCache {
    /// Returns `None` when the path is known to be missing; otherwise the caller checks it.
    ///
    /// `kind` distinguishes what is searched under the same name. `second` is the current time.
    pub fn check<'p>(&mut self, path: &'p [u8], kind: bool, second: i64) -> Option<MissKey<'p>> {
        let key = MissKey { path, kind, slot: slot_of(path) };
        let is_known = self
            .slots
            .get(key.slot)
            .is_some_and(|slot| slot.second == second && slot.times >= CHECKS_PER_SECOND && slot.is_of(&key));
        (!is_known).then_some(key)
    }

    /// Records that a path was checked and was missing.
    pub fn insert(&mut self, key: MissKey<'_>, second: i64) {
        let Some(slot) = self.slots.get_mut(key.slot).filter(|_| key.path.len() <= MAX_PATH) else {
            return;
        };
        if slot.second != second || !slot.is_of(&key) {
            slot.path.clear();
            slot.path.extend_from_slice(key.path);
            (slot.kind, slot.second, slot.times) = (key.kind, second, 0);
        }
        slot.times = slot.times.saturating_add(1);
    }
}

impl Slot {
    fn is_of(&self, key: &MissKey<'_>) -> bool {
        self.kind == key.kind && self.path == key.path
    }
}

/// Returns the slot of a path. Paths that share one are checked on disk each time, as any path
/// that is requested rarely.
fn slot_of(path: &[u8]) -> usize {
    let mix = |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (words, rest) = path.as_chunks::<8>();
    let hash = words.iter().fold(path.len() as u64, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    let hash = match path.last_chunk::<8>() {
        Some(last) => mix(hash, u64::from_le_bytes(*last)),
        None => rest.iter().fold(hash, |hash, byte| mix(hash, u64::from(*byte))),
    };
    (hash >> (u64::BITS - CAPACITY_BITS)) as usize
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
    fn paths_in_the_same_slot_are_not_confused() {
        let mut cache = NegativeCache::default();
        let paths: Vec<Vec<u8>> = (0..20_000).map(|number| format!("/p/{number}").into_bytes()).collect();
        for path in &paths {
            while miss(&mut cache, path, 7) {}
            assert!(cache.check(path, true, 7).is_none());
        }
        let known = paths.iter().filter(|path| cache.check(path, true, 7).is_none()).count();
        assert!((CAPACITY / 2..=CAPACITY).contains(&known), "{known} of the latest paths are known");
    }

    #[test]
    fn a_long_path_is_checked_each_time() {
        let mut cache = NegativeCache::default();
        assert!((0..100).all(|_| miss(&mut cache, &[b'a'; MAX_PATH + 1], 7)));
    }

    #[test]
    fn an_existing_path_is_checked_each_time() {
        let mut cache = NegativeCache::default();
        assert!((0..100).all(|_| cache.check(b"/a", true, 7).is_some()));
    }
}
