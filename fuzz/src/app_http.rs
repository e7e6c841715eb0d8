//! Arbitrary bytes as an application's HTTP response: the result does not depend on how the bytes are split.

use protocol::pairs::Pairs;
use router::fuzzing;
use router::fuzzing::{End, Response};

/// Checks one input. The first byte gives the size of the pieces; its two highest bits, whether the request was a HEAD
/// request and whether it asked for an upgrade.
pub fn check(data: &[u8]) {
    let Some((&first, answer)) = data.split_first() else { return };
    let (cut, to_head_request, upgrade) = (usize::from(first & 0x3f), first & 0x80 != 0, first & 0x40 != 0);
    let whole = fuzzing::app_http(answer, answer.len(), to_head_request, upgrade);
    check_same(&whole, &fuzzing::app_http(answer, cut, to_head_request, upgrade));
}

/// Asserts that both were read from the same bytes.
pub(crate) fn check_same(whole: &Response, pieces: &Response) {
    for (status, headers) in whole.heads.iter().chain(&pieces.heads) {
        assert!((100..=999).contains(status));
        let headers = Pairs::parse(headers).expect("headers are pairs");
        for (name, value) in headers.iter() {
            assert!(!name.is_empty() && !name.contains(&b':'));
            assert!(!value.iter().any(|byte| b"\r\n\0".contains(byte)), "a header contains a line break");
        }
    }
    match (&whole.end, &pieces.end) {
        // An error in a head is found when the head is read, which may be later. What was passed on before depends on
        // the pieces.
        (End::Refused(_), End::Refused(_) | End::Incomplete) => {
            assert!(whole.body.starts_with(&pieces.body) || pieces.body.starts_with(&whole.body));
        }
        _ => assert_eq!(whole, pieces),
    }
}
