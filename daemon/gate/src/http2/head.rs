//! The head of a request in HTTP/2. `h2` has refused unknown and repeated pseudo-headers, upper-case names and headers
//! about connections.

use bytes::Bytes;
use http::header::EXPECT;
use http::request::Parts;
use protocol::request::BodyLength;

use crate::request::check::{MAX_HEADERS, check, content_length};
use crate::request::{Head, RawHead, Refused, Version};

/// Headers about a connection, which HTTP/2 does not have: RFC 9113, section 8.2.2.
const OF_CONNECTIONS: [&str; 5] =
    ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

/// Whether the client waits for 100 before it sends the body.
pub(super) fn expects_continue(parts: &Parts) -> bool {
    parts.headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Returns the checked head. `ends`: no body follows.
pub(super) fn parse(parts: &Parts, ends: bool) -> Result<Head, Refused> {
    let uri = &parts.uri;
    if !matches!(uri.scheme_str(), None | Some("http" | "https")) {
        return Err(Refused::bad("the scheme is neither http nor https"));
    }
    if parts.headers.len() > MAX_HEADERS {
        return Err(Refused::status(431, "there are too many headers"));
    }
    let headers: Vec<_> = parts
        .headers
        .iter()
        .map(|(name, value)| (copy(name.as_str().as_bytes()), copy(value.as_bytes())))
        .collect();
    let is_of_connection = |name: &[u8]| OF_CONNECTIONS.iter().any(|other| other.as_bytes() == name);
    if headers.iter().any(|(name, _)| is_of_connection(name)) {
        return Err(Refused::bad("HTTP/2 has no headers about connections"));
    }
    let body = match (content_length(&headers)?, ends) {
        (None | Some(0), true) if has_length(&headers) => BodyLength::Known(0),
        (None, true) => BodyLength::None,
        (Some(length), false) => BodyLength::Known(length),
        (None, false) => BodyLength::Unknown,
        (Some(_), true) => return Err(Refused::bad("the body is shorter than announced")),
    };
    let target = uri.path_and_query().ok_or(Refused::bad("there is no path"))?;
    let raw = RawHead {
        method: copy(parts.method.as_str().as_bytes()),
        target: copy(target.as_str().as_bytes()),
        authority: uri.authority().map(|authority| copy(authority.as_str().as_bytes())),
        headers,
        version: Version::Http2,
    };
    check(raw, body)
}

fn has_length(headers: &[crate::request::Header]) -> bool {
    crate::request::values(headers, "content-length").next().is_some()
}

fn copy(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}
