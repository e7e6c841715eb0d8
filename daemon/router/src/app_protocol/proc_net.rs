//! TCP sockets in `/proc/net/tcp` and `/proc/net/tcp6`, for kernels and sandboxes without `NETLINK_SOCK_DIAG`.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use common::sys::sock_diag::{LISTEN, TcpSocket};

/// Like [`common::sys::sock_diag::peer_of`], without the sockets that listen.
pub(super) fn peer_of(own: SocketAddr, peer: SocketAddr) -> io::Result<TcpSocket> {
    let found = sockets(|socket, remote| socket.local == peer && remote == own)?;
    found.into_iter().next().ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Like [`common::sys::sock_diag::listeners`].
pub(super) fn listeners(port: u16) -> io::Result<Vec<TcpSocket>> {
    sockets(|socket, _| socket.state == LISTEN && socket.local.port() == port)
}

fn sockets(wanted: impl Fn(&TcpSocket, SocketAddr) -> bool) -> io::Result<Vec<TcpSocket>> {
    let mut tables = fs::read_to_string("/proc/net/tcp")?;
    // The file does not exist if the kernel has no IPv6.
    tables += &fs::read_to_string("/proc/net/tcp6").unwrap_or_default();
    let all = tables.lines().filter_map(socket_in);
    Ok(all.filter(|(socket, remote)| wanted(socket, *remote)).map(|(socket, _)| socket).collect())
}

/// Returns the socket of a line and the address of its peer.
fn socket_in(line: &str) -> Option<(TcpSocket, SocketAddr)> {
    let mut fields = line.split_whitespace().skip(1);
    let local = address(fields.next()?)?;
    let remote = address(fields.next()?)?;
    let state = u8::from_str_radix(fields.next()?, 16).ok()?;
    let uid = fields.nth(3)?.parse().ok()?;
    let inode = fields.nth(1)?.parse().ok()?;
    Some((TcpSocket { state, local, uid, inode, v6_only: false }, remote))
}

/// Parses `0100007F:1388`: words in the machine's byte order, and a port. IPv4-mapped IPv6 addresses become IPv4.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| Some(u32::from_str_radix(ip.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut octets = [0; 16];
            for (part, at) in octets.chunks_exact_mut(4).zip([0, 8, 16, 24]) {
                part.copy_from_slice(&word(at)?);
            }
            IpAddr::V6(Ipv6Addr::from(octets)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn finds_both_ends_of_a_connection() {
        for host in ["127.0.0.1", "::1"] {
            let Ok(listener) = TcpListener::bind((host, 0)) else { continue };
            let at = listener.local_addr().unwrap();
            assert_eq!(listeners(at.port()).unwrap().first().map(|socket| socket.local), Some(at));
            let client = TcpStream::connect(at).unwrap();
            let own = client.local_addr().unwrap();
            assert_eq!(peer_of(own, at).unwrap().inode, 0, "not accepted");
            let _accepted = listener.accept().unwrap();
            let accepted = peer_of(own, at).unwrap();
            assert_eq!((accepted.local, accepted.uid), (at, nix::unistd::geteuid().as_raw()));
            assert_ne!(accepted.inode, 0);
        }
    }

    #[test]
    fn finds_a_dual_stack_connection_by_ipv4_address() {
        let Ok(listener) = TcpListener::bind("[::]:0") else { return };
        let client = TcpStream::connect(("127.0.0.1", listener.local_addr().unwrap().port())).unwrap();
        let (own, peer) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
        assert_eq!(peer_of(own, peer).unwrap().local, peer);
    }

    #[test]
    fn ignores_lines_without_a_socket() {
        for line in ["", "  sl  local_address rem_address   st", "0: 0100007F:1388 0100007F 01 0 0 0 0 0 0"] {
            assert_eq!(socket_in(line), None, "{line:?}");
        }
    }
}
