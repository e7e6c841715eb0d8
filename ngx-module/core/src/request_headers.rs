//! Rules for the client's headers: which of them are passed to the app.

use crate::bytes::{NAME_IN_LOWER_CASE, contains};

/// What a header of the client means for the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestHeader {
    /// It is about the client's connection to nginx, or must not be trusted: it is not passed on.
    Withheld,
    /// The protocol that the client asks for, passed on only if the request can change its protocol.
    Upgrade,
    /// The length of the body.
    ContentLength,
    /// The request's ID.
    RequestId,
    /// When a proxy in front of nginx received the request.
    RequestStart,
    /// The name of the client's user, which only nginx may set.
    User,
    /// It is passed on unchanged.
    Other,
}

impl RequestHeader {
    /// Returns the meaning of a header of this name. Most names are of a length that no known one has.
    pub fn of(name: &[u8]) -> Self {
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        match name.len() {
            2 if is(b"te") => Self::Withheld,
            // Becomes HTTP_PROXY, which HTTP libraries take for their configuration ("httpoxy").
            5 if is(b"proxy") => Self::Withheld,
            6 if is(b"expect") => Self::Withheld,
            7 if is(b"trailer") => Self::Withheld,
            7 if is(b"upgrade") => Self::Upgrade,
            10 if is(b"connection") || is(b"keep-alive") => Self::Withheld,
            12 if is(b"x-request-id") => Self::RequestId,
            14 if is(b"content-length") => Self::ContentLength,
            14 if is(b"http2-settings") => Self::Withheld,
            15 if is(b"x-request-start") => Self::RequestStart,
            16 if is(b"proxy-connection") => Self::Withheld,
            16 if names_user(name) => Self::User,
            17 if is(b"transfer-encoding") => Self::Withheld,
            _ => Self::Other,
        }
    }
}

/// Whether a header of this name is passed on. `upgrade` is true when the request asks for another protocol.
pub fn is_forwarded(name: &[u8], upgrade: bool) -> bool {
    match RequestHeader::of(name) {
        RequestHeader::Withheld => false,
        RequestHeader::Upgrade => upgrade,
        _ => true,
    }
}

/// Whether the configuration can set a header of this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settable {
    /// It can be set.
    Yes,
    /// It frames the request or its connection to the application, which the daemon does. Configurations written for
    /// Passenger or `proxy_pass` contain such lines, so they are accepted.
    WithoutEffect,
    /// Not a valid header name.
    Never,
}

/// Returns whether the configuration can set a header of this name. `Proxy` can be set: here it is not the client's.
pub fn settable(name: &str) -> Settable {
    if !is_token(name.as_bytes()) {
        return Settable::Never;
    }
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    let framing = is("content-length") || (!is_forwarded(name.as_bytes(), false) && !is("proxy"));
    if framing { Settable::WithoutEffect } else { Settable::Yes }
}

/// The user that nginx authenticated, for applications that use HTTP. A client's header of this name is never passed
/// on, in any language; `passenger_set_header` can set it.
const AUTHENTICATED_USER: &[u8] = b"x-forwarded-user";

/// Whether an app would take a header from the client as the name of its user. Some apps treat `_` as `-`.
pub fn names_user(name: &[u8]) -> bool {
    name.len() == AUTHENTICATED_USER.len()
        && name.iter().zip(AUTHENTICATED_USER).all(|(a, b)| normalized(*a) == *b)
}

/// Whether the name is valid in HTTP.
pub fn is_token(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| NAME_IN_LOWER_CASE[usize::from(*byte)] != 0)
}

/// Whether a name contains an underscore, without which it is no lookalike of another.
pub fn has_underscore(name: &[u8]) -> bool {
    contains(name, [b'_'])
}

/// Whether an app that replaces both `-` and `_` by `_` would take `name` for `other`.
///
/// nginx drops names with `_` by default. Where it is configured not to, `X_User` must not pass for `X-User`.
pub fn is_lookalike(name: &[u8], other: &[u8]) -> bool {
    name.len() == other.len()
        && name.contains(&b'_')
        && !name.eq_ignore_ascii_case(other)
        && name.iter().zip(other).all(|(a, b)| normalized(*a) == normalized(*b))
}

/// Whether the `Connection` header lists `upgrade`.
fn asks_for_upgrade(connection: &[u8]) -> bool {
    connection.split(|byte| *byte == b',').any(|token| token.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
}

/// Whether a request with these headers asks for a WebSocket, the only supported upgrade: a GET without a body.
pub fn asks_for_websocket<'h>(method: &[u8], headers: impl Iterator<Item = (&'h [u8], &'h [u8])>) -> bool {
    let (mut protocols, mut is_in_connection, mut has_body) = (Vec::new(), false, false);
    for (name, value) in headers {
        match name {
            _ if name.eq_ignore_ascii_case(b"upgrade") => protocols.push(value),
            _ if name.eq_ignore_ascii_case(b"connection") => is_in_connection |= asks_for_upgrade(value),
            _ if name.eq_ignore_ascii_case(b"content-length") => has_body |= value != b"0",
            _ if name.eq_ignore_ascii_case(b"transfer-encoding") => has_body = true,
            _ => {}
        }
    }
    let is_websocket = matches!(protocols[..], [only] if only.eq_ignore_ascii_case(b"websocket"));
    method == b"GET" && is_websocket && is_in_connection && !has_body
}

