//! Arbitrary bytes as a request to the admin API: a complete request is read the same whatever bytes follow it.

use router::fuzzing;

/// Checks one input. The first byte is the share of the others that arrive first, in 256ths.
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
