//! Arbitrary bytes as a client of the gate that no proxy is trusted to describe: what the daemon receives is a request
//! that applications can read in one way only.

use protocol::frame::HEADER_LEN;
use protocol::request::{BodyLength, PROTOCOL, Request};

/// Headers about a connection, and those that strangers must not choose.
const WITHHELD: [&[u8]; 15] = [
    b"connection",
    b"expect",
    b"forwarded",
    b"http2-settings",
    b"keep-alive",
    b"proxy",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-proto",
    b"x-forwarded-user",
    b"x-real-ip",
];

/// Reads the bytes as what a client sends on one connection.
pub fn check(data: &[u8]) {
    for received in gate::fuzzing::requests_of(data) {
        let Ok(request) = Request::decode(&received.frame[HEADER_LEN..]) else {
            panic!("the gate encodes a request that the daemon refuses");
        };
        check_head(&request);
        let (sent, is_complete) = (received.body.len() as u64, received.is_complete);
        match request.head.body {
            BodyLength::None => assert!(sent == 0 && is_complete),
            BodyLength::Known(length) => assert!(sent <= length && is_complete == (sent == length)),
            BodyLength::Unknown => {}
        }
    }
}

/// Returns how many requests the bytes contain.
pub fn count(data: &[u8]) -> usize {
    gate::fuzzing::requests_of(data).len()
}

fn check_head(request: &Request<'_>) {
    let head = &request.head;
    assert!(head.method.iter().all(|byte| byte.is_ascii_uppercase() || b"-_".contains(byte)));
    assert!(head.uri.starts_with(b"/") && head.uri.iter().all(|byte| *byte > b' ' && *byte != 0x7f));
    let (mut hosts, mut lengths) = (0, 0);
    for (name, value) in request.headers.iter().filter(|(name, _)| *name != PROTOCOL) {
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        assert!(name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-'));
        assert!(!value.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n')));
        assert!(!WITHHELD.iter().any(|withheld| is(withheld)), "{}", name.escape_ascii());
        assert!(!is(b"upgrade") || (head.upgrade && value.eq_ignore_ascii_case(b"websocket")));
        hosts += usize::from(is(b"host"));
        if is(b"content-length") {
            lengths += 1;
            assert!(matches!(head.body, BodyLength::Known(length) if length.to_string().as_bytes() == value));
        }
    }
    assert!(hosts <= 1 && lengths <= 1);
}