fn normalized(byte: u8) -> u8 {
    match byte {
        b'_' => b'-',
        other => other.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_headers_are_not_forwarded() {
        for name in
            ["Connection", "keep-alive", "TE", "Transfer-Encoding", "Expect", "Proxy", "HTTP2-Settings"]
        {
            assert!(!is_forwarded(name.as_bytes(), true), "{name}");
        }
        for name in ["Host", "Content-Length", "X-Proxy", "Cookie"] {
            assert!(is_forwarded(name.as_bytes(), false), "{name}");
        }
    }

    #[test]
    fn headers_are_recognised_in_any_case() {
        let known = [
            ("x-request-id", RequestHeader::RequestId),
            ("x-request-start", RequestHeader::RequestStart),
            ("x-forwarded-user", RequestHeader::User),
            ("x_forwarded_user", RequestHeader::User),
            ("content-length", RequestHeader::ContentLength),
            ("upgrade", RequestHeader::Upgrade),
            ("trailer", RequestHeader::Withheld),
            ("proxy-connection", RequestHeader::Withheld),
            ("x_request_id", RequestHeader::Other),
            ("x-forwarded-host", RequestHeader::Other),
            ("", RequestHeader::Other),
        ];
        for (name, meaning) in known {
            for name in [name.to_owned(), name.to_ascii_uppercase()] {
                assert_eq!(RequestHeader::of(name.as_bytes()), meaning, "{name}");
            }
        }
    }

    #[test]
    fn upgrade_is_forwarded_for_an_upgrade_only() {
        assert!(is_forwarded(b"Upgrade", true));
        assert!(!is_forwarded(b"Upgrade", false));
    }

    #[test]
    fn a_header_that_frames_the_request_cannot_be_set() {
        for name in ["Content-Length", "transfer-encoding", "Connection", "Upgrade", "TE", "Keep-Alive"] {
            assert_eq!(settable(name), Settable::WithoutEffect, "{name}");
        }
        for name in ["X:", "X Y", ""] {
            assert_eq!(settable(name), Settable::Never, "{name}");
        }
        for name in ["X-User", "Proxy", "Proxy-Authorization", "Host"] {
            assert_eq!(settable(name), Settable::Yes, "{name}");
        }
    }

    #[test]
    fn a_name_with_an_underscore_is_a_lookalike_of_one_with_a_dash() {
        assert!(is_lookalike(b"X_User", b"x-user"));
        assert!(is_lookalike(b"X_Real-IP", b"X-Real-IP"));
        assert!(!is_lookalike(b"X-User", b"X-User"));
        assert!(!is_lookalike(b"X_User", b"x_user"));
        assert!(!is_lookalike(b"X_User", b"X-Users"));
    }

    #[test]
    fn a_client_cannot_name_its_user() {
        for name in ["X-Forwarded-User", "x-forwarded-user", "X_Forwarded-User"] {
            assert!(names_user(name.as_bytes()), "{name}");
        }
        assert!(!names_user(b"X-Forwarded-Users") && !names_user(b"X-Forwarded-Host"));
        assert_eq!(settable("X-Forwarded-User"), Settable::Yes);
    }

    #[test]
    fn only_a_get_without_body_can_become_a_websocket() {
        const CONNECTION: (&[u8], &[u8]) = (b"Connection", b"keep-alive, Upgrade");
        const WEBSOCKET: (&[u8], &[u8]) = (b"Upgrade", b"WebSocket");
        let asks = |method: &str, more: &[(&'static [u8], &'static [u8])]| {
            asks_for_websocket(method.as_bytes(), [&[CONNECTION], more].concat().into_iter())
        };
        assert!(asks("GET", &[WEBSOCKET]));
        assert!(asks("GET", &[WEBSOCKET, (b"Content-Length", b"0")]));
        assert!(!asks("POST", &[WEBSOCKET]));
        assert!(!asks("GET", &[WEBSOCKET, (b"Content-Length", b"1")]));
        assert!(!asks("GET", &[WEBSOCKET, (b"Transfer-Encoding", b"chunked")]));
        assert!(!asks("GET", &[]));
        for protocol in [&b"h2c"[..], b"websocket, h2c", b"echo", b""] {
            assert!(!asks("GET", &[(b"Upgrade", protocol)]), "{}", protocol.escape_ascii());
        }
        assert!(!asks("GET", &[WEBSOCKET, (b"Upgrade", b"h2c")]));
        assert!(!asks_for_websocket(b"GET", [WEBSOCKET].into_iter()));
    }

    #[test]
    fn upgrade_is_found_among_other_tokens() {
        assert!(asks_for_upgrade(b"keep-alive, Upgrade"));
        assert!(asks_for_upgrade(b"upgrade"));
        assert!(!asks_for_upgrade(b"keep-alive"));
        assert!(!asks_for_upgrade(b"upgrades"));
    }
}
