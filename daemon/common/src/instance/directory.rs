//! Directories by descriptor: made, opened and read without following a link that somebody puts in their place.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::dir::Dir;
use nix::fcntl::{self, OFlag};
use nix::sys::stat::{self, FileStat, Mode};
use nix::unistd::Uid;

/// Makes a directory that was not there and opens it, whatever the umask is.
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

/// What is in it, but for itself and what it is in; a name that is no UTF-8 is left out.
pub(super) fn names_in(directory: &OwnedFd) -> io::Result<Vec<String>> {
    // A descriptor of its own, as reading a directory moves its position.
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

/// In a directory that others can write, they could put their own in the place of ours.
pub(super) fn check_safe(directory: &FileStat, euid: Uid) -> Result<(), &'static str> {
    if directory.st_uid != euid.as_raw() && directory.st_uid != 0 {
        return Err("it belongs to another user");
    }
    let sticky = directory.st_mode & 0o1000 != 0;
    if directory.st_mode & 0o022 != 0 && !sticky {
        return Err("others than its owner can write to it, and it is not sticky");
    }
    Ok(())
}
