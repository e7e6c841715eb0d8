//! Listening unix sockets, created with their access mode.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    self, AddressFamily, SockFlag, SockType, UnixAddr, UnixCredentials, sockopt::PeerCredentials,
};
use nix::sys::stat::{self, Mode};

/// Room for more groups than most users have.
const FIRST_ROOM: usize = 32;

/// Binds `path`, which must not exist, and listens. A symbolic link as the last component is not followed.
///
/// The mode is in effect before any process can connect: it comes from the umask, which only this process (it has one
/// thread) sets and restores.
/// thread) sets and restores.
pub fn listen(path: &Path, mode: u32, backlog: i32) -> io::Result<OwnedFd> {
    let address = UnixAddr::new(path)?;
    let socket = socket::socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    let before = stat::umask(Mode::from_bits_truncate(!mode & 0o777));
    let bound = socket::bind(socket.as_raw_fd(), &address);
    stat::umask(before);
    bound?;
    set_backlog(&socket, backlog)?;
    Ok(socket)
}

/// Sets the maximum number of connections that wait to be accepted; the kernel reduces it to `somaxconn`. A socket that
/// already listens continues with the new number.
pub fn set_backlog(socket: impl AsFd, backlog: i32) -> io::Result<()> {
    // SAFETY: listen takes two numbers, one of a descriptor that is open here, and touches no memory.
    let done = unsafe { libc::listen(socket.as_fd().as_raw_fd(), backlog) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The state of a socket file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// It does not exist.
    Absent,
    /// No process listens on it.
    Dead,
    /// A process listens on it. With the PID, if the kernel reports it.
    Live(Option<i32>),
}

/// Determines the state by connecting.
pub fn probe(path: &Path) -> io::Result<Listener> {
    let address = UnixAddr::new(path)?;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket::socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    match socket::connect(socket.as_raw_fd(), &address) {
        Ok(()) => Ok(Listener::Live(peer(&socket).ok().map(|peer| peer.pid()))),
        // The backlog is full: a process listens but is busy.
        Err(Errno::EAGAIN) => Ok(Listener::Live(None)),
        Err(Errno::ENOENT) => Ok(Listener::Absent),
        Err(Errno::ECONNREFUSED) => Ok(Listener::Dead),
        Err(why) => Err(why.into()),
    }
}

/// Returns the groups of the process at the other end at the time it connected, in the kernel's order.
pub fn peer_groups(socket: &impl AsFd) -> io::Result<Vec<u32>> {
    let mut groups = vec![0_u32; FIRST_ROOM];
    loop {
        let room = std::mem::size_of_val(&*groups);
        let mut length = libc::socklen_t::try_from(room).map_err(io::Error::other)?;
        // SAFETY: the kernel writes at most `length` bytes into the vector, which has that many and lives on; any bytes
        // are valid numbers. It puts the length of all of them into `length`.
        let done = unsafe {
            libc::getsockopt(
                socket.as_fd().as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        let count = length as usize / size_of::<u32>();
        match (done, Errno::last()) {
            (0, _) => {
                groups.truncate(count);
                return Ok(groups);
            }
            // There are more groups than room.
            (_, Errno::ERANGE) if count > groups.len() => groups.resize(count, 0),
            (_, why) => return Err(why.into()),
        }
    }
}

/// Returns the credentials of the process at the other end, as attested by the kernel.
pub fn peer(socket: &OwnedFd) -> io::Result<UnixCredentials> {
    Ok(socket::getsockopt(socket, PeerCredentials)?)
}
