//! Arbitrary bytes as a chunked body: the result is the same as a whole and in pieces of any size.

use router::fuzzing;
use router::fuzzing::End;

/// Checks one input. The first byte gives the size of the pieces.
pub fn check(data: &[u8]) {
    let Some((&cut, bytes)) = data.split_first() else { return };
    let (whole, end) = fuzzing::chunked(bytes, bytes.len());
    let (parts, end_of_parts) = fuzzing::chunked(bytes, usize::from(cut));
    assert!(whole.len() <= bytes.len());
    assert_eq!(end, end_of_parts);
    if end == End::Complete {
        assert_eq!(whole, parts);
    } else {
        assert!(whole.starts_with(&parts) || parts.starts_with(&whole));
    }
}
