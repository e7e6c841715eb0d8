//! Checks of TCP ports.

use std::os::fd::AsRawFd;
use std::{io, mem};

use nix::libc;
use nix::sys::socket::{self, AddressFamily, SockFlag, SockType};

/// Whether the port is free on every address of this machine. The check binds and releases it, without listening, so no
/// connection is accepted meanwhile.
pub fn is_port_free(port: u16) -> io::Result<bool> {
    let socket = socket::socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    // SAFETY: all zeros is a valid sockaddr_in, for all addresses of no family yet.
    let mut address: libc::sockaddr_in = unsafe { mem::zeroed() };
    address.sin_family = libc::AF_INET as libc::sa_family_t;
    address.sin_port = port.to_be();
    let length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    // SAFETY: the address is a sockaddr_in of the given length, and only read.
    let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    Ok(bound == 0)
}
