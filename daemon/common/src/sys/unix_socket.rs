//! Listening unix sockets, made with their access mode from the first moment on.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    self, AddressFamily, SockFlag, SockType, UnixAddr, UnixCredentials, sockopt::PeerCredentials,
};
use nix::sys::stat::{self, Mode};

/// More groups than most users are in.
const FIRST_ROOM: usize = 32;

/// Binds `path`, which must not exist, and listens. No symlink is followed at its end.
///
/// The mode is there before anybody can connect: it comes from the umask, which this process alone (it has one
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

/// Lets as many connections wait to be accepted; more than `somaxconn` is cut by the kernel. A socket that listens
/// already goes on with the new number.
pub fn set_backlog(socket: impl AsFd, backlog: i32) -> io::Result<()> {
    // SAFETY: listen takes two numbers, one of a descriptor that is open here, and touches no memory.
    let done = unsafe { libc::listen(socket.as_fd().as_raw_fd(), backlog) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What stands behind a socket file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// Nothing is there.
    Absent,
    /// A socket file that nobody listens on.
    Dead,
    /// Somebody listens. The PID, when the kernel tells it.
    Live(Option<i32>),
}

/// Finds out by connecting.
pub fn probe(path: &Path) -> io::Result<Listener> {
    let address = UnixAddr::new(path)?;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket::socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    match socket::connect(socket.as_raw_fd(), &address) {
        Ok(()) => Ok(Listener::Live(peer(&socket).ok().map(|peer| peer.pid()))),
        // A full backlog: somebody is there, though busy.
        Err(Errno::EAGAIN) => Ok(Listener::Live(None)),
        Err(Errno::ENOENT) => Ok(Listener::Absent),
        Err(Errno::ECONNREFUSED) => Ok(Listener::Dead),
        Err(why) => Err(why.into()),
    }
}

/// The groups of the process at the other end, as they were when it connected, in the order of the kernel.
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
            // There are more than there was room for.
            (_, Errno::ERANGE) if count > groups.len() => groups.resize(count, 0),
            (_, why) => return Err(why.into()),
        }
    }
}

/// Who is at the other end, as the kernel attests it.
pub fn peer(socket: &OwnedFd) -> io::Result<UnixCredentials> {
    Ok(socket::getsockopt(socket, PeerCredentials)?)
}
