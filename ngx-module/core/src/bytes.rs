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

/// Whether one of the bytes passes the test. Blocks are tested as a whole, which the compiler turns into a few
/// instructions; they overlap at the end.
#[inline]
pub(crate) fn contains(bytes: &[u8], test: impl Fn(u8) -> bool) -> bool {
    if let Some(last) = bytes.last_chunk::<16>() {
        let (blocks, _) = bytes.as_chunks::<16>();
        blocks.iter().any(|block| block_contains(block, &test)) || block_contains(last, &test)
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        block_contains(first, &test) || block_contains(last, &test)
    } else {
        bytes.iter().any(|byte| test(*byte))
    }
}

#[inline]
fn block_contains<const N: usize>(block: &[u8; N], test: impl Fn(u8) -> bool) -> bool {
    block.iter().fold(false, |found, byte| found | test(*byte))
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
    use super::*;

    #[test]
    fn a_byte_is_found_wherever_it_is() {
        for len in 0..70 {
            let mut bytes = vec![b'a'; len];
            assert!(!contains(&bytes, |byte| byte == b'\n'), "length {len}");
            for at in 0..len {
                bytes[at] = b'\n';
                assert!(contains(&bytes, |byte| byte == b'\n'), "{at} of {len}");
                bytes[at] = b'a';
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
