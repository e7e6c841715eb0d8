//! The frame of a request's head, encoded from nginx's request and its destination.

use std::mem;

use module_core::app_location::AppLocation;
use module_core::base_uri;
use module_core::bytes::{Decimal, ShortText};
use module_core::request_headers::{RequestHeader, asks_for_websocket, has_underscore, is_lookalike};
use module_core::request_id::{self, HEADER as REQUEST_ID};
use protocol::pairs;
use protocol::request::{AppKind, AppRef, BodyLength, PROTOCOL, RequestHead};

use crate::conf::{Application, LocationConf};
use crate::ffi::pool::OutOfMemory;
use crate::ffi::release::SERVER_SOFTWARE;
use crate::ffi::request::{Request, served};
use crate::ffi::upstream::body::Body;

/// Appends the frame of a request's head.
///
/// # Errors
///
/// A message when the head is too long, or the value of a header cannot be evaluated.
pub(crate) fn write_head(
    request: Request<'_>,
    location: &LocationConf,
    application: &Application,
    app_location: &AppLocation,
    body: Body,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let uri = request.forwarded_uri().map_err(|OutOfMemory| "out of memory".to_owned())?;
    let base_uri = base_uri::matching(&location.written.base_uris, request.uri()).unwrap_or_default();
    let (remote_addr, remote_port) = request.remote_address();
    let head = RequestHead {
        settings_digest: application.settings.digest,
        settings_len: application.settings.bytes.len() as u32,
        app: app(app_location),
        method: request.method(),
        uri,
        base_uri: base_uri.as_bytes(),
        document_root: &app_location.public_dir,
        remote_addr,
        remote_port,
        remote_user: request.remote_user(),
        server_software: SERVER_SOFTWARE,
        https: request.is_https(),
        upgrade: is_upgrade(request),
        started_ms: request.started_ms(),
        body: length(request, body),
    };
    let set = set_headers(request, location)?;
    let headers = |out: &mut Vec<u8>| {
        put_protocol(request, head.app.kind, out);
        put_headers(request, set, head.upgrade, body, out);
    };
    head.write_frame(&application.settings.bytes, headers, out).map_err(|err| err.to_string())
}

/// Whether the client asks for a WebSocket. Only a main request over HTTP/1.1 can.
pub(crate) fn is_upgrade(request: Request<'_>) -> bool {
    request.has_upgrade_header()
        && request.is_main()
        && request.is_http_1_1()
        && asks_for_websocket(request.method(), request.headers())
}

fn app(location: &AppLocation) -> AppRef<'_> {
    let (kind, start_command) = match &location.lookup {
        Ok(Some(app)) => (app.kind, app.start_command.as_bytes()),
        Ok(None) | Err(_) => (AppKind::Generic, &[][..]),
    };
    AppRef { group: &location.group, root: &location.root, kind, start_command }
}

/// Returns the body's length. An announced or chunked empty body differs from none: some servers require a length of a
/// POST.
fn length(request: Request<'_>, body: Body) -> BodyLength {
    match body {
        Body::None if request.has_empty_body() => BodyLength::Known(0),
        Body::None => BodyLength::None,
        Body::Read(len) | Body::Streaming(Some(len)) => BodyLength::Known(len),
        Body::Streaming(None) => BodyLength::Unknown,
    }
}

/// Header with the time at which nginx started the request: `t=` and microseconds since 1970.
const REQUEST_START: &[u8] = b"X-Request-Start";

type SetHeader<'r> = (&'r str, &'r [u8]);

/// Evaluates `passenger_set_header` for this request.
fn set_headers<'r>(request: Request<'r>, location: &'r LocationConf) -> Result<&'r [SetHeader<'r>], String> {
    let lines = &location.written.set_headers;
    let mut failed = None;
    let values = lines.iter().filter_map(|(name, value)| {
        let value = value.as_ref()?.evaluate(request);
        if value.is_none() {
            failed = Some(name);
        }
        Some((name.as_str(), value?))
    });
    let values = request.list(lines.len(), values).map_err(|OutOfMemory| "out of memory".to_owned())?;
    match failed {
        Some(name) => Err(format!("cannot evaluate the value of passenger_set_header {name}")),
        None => Ok(values),
    }
}

