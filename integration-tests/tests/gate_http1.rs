//! Unusual requests in HTTP/1 through the gate: what is ambiguous is refused, and what is passed on is framed once.

use test_support::{Connection, Language, Request};

use crate::gate::OneGate;

/// Requests that are refused, each with the status.
const REFUSED: [(&str, u16); 48] = [
    ("GET / HTTP/1.1\nHost: a\n\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: y\rZ: w\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: y\0\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n folded\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\tfolded\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\n folded: first\r\nHost: a\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nNo colon\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\n: no name\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nX(y): z\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a:80x\r\n\r\n", 400),
    ("GET http://a@b/ HTTP/1.1\r\nHost: b\r\n\r\n", 400),
    ("GET http:///x HTTP/1.1\r\nHost: b\r\n\r\n", 400),
    ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
    ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /\r\n\r\n", 400),
    ("GET\r\n\r\n", 400),
    ("get / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("G{T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 405),
    ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /../x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /a/%2e%2e/%2e%2e HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /%g1 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /\u{7f} HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1,1\r\n\r\nx", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\nx", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
        400,
    ),
    ("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nExpect: magic\r\nContent-Length: 1\r\n\r\nx", 417),
];

#[test]
fn ambiguous_requests_are_refused_and_the_connection_is_closed() {
    let setup = OneGate::of(Language::Ruby);
    for (bytes, status) in REFUSED {
        let mut client = setup.gate.connect();
        // What follows must not be taken for a request.
        client.send([bytes.as_bytes(), b"GET /exit HTTP/1.1\r\nHost: a\r\n\r\n"].concat());
        let response = client.read_response();
        assert_eq!(response.status(), status, "{bytes:?}");
        assert_eq!(response.header("Connection"), Some("close"), "{bytes:?}");
        assert_eq!(client.read_to_end(), b"", "{bytes:?}");
    }
    setup.gate.get("/pid").expect(200);
}

/// Sends a request and returns the environment that the app saw.
fn seen(setup: &OneGate, bytes: &str) -> serde_json::Value {
    let mut client = setup.gate.connect();
    client.send(bytes);
    client.read_response().expect(200).json()
}

#[test]
fn headers_about_the_connection_do_not_reach_the_app() {
    let setup = OneGate::of(Language::Ruby);
    let env = seen(
        &setup,
        "GET /env HTTP/1.1\r\nHost: a\r\nConnection: close, X-Hop, Host, Cookie\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n\
         TE: trailers\r\nTrailer: X\r\nProxy: http://evil/\r\nProxy-Connection: x\r\nUpgrade: h2c\r\n\
         HTTP2-Settings: x\r\nX_Under: 1\r\nX.Dot: 1\r\nX-Forwarded-User: root\r\nX_Forwarded_User: root\r\n\
         Cookie: a=1\r\nX-Kept: yes\r\n\r\n",
    );
    let names = [
        "CONNECTION",
        "X_HOP",
        "KEEP_ALIVE",
        "TE",
        "TRAILER",
        "PROXY",
        "PROXY_CONNECTION",
        "UPGRADE",
        "HTTP2_SETTINGS",
        "X_UNDER",
        "X_DOT",
        "X_FORWARDED_USER",
        "COOKIE",
        "TRANSFER_ENCODING",
    ];
    for name in names {
        assert!(env[format!("HTTP_{name}")].is_null(), "{name}: {env}");
    }
    assert_eq!((&env["HTTP_X_KEPT"], &env["HTTP_HOST"]), (&"yes".into(), &"a".into()));
}

#[test]
fn targets_reach_the_app_as_the_client_wrote_them() {
    let setup = OneGate::of(Language::Ruby);
    for (target, seen_as) in
        [("/env?a=%2f&b=..", "/env?a=%2f&b=.."), ("http://b.example/env?x", "/env?x"), ("/./env", "/./env")]
    {
        let mut client = setup.gate.connect();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
        let response = client.read_response();
        if response.status() == 200 {
            let env = response.json();
            assert_eq!(env["REQUEST_URI"], seen_as);
            let host = if target.starts_with("http") { "b.example" } else { "a" };
            assert_eq!(env["HTTP_HOST"], host);
        }
    }
}

#[test]
fn requests_in_one_write_are_answered_in_order() {
    let setup = OneGate::of(Language::Node);
    let mut client = setup.gate.connect();
    let chunked = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: x\r\n\r\n";
    let bytes = [
        chunked.as_bytes(),
        &Request::post("/echo", "second").bytes("keep-alive"),
        &Request::get("/pid").bytes("close"),
    ]
    .concat();
    for part in bytes.chunks(7) {
        client.send(part);
    }
    assert_eq!(client.read_response().expect(200).text(), "abcde");
    assert_eq!(client.read_response().expect(200).text(), "second");
    client.read_response().expect(200);
    assert_eq!(client.read_to_end(), b"");
}

#[test]
fn an_invalid_chunk_ends_the_request() {
    let setup = OneGate::of(Language::Ruby);
    for body in [
        "3\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "\r\n",
        "fffffffffffffffff\r\n",
    ] {
        let mut client = setup.gate.connect();
        client.send(format!("POST /hash HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}GET /exit HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(client.read_response().status(), 400, "{body:?}");
        assert_eq!(client.read_to_end(), b"", "{body:?}");
    }
    setup.gate.get("/pid").expect(200);
}

fn awaits_continue(client: &mut Connection, length: &str) {
    client.send(format!("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n{length}\r\n\r\n"));
    let head = client.read_head();
    assert_eq!(head.status, 100);
}

#[test]
fn a_client_that_waits_is_told_to_send_its_body() {
    let setup = OneGate::of(Language::Python);
    let mut client = setup.gate.connect();
    awaits_continue(&mut client, "Content-Length: 3");
    client.send("abc");
    assert_eq!(client.read_response().expect(200).text(), "abc");
    awaits_continue(&mut client, "Transfer-Encoding: chunked");
    client.send("3\r\nxyz\r\n0\r\n\r\n");
    assert_eq!(client.read_response().expect(200).text(), "xyz");
    // An unknown host is answered without the body, and the connection is closed.
    let other = OneGate::with(Language::Python, "hosts = [\"b\"]", "");
    let mut client = other.gate.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    assert_eq!(client.read_response().status(), 404);
    assert_eq!(client.read_to_end(), b"");
}

#[test]
fn old_clients_get_bodies_that_end_with_the_connection() {
    let setup = OneGate::of(Language::Ruby);
    setup.test_dir.open_gate("g");
    let mut client = setup.gate.connect();
    client.send("GET /stream?name=g HTTP/1.0\r\n\r\n");
    let response = client.read_response().expect(200);
    assert_eq!((response.header("Connection"), response.header("Transfer-Encoding")), (Some("close"), None));
    let mut client = setup.gate.connect();
    client.send("GET /pid HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(client.read_response().expect(200).header("Connection"), Some("keep-alive"));
    client.send("GET /pid HTTP/1.0\r\n\r\n");
    client.read_response().expect(200);
}
