//! Descriptors by number: inherited ones are taken as `OwnedFd`, those for a child are placed on fixed numbers.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::fcntl::{self, FcntlArg, FdFlag, OFlag};
use nix::libc;
use nix::sys::resource::{self, Resource};

/// Opens `/dev/null` on each of descriptors 0, 1 and 2 that is closed, so that no socket of this process becomes
/// standard output by accident.
pub fn open_standard_ones() -> io::Result<()> {
    loop {
        let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
        if null.as_raw_fd() > 2 {
            return Ok(());
        }
        let standard = OwnedFd::from(null);
        fcntl::fcntl(&standard, FcntlArg::F_SETFD(FdFlag::empty()))?;
        std::mem::forget(standard);
    }
}

/// Replaces descriptors 0, 1 and 2 by `/dev/null`.
pub fn close_standard_ones() -> io::Result<()> {
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    for standard in 0..=2 {
        // SAFETY: dup2 touches no memory, and standard input, output and error are owned by no value: the standard
        // library borrows them by number.
        if unsafe { libc::dup2(null.as_raw_fd(), standard) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// The directory of this process's descriptors.
const OPEN: &str = "/proc/self/fd";
/// The number of a router's link.
pub const LINK: RawFd = 3;

/// Takes ownership of the inherited link, once in a process's life.
pub fn take_link() -> io::Result<OwnedFd> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::SeqCst) {
        return Err(io::Error::from(Errno::EBADF));
    }
    // SAFETY: F_GETFD reads a flag and touches no memory.
    if unsafe { libc::fcntl(LINK, libc::F_GETFD) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is open, was inherited by agreement with the supervisor, and the flag above makes this
    // the only taker. Call it before anything else opens descriptors.
    let link = unsafe { OwnedFd::from_raw_fd(LINK) };
    fcntl::fcntl(&link, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    Ok(link)
}

/// Places `wanted[i]` on number `i` for the program about to be executed, and closes everything else at the exec.
///
/// To be called in a child only: it replaces the descriptors with these numbers. The caller must not own any other
/// descriptor with one of these numbers.
pub fn place_for_exec(wanted: Vec<OwnedFd>) -> io::Result<()> {
    let count = RawFd::try_from(wanted.len()).map_err(|_| Errno::EMFILE)?;
    // Copy above the target numbers first: a source must not be overwritten before its turn.
    let sources: Vec<OwnedFd> = wanted.iter().map(|fd| copy_above(fd, count)).collect::<io::Result<_>>()?;
    for (target, source) in (0..).zip(&sources) {
        // SAFETY: dup2 touches no memory. What it closes at `target` belongs to this child, which owns no Rust value
        // of that number that it still uses: sources and log have higher numbers, and only exec or exit follows.
        if unsafe { libc::dup2(source.as_raw_fd(), target) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    // The originals may have had the target numbers: closing them would close the copies.
    wanted.into_iter().for_each(std::mem::forget);
    close_from_at_exec(count)
}

/// Closes every descriptor but the standard ones and `kept`, which gets the number of a router's link.
///
/// To be called only in a child that no longer uses any of the values that it was forked with.
pub fn keep_only(kept: OwnedFd) -> io::Result<OwnedFd> {
    // SAFETY: dup2 touches no memory. What it closes belongs to this child, which uses no Rust value of that number.
    if unsafe { libc::dup2(kept.as_raw_fd(), LINK) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // It is closed below, or it is the descriptor that is kept.
    std::mem::forget(kept);
    let above = libc::c_uint::try_from(LINK + 1).map_err(|_| Errno::EBADF)?;
    // SAFETY: close_range touches no memory, and by this function's contract nobody uses what it closes.
    if unsafe { libc::close_range(above, libc::c_uint::MAX, 0) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open since dup2, and by this function's contract no other value owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(LINK) })
}

/// Makes `file` this process's standard error, to which it logs.
pub fn log_to(file: impl AsFd) -> io::Result<()> {
    // SAFETY: dup2 touches no memory. Nothing in this process owns number 2: it is reached by its number only, as
    // standard error, and stays open from one call to the next.
    let put = unsafe { libc::dup2(file.as_fd().as_raw_fd(), libc::STDERR_FILENO) };
    if put < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Returns a close-on-exec copy with the number `least` or more, above those of [`place_for_exec`].
pub fn copy_above(fd: impl AsFd, least: RawFd) -> io::Result<OwnedFd> {
    let copy = fcntl::fcntl(fd.as_fd(), FcntlArg::F_DUPFD_CLOEXEC(least))?;
    // SAFETY: F_DUPFD_CLOEXEC has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Marks every descriptor from `first` up as close-on-exec, however it was opened.
fn close_from_at_exec(first: RawFd) -> io::Result<()> {
    let first = libc::c_uint::try_from(first).map_err(|_| Errno::EBADF)?;
    // SAFETY: with CLOSE_RANGE_CLOEXEC the call only sets flags; it touches no memory and closes nothing now.
    let done =
        unsafe { libc::close_range(first, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC as libc::c_int) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Returns how many more files this process may open.
pub fn left() -> io::Result<u64> {
    let (limit, _) = resource::getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(limit.saturating_sub(open()?))
}

fn open() -> io::Result<u64> {
    // Linux 6.2 and later count them, which is much cheaper with thousands than to list them.
    match std::fs::metadata(OPEN)?.len() {
        0 => listed(),
        open => Ok(open),
    }
}

fn listed() -> io::Result<u64> {
    // The list includes the descriptor that reads it.
    Ok((std::fs::read_dir(OPEN)?.count() as u64).saturating_sub(1))
}

/// Makes reads and writes on the open file description non-blocking.
pub fn set_nonblocking(fd: impl AsFd) -> io::Result<()> {
    let flags = OFlag::from_bits_truncate(fcntl::fcntl(&fd, FcntlArg::F_GETFL)?);
    fcntl::fcntl(&fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}

/// Whether the error means that the process or the machine has no descriptors left.
pub fn are_used_up(why: &io::Error) -> bool {
    matches!(why.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_count_is_that_of_the_list() {
        let files: Vec<_> = (0..100).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
        // Other tests of this process open files at the same time.
        while open().unwrap() != listed().unwrap() {
            std::thread::yield_now();
        }
        let (limit, _) = resource::getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert!(left().unwrap() <= limit - 100);
        drop(files);
    }
}
