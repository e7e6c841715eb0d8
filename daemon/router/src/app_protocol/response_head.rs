//! The parts of an app's response in either protocol, and the validation of every head.
//!
//! A decoder turns received bytes into [`Event`]s; heads are collected in a [`Head`], which drops what concerns only
//! the connection to the app and rejects what is ambiguous.

use std::time::Duration;

use protocol::limits::MAX_HEADERS;
use protocol::pairs;
use protocol::request::BodyLength;

/// One step of decoding a response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    /// More bytes are needed.
    More,
    /// An interim head was read.
    Interim,
    /// The head was read.
    Head(Mode),
    /// A part of the body.
    Data(&'a [u8]),
    /// The response is complete.
    End,
}

/// What follows a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// A body whose end the decoder finds.
    Framed,
    /// The connection belongs to the client and the app from now on.
    Tunnel,
}

/// Why an app's response cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ResponseError {
    #[error("it closed the connection before its response head was complete")]
    ClosedBeforeHead,
    #[error("it closed the connection inside the response body")]
    ClosedInsideBody,
    /// The loader reports that the app failed.
    #[error("it failed: {0}")]
    AppError(String),
    #[error("its response head is invalid: {0}")]
    BadHead(String),
    #[error("the framing of its response body is invalid: {0}")]
    BadBody(&'static str),
    #[error("its response head was not complete within {} s", .0.as_secs())]
    HeadTooSlow(Duration),
    #[error("it sent too many interim responses (1xx)")]
    TooManyInterims,
    /// The head is longer than can be passed on.
    #[error("its response head is too long")]
    HeadTooLong,
}

/// A response head, collected header by header.
#[derive(Debug, Default)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) reason: Vec<u8>,
    /// The headers that are passed to nginx, encoded as [`pairs`].
    pub(crate) pairs: Vec<u8>,
    pub(crate) content_length: Option<u64>,
    /// Whether `Transfer-Encoding: chunked` was given.
    pub(crate) chunked: bool,
    /// Whether `Connection: close` was given.
    pub(crate) close: bool,
    /// Whether `Connection: keep-alive` was given.
    pub(crate) keep_alive: bool,
    /// Whether the app requests out-of-band work.
    pub(crate) out_of_band: bool,
    count: usize,
}

impl Head {
    /// Starts a new head; buffers are kept.
    pub(crate) fn begin(&mut self, status: u16, reason: &[u8]) -> Result<(), ResponseError> {
        self.status = status;
        self.reason.clear();
        self.reason.extend_from_slice(reason);
        self.pairs.clear();
        self.content_length = None;
        (self.chunked, self.close, self.keep_alive, self.out_of_band) = (false, false, false, false);
        self.count = 0;
        if !(100..=999).contains(&status) {
            return Err(ResponseError::BadHead(format!("invalid status code {status}")));
        }
        if has_control(reason) {
            return Err(ResponseError::BadHead("the reason phrase contains a control character".into()));
        }
        Ok(())
    }

    /// Adds one header. Headers of the connection itself are recorded and not passed on.
    pub(crate) fn header(&mut self, name: &[u8], value: &[u8]) -> Result<(), ResponseError> {
        self.count += 1;
        if self.count > MAX_HEADERS {
            return Err(ResponseError::HeadTooLong);
        }
        if !is_token(name) {
            let name = String::from_utf8_lossy(name);
            return Err(ResponseError::BadHead(format!("invalid header name {name:?}")));
        }
        if has_control(value) {
            let name = String::from_utf8_lossy(name);
            return Err(ResponseError::BadHead(format!("the value of {name} contains a line break or NUL")));
        }
        if !self.is_of_the_connection(name, value)? {
            pairs::put(&mut self.pairs, name, value);
        }
        Ok(())
    }

    /// Checks the head when all headers were added.
    pub(crate) fn finish(&self) -> Result<(), ResponseError> {
        if self.chunked && self.content_length.is_some() {
            return Err(ResponseError::BadHead("it has both Content-Length and Transfer-Encoding".into()));
        }
        Ok(())
    }

    /// Checks a head that switches protocols.
    pub(super) fn check_switch(&self, asked_for_upgrade: bool) -> Result<(), ResponseError> {
        let why = "it switches protocols, but the request is not an upgrade";
        if asked_for_upgrade { Ok(()) } else { Err(ResponseError::BadHead(why.into())) }
    }

    /// Whether this response has no body, whatever its headers say.
    pub(crate) fn is_bodiless(&self, to_head_request: bool) -> bool {
        to_head_request || self.status < 200 || matches!(self.status, 204 | 304)
    }

    /// Returns the body length to announce to nginx.
    pub(crate) fn body_length(&self, to_head_request: bool) -> BodyLength {
        if self.is_bodiless(to_head_request) {
            return BodyLength::None;
        }
        self.content_length.map_or(BodyLength::Unknown, BodyLength::Known)
    }

