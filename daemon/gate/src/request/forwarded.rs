//! Who the client is: the peer of the connection, or what trusted proxies say in `X-Forwarded-*` or `Forwarded`.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use common::config::gate::TrustedNetwork;

use super::{Head, target, values};

/// The peer of a connection, as the PROXY header names it if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer {
    /// `None` for a unix socket.
    pub(crate) address: Option<SocketAddr>,
    /// Whether the client's connection to the proxy is encrypted.
    pub(crate) https: bool,
}

/// The client of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) address: Option<IpAddr>,
    /// 0 where it is not known.
    pub(crate) port: u16,
    pub(crate) https: bool,
    /// The host that the client named to the proxy.
    pub(crate) host: Option<Bytes>,
    /// Whether the peer's statements are believed.
    pub(crate) is_trusted: bool,
    /// They are in `X-Forwarded-*`, not in `Forwarded`.
    pub(crate) used_x_headers: bool,
    /// The peer names the host that the client asked for (`forwarded_host`).
    pub(crate) takes_host: bool,
    /// The headers of the peer were not believed.
    pub(crate) ignored: bool,
}

/// Whether one of the networks contains the address.
pub(crate) fn is_trusted(trusted: &[TrustedNetwork], address: Option<IpAddr>) -> bool {
    trusted.iter().any(|network| network.contains(address))
}

/// Determines the client of a request. `takes_host`: a trusted proxy may name the host.
pub(crate) fn client(peer: Peer, head: &Head, trusted: &[TrustedNetwork], takes_host: bool) -> Client {
    let ip = peer.address.map(|address| address.ip().to_canonical());
    let port = peer.address.map_or(0, |address| address.port());
    let (https, host) = (peer.https, None);
    let (is_trusted_peer, used_x_headers, ignored) = (false, false, false);
    let mut client = Client {
        address: ip,
        port,
        https,
        host,
        is_trusted: is_trusted_peer,
        used_x_headers,
        takes_host,
        ignored,
    };
    if !is_trusted(trusted, ip) {
        client.ignored = values(&head.headers, "x-forwarded-proto").next().is_some();
        return client;
    }
    client.is_trusted = true;
    client.used_x_headers = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"]
        .iter()
        .any(|name| head.values(name).next().is_some());
    if client.used_x_headers {
        from_x_headers(head, trusted, &mut client);
    } else {
        from_forwarded(head, trusted, &mut client);
    }
    // A proxy that keeps `Host` may pass on what its client sends in these headers.
    client.host = client.host.filter(|_| takes_host);
    client
}

fn from_x_headers(head: &Head, trusted: &[TrustedNetwork], client: &mut Client) {
    let chain: Vec<_> = list(head, "x-forwarded-for").collect();
    set_address(chain.iter().rev().map(|node| parse_node(node)), trusted, client);
    if let Some(scheme) = list(head, "x-forwarded-proto").last() {
        client.https = scheme.eq_ignore_ascii_case(b"https");
    }
    let host = list(head, "x-forwarded-host").last().filter(|host| target::check_host(host).is_ok());
    client.host = host.map(|host| with_port(host, list(head, "x-forwarded-port").last(), client.https));
}

/// Adds a port that is not the usual one.
fn with_port(host: &[u8], port: Option<&[u8]>, https: bool) -> Bytes {
    let usual: &[u8] = if https { b"443" } else { b"80" };
    let has_port = host.rsplit(|byte| *byte == b']').next().is_some_and(|end| end.contains(&b':'));
    match port.filter(|port| *port != usual && !has_port) {
        Some(port) if (1..=5).contains(&port.len()) && port.iter().all(u8::is_ascii_digit) => {
            [host, b":", port].concat().into()
        }
        _ => Bytes::copy_from_slice(host),
    }
}

/// Reads RFC 7239: elements separated by commas, the last one of the nearest proxy.
fn from_forwarded(head: &Head, trusted: &[TrustedNetwork], client: &mut Client) {
    let elements: Vec<_> = list(head, "forwarded").collect();
    let nodes = elements.iter().rev().map(|element| parse_node(parameter(element, b"for").unwrap_or(b"")));
    set_address(nodes, trusted, client);
    let Some(last) = elements.last() else { return };
    if let Some(scheme) = parameter(last, b"proto") {
        client.https = scheme.eq_ignore_ascii_case(b"https");
    }
    let host = parameter(last, b"host").filter(|host| target::check_host(host).is_ok());
    client.host = host.map(Bytes::copy_from_slice);
}

/// Takes the nearest address that is not that of a trusted proxy. What is not an address ends the chain.
fn set_address(
    nearest_first: impl Iterator<Item = Option<(IpAddr, u16)>>,
    trusted: &[TrustedNetwork],
    client: &mut Client,
) {
    for node in nearest_first {
        let Some((address, port)) = node else { return };
        (client.address, client.port) = (Some(address), port);
        if !is_trusted(trusted, Some(address)) {
            return;
        }
    }
}

/// Returns the elements of all headers of this name.
fn list<'h>(head: &'h Head, name: &'h str) -> impl Iterator<Item = &'h [u8]> {
    head.values(name).flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

fn parameter<'e>(element: &'e [u8], name: &[u8]) -> Option<&'e [u8]> {
    element.split(|byte| *byte == b';').find_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let is_it = pair[..at].trim_ascii().eq_ignore_ascii_case(name);
        let value = pair[at + 1..].trim_ascii();
        is_it.then(|| value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")).unwrap_or(value))
    })
}

/// Parses an address, with or without a port.
fn parse_node(text: &[u8]) -> Option<(IpAddr, u16)> {
    let text = str::from_utf8(text).ok()?;
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some((address.to_canonical(), 0));
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some((address.ip().to_canonical(), address.port()));
    }
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    inner.parse::<IpAddr>().ok().map(|address| (address.to_canonical(), 0))
}
