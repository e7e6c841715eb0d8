//! Who the client is: trusted proxies, PROXY headers, and what others may not claim.

use test_support::{Language, Request};

use crate::gate::OneGate;

fn env(setup: &OneGate, request: Request) -> serde_json::Value {
    setup.gate.send(request).expect(200).json()
}

fn claims() -> Request {
    Request::get("/env")
        .header("X-Forwarded-For", "203.0.113.9, 198.51.100.7")
        .header("X-Forwarded-Proto", "https")
        .header("X-Forwarded-Host", "shop.example")
        .header("X-Forwarded-User", "admin")
        .header("X-Real-IP", "203.0.113.9")
}

#[test]
fn what_strangers_claim_does_not_reach_the_app() {
    let setup = OneGate::of(Language::Ruby);
    let env = env(&setup, claims().header("Forwarded", "for=203.0.113.9;proto=https"));
    assert_eq!(env["REMOTE_ADDR"], "127.0.0.1");
    assert!(env["HTTPS"].is_null());
    assert_eq!(env["HTTP_HOST"], "localhost");
    for name in [
        "HTTP_X_FORWARDED_FOR",
        "HTTP_X_FORWARDED_PROTO",
        "HTTP_X_FORWARDED_HOST",
        "HTTP_X_FORWARDED_USER",
        "HTTP_X_REAL_IP",
        "HTTP_FORWARDED",
        "HTTPS",
    ] {
        assert!(env[name].is_null(), "{name}: {}", env[name]);
    }
    setup.gate.logs_eventually("ignored X-Forwarded-Proto of 127.0.0.1: it is not in trusted_proxies");
}

#[test]
fn without_forwarded_host_the_header_host_decides() {
    let setup = OneGate::with(Language::Ruby, "", "trusted_proxies = [\"127.0.0.1\"]");
    let answer = env(&setup, claims().header("X-Forwarded-Port", "666"));
    assert_eq!(answer["HTTP_HOST"], "localhost");
    for name in ["HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PORT"] {
        assert!(answer[name].is_null(), "{name}: {}", answer[name]);
    }
}

#[test]
fn a_trusted_proxy_names_address_scheme_and_host() {
    let setup = OneGate::with(
        Language::Ruby,
        "",
        "trusted_proxies = [\"127.0.0.0/8\", \"198.51.100.0/24\"]\nforwarded_host = true",
    );
    let answer = env(&setup, claims().header("Forwarded", "for=192.0.2.66"));
    assert_eq!(answer["REMOTE_ADDR"], "203.0.113.9");
    assert_eq!(answer["HTTPS"], "on");
    assert_eq!(answer["HTTP_HOST"], "shop.example");
    assert_eq!(answer["HTTP_X_FORWARDED_FOR"], "203.0.113.9, 198.51.100.7");
    assert_eq!(answer["HTTP_X_FORWARDED_PROTO"], "https");
    assert!(answer["HTTP_X_FORWARDED_USER"].is_null());
    assert!(answer["HTTP_FORWARDED"].is_null(), "it may be the client's");
    let standard = Request::get("/env")
        .header("Forwarded", "for=192.0.2.66, for=\"[2001:db8::1]:99\";proto=https;host=a.b");
    let answer = env(&setup, standard);
    assert_eq!(answer["REMOTE_ADDR"], "2001:db8::1");
    assert_eq!((&answer["HTTP_HOST"], &answer["HTTPS"]), (&"a.b".into(), &"on".into()));
}

#[test]
fn addresses_left_of_the_first_stranger_are_not_believed() {
    let setup = OneGate::with(Language::Ruby, "", "trusted_proxies = [\"127.0.0.1\"]");
    let answer = env(&setup, Request::get("/env").header("X-Forwarded-For", "10.0.0.1, 192.0.2.5"));
    assert_eq!(answer["REMOTE_ADDR"], "192.0.2.5");
    for broken in ["10.0.0.1, unknown", "nonsense", "", "10.0.0.1,"] {
        let answer = env(&setup, Request::get("/env").header("X-Forwarded-For", broken));
        assert_eq!(answer["REMOTE_ADDR"], "127.0.0.1", "{broken}");
    }
    let answer = env(&setup, Request::get("/env").header("X-Forwarded-Host", "evil host/"));
    assert_eq!(answer["HTTP_HOST"], "localhost");
}

/// A header of version 2 for a client at 192.0.2.8:4711 that uses TLS.
fn proxy_header() -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11".to_vec();
    let addresses = [192, 0, 2, 8, 127, 0, 0, 1, 0x12, 0x67, 0, 80];
    let tls = [0x20, 0, 5, 1, 0, 0, 0, 0];
    header.extend_from_slice(&(20_u16).to_be_bytes());
    header.extend_from_slice(&addresses);
    header.extend_from_slice(&tls);
    header
}

#[test]
fn a_proxy_header_names_the_client() {
    let setup = OneGate::with(Language::Ruby, "", "proxy_protocol = true\ntrusted_proxies = [\"127.0.0.1\"]");
    let mut client = setup.gate.connect();
    // However it is split.
    let bytes =
        [proxy_header(), Request::get("/env").header("X-Forwarded-For", "10.1.1.1").bytes("keep-alive")]
            .concat();
    client.send(&bytes[..5]);
    client.send(&bytes[5..20]);
    client.send(&bytes[20..]);
    let answer = client.read_response().expect(200).json();
    assert_eq!((&answer["REMOTE_ADDR"], &answer["REMOTE_PORT"]), (&"192.0.2.8".into(), &"4711".into()));
    assert_eq!(answer["HTTPS"], "on");
    assert!(answer["HTTP_X_FORWARDED_FOR"].is_null(), "the client is no proxy");
    client.send(Request::get("/env").bytes("close"));
    assert_eq!(client.read_response().expect(200).json()["REMOTE_ADDR"], "192.0.2.8");
}

#[test]
fn connections_without_a_proxy_header_are_closed() {
    let setup = OneGate::with(Language::Ruby, "", "proxy_protocol = true\ntrusted_proxies = [\"127.0.0.1\"]");
    for (bytes, why) in [
        (
            &b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
            "has version 1, and only version 2",
        ),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "does not begin with a PROXY header"),
    ] {
        let mut client = setup.gate.connect();
        client.send(bytes);
        assert_eq!(client.read_to_end(), b"");
        setup.gate.logs_eventually(why);
    }
    let other = OneGate::with(Language::Ruby, "", "proxy_protocol = true\ntrusted_proxies = [\"192.0.2.1\"]");
    let mut client = other.gate.connect();
    client.send(proxy_header());
    assert_eq!(client.read_to_end(), b"");
    other.gate.logs_eventually("it is not in trusted_proxies, and proxy_protocol is on");
}