    fn is_of_the_connection(&mut self, name: &[u8], value: &[u8]) -> Result<bool, ResponseError> {
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        // The first letter and the length decide for nearly every header.
        match (name.len(), name[0] | 0x20) {
            (14, b'c') if is("content-length") => self.take_content_length(value).map(|()| true),
            (17, b't') if is("transfer-encoding") => self.take_transfer_encoding(value).map(|()| true),
            (10, b'c') if is("connection") => {
                for option in value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
                Ok(true)
            }
            (10, b'k') => Ok(is("keep-alive")),
            (16, b'p') => Ok(is("proxy-connection")),
            (2, b't') => Ok(is("te")),
            (7, b't') => Ok(is("trailer")),
            (6, b's') => Ok(is("status")),
            // Upgrade is part of the response in a 101 and a 426 (RFC 9110, 7.8 and 15.5.22); elsewhere it is an offer.
            (7, b'u') => Ok(is("upgrade") && !matches!(self.status, 101 | 426)),
            (28, b'x') | (18, b'!') if is("x-passenger-request-oob-work") || is("!~request-oob-work") => {
                self.out_of_band = true;
                Ok(true)
            }
            // Private headers of Passenger.
            _ => Ok(name.starts_with(b"!~")),
        }
    }

    fn take_content_length(&mut self, value: &[u8]) -> Result<(), ResponseError> {
        let length = parse_length(value.trim_ascii())
            .ok_or_else(|| ResponseError::BadHead("Content-Length must be a number below 2^63".into()))?;
        if self.content_length.is_some_and(|other| other != length) {
            return Err(ResponseError::BadHead("it has conflicting Content-Length headers".into()));
        }
        self.content_length = Some(length);
        Ok(())
    }

    fn take_transfer_encoding(&mut self, value: &[u8]) -> Result<(), ResponseError> {
        if value.trim_ascii().eq_ignore_ascii_case(b"identity") {
            return Ok(());
        }
        if !value.trim_ascii().eq_ignore_ascii_case(b"chunked") || self.chunked {
            let value = String::from_utf8_lossy(value).into_owned();
            return Err(ResponseError::BadHead(format!("Transfer-Encoding {value:?} is not supported")));
        }
        self.chunked = true;
        Ok(())
    }
}

/// Parses digits only: no sign, no list, no blank. At most what nginx can announce, which is a signed number.
fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let length: u64 = std::str::from_utf8(value).ok()?.parse().ok()?;
    i64::try_from(length).is_ok().then_some(length)
}

/// Whether each byte may be in a token (RFC 9110, 5.6.2).
const IS_OF_TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        let is_mark = matches!(
            byte as u8,
            b'-' | b'_' | b'!' | b'#'..=b'\'' | b'*' | b'+' | b'.' | b'^' | b'`' | b'|' | b'~'
        );
        table[byte] = is_mark || (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    table
};

fn has_control(value: &[u8]) -> bool {
    memchr::memchr3(b'\r', b'\n', 0, value).is_some()
}

pub(crate) fn is_token(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| IS_OF_TOKEN[usize::from(*byte)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(headers: &[(&str, &str)]) -> Result<Head, ResponseError> {
        let mut head = Head::default();
        head.begin(200, b"OK")?;
        for (name, value) in headers {
            head.header(name.as_bytes(), value.as_bytes())?;
        }
        head.finish()?;
        Ok(head)
    }

    fn refusal(headers: &[(&str, &str)]) -> String {
        head(headers).map(|_| ()).expect_err("must be refused").to_string()
    }

    #[test]
    fn headers_of_the_connection_are_not_passed_on() {
        let head = head(&[
            ("Connection", "Keep-Alive, close"),
            ("Keep-Alive", "5"),
            ("Upgrade", "h2c"),
            ("Status", "404"),
            ("X-A", "1"),
        ])
        .unwrap();
        let passed: Vec<_> =
            pairs::Pairs::parse(&head.pairs).unwrap().iter().map(|(n, _)| n.to_vec()).collect();
        assert_eq!(passed, [b"X-A".to_vec()]);
        assert!(head.close && head.keep_alive);
    }

    #[test]
    fn rejects_ambiguous_lengths() {
        assert!(refusal(&[("Content-Length", "5"), ("Transfer-Encoding", "chunked")]).contains("both"));
        assert!(refusal(&[("Content-Length", "5"), ("Content-Length", "6")]).contains("conflicting"));
        assert!(refusal(&[("Content-Length", "+5")]).contains("must be a number"));
        assert!(refusal(&[("Content-Length", "5, 5")]).contains("must be a number"));
        assert!(refusal(&[("Content-Length", "9223372036854775808")]).contains("below 2^63"));
        assert!(head(&[("Content-Length", "9223372036854775807")]).is_ok());
        assert!(refusal(&[("Transfer-Encoding", "gzip, chunked")]).contains("not supported"));
        assert!(
            refusal(&[("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")]).contains("not")
        );
    }

    #[test]
    fn rejects_injected_lines() {
        assert!(refusal(&[("Location", "/\r\nSet-Cookie: a=b")]).contains("line break"));
        assert!(refusal(&[("A\nB", "x")]).contains("invalid header name"));
        assert!(refusal(&[("", "x")]).contains("invalid header name"));
    }

    #[test]
    fn bodiless_responses_have_no_length() {
        let mut head = head(&[("Content-Length", "5")]).unwrap();
        assert_eq!(head.body_length(false), BodyLength::Known(5));
        assert_eq!(head.body_length(true), BodyLength::None);
        head.status = 304;
        assert_eq!(head.body_length(false), BodyLength::None);
    }
}
