//! Sockets that a service manager opened before this program was started, by systemd's convention: read from the
//! environment, returned as descriptors that no child inherits.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::socket::{self, UnixAddr, sockopt};

/// Takes ownership of the sockets, once in a process's life; returns none if they are not meant for this process.
pub fn take_sockets() -> io::Result<Vec<OwnedFd>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let pid = std::env::var("LISTEN_PID").ok().and_then(|pid| pid.parse().ok());
    if pid != Some(std::process::id()) || TAKEN.swap(true, Ordering::SeqCst) {
        return Ok(Vec::new());
    }
    // SAFETY: `listen_fds` has checked that each is open and that LISTEN_PID is this very process, to which they were
    // handed over; the flag above makes this the only taker. Call it before anything else opens descriptors.
    Ok(sd_notify::listen_fds()?.map(|number| unsafe { OwnedFd::from_raw_fd(number) }).collect())
}

/// Returns the path of a listening unix socket; `None` for anything else.
pub fn listening_path(socket: &OwnedFd) -> Option<PathBuf> {
    if !socket::getsockopt(socket, sockopt::AcceptConn).ok()? {
        return None;
    }
    let address: UnixAddr = socket::getsockname(socket.as_raw_fd()).ok()?;
    address.path().map(PathBuf::from)
}
