//! Maps whose keys are numbers that the pool assigns: no client chooses them, so a fast hash is enough.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map by a number of the pool.
pub(crate) type ByNumber<K, V> = HashMap<K, V, BuildHasherDefault<NumberHasher>>;

/// 2⁶⁴ divided by the golden ratio: multiplying by it spreads consecutive numbers.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Hashes one number.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        // The map uses the highest and the lowest bits.
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(SPREAD);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::Hash;

    use super::super::{GroupId, Slot};
    use super::*;

    fn hash(key: impl Hash) -> u64 {
        let mut hasher = NumberHasher::default();
        key.hash(&mut hasher);
        hasher.finish()
    }

    #[test]
    fn consecutive_numbers_are_spread() {
        let low: HashSet<u64> = (0..128).map(|n| hash(Slot(n)) & 127).collect();
        let high: HashSet<u64> = (0..128).map(|n| hash(GroupId(n)) >> 57).collect();
        assert!(low.len() > 64 && high.len() > 64, "{} and {} of 128", low.len(), high.len());
    }
}
