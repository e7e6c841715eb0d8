//! Sockets that a service manager opened before this program was started, by systemd's convention: read from the
//! environment, returned as descriptors that no child inherits.

use std::env;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{self, FcntlArg, FdFlag};
use nix::libc;
use nix::sys::socket::{self, UnixAddr, sockopt};

/// The first descriptor.
const FIRST: RawFd = 3;
/// Maximum number of sockets; more than any unit has.
const MOST: RawFd = 64;

/// Takes ownership of the sockets, once in a process's life; returns none if they are not meant for this process.
pub fn take_sockets() -> io::Result<Vec<OwnedFd>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<i64>().ok());
    let for_us = number("LISTEN_PID") == Some(i64::from(std::process::id()));
    if !for_us || TAKEN.swap(true, Ordering::SeqCst) {
        return Ok(Vec::new());
    }
    let count = number("LISTEN_FDS").and_then(|count| RawFd::try_from(count).ok()).unwrap_or(0);
    (FIRST..FIRST + count.clamp(0, MOST)).map(take).collect()
}

fn take(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_GETFD reads a flag and touches no memory.
    if unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is open, LISTEN_PID says that it was handed over to this very process, and the flag in
    // the caller makes this the only taker. Call it before anything else opens descriptors.
    let socket = unsafe { OwnedFd::from_raw_fd(number) };
    fcntl::fcntl(&socket, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    Ok(socket)
}

/// Returns the path of a listening unix socket; `None` for anything else.
pub fn listening_path(socket: &OwnedFd) -> Option<PathBuf> {
    if !socket::getsockopt(socket, sockopt::AcceptConn).ok()? {
        return None;
    }
    let address: UnixAddr = socket::getsockname(socket.as_raw_fd()).ok()?;
    address.path().map(PathBuf::from)
}
