//! The frame of a request's head, encoded from nginx's request and its destination.

use module_core::app_location::AppLocation;
use module_core::request_headers::{asks_for_websocket, is_forwarded, is_lookalike, names_user};
use module_core::request_id::HEADER as REQUEST_ID;
use protocol::pairs;
use protocol::request::{AppKind, AppRef, BodyLength, PROTOCOL, RequestHead};

use crate::conf::{Application, LocationConf};
use crate::ffi::release::SERVER_SOFTWARE;
use crate::ffi::request::Request;
use crate::ffi::upstream::body::Body;
use crate::variables::request_id;

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
    base_uri: &str,
    body: Body,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let uri = uri(request);
    let (remote_addr, remote_port) = request.remote_address();
    let head = RequestHead {
        settings_digest: application.settings.digest,
        settings_len: application.settings.bytes.len() as u32,
        app: app(app_location),
        method: request.method(),
        uri: &uri,
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
        put_headers(request, &set, head.upgrade, body, out);
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

/// Returns the URI as the client sent it, or escaped again where nginx has changed it.
fn uri<'r>(request: Request<'r>) -> std::borrow::Cow<'r, [u8]> {
    if let Some(uri) = request.unparsed_uri() {
        return uri.into();
    }
    let mut uri = request.escaped_uri();
    let args = request.args();
    if !args.is_empty() {
        uri.push(b'?');
        uri.extend_from_slice(args);
    }
    uri.into()
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
const REQUEST_START: &str = "X-Request-Start";

type SetHeaders<'r> = Vec<(&'r str, &'r [u8])>;

/// Evaluates `passenger_set_header` for this request.
fn set_headers<'r>(request: Request<'r>, location: &'r LocationConf) -> Result<SetHeaders<'r>, String> {
    let lines = location.written.set_headers.iter();
    let values = lines.filter_map(|(name, value)| Some((name, value.as_ref()?)));
    values
        .map(|(name, value)| match value.evaluate(request) {
            Some(value) => Ok((name.as_str(), value)),
            None => Err(format!("cannot evaluate the value of passenger_set_header {name}")),
        })
        .collect()
}

/// Adds the client's HTTP version, which WSGI and ASGI expose. Rack applications get `HTTP/1.1`, as from Passenger, and
/// the others are connected to with it.
fn put_protocol(request: Request<'_>, kind: AppKind, out: &mut Vec<u8>) {
    if let (AppKind::Python, Some(protocol)) = (kind, request.other_protocol()) {
        pairs::put(out, PROTOCOL, protocol);
    }
}

fn put_headers(request: Request<'_>, set: &SetHeaders<'_>, upgrade: bool, body: Body, out: &mut Vec<u8>) {
    let mut has_length = false;
    for (name, value) in request.headers() {
        let is_length = name.eq_ignore_ascii_case(b"content-length");
        let is_set = set.iter().any(|(other, _)| other.as_bytes().eq_ignore_ascii_case(name));
        if is_set
            || name.eq_ignore_ascii_case(REQUEST_ID.as_bytes())
            || names_user(name)
            || !is_forwarded(name, upgrade)
            || is_lookalike_of_other(request, set, name)
        {
            continue;
        }
        // The length that the client sent, if it did; otherwise the length that nginx determined by reading.
        if is_length && (has_length || !matches!(body, Body::Read(_) | Body::Streaming(Some(_)))) {
            continue;
        }
        has_length |= is_length;
        pairs::put(out, name, value);
    }
    if let (Body::Read(len), false) = (body, has_length) {
        pairs::put(out, b"Content-Length", len.to_string().as_bytes());
    }
    for (name, value) in set.iter().filter(|(_, value)| !value.is_empty()) {
        pairs::put(out, name.as_bytes(), value);
    }
    put_own_headers(request, set, out);
}

/// Adds the request ID and the start time in the headers that monitoring tools read. The configuration may override
/// them, and a proxy in front of nginx knows the start better.
fn put_own_headers(request: Request<'_>, set: &SetHeaders<'_>, out: &mut Vec<u8>) {
    let is_set = |name: &str| set.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
    if !is_set(REQUEST_ID) {
        pairs::put(out, REQUEST_ID.as_bytes(), &request_id(request));
    }
    let is_sent = request.headers().any(|(name, _)| name.eq_ignore_ascii_case(REQUEST_START.as_bytes()));
    if !is_sent && !is_set(REQUEST_START) {
        let microseconds = request.started_ms().saturating_mul(1000);
        pairs::put(out, REQUEST_START.as_bytes(), format!("t={microseconds}").as_bytes());
    }
}

/// Whether an app would take the name, which contains an underscore, for that of another header.
fn is_lookalike_of_other(request: Request<'_>, set: &SetHeaders<'_>, name: &[u8]) -> bool {
    name.contains(&b'_')
        && (request.headers().any(|(other, _)| is_lookalike(name, other))
            || set.iter().any(|(other, _)| is_lookalike(name, other.as_bytes())))
}
