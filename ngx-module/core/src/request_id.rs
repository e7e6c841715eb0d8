//! A request's name in the logs of everyone who handles it: what the client's side calls it comes in, and is taken if
//! it can stand in a log line.

/// Longest name that is taken over, in bytes.
const MAX_LEN: usize = 255;

/// The header that carries it.
pub const HEADER: &str = "X-Request-Id";

/// The client's name for the request, among the `values` of its header: the only one, and harmless in a log.
pub fn acceptable<'v>(mut values: impl Iterator<Item = &'v [u8]>) -> Option<&'v [u8]> {
    let only = values.next().filter(|_| values.next().is_none())?;
    let is_harmless = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:@+/=~".contains(byte);
    (!only.is_empty() && only.len() <= MAX_LEN && only.iter().all(is_harmless)).then_some(only)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(values: &[&'static str]) -> Option<&'static [u8]> {
        acceptable(values.iter().map(|value| value.as_bytes()))
    }

    #[test]
    fn takes_what_others_make() {
        for id in [
            "8f14e45fceea167a5a36dedd4bea2543",
            "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
            "Root=1-67891233-abc",
        ] {
            assert_eq!(accepted(&[id]), Some(id.as_bytes()));
        }
    }

    #[test]
    fn rejects_what_could_forge_a_log_line() {
        for id in ["", "a b", "a\nb", "a\"b", "ü", "a;b"] {
            assert_eq!(accepted(&[id]), None, "{id:?}");
        }
        assert_eq!(accepted(&[]), None);
        assert_eq!(accepted(&["a", "b"]), None, "which of the two?");
        assert_eq!(acceptable([[b'x'; MAX_LEN + 1].as_slice()].into_iter()), None);
    }
}
