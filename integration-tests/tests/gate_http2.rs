//! HTTP/2 without TLS through the gate, with frames that no ordinary client sends.

use test_support::{Connection, Language};

use crate::gate::OneGate;

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A connection with HTTP/2, frame by frame.
struct H2 {
    connection: Connection,
    stream: u32,
}

/// How a request was answered.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Status(u16),
    Reset,
    Closed,
}

impl H2 {
    fn open(setup: &OneGate) -> Self {
        let mut connection = setup.gate.connect();
        connection.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").send(frame(SETTINGS, 0, 0, b""));
        Self { connection, stream: 1 }
    }

    /// Sends a request with these headers and an optional body.
    fn ask(&mut self, headers: &[(&str, &str)], body: Option<&[u8]>) -> Answer {
        let block: Vec<u8> = headers.iter().flat_map(|(name, value)| literal(name, value)).collect();
        let flags = END_HEADERS | if body.is_none() { END_STREAM } else { 0 };
        let mut bytes = frame(HEADERS, flags, self.stream, &block);
        if let Some(body) = body {
            bytes.extend_from_slice(&frame(0, END_STREAM, self.stream, body));
        }
        if self.connection.try_send(&bytes).is_err() {
            return Answer::Closed;
        }
        self.stream += 2;
        self.answer()
    }

    fn answer(&mut self) -> Answer {
        loop {
            let head = self.connection.read_exact(9);
            let len = usize::from(head[1]) << 8 | usize::from(head[2]);
            let payload = self.connection.read_exact(len);
            match head[3] {
                HEADERS => return Answer::Status(status(&payload)),
                RST_STREAM => return Answer::Reset,
                GOAWAY => return Answer::Closed,
                _ => {}
            }
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u32).to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header without compression.
fn literal(name: &str, value: &str) -> Vec<u8> {
    [&[0, name.len() as u8], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat()
}

/// The status at the begin of a response's headers: an entry of the static table, or digits as a literal.
fn status(block: &[u8]) -> u16 {
    match block {
        [0x88, ..] => 200,
        [0x8c, ..] => 400,
        [0x8d, ..] => 404,
        [0x8e, ..] => 500,
        // A literal with an indexed name, in Huffman's code.
        [0x48, 0x83, 0x68, 0x0d, 0xff, ..] => 405,
        other => panic!("not a known status: {other:x?}"),
    }
}

const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":path", "/pid"), (":authority", "a.org")];

fn with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&GET[..], more].concat()
}

fn replaced<'a>(name: &str, value: &'a str) -> Vec<(&'a str, &'a str)> {
    GET.iter().map(|(other, old)| if *other == name { (*other, value) } else { (*other, *old) }).collect()
}

fn without(name: &str) -> Vec<(&'static str, &'static str)> {
    GET.iter().copied().filter(|(other, _)| *other != name).collect()
}

#[test]
fn ordinary_requests_are_answered() {
    let setup = OneGate::of(Language::Ruby);
    let mut client = H2::open(&setup);
    assert_eq!(client.ask(&GET, None), Answer::Status(200));
    assert_eq!(
        client.ask(&with(&[("te", "trailers"), ("cookie", "a=1"), ("cookie", "b=2")]), None),
        Answer::Status(200)
    );
    let post = [(":method", "POST"), (":scheme", "http"), (":path", "/echo"), (":authority", "a.org")];
    assert_eq!(client.ask(&post, Some(b"body")), Answer::Status(200));
    assert_eq!(
        client.ask(&[&post[..], &[("content-length", "4")]].concat(), Some(b"body")),
        Answer::Status(200)
    );
    assert_eq!(client.ask(&with(&[("host", "a.org")]), None), Answer::Status(200));
    let host_only = [&without(":authority")[..], &[("host", "a.org")]].concat();
    assert_eq!(client.ask(&host_only, None), Answer::Status(200));
}

