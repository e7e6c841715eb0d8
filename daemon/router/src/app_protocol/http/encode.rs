//! Requests from nginx encoded as HTTP/1.1 for the app.

use std::io::Write;

use protocol::request::{AppKind, BodyLength, Request};

use crate::app_protocol::decimal::put_decimal;

/// Appends request line and headers to `out`. The URI keeps its base URI, where the app is mounted, unless the base is
/// to be stripped: then it is in a header.
pub(crate) fn write_request(request: &Request<'_>, strips_base: bool, out: &mut Vec<u8>) {
    let head = &request.head;
    let stripped = if strips_base { without_base(head.uri, head.base_uri) } else { None };
    put(out, &[head.method, b" "]);
    match stripped {
        Some(rest) => put(out, &[if rest.starts_with(b"/") { b"" } else { b"/" }, rest]),
        None => put(out, &[head.uri]),
    }
    put(out, &[b" HTTP/1.1\r\n"]);
    if stripped.is_some() {
        put(out, &[PREFIX, b": ", head.base_uri, b"\r\n"]);
    }
    let mut has_host = false;
    for (name, value) in request.headers {
        has_host |= name.eq_ignore_ascii_case(b"host");
        let is_prefix = stripped.is_some() && name.eq_ignore_ascii_case(PREFIX);
        if !is_ours(name) && !is_prefix {
            put(out, &[name, b": ", value, b"\r\n"]);
        }
    }
    if !has_host {
        out.extend_from_slice(DEFAULT_HOST);
    }
    write_connection(request, out);
    write_client(request, out);
    match head.body {
        BodyLength::None => {}
        BodyLength::Known(length) => {
            out.extend_from_slice(b"content-length: ");
            put_decimal(length, out);
            out.extend_from_slice(b"\r\n");
        }
        BodyLength::Unknown => put(out, &[b"transfer-encoding: chunked\r\n"]),
    }
    out.extend_from_slice(b"\r\n");
}

/// For a client of HTTP/1.0 that sent no host: Node.js and Go reject a request of HTTP/1.1 without one. `SERVER_NAME`
/// is the same then.
const DEFAULT_HOST: &[u8] = b"host: localhost\r\n";

/// The header with the app's mount point, if the URI does not contain it.
const PREFIX: &[u8] = b"x-forwarded-prefix";

/// Returns what follows the base URI: nothing, a path or a query. `None` if the URI does not begin with it literally.
fn without_base<'u>(uri: &'u [u8], base: &[u8]) -> Option<&'u [u8]> {
    let rest = uri.strip_prefix(base).filter(|_| !base.is_empty())?;
    matches!(rest.first(), None | Some(b'/' | b'?')).then_some(rest)
}

/// Appends the line before a chunk of `len` bytes. A chunk ends with CR LF.
pub(crate) fn write_chunk_head(len: usize, out: &mut Vec<u8>) {
    // Writing to a vector cannot fail.
    let _ = write!(out, "{len:x}\r\n");
}

/// A server of HTTP/1.1 keeps the connection without being asked; one of HTTP/1.0 must be. Node.js is the former, and
/// would only parse the header.
fn write_connection(request: &Request<'_>, out: &mut Vec<u8>) {
    let asked = request.head.upgrade.then(|| request.headers.get(b"upgrade"));
    match asked.flatten() {
        Some(protocol) => put(out, &[b"connection: upgrade\r\nupgrade: ", protocol, b"\r\n"]),
        None if matches!(request.head.app.kind, AppKind::Node | AppKind::Meteor) => {}
        None => out.extend_from_slice(b"connection: keep-alive\r\n"),
    }
}

/// Keeps the client's own `X-Forwarded-For`; the address that nginx saw follows as a separate header.
fn write_client(request: &Request<'_>, out: &mut Vec<u8>) {
    let head = &request.head;
    if !head.remote_addr.is_empty() {
        put(out, &[b"x-forwarded-for: ", head.remote_addr, b"\r\n"]);
    }
    if head.https {
        out.extend_from_slice(b"x-forwarded-proto: https\r\n");
    }
    if !head.remote_user.is_empty() {
        put(out, &[b"x-forwarded-user: ", head.remote_user, b"\r\n"]);
    }
}

/// Whether a header is written here, whatever the client sent. Users that nginx authenticated are named by nginx only.
fn is_ours(name: &[u8]) -> bool {
    let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
    let is_written_here = match name.len() {
        2 => is(b"te"),
        6 => is(b"expect"),
        7 => is(b"upgrade"),
        10 => is(b"connection") || is(b"keep-alive"),
        14 => is(b"content-length"),
        16 => is(b"x-forwarded-user"),
        17 => is(b"transfer-encoding"),
        _ => false,
    };
    // A name that begins with ':' is not a header: see `protocol::request::PROTOCOL`.
    is_written_here || name.starts_with(b":")
}

