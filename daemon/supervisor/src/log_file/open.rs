//! Opening of a log file for appending.

use std::fmt::Display;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{self, FcntlArg, OFlag};
use nix::sys::stat::{self, Mode, SFlag};

use common::link::AppLogOpened;
use common::link::channel::Channel;

/// Why a file is not opened. The message follows the file's name.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// A system call failed.
    #[error(transparent)]
    Call(#[from] io::Error),
    /// The last component is a symbolic link.
    #[error("it is a symbolic link")]
    Link,
    /// It is not in the directory where root opens log files.
    #[error(
        "as the daemon runs as root, it must be below {0}, without \"..\", with a name that ends in .log and is not \
         one of the system's"
    )]
    Outside(PathBuf),
    /// It is not in the directory where root reads files.
    #[error("it must be below {0}, without \".\" and \"..\"")]
    NotBelow(PathBuf),
    /// A directory of the path cannot be opened as one.
    #[error("the directory {} cannot be opened (no symbolic link is followed): {}", .0.display(), .1.desc())]
    Directory(PathBuf, Errno),
    /// A directory of the path belongs to another user or is writable for others.
    #[error("users other than root can change the directory {0}")]
    Shared(PathBuf),
    /// The file may have been created by others than root.
    #[error("{0}")]
    NotOurs(&'static str),
    /// The process that was to open it reported this error.
    #[error("{0}")]
    Child(String),
}

pub(super) fn flags() -> OFlag {
    // Without O_NONBLOCK the call would wait for the reader of a pipe.
    let safe = OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NOCTTY | OFlag::O_NONBLOCK;
    safe | OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_CREAT
}

pub(super) fn mode() -> Mode {
    Mode::S_IRUSR | Mode::S_IWUSR | Mode::S_IRGRP
}

/// Opens any file that this process may open.
pub(super) fn open_any(path: &Path) -> Result<OwnedFd, Refusal> {
    let file = fcntl::open(path, flags(), mode()).map_err(refusal)?;
    fcntl::fcntl(&file, FcntlArg::F_SETFL(OFlag::O_APPEND)).map_err(refusal)?;
    Ok(file)
}

/// Opens a regular file only: with others, a reader at the other end can make a writer wait.
pub(crate) fn regular(path: &Path) -> Result<OwnedFd, Refusal> {
    let file = open_any(path)?;
    let found = stat::fstat(&file).map_err(refusal)?;
    let kind = SFlag::from_bits_truncate(found.st_mode & SFlag::S_IFMT.bits());
    if kind == SFlag::S_IFREG { Ok(file) } else { Err(Refusal::NotOurs("it is not a regular file")) }
}

pub(super) fn refusal(why: Errno) -> Refusal {
    if why == Errno::ELOOP { Refusal::Link } else { Refusal::Call(why.into()) }
}

/// Sends the result of opening a file.
pub(super) fn report<E: Display>(to: &Channel, opened: Result<OwnedFd, E>) -> io::Result<()> {
    match opened {
        Ok(file) => to.send(&AppLogOpened::File, &[file.as_fd()]),
        Err(why) => to.send(&AppLogOpened::Refused(why.to_string()), &[]),
    }
}