/// Adds the client's HTTP version, which WSGI and ASGI expose. Rack applications get `HTTP/1.1`, as from Passenger, and
/// the others are connected to with it.
fn put_protocol(request: Request<'_>, kind: AppKind, out: &mut Vec<u8>) {
    if let (AppKind::Python, Some(protocol)) = (kind, request.other_protocol()) {
        pairs::put(out, PROTOCOL, protocol);
    }
}

/// What the client's headers contain of what follows them.
#[derive(Debug, Default)]
struct Seen<'r> {
    length: bool,
    start: bool,
    id: Option<&'r [u8]>,
    /// There are several IDs, none of which is used.
    ids: bool,
}

fn put_headers(request: Request<'_>, set: &[SetHeader<'_>], upgrade: bool, body: Body, out: &mut Vec<u8>) {
    let mut seen = Seen::default();
    // The length that the client sent, if it did; otherwise the length that nginx determined by reading.
    let has_length = matches!(body, Body::Read(_) | Body::Streaming(Some(_)));
    for (name, value) in request.headers() {
        let is_put = match RequestHeader::of(name) {
            RequestHeader::Withheld | RequestHeader::User => false,
            RequestHeader::Upgrade => upgrade,
            RequestHeader::ContentLength => has_length && !mem::replace(&mut seen.length, true),
            RequestHeader::RequestId => {
                seen.ids = seen.id.replace(value).is_some();
                false
            }
            RequestHeader::RequestStart => {
                seen.start = true;
                true
            }
            RequestHeader::Other => true,
        };
        if is_put && !is_set(set, name) && !is_lookalike_of_other(request, set, name) {
            pairs::put(out, name, value);
        }
    }
    if let (Body::Read(len), false) = (body, seen.length) {
        pairs::put(out, b"Content-Length", Decimal::of(len).as_ref());
    }
    for (name, value) in set.iter().filter(|(_, value)| !value.is_empty()) {
        pairs::put(out, name.as_bytes(), value);
    }
    put_own_headers(request, set, &seen, out);
}

/// Adds the request ID and the start time in the headers that monitoring tools read. The configuration may override
/// them, and a proxy in front of nginx knows the start better.
fn put_own_headers(request: Request<'_>, set: &[SetHeader<'_>], seen: &Seen<'_>, out: &mut Vec<u8>) {
    if !is_set(set, REQUEST_ID.as_bytes()) {
        match seen.id.filter(|id| !seen.ids && request_id::is_acceptable(id)) {
            Some(id) => pairs::put(out, REQUEST_ID.as_bytes(), id),
            None => pairs::put(out, REQUEST_ID.as_bytes(), &served::request_id(request)),
        }
    }
    if !seen.start && !is_set(set, REQUEST_START) {
        let microseconds = Decimal::of(request.started_ms().saturating_mul(1000));
        let value = ShortText::of(&[b"t=", microseconds.as_ref()]);
        pairs::put(out, REQUEST_START, value.as_ref());
    }
}

fn is_set(set: &[SetHeader<'_>], name: &[u8]) -> bool {
    set.iter().any(|(other, _)| other.as_bytes().eq_ignore_ascii_case(name))
}

/// Whether an app would take the name, which contains an underscore, for that of another header.
fn is_lookalike_of_other(request: Request<'_>, set: &[SetHeader<'_>], name: &[u8]) -> bool {
    has_underscore(name)
        && (request.headers().any(|(other, _)| is_lookalike(name, other))
            || set.iter().any(|(other, _)| is_lookalike(name, other.as_bytes())))
}
