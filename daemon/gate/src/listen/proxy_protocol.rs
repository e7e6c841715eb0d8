//! The PROXY protocol, version 2: a binary header before the first request names the client of a proxy.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::{Buf, BytesMut};

use super::stream::Stream;
use crate::request::forwarded::Peer;

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
const FIXED: usize = 16;
/// Longest rest of a header: addresses of unix sockets and a few extensions.
const MAX_REST: usize = 4096;

/// Why a header is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum ProxyError {
    #[error("the connection does not begin with a PROXY header of version 2")]
    NotProxy,
    #[error(
        "the PROXY header has version 1, and only version 2 is supported; configure the proxy to send version 2"
    )]
    Version1,
    #[error("the PROXY header is invalid: {0}")]
    Invalid(&'static str),
}

/// Returns the header's peer and length; `None` while it is incomplete. `LOCAL` keeps the given peer, as for health
/// checks of the proxy itself.
pub(crate) fn parse(bytes: &[u8], peer: Peer) -> Result<Option<(Peer, usize)>, ProxyError> {
    const V1: &[u8] = b"PROXY ";
    let begin = &bytes[..bytes.len().min(SIGNATURE.len())];
    if bytes.starts_with(V1) {
        return Err(ProxyError::Version1);
    }
    if !SIGNATURE.starts_with(begin) && !V1.starts_with(begin) {
        return Err(ProxyError::NotProxy);
    }
    let Some((fixed, rest)) = bytes.split_at_checked(FIXED) else { return Ok(None) };
    let &[.., version_and_command, family, high, low] = fixed else { return Ok(None) };
    let len = usize::from(u16::from_be_bytes([high, low]));
    if len > MAX_REST {
        return Err(ProxyError::Invalid("it is too long"));
    }
    let Some(rest) = rest.get(..len) else { return Ok(None) };
    if version_and_command >> 4 != 2 {
        return Err(ProxyError::Invalid("its version is not 2"));
    }
    let peer = match version_and_command & 0x0f {
        0 => peer,
        1 => proxied(family, rest)?,
        _ => return Err(ProxyError::Invalid("its command is unknown")),
    };
    Ok(Some((peer, FIXED + len)))
}

fn proxied(family: u8, rest: &[u8]) -> Result<Peer, ProxyError> {
    const SHORT: ProxyError = ProxyError::Invalid("its addresses are cut");
    let (address, extensions) = match family {
        0x11 => {
            let (&[a, b, c, d, _, _, _, _, high, low, _, _], rest) =
                rest.split_first_chunk::<12>().ok_or(SHORT)?;
            let port = u16::from_be_bytes([high, low]);
            (Some(SocketAddr::from((Ipv4Addr::new(a, b, c, d), port))), rest)
        }
        0x21 => {
            let (addresses, rest) = rest.split_first_chunk::<36>().ok_or(SHORT)?;
            let (source, others) = addresses.split_first_chunk::<16>().ok_or(SHORT)?;
            let port = u16::from_be_bytes([others[16], others[17]]);
            (Some(SocketAddr::from((Ipv6Addr::from(*source), port))), rest)
        }
        0x31 => (None, rest.get(216..).ok_or(SHORT)?),
        0x00 => (None, &[][..]),
        _ => return Err(ProxyError::Invalid("its address family is unknown")),
    };
    Ok(Peer { address, https: has_tls(extensions)? })
}

/// Whether the extension for TLS says that the client used it.
fn has_tls(mut extensions: &[u8]) -> Result<bool, ProxyError> {
    const TLS: u8 = 0x20;
    while let [kind, high, low, rest @ ..] = extensions {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, rest) = rest.split_at_checked(len).ok_or(ProxyError::Invalid("an extension is cut"))?;
        if *kind == TLS {
            return Ok(value.first().is_some_and(|flags| flags & 1 != 0));
        }
        extensions = rest;
    }
    Ok(false)
}

/// Reads the header from a connection. What follows it remains in `buffer`.
pub(crate) async fn read(stream: &Stream, buffer: &mut BytesMut, peer: Peer) -> io::Result<Peer> {
    loop {
        match parse(buffer, peer).map_err(io::Error::other)? {
            Some((peer, len)) => {
                buffer.advance(len);
                return Ok(peer);
            }
            None => {
                if stream.read(buffer).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: Peer = Peer { address: None, https: false };

    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let len = (rest.len() as u16).to_be_bytes();
        [&SIGNATURE[..], &[0x20 | command, family], &len, rest].concat()
    }

    #[test]
    fn the_client_of_a_proxy_is_named() {
        let v4 = [192, 0, 2, 1, 127, 0, 0, 1, 0x1f, 0x90, 0, 80];
        let bytes = [&header(1, 0x11, &v4)[..], b"GET"].concat();
        let (peer, len) = parse(&bytes, PEER).unwrap().unwrap();
        assert_eq!(peer, Peer { address: Some("192.0.2.1:8080".parse().unwrap()), https: false });
        assert_eq!(len, bytes.len() - 3);
        for cut in 0..bytes.len() - 3 {
            assert_eq!(parse(&bytes[..cut], PEER), Ok(None), "{cut}");
        }
        let tls = [&v4[..], &[4, 0, 1, 7, 0x20, 0, 5, 1, 0, 0, 0, 0]].concat();
        assert!(parse(&header(1, 0x11, &tls), PEER).unwrap().unwrap().0.https);
        let mut v6 = [0; 36];
        v6[15] = 1;
        v6[33] = 99;
        let (peer, _) = parse(&header(1, 0x21, &v6), PEER).unwrap().unwrap();
        assert_eq!(peer.address, Some("[::1]:99".parse().unwrap()));
    }

    #[test]
    fn a_health_check_of_the_proxy_keeps_its_address() {
        let peer = Peer { address: Some("127.0.0.1:9".parse().unwrap()), https: false };
        assert_eq!(parse(&header(0, 0, &[]), peer), Ok(Some((peer, FIXED))));
    }

    #[test]
    fn other_bytes_are_refused_with_the_reason() {
        assert_eq!(parse(b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", PEER), Err(ProxyError::Version1));
        assert_eq!(parse(b"GET / HTTP/1.1\r\n", PEER), Err(ProxyError::NotProxy));
        assert_eq!(parse(b"P", PEER), Ok(None));
        for wrong in [
            header(2, 0x11, &[0; 12]),
            header(1, 0x11, &[0; 11]),
            header(1, 0x21, &[0; 35]),
            header(1, 0x55, &[0; 12]),
            header(1, 0x11, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x20, 0, 9]),
            header(1, 0x11, &[0; 5000]),
        ] {
            assert!(matches!(parse(&wrong, PEER), Err(ProxyError::Invalid(_))), "{wrong:?}");
        }
        let mut version3 = header(1, 0x11, &[0; 12]);
        version3[12] = 0x31;
        assert!(matches!(parse(&version3, PEER), Err(ProxyError::Invalid(_))));
    }
}
