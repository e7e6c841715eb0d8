//! Checks of bytes that every request needs: characters of header names, bytes that a header may not contain, numbers
//! as text. They allocate nothing.

/// For each byte the lower-case character if it is allowed in the name of a header, otherwise 0.
pub const NAME_IN_LOWER_CASE: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let character = byte as u8;
        if character.is_ascii_alphanumeric() {
            table[byte] = character.to_ascii_lowercase();
        }
        byte += 1;
    }
    let others = b"!#$%&'*+-.^_`|~";
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = others[at];
        at += 1;
    }
    table
};

const LOWEST_BITS: u64 = u64::from_ne_bytes([1; 8]);
const HIGHEST_BITS: u64 = u64::from_ne_bytes([0x80; 8]);

/// Whether one of the bytes is one of `wanted`. Eight are compared at a time, the last of them overlapping those before.
#[inline]
pub(crate) fn contains<const N: usize>(bytes: &[u8], wanted: [u8; N]) -> bool {
    if let Some(last) = bytes.last_chunk::<8>() {
        let (words, _) = bytes.as_chunks::<8>();
        words.iter().chain([last]).any(|word| word_contains(u64::from_ne_bytes(*word), wanted))
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let halves = u64::from(u32::from_ne_bytes(*first)) << 32 | u64::from(u32::from_ne_bytes(*last));
        word_contains(halves, wanted)
    } else {
        bytes.iter().any(|byte| wanted.contains(byte))
    }
}

/// Where a byte is equal, the difference is zero, which is the only byte from which a borrow reaches its highest bit
/// without that bit having been set. A byte above an equal one may be reported, too, which changes nothing.
#[inline]
fn word_contains<const N: usize>(word: u64, wanted: [u8; N]) -> bool {
    wanted.iter().fold(false, |found, byte| {
        let difference = word ^ (LOWEST_BITS * u64::from(*byte));
        found | (difference.wrapping_sub(LOWEST_BITS) & !difference & HIGHEST_BITS != 0)
    })
}

/// Most digits of a number of 64 bits.
const DIGITS: usize = 20;

/// A number in decimal.
#[derive(Debug)]
pub struct Decimal {
    digits: [u8; DIGITS],
    start: usize,
}

impl Decimal {
    /// Returns the digits of a number.
    pub fn of(mut number: u64) -> Self {
        let mut digits = [b'0'; DIGITS];
        let mut start = DIGITS;
        for at in (0..DIGITS).rev() {
            digits[at] = b'0' + (number % 10) as u8;
            number /= 10;
            start = at;
            if number == 0 {
                break;
            }
        }
        Self { digits, start }
    }
}

impl AsRef<[u8]> for Decimal {
    fn as_ref(&self) -> &[u8] {
        self.digits.get(self.start..).unwrap_or_default()
    }
}

/// Longest [`ShortText`], in bytes.
const SHORT: usize = 64;

/// A text without memory of its own.
#[derive(Debug, Clone, Copy)]
pub struct ShortText {
    bytes: [u8; SHORT],
    len: usize,
}

impl ShortText {
    /// Joins the parts; what exceeds 64 bytes is cut.
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut text = Self { bytes: [0; SHORT], len: 0 };
        for part in parts {
            let part = part.get(..SHORT - text.len).unwrap_or(part);
            if let Some(to) = text.bytes.get_mut(text.len..text.len + part.len()) {
                to.copy_from_slice(part);
                text.len += part.len();
            }
        }
        text
    }
}

impl AsRef<[u8]> for ShortText {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_byte_is_found_wherever_it_is() {
        for filler in [b'a', 0x0b, 1, 0x7f, 0x80, 0x8a, 0xff] {
            for len in 0..40 {
                let mut bytes = vec![filler; len];
                assert!(!contains(&bytes, [b'\r', b'\n', 0]), "length {len} of {filler}");
                for at in 0..len {
                    for wanted in [b'\r', b'\n', 0] {
                        bytes[at] = wanted;
                        assert!(contains(&bytes, [b'\r', b'\n', 0]), "{at} of {len}");
                    }
                    bytes[at] = filler;
                }
            }
        }
    }

    proptest! {
        #[test]
        fn bytes_are_found_as_by_the_standard_library(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            for wanted in 0..=u8::MAX {
                prop_assert_eq!(contains(&bytes, [wanted]), bytes.contains(&wanted));
            }
        }
    }

    #[test]
    fn numbers_are_written_as_by_the_standard_library() {
        for number in [0, 1, 9, 10, 99, 100, 1_700_000_000_123, u64::MAX - 1, u64::MAX] {
            assert_eq!(Decimal::of(number).as_ref(), number.to_string().as_bytes());
        }
    }

    #[test]
    fn a_short_text_joins_its_parts_and_is_cut() {
        assert_eq!(ShortText::of(&[b"t=", b"", b"17"]).as_ref(), b"t=17");
        assert_eq!(ShortText::of(&[]).as_ref(), b"");
        let long = [b'a'; SHORT - 1];
        assert_eq!(ShortText::of(&[&long, b"bc", b"d"]).as_ref(), [&long[..], b"b"].concat());
    }

    #[test]
    fn names_consist_of_the_characters_of_http() {
        for byte in 0..=u8::MAX {
            let is_allowed = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            let lower = if is_allowed { byte.to_ascii_lowercase() } else { 0 };
            assert_eq!(NAME_IN_LOWER_CASE[usize::from(byte)], lower, "{byte}");
        }
    }
}