fn put(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use protocol::pairs::{self, Pairs};
    use protocol::request::{AppRef, RequestHead};
    use protocol::settings::Digest;

    use super::*;

    fn written(change: impl FnOnce(&mut RequestHead<'_>), headers: &[(&str, &str)]) -> String {
        written_as(false, change, headers)
    }

    fn written_as(
        strips_base: bool,
        change: impl FnOnce(&mut RequestHead<'_>),
        headers: &[(&str, &str)],
    ) -> String {
        let mut block = Vec::new();
        for (name, value) in headers {
            pairs::put(&mut block, name.as_bytes(), value.as_bytes());
        }
        let mut head = RequestHead {
            settings_digest: Digest::default(),
            settings_len: 0,
            app: AppRef { group: b"g", root: b"/a", kind: AppKind::Node, start_command: b"" },
            method: b"POST",
            uri: b"/base/x?y",
            base_uri: b"/base",
            document_root: b"",
            remote_addr: b"192.0.2.1",
            remote_port: 7,
            remote_user: b"",
            server_software: b"nginx",
            https: false,
            upgrade: false,
            started_ms: 0,
            body: BodyLength::None,
        };
        change(&mut head);
        let mut out = Vec::new();
        write_request(
            &Request { head, settings: b"", headers: Pairs::parse(&block).unwrap() },
            strips_base,
            &mut out,
        );
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn framing_headers_of_the_client_are_replaced() {
        let client =
            [("Host", "h"), ("Content-Length", "9"), ("Transfer-Encoding", "chunked"), ("Connection", "x")];
        let text = written(|head| head.body = BodyLength::Known(3), &client);
        assert_eq!(
            text,
            "POST /base/x?y HTTP/1.1\r\nHost: h\r\nx-forwarded-for: 192.0.2.1\r\ncontent-length: 3\r\n\r\n"
        );
    }

    #[test]
    fn only_a_generic_server_is_asked_to_keep_the_connection() {
        let asked = |kind| written(|head| head.app.kind = kind, &[]).contains("connection: keep-alive\r\n");
        assert!(asked(AppKind::Generic));
        assert!(!asked(AppKind::Node) && !asked(AppKind::Meteor));
    }

    #[test]
    fn a_request_without_a_host_gets_one() {
        assert!(written(|_| (), &[]).contains("\r\nhost: localhost\r\n"));
        let named = written(|_| (), &[("Host", "h")]);
        assert!(named.contains("\r\nHost: h\r\n") && !named.contains("localhost"), "{named}");
    }

    #[test]
    fn the_base_uri_can_be_stripped() {
        let line = |uri: &'static [u8]| {
            let text = written_as(true, |head| head.uri = uri, &[("X-Forwarded-Prefix", "/evil")]);
            assert!(text.contains("x-forwarded-prefix: /base\r\n") && !text.contains("evil"), "{text}");
            text.lines().next().unwrap_or_default().to_owned()
        };
        assert_eq!(line(b"/base/x?y"), "POST /x?y HTTP/1.1");
        assert_eq!(line(b"/base"), "POST / HTTP/1.1");
        assert_eq!(line(b"/base?y"), "POST /?y HTTP/1.1");
        for untouched in [&b"/bases/x"[..], b"/%62ase/x"] {
            let text = written_as(true, |head| head.uri = untouched, &[]);
            assert!(text.starts_with(&format!("POST {} ", untouched.escape_ascii())), "{text}");
            assert!(!text.contains("prefix"), "{text}");
        }
    }

    #[test]
    fn an_upgrade_is_passed_on_only_if_nginx_reports_it() {
        let client = [("Upgrade", "websocket")];
        assert!(
            written(|head| head.upgrade = true, &client)
                .contains("connection: upgrade\r\nupgrade: websocket\r\n")
        );
        assert!(!written(|_| (), &client).contains("upgrade"));
    }

    #[test]
    fn a_client_cannot_forge_the_user_header() {
        let client = [("X-Forwarded-User", "root")];
        assert!(!written(|_| (), &client).contains("root"));
        assert!(written(|head| head.remote_user = b"ann", &client).contains("x-forwarded-user: ann\r\n"));
    }

    #[test]
    fn https_and_an_unknown_length_have_headers() {
        let text = written(
            |head| {
                head.https = true;
                head.body = BodyLength::Unknown;
            },
            &[],
        );
        assert!(
            text.contains("x-forwarded-proto: https\r\n") && text.contains("transfer-encoding: chunked\r\n")
        );
    }

    #[test]
    fn pseudo_headers_are_left_out() {
        let head = written(|_| {}, &[(":protocol", "HTTP/2.0"), ("X-A", "1")]);
        assert!(!head.contains("protocol") && head.to_lowercase().contains("x-a: 1"), "{head}");
    }
}
