//! Unusual and malformed requests, sent byte for byte to nginx's `proxy_pass`, to nginx with the module and to the gate.
//!
//! Behind each is a recorder, which records what an application receives. An application behind the module or the gate
//! must not receive a request that nginx's `proxy_pass` would not send, nor a header that it would not send with it.

mod http1;
mod http2;
mod sides;

use sides::Sides;

#[test]
fn http1_requests_reach_apps_as_from_plain_nginx() {
    let cases = http1::cases();
    assert!(cases.len() >= 80, "{} cases", cases.len());
    let mut sides = Sides::start();
    for (name, bytes) in &cases {
        sides.compare(name, bytes, None, |side| side.http1_port);
    }
    sides.agree();
}

#[test]
fn http2_requests_reach_apps_as_from_plain_nginx() {
    let cases = http2::cases();
    assert!(cases.len() >= 25, "{} cases", cases.len());
    let mut sides = Sides::start();
    for (name, bytes) in &cases {
        sides.compare(name, bytes, None, |side| side.http2_port);
    }
    // nginx before 1.27 refuses trailers of a request. Others may ignore them.
    let (without, with) = http2::trailers();
    for bytes in &with {
        sides.compare("trailers", bytes, Some(&without), |side| side.http2_port);
    }
    sides.agree();
}
