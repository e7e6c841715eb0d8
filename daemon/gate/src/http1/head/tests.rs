//! Tests of heads in HTTP/1: what is accepted, and what is refused because another server might read it otherwise.

use bytes::Bytes;
use protocol::request::BodyLength;

use super::super::lines::HeadScanner;
use super::{H1Head, parse};
use crate::http1::body::Framing;

/// Returns the head, or the status with which it is refused; 0 while it is incomplete.
fn read(text: &str) -> Result<H1Head, u16> {
    read_bytes(text.as_bytes())
}

fn read_bytes(bytes: &[u8]) -> Result<H1Head, u16> {
    let whole = HeadScanner::default().scan(bytes);
    // However the bytes are split, the result is the same.
    let mut scanner = HeadScanner::default();
    let mut in_steps = Ok(None);
    for end in 1..=bytes.len() {
        in_steps = scanner.scan(&bytes[..end]);
        if !matches!(in_steps, Ok(None)) {
            break;
        }
    }
    assert_eq!(whole, in_steps, "{}", bytes.escape_ascii());
    match whole {
        Ok(Some(range)) => parse(&Bytes::copy_from_slice(&bytes[range])).map_err(|refused| refused.status),
        Ok(None) => Err(0),
        Err(refused) => Err(refused.status),
    }
}

#[track_caller]
fn refused(text: &str, status: u16) {
    match read(text) {
        Err(other) => assert_eq!(other, status, "{text:?}"),
        Ok(head) => panic!("{text:?} was accepted: {head:?}"),
    }
}

#[test]
fn a_request_is_parsed() {
    let h1 =
        read("\r\nPOST /a/../b%20c?d HTTP/1.1\r\nHost: x.org:80\r\nContent-Length: 3\r\nX:  y \r\n\r\nabc")
            .unwrap();
    assert_eq!(&h1.head.method[..], b"POST");
    assert_eq!(&h1.head.target[..], b"/a/../b%20c?d");
    assert_eq!(h1.head.path, b"/b c");
    assert_eq!(h1.head.host_name(), b"x.org");
    assert_eq!(h1.head.only("x"), Some(&b"y"[..]));
    assert_eq!((h1.framing, h1.head.body), (Framing::Length(3), BodyLength::Known(3)));
    assert!(h1.keep_alive && !h1.expects_continue);
}

#[test]
fn lines_that_another_server_might_end_elsewhere_are_refused() {
    for text in [
        "GET / HTTP/1.1\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n\n",
        "GET / HTTP/1.1\rHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nA: b\rC: d\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n",
        "GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n A: b\r\n\r\n",
        "GET / HTTP/1.1\r\n A: b\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nA\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nA\u{7f}: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nA: b\u{1}\r\n\r\n",
        "\n\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        refused(text, 400);
    }
}

#[test]
fn request_lines_have_one_form() {
    for line in [
        "GET / HTTP/1.1 ",
        "GET  / HTTP/1.1",
        " GET / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / a HTTP/1.1",
        "GET /",
        "GET",
        "GET / http/1.1",
        "GET / HTTP/11",
        "GET / HTTP/1.1x",
        "GET\t/ HTTP/1.1",
        "get / HTTP/1.1",
        "G@T / HTTP/1.1",
        "GET x HTTP/1.1",
        "GET * HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "GET /a#b HTTP/1.1",
        "GET /../x HTTP/1.1",
        "GET /%2e%2e/x HTTP/1.1",
        "GET /%00 HTTP/1.1",
        "GET /%x HTTP/1.1",
        "GET http:///x HTTP/1.1",
        "GET http://a@b/ HTTP/1.1",
        "GET ftp://x/ HTTP/1.1",
        "GET //%2f.. HTTP/1.1x",
    ] {
        refused(&format!("{line}\r\nHost: x\r\n\r\n"), 400);
    }
    for line in ["CONNECT /x HTTP/1.1", "TRACE / HTTP/1.1", "CONNECT x:80 HTTP/1.1"] {
        refused(&format!("{line}\r\nHost: x\r\n\r\n"), 405);
    }
    for version in ["HTTP/2.0", "HTTP/0.9", "HTTP/1.2", "HTTP/3.0"] {
        refused(&format!("GET / {version}\r\nHost: x\r\n\r\n"), 505);
    }
}