#[test]
fn unusual_requests_are_refused() {
    let setup = OneGate::of(Language::Ruby);
    let refused: Vec<(&str, Vec<(&str, &str)>)> = vec![
        ("no method", without(":method")),
        ("no path", without(":path")),
        ("no scheme", without(":scheme")),
        ("no authority", without(":authority")),
        ("two paths", with(&[(":path", "/x")])),
        ("an unknown pseudo-header", with(&[(":foo", "x")])),
        ("a pseudo-header of responses", with(&[(":status", "200")])),
        ("a pseudo-header after others", [&[("x", "y")], &GET[..]].concat()),
        ("an empty path", replaced(":path", "")),
        ("a path without a slash", replaced(":path", "pid")),
        ("a path above the root", replaced(":path", "/../pid")),
        ("an escaped NUL", replaced(":path", "/%00")),
        ("a space in the path", replaced(":path", "/a b")),
        ("a line break in the path", replaced(":path", "/a\r\nx: y")),
        ("an asterisk", replaced(":path", "*")),
        ("CONNECT", replaced(":method", "CONNECT")),
        ("TRACE", replaced(":method", "TRACE")),
        ("a lower-case method", replaced(":method", "get")),
        ("a space in the method", replaced(":method", "GET /x HTTP/1.1")),
        ("another scheme", replaced(":scheme", "ftp")),
        ("a user in the authority", replaced(":authority", "u@a.org")),
        ("a path in the authority", replaced(":authority", "a.org/x")),
        ("another host", with(&[("host", "b.org")])),
        ("two hosts", with(&[("host", "a.org"), ("host", "a.org")])),
        ("connection", with(&[("connection", "close")])),
        ("transfer-encoding", with(&[("transfer-encoding", "chunked")])),
        ("upgrade", with(&[("upgrade", "websocket")])),
        ("keep-alive", with(&[("keep-alive", "5")])),
        ("proxy-connection", with(&[("proxy-connection", "close")])),
        ("te", with(&[("te", "gzip")])),
        ("an upper-case name", with(&[("X-Upper", "x")])),
        ("a space in a name", with(&[("x y", "z")])),
        ("an empty name", with(&[("", "z")])),
        ("a line break in a value", with(&[("x", "a\r\nb: c")])),
        ("a NUL in a value", with(&[("x", "a\0")])),
        ("a length that is not a number", with(&[("content-length", "x")])),
        ("two lengths", with(&[("content-length", "0"), ("content-length", "1")])),
        ("a length without a body", with(&[("content-length", "5")])),
    ];
    for (what, headers) in refused {
        let mut client = H2::open(&setup);
        let answer = client.ask(&headers, None);
        let is_refused = matches!(answer, Answer::Reset | Answer::Closed | Answer::Status(400 | 405));
        assert!(is_refused, "{what}: {answer:?}");
    }
    setup.gate.get("/pid").expect(200);
}

#[test]
fn a_body_that_is_not_as_long_as_announced_is_not_completed() {
    let setup = OneGate::of(Language::Ruby);
    let headers = |length| {
        [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/hash"),
            (":authority", "a"),
            ("content-length", length),
        ]
    };
    for (length, body) in [("3", &b"body"[..]), ("5", b"body")] {
        let answer = H2::open(&setup).ask(&headers(length), Some(body));
        assert!(!matches!(answer, Answer::Status(200)), "{length}: {answer:?}");
    }
}

#[test]
fn rapid_resets_end_the_connection() {
    let setup = OneGate::of(Language::Ruby);
    setup.app_pid();
    let mut client = H2::open(&setup);
    let block: Vec<u8> = GET.iter().flat_map(|(name, value)| literal(name, value)).collect();
    for turn in 0..20_000_u32 {
        let stream = 1 + 2 * turn;
        let bytes = [
            frame(HEADERS, END_HEADERS | END_STREAM, stream, &block),
            frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()),
        ];
        if client.connection.try_send(&bytes.concat()).is_err() {
            break;
        }
    }
    setup.gate.get("/pid").expect(200);
}
