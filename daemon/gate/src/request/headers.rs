//! Which headers of a client are passed to the application: the rules of the nginx module, and those that nginx itself
//! applies by default.

use module_core::request_headers::{is_forwarded, names_user};

use super::{Header, values};

/// The headers in which a proxy describes its client. They are passed on from trusted proxies only.
const OF_PROXIES: [&str; 10] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-real-ip",
];

/// Headers that `Connection` cannot remove: they frame or route the request, or a proxy has added them.
const NEVER_REMOVED: [&str; 3] = ["host", "content-length", "x-request-id"];

/// Whether the header describes the client of a proxy.
pub(crate) fn is_of_proxy(name: &[u8]) -> bool {
    OF_PROXIES.iter().any(|other| name.eq_ignore_ascii_case(other.as_bytes()))
}

/// Returns the headers to pass on, other than those that the gate itself writes.
pub(crate) fn passed_on(headers: &[Header], upgrade: bool) -> impl Iterator<Item = &Header> {
    headers.iter().filter(move |(name, _)| {
        // nginx drops names with other characters, because an app may take `_` for `-`.
        let is_plain = name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
        is_plain
            && is_forwarded(name, upgrade)
            && !names_user(name)
            && !is_of_proxy(name)
            && (!is_listed(headers, name) || (upgrade && name.eq_ignore_ascii_case(b"upgrade")))
    })
}

/// Whether `Connection` lists the name, so that the header is for this connection only.
fn is_listed(headers: &[Header], name: &[u8]) -> bool {
    if NEVER_REMOVED.iter().any(|other| name.eq_ignore_ascii_case(other.as_bytes())) {
        return false;
    }
    options(headers).any(|option| option.eq_ignore_ascii_case(name))
}

/// Returns the words of `Connection`.
pub(crate) fn options(headers: &[Header]) -> impl Iterator<Item = &[u8]> {
    values(headers, "connection").flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}
