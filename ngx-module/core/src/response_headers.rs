//! Rules for the app's headers: which of them are passed to nginx.

use protocol::request::BodyLength;

use crate::bytes::contains;
use crate::request_headers::is_token;

/// What is done with a response header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderAction {
    /// It is passed to nginx.
    Forward,
    /// nginx itself sets it, or it contradicts the body's framing.
    Drop,
    /// It contains a line break: the response is refused.
    Reject,
}

/// The facts about the response's body that its headers must agree with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Framing {
    /// The status code.
    pub status: u16,
    /// The body as the daemon announced it.
    pub body: BodyLength,
    /// The request was a HEAD.
    pub head_request: bool,
    /// The client uses HTTP/1.x, which has the header `Upgrade`. HTTP/2 and later forbid it.
    pub http1: bool,
}

/// Decides what is done with a header.
pub fn header_action(name: &[u8], value: &[u8], framing: Framing) -> HeaderAction {
    if is_token(name) { named_header_action(name, value, framing) } else { HeaderAction::Reject }
}

/// Decides what is done with a header whose name is checked later, if it is passed on.
pub fn named_header_action(name: &[u8], value: &[u8], framing: Framing) -> HeaderAction {
    if contains(value, [b'\r', b'\n', 0]) {
        return HeaderAction::Reject;
    }
    let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
    let is_dropped = match name.len() {
        7 if is(b"upgrade") => !framing.allows_upgrade(),
        10 => is(b"connection") || is(b"keep-alive"),
        14 if is(b"content-length") => !framing.allows_content_length(),
        17 => is(b"transfer-encoding"),
        _ => false,
    };
    if is_dropped { HeaderAction::Drop } else { HeaderAction::Forward }
}

impl Framing {
    /// Whether no body follows the head, whatever the headers say.
    pub fn has_no_body(self) -> bool {
        self.head_request || matches!(self.status, 100..=199 | 204 | 304)
    }

    /// Whether nginx can announce the body's length, which it stores as a signed number.
    pub fn is_length_possible(self) -> bool {
        !matches!(self.body, BodyLength::Known(len) if i64::try_from(len).is_err())
    }

    /// Returns the length that nginx announces, when the framing determines it.
    pub fn length(self) -> Option<u64> {
        match self.body {
            _ if self.has_no_body() => None,
            BodyLength::None => Some(0),
            BodyLength::Known(len) => Some(len),
            BodyLength::Unknown => None,
        }
    }

    /// Whether `Upgrade` is allowed. 101 names the new protocol, 426 the required ones. In other responses it is an
    /// offer of the app's server that only nginx could accept.
    fn allows_upgrade(self) -> bool {
        self.http1 && matches!(self.status, 101 | 426)
    }

    /// Whether the app's length is used. With a body, the framing determines it; without one, it is the length for a
    /// GET.
    fn allows_content_length(self) -> bool {
        self.status == 304 || (self.head_request && !matches!(self.status, 100..=199 | 204))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing(status: u16, body: BodyLength) -> Framing {
        Framing { status, body, head_request: false, http1: true }
    }

    #[test]
    fn rejects_a_header_with_a_line_break() {
        let usual = framing(200, BodyLength::None);
        for value in [b"a\rb".as_slice(), b"a\nb", b"a\0b"] {
            assert_eq!(header_action(b"X", value, usual), HeaderAction::Reject);
        }
        for name in [b"X\r\nY".as_slice(), b"X:", b"X Y", b""] {
            assert_eq!(header_action(name, b"", usual), HeaderAction::Reject);
        }
        assert_eq!(header_action(b"X", "ü\t".as_bytes(), usual), HeaderAction::Forward);
    }

    #[test]
    fn the_framing_determines_the_length() {
        let known = framing(200, BodyLength::Known(5));
        assert_eq!(header_action(b"Content-Length", b"7", known), HeaderAction::Drop);
        assert_eq!(known.length(), Some(5));
        let unknown = framing(200, BodyLength::Unknown);
        assert_eq!(header_action(b"Content-Length", b"7", unknown), HeaderAction::Drop);
        assert_eq!(unknown.length(), None);
        assert_eq!(framing(200, BodyLength::None).length(), Some(0));
    }

    #[test]
    fn rejects_a_length_that_nginx_cannot_announce() {
        assert!(framing(200, BodyLength::Known(i64::MAX as u64)).is_length_possible());
        assert!(!framing(200, BodyLength::Known(1 << 63)).is_length_possible());
        assert!(framing(200, BodyLength::Unknown).is_length_possible());
    }

    #[test]
    fn a_head_response_has_the_length_of_a_get() {
        let head = Framing { head_request: true, ..framing(200, BodyLength::None) };
        assert_eq!(header_action(b"content-length", b"7", head), HeaderAction::Forward);
        assert_eq!(head.length(), None);
        assert_eq!(
            header_action(b"content-length", b"7", framing(304, BodyLength::None)),
            HeaderAction::Forward
        );
        assert_eq!(
            header_action(b"content-length", b"7", framing(204, BodyLength::None)),
            HeaderAction::Drop
        );
    }

    #[test]
    fn headers_of_the_connection_are_dropped() {
        let usual = framing(200, BodyLength::None);
        for name in ["Connection", "Keep-Alive", "Transfer-Encoding", "Upgrade"] {
            assert_eq!(header_action(name.as_bytes(), b"x", usual), HeaderAction::Drop, "{name}");
        }
        for status in [101, 426] {
            let http1 = framing(status, BodyLength::None);
            assert_eq!(header_action(b"Upgrade", b"websocket", http1), HeaderAction::Forward, "{status}");
            let http2 = Framing { http1: false, ..http1 };
            assert_eq!(header_action(b"Upgrade", b"websocket", http2), HeaderAction::Drop, "{status}");
        }
        assert_eq!(header_action(b"Date", b"x", usual), HeaderAction::Forward);
    }
}
