//! A client's request as received by any version of HTTP, checked, and encoded for the daemon.

pub(crate) mod check;
pub(crate) mod encode;
pub(crate) mod forwarded;
pub(crate) mod headers;
pub(crate) mod target;

use bytes::Bytes;
use protocol::request::BodyLength;

/// The version of HTTP of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    Http10,
    Http11,
    Http2,
}

/// A header as received.
pub(crate) type Header = (Bytes, Bytes);

/// A request line and headers, parsed and not checked.
#[derive(Debug, Clone)]
pub(crate) struct RawHead {
    pub(crate) method: Bytes,
    /// The target: origin form, or for HTTP/1 any form.
    pub(crate) target: Bytes,
    /// `:authority` of HTTP/2.
    pub(crate) authority: Option<Bytes>,
    pub(crate) headers: Vec<Header>,
    pub(crate) version: Version,
}

/// A checked request.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) method: Bytes,
    /// The target in origin form, as the client wrote it.
    pub(crate) target: Bytes,
    /// The decoded path, without `.`, `..` and repeated slashes.
    pub(crate) path: Vec<u8>,
    /// The host as the client named it, with its port; `None` for HTTP/1.0 without one.
    pub(crate) host: Option<Bytes>,
    pub(crate) headers: Vec<Header>,
    pub(crate) version: Version,
    pub(crate) body: BodyLength,
    /// The client asks for a WebSocket.
    pub(crate) upgrade: bool,
}

/// A request that is refused: its status, and the reason for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: u16,
    pub(crate) why: &'static str,
}

impl Refused {
    pub(crate) const fn bad(why: &'static str) -> Self {
        Self { status: 400, why }
    }

    pub(crate) const fn status(status: u16, why: &'static str) -> Self {
        Self { status, why }
    }
}

impl Head {
    /// Whether the method is GET or HEAD.
    pub(crate) fn is_get_or_head(&self) -> bool {
        matches!(&self.method[..], b"GET" | b"HEAD")
    }

    /// Whether the method is HEAD.
    pub(crate) fn is_head(&self) -> bool {
        &self.method[..] == b"HEAD"
    }

    /// Returns the values of the headers of this name, which is in lower case.
    pub(crate) fn values<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h [u8]> {
        values(&self.headers, name)
    }

    /// Returns the value of the only header of this name.
    pub(crate) fn only<'h>(&'h self, name: &'h str) -> Option<&'h [u8]> {
        let mut values = self.values(name);
        values.next().filter(|_| values.next().is_none())
    }

    /// Returns the host without its port.
    pub(crate) fn host_name(&self) -> &[u8] {
        self.host.as_deref().map_or(b"", |host| without_port(host))
    }
}

/// Returns the values of the headers of this name.
pub(crate) fn values<'h>(headers: &'h [Header], name: &'h str) -> impl Iterator<Item = &'h [u8]> {
    let named = headers.iter().filter(move |(other, _)| other.eq_ignore_ascii_case(name.as_bytes()));
    named.map(|(_, value)| &value[..])
}

/// Returns a host without its port, and without a final dot, as nginx compares it.
pub(crate) fn without_port(host: &[u8]) -> &[u8] {
    let end = match host.first() {
        Some(b'[') => host.iter().position(|byte| *byte == b']').map_or(host.len(), |at| at + 1),
        _ => host.iter().position(|byte| *byte == b':').unwrap_or(host.len()),
    };
    let name = &host[..end];
    name.strip_suffix(b".").unwrap_or(name)
}
