//! TCP sockets of this machine and their owners, as reported by the kernel's `NETLINK_SOCK_DIAG` to any user.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::libc;
use nix::sys::socket::{
    self, AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recvfrom,
};

/// `SOCK_DIAG_BY_FAMILY` in `linux/sock_diag.h`.
const BY_FAMILY: u16 = 20;
const IPPROTO_TCP: u8 = 6;
/// `TCP_ESTABLISHED` in `net/tcp_states.h`.
pub const ESTABLISHED: u8 = 1;
/// `TCP_LISTEN` in `net/tcp_states.h`.
pub const LISTEN: u8 = 10;
/// `INET_DIAG_SKV6ONLY` in `linux/inet_diag.h`.
const V6_ONLY: u16 = 11;
/// Lengths of `nlmsghdr`, `inet_diag_sockid` and `inet_diag_msg`.
const HEADER: usize = 16;
const SOCKET_ID: usize = 48;
const MESSAGE: usize = 4 + SOCKET_ID + 20;
/// Longer than the kernel's answers, which are a page or two.
const ROOM: usize = 32 * 1024;

/// One TCP socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpSocket {
    /// Its state, as numbered in `net/tcp_states.h`.
    pub state: u8,
    /// Its own address.
    pub local: SocketAddr,
    /// The user who owns it. A kernel before 6.16 reports 0 for a connection that is not yet accepted.
    pub uid: u32,
    /// Its inode; 0 for a connection that is not yet accepted or already closed.
    pub inode: u32,
    /// Whether it accepts no IPv4 connections.
    pub v6_only: bool,
}

/// Returns the socket at the other end of a local connection: `peer` is that socket's address, `own` that of this end.
/// If there is none, returns a socket that listens on `peer`.
///
/// # Errors
///
/// `NotFound` if there is neither.
pub fn peer_of(own: SocketAddr, peer: SocketAddr) -> io::Result<TcpSocket> {
    let netlink = open()?;
    let states = u32::MAX;
    send(&netlink, &request(libc::NLM_F_REQUEST, family(peer), states, Some(peer), Some(own)))?;
    let answer = receive(&netlink)?;
    let mut found = Vec::new();
    read(&answer, &mut found)?;
    found.pop().ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Returns all sockets that listen on a port, on any address.
pub fn listeners(port: u16) -> io::Result<Vec<TcpSocket>> {
    let mut found = Vec::new();
    for any in [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)] {
        let netlink = open()?;
        let at = SocketAddr::new(any, port);
        let flags = libc::NLM_F_REQUEST | libc::NLM_F_DUMP;
        send(&netlink, &request(flags, family(at), 1 << LISTEN, Some(at), None))?;
        while !read(&receive(&netlink)?, &mut found)? {}
    }
    // Older kernels do not filter.
    found.retain(|socket| socket.state == LISTEN && socket.local.port() == port);
    Ok(found)
}

fn open() -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let protocol = SockProtocol::NetlinkSockDiag;
    Ok(socket::socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?)
}

fn send(netlink: &OwnedFd, request: &[u8]) -> io::Result<()> {
    let kernel = NetlinkAddr::new(0, 0);
    socket::sendto(netlink.as_raw_fd(), request, &kernel, MsgFlags::empty())?;
    Ok(())
}

/// Receives one datagram from the kernel.
fn receive(netlink: &OwnedFd) -> io::Result<Vec<u8>> {
    let mut room = vec![0; ROOM];
    let (came, from) = recvfrom::<NetlinkAddr>(netlink.as_raw_fd(), &mut room)?;
    if from.is_none_or(|from| from.pid() != 0) {
        return Err(bad("an answer that is not the kernel's"));
    }
    room.truncate(came);
    Ok(room)
}

fn family(address: SocketAddr) -> u8 {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    u8::try_from(family).unwrap_or_default()
}

