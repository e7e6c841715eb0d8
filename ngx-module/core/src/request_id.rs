//! Request IDs for logs: the ID that the client sent, if it is safe in a log line; otherwise a generated one.

use std::cell::RefCell;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::SystemTime;

use protocol::settings::Digest;

/// Longest ID accepted, in bytes.
const MAX_LEN: usize = 255;

/// The header that contains it.
pub const HEADER: &str = "X-Request-Id";

/// Returns the client's request ID from the `values` of its header, if it is the only value and safe in a log.
pub fn client_id<'v>(mut values: impl Iterator<Item = &'v [u8]>) -> Option<&'v [u8]> {
    let only = values.next().filter(|_| values.next().is_none())?;
    is_acceptable(only).then_some(only)
}

/// Whether a client's request ID is safe in a log.
pub fn is_acceptable(id: &[u8]) -> bool {
    let is_harmless = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:@+/=~".contains(byte);
    !id.is_empty() && id.len() <= MAX_LEN && id.iter().all(is_harmless)
}

/// A generated ID: 32 hexadecimal digits.
pub type GeneratedId = [u8; 32];

/// Generates IDs that no other process generates. They are not secret, so no system call is needed for each.
#[derive(Debug)]
struct Generator {
    seed: u64,
    pid: u32,
    count: u64,
}

thread_local! {
    // Created at the first request, which is after nginx has forked its worker.
    static GENERATOR: RefCell<Generator> = RefCell::new(Generator::new());
}

impl Generator {
    /// The hash includes the process ID because all workers inherit their master's random keys.
    fn new() -> Self {
        let mut hash = RandomState::new().build_hasher();
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        hash.write_u128(since.as_nanos());
        Self { seed: hash.finish(), pid: std::process::id(), count: 0 }
    }

    fn next(&mut self) -> GeneratedId {
        self.count += 1;
        let mut input = [0; 20];
        input[..8].copy_from_slice(&self.seed.to_le_bytes());
        input[8..12].copy_from_slice(&self.pid.to_le_bytes());
        input[12..].copy_from_slice(&self.count.to_le_bytes());
        let Digest(bytes) = Digest::of(&input);
        let mut text = [0; 32];
        for (to, byte) in text.chunks_exact_mut(2).zip(bytes) {
            to[0] = hexadecimal(byte >> 4);
            to[1] = hexadecimal(byte & 15);
        }
        text
    }
}

/// Returns a new ID.
pub fn generate() -> GeneratedId {
    GENERATOR.with_borrow_mut(Generator::next)
}

const fn hexadecimal(digit: u8) -> u8 {
    if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(values: &[&'static str]) -> Option<&'static [u8]> {
        client_id(values.iter().map(|value| value.as_bytes()))
    }

    #[test]
    fn accepts_the_usual_forms() {
        for id in [
            "8f14e45fceea167a5a36dedd4bea2543",
            "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
            "Root=1-67891233-abc",
        ] {
            assert_eq!(accepted(&[id]), Some(id.as_bytes()));
        }
    }

    #[test]
    fn generated_ids_differ_and_are_accepted() {
        let names: std::collections::HashSet<GeneratedId> = (0..10_000).map(|_| generate()).collect();
        assert_eq!(names.len(), 10_000);
        assert!(names.iter().all(|name| client_id([name.as_slice()].into_iter()).is_some()));
        let mut elsewhere = Generator { pid: 1, ..Generator::new() };
        assert!(!names.contains(&elsewhere.next()));
    }

    #[test]
    fn rejects_ids_that_could_forge_a_log_line() {
        for id in ["", "a b", "a\nb", "a\"b", "ü", "a;b"] {
            assert_eq!(accepted(&[id]), None, "{id:?}");
        }
        assert_eq!(accepted(&[]), None);
        assert_eq!(accepted(&["a", "b"]), None, "which of the two?");
        assert_eq!(client_id([[b'x'; MAX_LEN + 1].as_slice()].into_iter()), None);
    }
}
