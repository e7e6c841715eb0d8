//! Checks of a request that do not depend on the version of HTTP. Whatever is ambiguous is refused.

use bytes::Bytes;
use module_core::request_headers::asks_for_websocket;
use protocol::request::BodyLength;

use super::{Head, RawHead, Refused, Version, target, values};

/// Maximum number of headers.
pub(crate) const MAX_HEADERS: usize = 200;
/// Maximum length of a request line, and of all headers together, in bytes.
pub(crate) const MAX_LINE: usize = 8 * 1024;
pub(crate) const MAX_HEAD: usize = 32 * 1024;

/// Checks a request whose body has this length.
pub(crate) fn check(raw: RawHead, body: BodyLength) -> Result<Head, Refused> {
    check_method(&raw.method)?;
    let target = target::split(&raw.target)?;
    if raw.target.len() > MAX_LINE {
        return Err(Refused::status(414, "the request target is too long"));
    }
    let path = target::path(&target.origin)?;
    let host = host(&raw, target.host)?;
    let pairs = raw.headers.iter().map(|(name, value)| (&name[..], &value[..]));
    let upgrade = raw.version == Version::Http11 && asks_for_websocket(&raw.method, pairs);
    let (method, version) = (raw.method, raw.version);
    Ok(Head { method, target: target.origin, path, host, headers: raw.headers, version, body, upgrade })
}

/// Checks a method as nginx does: upper case, and not for proxies.
fn check_method(method: &[u8]) -> Result<(), Refused> {
    let is_allowed = |byte: &u8| byte.is_ascii_uppercase() || b"-_".contains(byte);
    if method.is_empty() || method.len() > 64 || !method.iter().all(is_allowed) {
        return Err(Refused::bad("the method is invalid"));
    }
    match method {
        b"CONNECT" | b"TRACE" => Err(Refused::status(405, "the method is not allowed")),
        _ => Ok(()),
    }
}

/// Returns the host: that of the target, else `:authority`, else the header. Only HTTP/1.0 can be without.
fn host(raw: &RawHead, of_target: Option<Bytes>) -> Result<Option<Bytes>, Refused> {
    let mut headers = raw.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"host"));
    let header = headers.next().map(|(_, value)| value.clone());
    if headers.next().is_some() {
        return Err(Refused::bad("there are several Host headers"));
    }
    if let Some(header) = &header {
        target::check_host(header)?;
    }
    if let (Some(authority), Some(header)) = (&raw.authority, &header)
        && !authority.eq_ignore_ascii_case(header)
    {
        return Err(Refused::bad("the Host header differs from :authority"));
    }
    let host = of_target.or_else(|| raw.authority.clone()).or(header);
    match &host {
        Some(host) => target::check_host(host)?,
        None if raw.version == Version::Http10 => {}
        None => return Err(Refused::bad("there is no host")),
    }
    Ok(host)
}

/// Returns the length of `Content-Length`, if there is one.
pub(crate) fn content_length(headers: &[super::Header]) -> Result<Option<u64>, Refused> {
    let mut all = values(headers, "content-length");
    let Some(value) = all.next() else { return Ok(None) };
    if all.next().is_some() {
        return Err(Refused::bad("there are several Content-Length headers"));
    }
    let is_number = !value.is_empty() && value.len() <= 19 && value.iter().all(u8::is_ascii_digit);
    let number = str::from_utf8(value).ok().filter(|_| is_number).and_then(|text| text.parse::<u64>().ok());
    let number = number.filter(|number| i64::try_from(*number).is_ok());
    number.map(Some).ok_or(Refused::bad("the Content-Length is not a number"))
}
