//! Arbitrary bytes as an application's response in the session protocol.

use router::fuzzing;

use crate::app_http::check_same;

/// Checks one input. The first byte gives the size of the pieces; its highest bit, whether the request was a HEAD
/// request.
pub fn check(data: &[u8]) {
    let Some((&first, answer)) = data.split_first() else { return };
    let (cut, to_head_request) = (usize::from(first & 0x7f), first & 0x80 != 0);
    let whole = fuzzing::app_session(answer, answer.len(), to_head_request);
    check_same(&whole, &fuzzing::app_session(answer, cut, to_head_request));
}