/// Encodes `nlmsghdr`, then `inet_diag_req_v2`.
fn request(
    flags: i32,
    family: u8,
    states: u32,
    local: Option<SocketAddr>,
    remote: Option<SocketAddr>,
) -> Vec<u8> {
    let length = HEADER + 8 + SOCKET_ID;
    let mut bytes = Vec::with_capacity(length);
    bytes.extend((length as u32).to_ne_bytes());
    bytes.extend(BY_FAMILY.to_ne_bytes());
    bytes.extend((flags as u16).to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend([family, IPPROTO_TCP, 0, 0]);
    bytes.extend(states.to_ne_bytes());
    let port = |address: Option<SocketAddr>| address.map_or(0, |address| address.port()).to_be_bytes();
    bytes.extend(port(local));
    bytes.extend(port(remote));
    bytes.extend(words(local));
    bytes.extend(words(remote));
    bytes.extend(0_u32.to_ne_bytes());
    // INET_DIAG_NOCOOKIE
    bytes.extend([0xff; 8]);
    bytes
}

fn words(address: Option<SocketAddr>) -> [u8; 16] {
    let mut words = [0; 16];
    match address.map(|address| address.ip()) {
        Some(IpAddr::V4(ip)) => words[..4].copy_from_slice(&ip.octets()),
        Some(IpAddr::V6(ip)) => words = ip.octets(),
        None => {}
    }
    words
}

/// Appends the sockets of one datagram; returns whether it contains the end of a dump.
fn read(mut bytes: &[u8], found: &mut Vec<TcpSocket>) -> io::Result<bool> {
    while bytes.len() >= HEADER {
        let length = u32_at(bytes, 0)? as usize;
        let message =
            bytes.get(HEADER..length).ok_or_else(|| bad("a message that is longer than its datagram"))?;
        match i32::from(u16_at(bytes, 4)?) {
            libc::NLMSG_DONE => return Ok(true),
            libc::NLMSG_ERROR => {
                let code = u32_at(message, 0)?.cast_signed();
                return Err(io::Error::from_raw_os_error(code.wrapping_neg()));
            }
            kind if kind == i32::from(BY_FAMILY) => found.push(socket_in(message)?),
            _ => {}
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

/// Decodes `inet_diag_msg` and its attributes.
fn socket_in(message: &[u8]) -> io::Result<TcpSocket> {
    let (fixed, mut attributes) =
        message.split_at_checked(MESSAGE).ok_or_else(|| bad("a message that is cut"))?;
    let port = u16::from_be_bytes([fixed[4], fixed[5]]);
    let mut octets = [0; 16];
    octets.copy_from_slice(&fixed[8..24]);
    let ip = if i32::from(fixed[0]) == libc::AF_INET {
        IpAddr::V4(Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3]))
    } else {
        IpAddr::V6(Ipv6Addr::from(octets))
    };
    let mut v6_only = false;
    while let [low, high, kind_low, kind_high, rest @ ..] = attributes {
        let length = usize::from(u16::from_ne_bytes([*low, *high]));
        if u16::from_ne_bytes([*kind_low, *kind_high]) == V6_ONLY {
            v6_only = rest.first().is_some_and(|value| *value != 0);
        }
        attributes = attributes.get(length.next_multiple_of(4).max(4)..).unwrap_or_default();
    }
    Ok(TcpSocket {
        state: fixed[1],
        local: SocketAddr::new(ip, port),
        uid: u32_at(fixed, MESSAGE - 8)?,
        inode: u32_at(fixed, MESSAGE - 4)?,
        v6_only,
    })
}

fn u32_at(bytes: &[u8], at: usize) -> io::Result<u32> {
    let found = bytes.get(at..).and_then(|bytes| bytes.first_chunk());
    found.map(|bytes| u32::from_ne_bytes(*bytes)).ok_or_else(|| bad("a message that is cut"))
}

fn u16_at(bytes: &[u8], at: usize) -> io::Result<u16> {
    let found = bytes.get(at..).and_then(|bytes| bytes.first_chunk());
    found.map(|bytes| u16::from_ne_bytes(*bytes)).ok_or_else(|| bad("a message that is cut"))
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the kernel's socket table: {what}"))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn me() -> u32 {
        nix::unistd::geteuid().as_raw()
    }

    #[test]
    fn the_other_end_of_a_connection_is_found_before_and_after_it_is_accepted() {
        for address in ["127.0.0.1:0", "[::1]:0", "[::]:0", "0.0.0.0:0"] {
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let local = listener.local_addr().unwrap();
            let host: IpAddr = if address == "[::1]:0" { "::1" } else { "127.0.0.1" }.parse().unwrap();
            let client = TcpStream::connect((host, local.port())).unwrap();
            let (own, peer) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
            let waiting = peer_of(own, peer).unwrap();
            assert_eq!((waiting.state, waiting.inode), (ESTABLISHED, 0), "{address}");
            let _accepted = listener.accept().unwrap();
            let accepted = peer_of(own, peer).unwrap();
            assert_eq!((accepted.state, accepted.uid), (ESTABLISHED, me()), "{address}");
            assert_ne!(accepted.inode, 0);
        }
    }

    #[test]
    fn a_listener_is_returned_where_there_is_no_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let nobody = "127.0.0.1:9".parse().unwrap();
        assert_eq!(peer_of(nobody, at).unwrap().state, LISTEN);
        drop(listener);
        assert_eq!(peer_of(nobody, at).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn the_listeners_of_a_port_are_found_at_all_addresses() {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        let mut addresses = vec![first.local_addr().unwrap()];
        let second = TcpListener::bind(("::1", port)).ok();
        addresses.extend(second.as_ref().map(|second| second.local_addr().unwrap()));
        let found = listeners(port).unwrap();
        assert_eq!(found.iter().map(|socket| socket.local).collect::<Vec<_>>(), addresses);
        assert!(found.iter().all(|socket| socket.uid == me() && socket.state == LISTEN));
    }

    #[test]
    fn truncated_messages_are_refused() {
        let whole = request(0, 2, 0, None, None);
        for length in HEADER..whole.len() {
            assert!(read(&whole[..length], &mut Vec::new()).is_err(), "{length}");
        }
        assert!(socket_in(&[0; MESSAGE - 1]).is_err());
        let mut endless = vec![0; MESSAGE];
        endless.extend([0; 8]);
        assert!(socket_in(&endless).is_ok(), "an attribute of length 0 ends");
    }
}
