//! Arbitrary bytes as a request to the admin API: what is complete stays the same whatever follows it.

use router::fuzzing;

/// The first byte says how many of the others come first.
pub fn check(data: &[u8]) {
    let Some((&cut, request)) = data.split_first() else { return };
    let front = &request[..request.len() * usize::from(cut) / 256];
    let (first, whole) = (fuzzing::admin_http(front), fuzzing::admin_http(request));
    match first {
        Ok(None) => {}
        decided => assert_eq!(decided, whole),
    }
    if let Ok(Some((method, path, body))) = whole {
        assert!(method.len() + path.len() + body.len() <= request.len());
        assert!(!path.contains(['?', '\r', '\n', ' ']));
    }
}
