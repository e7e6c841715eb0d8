//! Arbitrary bytes as a chunked body: the decoder of whole lines and the one that keeps nothing read the same.

use router::fuzzing;
use router::fuzzing::End;

/// The first byte says how the others are cut.
pub fn check(data: &[u8]) {
    let Some((&cut, bytes)) = data.split_first() else { return };
    let (whole, end) = fuzzing::chunked(bytes);
    let (parts, end_of_parts) = fuzzing::chunked_parts(bytes, usize::from(cut));
    assert!(whole.len() <= bytes.len());
    assert_eq!(end, end_of_parts);
    if end == End::Complete {
        assert_eq!(whole, parts);
    } else {
        assert!(whole.starts_with(&parts) || parts.starts_with(&whole));
    }
}
