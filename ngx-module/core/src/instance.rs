//! Random names of nginx instances: 128 bits in hexadecimal digits.

use std::hash::{BuildHasher, RandomState};
use std::time::SystemTime;

/// Number of digits of a name.
const LEN: usize = 32;

/// Returns a random name that no other nginx has. It is not a secret.
pub fn draw() -> String {
    let seed = (std::process::id(), SystemTime::now());
    // The keys of each `RandomState` are random.
    let half = || RandomState::new().hash_one(seed);
    format!("{:016x}{:016x}", half(), half())
}

/// Whether the text has the form of a name returned by [`draw`].
pub fn is_name(text: &str) -> bool {
    text.len() == LEN && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_differ() {
        let names: HashSet<String> = (0..1000).map(|_| draw()).collect();
        assert_eq!(names.len(), 1000);
        assert!(names.iter().all(|name| is_name(name)));
    }

    #[test]
    fn rejects_text_of_another_form() {
        for text in ["", "0", &"g".repeat(32), &"A".repeat(32), &"0".repeat(33)] {
            assert!(!is_name(text), "{text}");
        }
    }
}
