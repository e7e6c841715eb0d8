//! Parser of a request's head in HTTP/1.

use bytes::Bytes;
use protocol::request::BodyLength;

use super::body::Framing;
use crate::request::check::{MAX_HEADERS, check, content_length};
use crate::request::headers::options;
use crate::request::{Head, Header, RawHead, Refused, Version, values};

/// A checked head, with what concerns its connection.
#[derive(Debug)]
pub(crate) struct H1Head {
    pub(crate) head: Head,
    pub(crate) framing: Framing,
    pub(crate) keep_alive: bool,
    /// The client waits for 100 before it sends the body.
    pub(crate) expects_continue: bool,
}

/// Parses a complete head, whose lines were checked.
pub(crate) fn parse(bytes: &Bytes) -> Result<H1Head, Refused> {
    let end = bytes.iter().position(|byte| *byte == b'\r').ok_or(Refused::bad("there is no request line"))?;
    let (method, target, version) = request_line(&bytes.slice(..end))?;
    let headers = headers(&bytes.slice(end + 2..))?;
    let framing = framing(&headers, version)?;
    let body = match framing {
        Framing::None => BodyLength::None,
        Framing::Length(len) => BodyLength::Known(len),
        Framing::Chunked => BodyLength::Unknown,
    };
    let keep_alive = keeps_alive(&headers, version);
    let expects_continue =
        expects_continue(&headers, version)? && !matches!(framing, Framing::None | Framing::Length(0));
    let raw = RawHead { method, target, authority: None, headers, version };
    Ok(H1Head { head: check(raw, body)?, framing, keep_alive, expects_continue })
}

/// Splits the request line at its only two spaces.
fn request_line(line: &Bytes) -> Result<(Bytes, Bytes, Version), Refused> {
    const INVALID: Refused = Refused::bad("the request line is invalid");
    let space = |from: usize| line[from..].iter().position(|byte| *byte == b' ').map(|at| from + at);
    let first = space(0).ok_or(INVALID)?;
    let second = space(first + 1).ok_or(INVALID)?;
    let version = match &line[second + 1..] {
        b"HTTP/1.1" => Version::Http11,
        b"HTTP/1.0" => Version::Http10,
        other if other.starts_with(b"HTTP/") && other.len() == 8 && !other.contains(&b' ') => {
            return Err(Refused::status(505, "the version of HTTP is not supported"));
        }
        _ => return Err(INVALID),
    };
    Ok((line.slice(..first), line.slice(first + 1..second), version))
}

fn headers(bytes: &Bytes) -> Result<Vec<Header>, Refused> {
    let mut parsed = [httparse::EMPTY_HEADER; MAX_HEADERS];
    match httparse::parse_headers(bytes, &mut parsed) {
        Ok(httparse::Status::Complete((used, headers))) if used == bytes.len() => {
            let owned = |header: &httparse::Header<'_>| {
                (bytes.slice_ref(header.name.as_bytes()), slice(bytes, header.value))
            };
            Ok(headers.iter().map(owned).collect())
        }
        Err(httparse::Error::TooManyHeaders) => Err(Refused::status(431, "there are too many headers")),
        _ => Err(Refused::bad("a header is invalid")),
    }
}

/// An empty value may not be part of the bytes.
fn slice(bytes: &Bytes, part: &[u8]) -> Bytes {
    if part.is_empty() { Bytes::new() } else { bytes.slice_ref(part) }
}

/// Determines where the body ends. Two statements are refused, even if they agree.
fn framing(headers: &[Header], version: Version) -> Result<Framing, Refused> {
    let length = content_length(headers)?;
    let mut codings = values(headers, "transfer-encoding");
    let Some(coding) = codings.next() else {
        return Ok(length.map_or(Framing::None, Framing::Length));
    };
    if codings.next().is_some() {
        return Err(Refused::bad("there are several Transfer-Encoding headers"));
    }
    if length.is_some() {
        return Err(Refused::bad("there are both Content-Length and Transfer-Encoding"));
    }
    if version == Version::Http10 {
        return Err(Refused::bad("HTTP/1.0 has no Transfer-Encoding"));
    }
    if coding.eq_ignore_ascii_case(b"chunked") {
        Ok(Framing::Chunked)
    } else {
        Err(Refused::status(501, "the Transfer-Encoding is not supported"))
    }
}

fn keeps_alive(headers: &[Header], version: Version) -> bool {
    let has = |word: &[u8]| options(headers).any(|option| option.eq_ignore_ascii_case(word));
    match version {
        Version::Http10 => has(b"keep-alive") && !has(b"close"),
        _ => !has(b"close"),
    }
}

fn expects_continue(headers: &[Header], version: Version) -> Result<bool, Refused> {
    let mut all = values(headers, "expect").filter(|_| version == Version::Http11);
    match all.next() {
        None => Ok(false),
        Some(value) if value.eq_ignore_ascii_case(b"100-continue") => Ok(true),
        Some(_) => Err(Refused::status(417, "the expectation is not known")),
    }
}

#[cfg(test)]
mod tests;