#[test]
fn a_request_has_one_host() {
    for headers in [
        "",
        "Host: x\r\nHost: x\r\n",
        "Host:\r\n",
        "Host: a b\r\n",
        "Host: a/b\r\n",
        "Host: a,b\r\n",
        "Host: u@a\r\n",
    ] {
        refused(&format!("GET / HTTP/1.1\r\n{headers}\r\n"), 400);
    }
    assert!(read("GET / HTTP/1.0\r\n\r\n").unwrap().head.host.is_none());
    let absolute = read("GET http://a.org:8080/x?y HTTP/1.1\r\nHost: b.org\r\n\r\n").unwrap().head;
    assert_eq!((&absolute.target[..], absolute.host_name()), (&b"/x?y"[..], &b"a.org"[..]));
}

#[test]
fn a_body_has_one_end() {
    for headers in [
        "Content-Length: 1\r\nContent-Length: 1\r\n",
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length: 1, 1\r\n",
        "Content-Length: +1\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x1\r\n",
        "Content-Length: 1 1\r\n",
        "Content-Length:\r\n",
        "Content-Length: 9223372036854775808\r\n",
        "Content-Length: 99999999999999999999999\r\n",
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    ] {
        refused(&format!("POST / HTTP/1.1\r\nHost: x\r\n{headers}\r\n"), 400);
    }
    for coding in [
        "gzip, chunked",
        "chunked, gzip",
        "identity",
        "xchunked",
        "chunked, chunked",
        "",
        "chunked;a=b",
        "\u{b}chunked",
    ] {
        let status = if coding.starts_with('\u{b}') { 400 } else { 501 };
        refused(&format!("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: {coding}\r\n\r\n"), status);
    }
    refused("POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 400);
    let chunked = read("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n").unwrap();
    assert_eq!(chunked.framing, Framing::Chunked);
}

#[test]
fn lengths_and_counts_are_limited() {
    let long = "x".repeat(9000);
    refused(&format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"), 414);
    refused(&format!("GET /{long}"), 414);
    let header = format!("A: {long}\r\n");
    refused(&format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", header.repeat(4)), 431);
    refused(&format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(200)), 431);
    assert!(read(&format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(199))).is_ok());
    refused("GET / HTTP/1.1\r\nHost: x\r\n", 0);
}

#[test]
fn connections_and_expectations_follow_the_version() {
    let keep = |version: &str, headers: &str| {
        read(&format!("GET / {version}\r\nHost: x\r\n{headers}\r\n")).unwrap().keep_alive
    };
    assert!(keep("HTTP/1.1", ""));
    assert!(!keep("HTTP/1.1", "Connection: x, Close\r\n"));
    assert!(!keep("HTTP/1.0", ""));
    assert!(keep("HTTP/1.0", "Connection: Keep-Alive\r\n"));
    let expects = |version: &str, headers: &str| {
        read(&format!("POST / {version}\r\nHost: x\r\n{headers}\r\n")).map(|h1| h1.expects_continue)
    };
    assert_eq!(expects("HTTP/1.1", "Content-Length: 1\r\nExpect: 100-Continue\r\n"), Ok(true));
    assert_eq!(expects("HTTP/1.1", "Expect: 100-continue\r\n"), Ok(false));
    assert_eq!(expects("HTTP/1.0", "Content-Length: 1\r\nExpect: 100-continue\r\n"), Ok(false));
    assert_eq!(expects("HTTP/1.1", "Expect: everything\r\n"), Err(417));
}

#[test]
fn bytes_that_are_not_text_are_passed_on_as_nginx_does() {
    let head = read_bytes(b"GET /\xe4 HTTP/1.1\r\nHost: x\r\nA: \xff\r\n\r\n").unwrap().head;
    assert_eq!((&head.target[..], head.only("a")), (&b"/\xe4"[..], Some(&b"\xff"[..])));
}
