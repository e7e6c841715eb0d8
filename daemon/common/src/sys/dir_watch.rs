//! Watches of directories that one process adds to the inotify instance of another, which alone reads the events.
//!
//! Adding a watch may block, as long as the directory's file system hangs; reading events does not.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use nix::libc;

/// What is reported: names that appear, and changes of files. `nix::sys::inotify` reads the same numbers.
const CHANGES: u32 = libc::IN_CREATE
    | libc::IN_MOVED_TO
    | libc::IN_ATTRIB
    | libc::IN_CLOSE_WRITE
    | libc::IN_ONLYDIR
    | libc::IN_EXCL_UNLINK;

/// Watches an open directory, which may be opened with `O_PATH`; returns the number of the watch, which is that of an
/// earlier watch of the same directory.
///
/// # Errors
///
/// `ENOSPC` when the user has no watch left, and what the file system answers.
pub fn add(inotify: impl AsFd, directory: impl AsFd) -> io::Result<i32> {
    let path = CString::new(format!("/proc/self/fd/{}", directory.as_fd().as_raw_fd()))?;
    // SAFETY: `path` is a C string that outlives the call, which only reads it; the descriptor is borrowed.
    let watch = unsafe { libc::inotify_add_watch(inotify.as_fd().as_raw_fd(), path.as_ptr(), CHANGES) };
    if watch >= 0 { Ok(watch) } else { Err(io::Error::last_os_error()) }
}

/// Removes a watch, if it still exists.
pub fn remove(inotify: impl AsFd, watch: i32) {
    // SAFETY: the call takes two numbers and touches no memory. It fails for a watch that no longer exists.
    unsafe { libc::inotify_rm_watch(inotify.as_fd().as_raw_fd(), watch) };
}
