//! The frame of a request's head, as the nginx module encodes it.

use std::time::{SystemTime, UNIX_EPOCH};

use module_core::request_headers::is_lookalike;
use module_core::request_id::{HEADER as REQUEST_ID, client_id, generate};
use protocol::PayloadError;
use protocol::pairs;
use protocol::request::{AppKind, AppRef, BodyLength, PROTOCOL, RequestHead};

use super::forwarded::Client;
use super::headers::{is_of_proxy, passed_on};
use super::{Head, Version};

/// The gate's name and release, for `SERVER_SOFTWARE` and the header `Server`.
pub(crate) const SERVER_SOFTWARE: &str = concat!("flying-passenger-gate/", env!("CARGO_PKG_VERSION"));

/// Header with the time at which the gate received the request.
const REQUEST_START: &str = "X-Request-Start";

/// The application that a request is for, as the frame names it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Destination<'a> {
    pub(crate) app: AppRef<'a>,
    pub(crate) settings: &'a module_core::settings::Block,
    pub(crate) base_uri: &'a str,
    pub(crate) public: &'a [u8],
}

/// Returns the frame.
///
/// # Errors
///
/// [`PayloadError`] when it is too long.
pub(crate) fn frame(head: &Head, client: &Client, to: Destination<'_>) -> Result<Vec<u8>, PayloadError> {
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let address = client.address.map(|address| address.to_string()).unwrap_or_else(|| "unix:".to_owned());
    let request = RequestHead {
        settings_digest: to.settings.digest,
        settings_len: to.settings.bytes.len() as u32,
        app: to.app,
        method: &head.method,
        uri: &head.target,
        base_uri: to.base_uri.as_bytes(),
        document_root: to.public,
        remote_addr: address.as_bytes(),
        remote_port: client.port,
        remote_user: b"",
        server_software: SERVER_SOFTWARE.as_bytes(),
        https: client.https,
        upgrade: head.upgrade,
        started_ms: u64::try_from(started.as_millis()).unwrap_or(u64::MAX),
        body: head.body,
    };
    let microseconds = u64::try_from(started.as_micros()).unwrap_or(u64::MAX);
    let headers = |out: &mut Vec<u8>| put_headers(head, client, to.app.kind, microseconds, out);
    let mut out = Vec::with_capacity(2048);
    request.write_frame(&to.settings.bytes, headers, &mut out)?;
    Ok(out)
}

fn put_headers(head: &Head, client: &Client, kind: AppKind, started_us: u64, out: &mut Vec<u8>) {
    match head.version {
        Version::Http10 if kind == AppKind::Python => pairs::put(out, PROTOCOL, b"HTTP/1.0"),
        Version::Http2 if kind == AppKind::Python => pairs::put(out, PROTOCOL, b"HTTP/2.0"),
        _ => {}
    }
    if let Some(host) = client.host.as_ref().or(head.host.as_ref()) {
        pairs::put(out, b"Host", host);
    }
    let mut has_start = false;
    for (name, value) in passed_on(&head.headers, head.upgrade) {
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        if is("host") || is("content-length") || is("cookie") || is(REQUEST_ID) {
            continue;
        }
        let others = || head.headers.iter().any(|(other, _)| is_lookalike(name, other));
        if name.contains(&b'_') && others() {
            continue;
        }
        has_start |= is(REQUEST_START);
        pairs::put(out, name, value);
    }
    put_cookies(head, out);
    if let BodyLength::Known(length) = head.body {
        pairs::put(out, b"Content-Length", length.to_string().as_bytes());
    }
    put_client(head, client, kind, out);
    match client_id(head.values("x-request-id")) {
        Some(id) => pairs::put(out, REQUEST_ID.as_bytes(), id),
        None => pairs::put(out, REQUEST_ID.as_bytes(), &generate()),
    }
    if !has_start {
        pairs::put(out, REQUEST_START.as_bytes(), format!("t={started_us}").as_bytes());
    }
}

/// Joins the cookies, which HTTP/2 may send in several headers, while an application expects one.
fn put_cookies(head: &Head, out: &mut Vec<u8>) {
    let passed_on = passed_on(&head.headers, head.upgrade);
    let cookies = passed_on.filter(|(name, _)| name.eq_ignore_ascii_case(b"cookie"));
    let cookies: Vec<_> = cookies.map(|(_, value)| &value[..]).collect();
    if !cookies.is_empty() {
        pairs::put(out, b"Cookie", &cookies.join(&b"; "[..]));
    }
}

/// Passes on what a trusted proxy says of its client. The daemon adds address and scheme for applications that use
/// HTTP, so the scheme is not passed twice.
fn put_client(head: &Head, client: &Client, kind: AppKind, out: &mut Vec<u8>) {
    if !client.is_trusted {
        return;
    }
    let is_told_by_daemon =
        |name: &[u8]| !kind.has_sessions() && client.https && name.eq_ignore_ascii_case(b"x-forwarded-proto");
    // A proxy that writes the other headers may pass on its client's `Forwarded` unchecked.
    let is_unchecked = |name: &[u8]| client.used_x_headers && name.eq_ignore_ascii_case(b"forwarded");
    const HOST: [&[u8]; 2] = [b"x-forwarded-host", b"x-forwarded-port"];
    let is_host =
        |name: &[u8]| !client.takes_host && HOST.iter().any(|of_host| of_host.eq_ignore_ascii_case(name));
    for (name, value) in head.headers.iter().filter(|(name, _)| is_of_proxy(name)) {
        if !is_told_by_daemon(name) && !is_unchecked(name) && !is_host(name) {
            pairs::put(out, name, value);
        }
    }
}
