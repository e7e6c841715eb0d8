//! Which of the client's headers the app gets to see: a name comes in, yes or no goes out.

/// Headers that are about the client's connection to nginx, or that nobody should believe.
const WITHHELD: &[&[u8]] = &[
    b"te",
    b"proxy", // becomes HTTP_PROXY, which HTTP libraries take for their configuration ("httpoxy")
    b"expect",
    b"trailer",
    b"upgrade",
    b"connection",
    b"keep-alive",
    b"http2-settings",
    b"proxy-connection",
    b"transfer-encoding",
];

/// Whether a header of this name is handed on. `upgrade` is true when the request asks for another protocol.
pub fn is_handed_on(name: &[u8], upgrade: bool) -> bool {
    let withheld = WITHHELD.iter().any(|known| known.eq_ignore_ascii_case(name));
    !withheld || (upgrade && name.eq_ignore_ascii_case(b"upgrade"))
}

/// What a header of this name means in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settable {
    /// The application gets it.
    Yes,
    /// It frames the request or its connection to the application, which the daemon does. Configurations that were
    /// written for Passenger or `proxy_pass` have such lines, so they load.
    WithoutEffect,
    /// Not the name of a header.
    Never,
}

/// Whether the configuration can set a header of this name. `Proxy` can be set: here it is not a client's.
pub fn settable(name: &str) -> Settable {
    if !is_token(name.as_bytes()) {
        return Settable::Never;
    }
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    let framing = is("content-length") || (!is_handed_on(name.as_bytes(), false) && !is("proxy"));
    if framing { Settable::WithoutEffect } else { Settable::Yes }
}

/// A header name as HTTP defines it.
pub fn is_token(name: &[u8]) -> bool {
    !name.is_empty()
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// Whether an app that turns both `-` and `_` into `_` would take `name` for `other`.
///
/// nginx drops names with `_` by default. Where it is told not to, `X_User` must not pass for `X-User`.
pub fn is_disguise_of(name: &[u8], other: &[u8]) -> bool {
    name.len() == other.len()
        && name.contains(&b'_')
        && !name.eq_ignore_ascii_case(other)
        && name.iter().zip(other).all(|(a, b)| folded(*a) == folded(*b))
}

/// Whether the `Connection` header lists `upgrade`.
pub fn asks_for_upgrade(connection: &[u8]) -> bool {
    connection.split(|byte| *byte == b',').any(|token| token.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
}

fn folded(byte: u8) -> u8 {
    match byte {
        b'_' => b'-',
        other => other.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_headers_stay_with_nginx() {
        for name in
            ["Connection", "keep-alive", "TE", "Transfer-Encoding", "Expect", "Proxy", "HTTP2-Settings"]
        {
            assert!(!is_handed_on(name.as_bytes(), true), "{name}");
        }
        for name in ["Host", "Content-Length", "X-Proxy", "Cookie"] {
            assert!(is_handed_on(name.as_bytes(), false), "{name}");
        }
    }

    #[test]
    fn upgrade_is_handed_on_when_it_is_meant() {
        assert!(is_handed_on(b"Upgrade", true));
        assert!(!is_handed_on(b"Upgrade", false));
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
    fn an_underscore_may_not_pose_as_a_dash() {
        assert!(is_disguise_of(b"X_User", b"x-user"));
        assert!(is_disguise_of(b"X_Real-IP", b"X-Real-IP"));
        assert!(!is_disguise_of(b"X-User", b"X-User"));
        assert!(!is_disguise_of(b"X_User", b"x_user"));
        assert!(!is_disguise_of(b"X_User", b"X-Users"));
    }

    #[test]
    fn upgrade_is_found_among_other_tokens() {
        assert!(asks_for_upgrade(b"keep-alive, Upgrade"));
        assert!(asks_for_upgrade(b"upgrade"));
        assert!(!asks_for_upgrade(b"keep-alive"));
        assert!(!asks_for_upgrade(b"upgrades"));
    }
}
