//! Checks of TCP ports.

use std::io;
use std::os::fd::AsRawFd;

use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, SockaddrIn};

/// Whether the port is free on every address of this machine. The check binds and releases it, without listening, so no
/// connection is accepted meanwhile.
pub fn is_port_free(port: u16) -> io::Result<bool> {
    let socket = socket::socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    Ok(socket::bind(socket.as_raw_fd(), &SockaddrIn::new(0, 0, 0, 0, port)).is_ok())
}
