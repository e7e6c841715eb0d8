//! The CGI variables of a request, as Ruby and Python apps expect them.
//!
//! Values are passed as the client sent them.

mod headers;

use protocol::request::{BodyLength, Request};

use super::decimal::put_decimal;

/// Writer of variables as `name NUL value NUL`.
pub(crate) struct Variables<'a>(pub(crate) &'a mut Vec<u8>);

impl Variables<'_> {
    /// Adds a variable under its own name.
    pub(crate) fn put(&mut self, name: &[u8], value: &[u8]) {
        self.0.extend_from_slice(name);
        self.0.push(0);
        self.put_value(value);
    }

    /// Adds a variable; `name` ends with NUL. Its length is known to the compiler, which then copies it inline.
    fn add<const N: usize>(&mut self, name: &[u8; N], value: &[u8]) {
        self.0.extend_from_slice(name);
        self.put_value(value);
    }

    fn put_value(&mut self, value: &[u8]) {
        self.0.extend_from_slice(value);
        self.0.push(0);
    }
}

/// Writes every variable of the request.
pub(crate) fn write_variables(request: &Request<'_>, out: &mut Variables<'_>) {
    let head = &request.head;
    let (path, query) = split_at_byte(head.uri, b'?');
    out.add(b"REQUEST_URI\0", head.uri);
    out.add(b"PATH_INFO\0", path_info(path, head.base_uri));
    out.add(b"SCRIPT_NAME\0", head.base_uri);
    out.add(b"QUERY_STRING\0", query.unwrap_or_default());
    out.add(b"REQUEST_METHOD\0", head.method);
    write_server(request, out);
    out.add(b"REMOTE_ADDR\0", if head.remote_addr.is_empty() { b"127.0.0.1" } else { head.remote_addr });
    put_number(out, b"REMOTE_PORT\0", u64::from(head.remote_port));
    if !head.remote_user.is_empty() {
        out.add(b"REMOTE_USER\0", head.remote_user);
    }
    if head.https {
        out.add(b"HTTPS\0", b"on");
    }
    if let BodyLength::Known(length) = head.body {
        put_number(out, b"CONTENT_LENGTH\0", length);
    }
    if head.upgrade {
        out.add(b"HTTP_CONNECTION\0", b"upgrade");
    }
    headers::write(request.headers, out.0);
}

fn write_server(request: &Request<'_>, out: &mut Variables<'_>) {
    let default_port: &[u8] = if request.head.https { b"443" } else { b"80" };
    let host = request.headers.get(b"host").unwrap_or(b"localhost");
    let (name, port) = split_host(host);
    out.add(b"SERVER_NAME\0", name);
    out.add(b"SERVER_PORT\0", port.unwrap_or(default_port));
    out.add(b"SERVER_SOFTWARE\0", request.head.server_software);
    out.add(b"SERVER_PROTOCOL\0", request.protocol());
}

/// Returns the path below the base URI; `/` if nothing is left.
fn path_info<'a>(path: &'a [u8], base_uri: &[u8]) -> &'a [u8] {
    match path.strip_prefix(base_uri) {
        Some([]) => b"/",
        Some(rest) if rest[0] == b'/' => rest,
        _ if path.is_empty() => b"/",
        _ => path,
    }
}

/// Returns host and port of a Host header; an IPv6 address keeps its brackets.
fn split_host(host: &[u8]) -> (&[u8], Option<&[u8]>) {
    let after_address = host.iter().rposition(|b| *b == b']').map_or(0, |at| at + 1);
    let tail = &host[after_address..];
    match tail.iter().position(|b| *b == b':') {
        Some(at) => (&host[..after_address + at], Some(&tail[at + 1..]).filter(|port| !port.is_empty())),
        None => (host, None),
    }
}

fn split_at_byte(bytes: &[u8], at: u8) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(at, bytes) {
        Some(found) => (&bytes[..found], Some(&bytes[found + 1..])),
        None => (bytes, None),
    }
}

