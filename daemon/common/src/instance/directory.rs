//! Directories by descriptor: created, opened and read without following symbolic links that may replace them.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::dir::Dir;
use nix::fcntl::{self, OFlag};
use nix::sys::stat::{self, FileStat, Mode};
use nix::unistd::Uid;

/// Creates a directory that must not exist, with `mode` whatever the umask is, and opens it.
pub(super) fn make_directory(parent: &OwnedFd, name: &str, mode: u32) -> io::Result<OwnedFd> {
    stat::mkdirat(parent, name, Mode::S_IRWXU)?;
    let made = open_directory(parent.as_fd(), name)?;
    stat::fchmod(&made, Mode::from_bits_truncate(mode))?;
    Ok(made)
}

pub(super) fn open_directory(parent: impl AsFd, name: &str) -> io::Result<OwnedFd> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_RDONLY;
    Ok(fcntl::openat(parent, name, flags, Mode::empty())?)
}

pub(super) fn new_file(directory: &OwnedFd, name: &str, mode: Mode) -> io::Result<File> {
    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_WRONLY;
    Ok(File::from(fcntl::openat(directory, name, flags, mode)?))
}

/// Returns the names in the directory, without `.` and `..` and names that are not UTF-8.
pub(super) fn names_in(directory: &OwnedFd) -> io::Result<Vec<String>> {
    // A separate descriptor, as reading a directory moves its position.
    let mut reader = Dir::openat(directory, ".", OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    let mut names = Vec::new();
    for entry in reader.iter() {
        let entry = entry?;
        if matches!(entry.file_name().to_bytes(), b"." | b"..") {
            continue;
        }
        names.extend(entry.file_name().to_str().ok().map(str::to_owned));
    }
    Ok(names)
}

/// Checks that no other user can replace directories in this one.
pub(super) fn check_safe(directory: &FileStat, euid: Uid) -> Result<(), &'static str> {
    if directory.st_uid != euid.as_raw() && directory.st_uid != 0 {
        return Err("it belongs to another user");
    }
    let sticky = directory.st_mode & 0o1000 != 0;
    if directory.st_mode & 0o022 != 0 && !sticky {
        return Err("users other than its owner can write to it, and it is not sticky");
    }
    Ok(())
}