fn put_number<const N: usize>(out: &mut Variables<'_>, name: &[u8; N], number: u64) {
    out.0.extend_from_slice(name);
    put_decimal(number, out.0);
    out.0.push(0);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use protocol::pairs::{self, Pairs};
    use protocol::request::{AppKind, AppRef, RequestHead};
    use protocol::settings::Digest;

    use super::*;

    fn variables(head: RequestHead<'_>, headers: &[(&str, &str)]) -> BTreeMap<String, String> {
        let mut block = Vec::new();
        for (name, value) in headers {
            pairs::put(&mut block, name.as_bytes(), value.as_bytes());
        }
        let mut out = Vec::new();
        let request = Request { head, settings: b"", headers: Pairs::parse(&block).unwrap() };
        write_variables(&request, &mut Variables(&mut out));
        let out = String::from_utf8(out).unwrap();
        let parts: Vec<_> = out.trim_end_matches('\0').split('\0').chain([""]).collect();
        parts.chunks_exact(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect()
    }

    fn get<'a>(uri: &'a [u8], base_uri: &'a [u8]) -> RequestHead<'a> {
        RequestHead {
            settings_digest: Digest::default(),
            settings_len: 0,
            app: AppRef { group: b"g", root: b"/a", kind: AppKind::Ruby, start_command: b"" },
            method: b"GET",
            uri,
            base_uri,
            document_root: b"/a/public",
            remote_addr: b"::1",
            remote_port: 7,
            remote_user: b"",
            server_software: b"nginx/1.22.1",
            https: false,
            upgrade: false,
            started_ms: 0,
            body: BodyLength::None,
        }
    }

    #[test]
    fn the_base_uri_is_removed_at_a_path_boundary() {
        let path =
            |uri: &'static [u8], base: &'static [u8]| variables(get(uri, base), &[])["PATH_INFO"].clone();
        assert_eq!(path(b"/blog/post?x=1", b"/blog"), "/post");
        assert_eq!(path(b"/blog", b"/blog"), "/");
        assert_eq!(path(b"/blog/", b"/blog"), "/");
        assert_eq!(path(b"/blogger", b"/blog"), "/blogger");
        assert_eq!(path(b"/a%20b", b""), "/a%20b");
    }

    #[test]
    fn query_string_is_always_set() {
        assert_eq!(variables(get(b"/", b""), &[])["QUERY_STRING"], "");
        assert_eq!(variables(get(b"/?a=b?c", b""), &[])["QUERY_STRING"], "a=b?c");
    }

    #[test]
    fn server_name_and_port_are_from_the_host_header() {
        let server = |host| {
            let vars = variables(get(b"/", b""), &[("Host", host)]);
            (vars["SERVER_NAME"].clone(), vars["SERVER_PORT"].clone())
        };
        assert_eq!(server("example.org"), ("example.org".into(), "80".into()));
        assert_eq!(server("example.org:8080"), ("example.org".into(), "8080".into()));
        assert_eq!(server("[::1]:81"), ("[::1]".into(), "81".into()));
        assert_eq!(server("[::1]"), ("[::1]".into(), "80".into()));
        assert_eq!(server("odd:"), ("odd".into(), "80".into()));
    }

    #[test]
    fn ambiguous_header_names_are_left_out() {
        let vars =
            variables(get(b"/", b""), &[("X_Forwarded_For", "evil"), ("X-Real-Ip", "1"), ("A.B", "x")]);
        assert!(!vars.contains_key("HTTP_X_FORWARDED_FOR") && !vars.contains_key("HTTP_A.B"));
        assert_eq!(vars["HTTP_X_REAL_IP"], "1");
    }

    #[test]
    fn repeated_headers_are_joined() {
        let vars = variables(
            get(b"/", b""),
            &[
                ("X-Twice", "one"),
                ("Cookie", "a=1"),
                ("x-twice", "two"),
                ("cookie", "b=2"),
                ("X-Twice", "three"),
            ],
        );
        assert_eq!(vars["HTTP_X_TWICE"], "one,two,three");
        assert_eq!(vars["HTTP_COOKIE"], "a=1; b=2");
    }

    #[test]
    fn content_length_is_set_for_a_known_length() {
        let head = RequestHead { body: BodyLength::Known(u64::MAX), ..get(b"/", b"") };
        let vars = variables(head, &[("Content-Length", "1"), ("Content-Type", "text/plain")]);
        assert_eq!(vars["CONTENT_LENGTH"], u64::MAX.to_string());
        assert_eq!(vars["CONTENT_TYPE"], "text/plain");
        assert!(!vars.contains_key("HTTP_CONTENT_LENGTH"));
    }

    #[test]
    fn the_protocol_is_from_the_pseudo_header() {
        let protocol = |headers: &[(&str, &str)]| {
            let variables = variables(get(b"/", b""), headers);
            assert!(variables.keys().all(|name| !name.contains(':')), "{variables:?}");
            variables["SERVER_PROTOCOL"].clone()
        };
        assert_eq!(protocol(&[]), "HTTP/1.1");
        assert_eq!(protocol(&[(":protocol", "HTTP/2.0"), ("Host", "x")]), "HTTP/2.0");
        assert_eq!(protocol(&[("Host", "x"), (":protocol", "HTTP/2.0")]), "HTTP/1.1");
        assert_eq!(protocol(&[(":protocol", "GOPHER/1")]), "HTTP/1.1");
    }
}
